"""HL7 and FHIR out of the outbox: each system by its own way, with what it was told before."""

from __future__ import annotations

import pytest

from tests.integrations.archives import systems, web
from tests.integrations.outbox_kit import items, queued, sent_all
from tests.records.kit import made_user
from tests.records.reports_kit import sign
from tests.service.kit import make_context
from tetkik.integrations.calling import Answer
from tetkik.integrations.outbox import queue_results
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.orders import orders
from tetkik.records.orders.orders import OrderContent
from tetkik.records.reports import signing
from tetkik.records.schema import Case
from tetkik.values import SYSTEM, LinkReason, OutboxState, Role
from tetkik.workflow.patients import compare_unaudited, link


@pytest.fixture
def app_context(tmp_path):
    context = make_context(tmp_path, hospital_name="Örnek Hastanesi")
    yield context
    context.records.close()


def test_messages_go_by_their_own_ways(app_context, monkeypatch):
    sent = {}

    def oru(peer, message, **_):
        sent[peer.name] = message
        return Answer.done("AA")

    monkeypatch.setattr("tetkik.integrations.outbox.send_oru", oru)
    with web() as server:
        server.content, server.headers = b'{"resourceType":"OperationOutcome"}', {"Retry-After": "60"}
        server.status = 503
        peers = (
            {"name": "hbys", "hl7": "127.0.0.1:2575"},
            {"name": "ehr", "fhir": f"http://127.0.0.1:{server.port}/fhir"},
        )
        routes = ({"send": [{"to": "hbys", "as": ["hl7"]}, {"to": "ehr", "as": ["fhir"]}]},)
        chosen = systems(*peers, routes=routes)
        report = queued(app_context, chosen)
        assert sent_all(app_context, chosen) == 2
    found = items(app_context, report.id)
    assert found["hbys", "hl7"].status == "AA" and sent["hbys"].startswith(b"MSH|^~\\&|TETKIK|")
    assert found["ehr", "fhir"].state is OutboxState.WAITING
    assert found["ehr", "fhir"].status.startswith("HTTP 503")
    ((_, path, _, body),) = server.asked
    assert path.startswith("/fhir") and b'"transaction"' in body


def test_a_number_of_an_order_goes_back_to_who_gave_it(app_context, monkeypatch):
    """The order of a record that another one stands for by now."""
    sent = {}

    def oru(peer, message, **_):
        sent[peer.name] = b"|P77|" in message
        return Answer.done("AA")

    monkeypatch.setattr("tetkik.integrations.outbox.send_oru", oru)
    peers = (
        {"name": "hbys", "hl7": "127.0.0.1:2575", "allow": ["orders"], "addresses": ["10.0.0.1"]},
        {"name": "other", "hl7": "127.0.0.1:2576", "allow": ["orders"], "addresses": ["10.0.0.2"]},
        {"name": "archive", "hl7": "127.0.0.1:2577"},
    )
    chosen = systems(*peers, routes=({"send": [{"to": one["name"], "as": ["hl7"]} for one in peers]},))
    report = queued(app_context, chosen)
    with app_context.records.write(SYSTEM) as tx:
        case = tx.session.get_one(Case, report.case_id)
        former = patients.create(tx, Person(name="Gülçin ŞAHİN", number="4712"))
        order_id = orders.place_order(tx, former, OrderContent(placer_number="P77"), "hbys")
        orders.link_case(tx, order_id, case.id)
        seen = compare_unaudited(tx, former, case.patient_id).seen
        link(tx, former, case.patient_id, LinkReason.MASTER_INDEX, seen)
    sent_all(app_context, chosen)
    assert sent == {"hbys": True, "other": False, "archive": True}


def test_a_server_of_fhir_is_told_what_every_earlier_version_said(app_context, monkeypatch):
    chosen = systems(
        {"name": "ehr", "fhir": "http://127.0.0.1:1/fhir"},
        routes=({"send": [{"to": "ehr", "as": ["fhir"]}]},),
    )
    made = []

    def bundle(document, earlier):
        made.append((document.version, [one.version for one in earlier]))
        return b"{}"

    monkeypatch.setattr("tetkik.integrations.outbox.to_fhir_transaction", bundle)
    monkeypatch.setattr("tetkik.integrations.outbox.send_bundle", lambda *_, **__: Answer.done("HTTP 200"))
    report = queued(app_context, chosen)
    sent_all(app_context, chosen)
    actor = made_user(app_context.records, Role.RADIOLOGIST, name="Ali Kaya")
    for _ in range(2):
        with app_context.records.write(actor) as tx:
            signing.begin_amendment(tx, report.id, "Ölçü düzeltildi.")
            sign(tx, report.id, actor)
            queue_results(tx, chosen, report.id)
        sent_all(app_context, chosen)
    assert made == [(1, []), (2, [1]), (3, [2, 1])]
