"""A report as a transaction for a FHIR server: valid, safe to be sent again, each status heeded."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import unquote

import pytest
from fhir.resources.R4B.bundle import Bundle

from tests.documents.programs import validated
from tests.documents.sample import document
from tests.documents.test_drawn_documents import CONTENT
from tests.ports import free_port
from tetkik.documents.fhir import to_fhir_transaction
from tetkik.integrations.calling import CallOutcome
from tetkik.integrations.dicomweb import stow
from tetkik.integrations.outbox import send_bundle
from tetkik.integrations.systems import Configuration, HospitalSystem
from tetkik.settings import Settings
from tetkik.values import Hospital, JudgedFinding, Judgement, MeasurementKind, ReportState


class Server(HTTPServer):
    """A server that keeps what transactions say by their conditions, as R4B's rules of them want."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.store: dict[str, dict[str, Any]] = {}
        self.said: list[dict[str, str]] = []
        self.answer: tuple[int, dict[str, str], bytes] | None = None


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.said.append(dict(self.headers))
        status, headers, content = self.server.answer or (
            200,
            {},
            json.dumps(self.done(json.loads(sent))).encode(),
        )
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def done(self, sent: dict[str, Any]) -> dict[str, Any]:
        answers = []
        for entry in sent["entry"]:
            request = entry["request"]
            query = request.get("ifNoneExist") or request["url"].partition("?")[2]
            key = f"{entry['resource']['resourceType']} {unquote(query)}"
            there = key in self.server.store
            if request["method"] == "PUT" or not there:
                self.server.store[key] = entry["resource"]
            answers.append({"response": {"status": "200" if there else "201"}})
        return {"resourceType": "Bundle", "type": "transaction-response", "entry": answers}

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[tuple[Server, HospitalSystem]]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server, peer_at(server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def peer_at(port: int) -> HospitalSystem:
    return HospitalSystem.model_validate({"name": "fhir1", "fhir": f"http://127.0.0.1:{port}/fhir"})


def test_a_study_that_the_server_knows_stays_as_it_is():
    entries = json.loads(to_fhir_transaction(document(ReportState.FINAL)))["entry"]
    (request,) = [one["request"] for one in entries if one["resource"]["resourceType"] == "ImagingStudy"]
    assert request["method"] == "POST" and "urn%3Adicom%3Auid" in request["ifNoneExist"]


def test_a_transaction_sent_twice_is_there_once_and_an_amendment_takes_its_place():
    with serving() as (server, peer):
        bundle = to_fhir_transaction(document(ReportState.FINAL))
        for _ in range(2):
            assert (
                send_bundle(peer, bundle, headers={"Authorization": "Bearer gizli"}).outcome
                is CallOutcome.DONE
            )
        stored = len(server.store)
        assert stored == len(json.loads(bundle)["entry"])
        assert server.said[0]["Authorization"] == "Bearer gizli"
        assert server.said[0]["Content-Type"].startswith("application/fhir+json")
        amended = to_fhir_transaction(document(ReportState.AMENDED, version=2))
        assert send_bundle(peer, amended).outcome is CallOutcome.DONE
        reports = [item for key, item in server.store.items() if key.startswith("DiagnosticReport")]
        assert [item["status"] for item in reports] == ["amended"] and len(server.store) == stored


_WORDS = (MeasurementKind.ARROW, MeasurementKind.TEXT)
"""Of the measurements, what measures nothing and is no Observation."""


@pytest.mark.program("node", "npm")
def test_what_an_amendment_no_longer_says_is_in_error():
    judged = (JudgedFinding("Effusion", Judgement.ACCEPTED),)
    first = replace(document(ReportState.FINAL, judgements=judged), content=CONTENT)
    text = document().draft
    text = replace(
        text, sentences=tuple(one for one in text.sentences if "Effusion" not in str(one.evidence))
    )
    amended = document(ReportState.AMENDED, version=2, draft=text)
    last = document(ReportState.AMENDED, version=3, draft=text)
    content = json.loads(to_fhir_transaction(last, [amended, first]))
    without = len(json.loads(to_fhir_transaction(last))["entry"])
    gone = [entry["resource"] for entry in content["entry"][without:]]
    assert {one["status"] for one in gone} == {"entered-in-error"}
    assert Counter(one["resourceType"] for one in gone) == {
        "Observation": 2 + sum(item.kind not in _WORDS for item in CONTENT.measurements),
        "Media": len(CONTENT.key_images),
    }
    assert not any(name.startswith(("value", "component", "derivedFrom")) for one in gone for name in one)
    (answer,) = validated([content])
    assert [one for one in answer["messages"] if one["severity"] in {"error", "fatal"}] == []
    with serving() as (server, peer):
        for said in (to_fhir_transaction(first), json.dumps(content).encode()):
            assert send_bundle(peer, said).outcome is CallOutcome.DONE
        assert len(server.store) == len(content["entry"])


@pytest.mark.parametrize("state", [ReportState.FINAL, ReportState.AMENDED])
def test_a_transaction_is_a_bundle_of_fhir(state: ReportState):
    content = json.loads(to_fhir_transaction(document(state)))
    Bundle.model_validate(content)
    assert content["type"] == "transaction"
    kinds = {entry["resource"]["resourceType"]: entry["request"] for entry in content["entry"]}
    assert kinds["DiagnosticReport"]["method"] == "PUT"
    assert kinds["Patient"]["method"] == "POST" and "ifNoneExist" in kinds["Patient"]
    assert all("identifier" in entry["resource"] for entry in content["entry"])


def test_a_second_report_finds_the_people_of_the_first_and_changes_nothing_of_the_study():
    bare = replace(document(ReportState.FINAL), hospital=Hospital(name="Örnek Hastanesi"))
    other = replace(bare, id="another")
    asked = [
        {entry["resource"]["resourceType"]: entry["request"] for entry in json.loads(content)["entry"]}
        for content in map(to_fhir_transaction, (bare, other))
    ]
    for kind in ("Patient", "Practitioner", "Organization", "Device", "ImagingStudy"):
        assert asked[0][kind] == asked[1][kind] and asked[0][kind]["method"] == "POST", kind
    assert asked[0]["DiagnosticReport"] != asked[1]["DiagnosticReport"]
    elsewhere = json.loads(to_fhir_transaction(replace(bare, hospital=Hospital(name="Başka"))))["entry"]
    found = {entry["resource"]["resourceType"]: entry["request"] for entry in elsewhere}
    assert found["Practitioner"] != asked[0]["Practitioner"]


@pytest.mark.program("node", "npm")
def test_a_transaction_is_valid_for_the_package_fhir():
    content = json.loads(to_fhir_transaction(document(ReportState.FINAL)))
    wrong = [
        message
        for answer in validated([content])
        for message in answer["messages"]
        if message["severity"] in {"error", "fatal"}
    ]
    assert wrong == []


def test_an_answer_that_comes_drop_by_drop_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("tetkik.integrations.outbox.LONGEST_CALL", -1.0)
    monkeypatch.setattr("tetkik.integrations.dicomweb.LONGEST_CALL", -1.0)
    with serving() as (server, peer):
        answer = send_bundle(peer, to_fhir_transaction(document(ReportState.FINAL)))
        assert (answer.outcome, answer.for_all) == (CallOutcome.TRANSIENT, False)
        archive = peer.model_copy(update={"dicomweb": f"http://127.0.0.1:{server.server_port}/dicom-web"})
        server.answer = (200, {}, b"{}")
        answer = stow(Configuration(), archive, [b""], Settings())
    assert (answer.outcome, answer.status) == (CallOutcome.TRANSIENT, "ReadTimeout")


OUTCOME = {
    "resourceType": "OperationOutcome",
    "issue": [{"code": "value", "expression": ["Patient.birthDate"], "diagnostics": "Gülçin ŞAHİN"}],
}


@pytest.mark.parametrize(
    ("status", "headers", "content", "outcome", "said", "wait"),
    [
        (400, {}, OUTCOME, "permanent", "HTTP 400: value Patient.birthDate", None),
        (401, {}, {}, "permanent", "HTTP 401", None),
        (302, {"Location": "http://127.0.0.1:1/"}, {}, "permanent", "HTTP 302", None),
        (412, {}, OUTCOME, "transient", "HTTP 412: value Patient.birthDate", None),
        (429, {"Retry-After": "120"}, {}, "transient", "HTTP 429", 120.0),
        (503, {"Retry-After": "Mon, 23 Nov 2020 12:00:00 GMT"}, {}, "transient", "HTTP 503", 0.0),
        (503, {"Retry-After": "soon"}, {}, "transient", "HTTP 503", None),
        (200, {}, {"resourceType": "Bundle"}, "transient", "HTTP 200: no answer to a transaction", None),
        (
            200,
            {},
            {"type": "transaction-response", "entry": [{}]},
            "transient",
            "HTTP 200: no answer to a transaction",
            None,
        ),
        (200, {}, [1], "transient", "HTTP 200: no answer to a transaction", None),
    ],
)
def test_each_status_is_followed_by_the_right_thing(
    status: int, headers: dict[str, str], content: Any, outcome: str, said: str, wait: float | None
):
    with serving() as (server, peer):
        server.answer = (status, headers, json.dumps(content).encode())
        answer = send_bundle(peer, to_fhir_transaction(document(ReportState.FINAL)))
    assert (answer.outcome.value, answer.status, answer.retry_after) == (outcome, said, wait)


def test_nobody_there_is_transient():
    answer = send_bundle(peer_at(free_port()), to_fhir_transaction(document(ReportState.FINAL)))
    assert (answer.outcome, answer.status) == (CallOutcome.TRANSIENT, "ConnectError")
