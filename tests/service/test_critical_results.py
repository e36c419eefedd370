"""Critical results: contacts are told without a word of the patient, one after the other, until one knows."""

from __future__ import annotations

import email
import io
import json
import re
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from email import policy
from urllib.parse import parse_qs

import pytest
from sqlalchemy import select, update

from tests.gateways import http_gateway, smtp_gateway
from tests.records.kit import made_case, made_records, made_user
from tests.records.reports_kit import made_report
from tests.service.kit import count, make_context, served, sign_in
from tetkik.errors import SettingError
from tetkik.integrations import critical_contacts as contacts
from tetkik.records.cases import cases
from tetkik.records.cases.patients import Person
from tetkik.records.lifecycle import erasure
from tetkik.records.lifecycle.erasure import ErasureReason
from tetkik.records.lifecycle.patient_export import export_patient
from tetkik.records.schema.cases import Study
from tetkik.records.schema.models import CriticalResult
from tetkik.records.schema.trail import AuditRow
from tetkik.records.worklist import critical_results
from tetkik.service.critical_results import send_due
from tetkik.settings import Settings
from tetkik.values.access import SYSTEM, Role
from tetkik.values.radiograph import Sex
from tetkik.values.states import CriticalLevel

_CONTACTS = """
[[contact]]
name = "Santral"
channel = "pager"
to = "77"

[[contact]]
name = "Dahiliye nöbetçisi"
channel = "sms"
to = "+905551112233"
departments = ["Dahiliye"]

[[contact]]
name = "Dahiliye servisi"
channel = "email"
to = "servis@hastane.local"
departments = ["Dahiliye"]
"""
_WORDS = "Sağda tansiyon pnömotoraks"


@pytest.fixture
def gateways(tmp_path):
    with http_gateway() as http, smtp_gateway() as smtp:
        file = tmp_path / "contacts.toml"
        file.write_text(_CONTACTS, "utf-8")
        made = make_context(
            tmp_path,
            critical_contacts=file,
            sms_url=f"{http.url}/sms",
            sms_key="secret",
            pager_url=f"{http.url}/pager",
            smtp_host="127.0.0.1",
            smtp_port=smtp.port,
            smtp_security="none",
            smtp_from="tetkik@hastane.local",
            language="tr",
        )
        yield made, http, smtp
        made.records.close()


def _due_now(app_context):
    with app_context.records.write(SYSTEM) as tx:
        tx.apply(update(CriticalResult).values(next_at=tx.now - timedelta(seconds=1)))


def _audited(app_context, action):
    with app_context.records.read() as tx:
        return tx.session.scalars(select(AuditRow.content).where(AuditRow.action == action)).all()


def test_of_several_services_one_tells_a_contact(postgres, tmp_path):
    url = postgres.fresh()
    file = tmp_path / "contacts.toml"
    file.write_text(_CONTACTS, "utf-8")
    with http_gateway() as http:
        chosen = {"critical_contacts": file, "pager_url": f"{http.url}/pager"}
        services = [make_context(tmp_path, made_records(tmp_path, url), **chosen) for _ in range(4)]
        records = services[0].records
        reader = made_user(records, Role.RADIOLOGIST)
        for _ in range(3):
            case_id = made_case(records, made_user(records, Role.RECEPTION), department="Kardiyoloji")
            with records.write(reader) as tx:
                critical_results.raise_result(tx, case_id, CriticalLevel.RED, _WORDS, notify=True)
        ready = threading.Barrier(len(services))

        def send_all(context):
            ready.wait()
            sent = 0
            while send_due(context):
                sent += 1
            return sent

        with ThreadPoolExecutor(len(services)) as pool:
            assert sum(pool.map(send_all, services)) == 3
        assert len(http.requests) == len({body for _, _, body in http.requests}) == 3
    for one in services:
        one.records.close()


def test_contacts_are_told_in_turn_until_a_signed_in_person_acknowledges(gateways):
    app_context, http, smtp = gateways
    person = Person("Gülçin ŞAHİN", "10000000146", "H-204518", "19680514", Sex.FEMALE)
    reception = made_user(app_context.records, Role.RECEPTION)
    case_id = made_case(app_context.records, reception, person, department="Dahiliye")
    with app_context.records.read() as tx:
        number = cases.load_case(tx, case_id, audit=False).number
    with served(app_context) as client:
        client.headers["Accept-Language"] = "en"
        radiologist = sign_in(client, app_context, Role.RADIOLOGIST)
        answer = client.post(
            f"/cases/{case_id}/critical-results", data={"level": "red", "words": f"{_WORDS} (Şahin)"}
        )
        assert answer.status_code == 303, answer.text
        assert send_due(app_context) and not send_due(app_context)
        ((path, key, body),) = http.requests
        form = parse_qs(body.decode())
        assert (path, key, form["to"]) == ("/sms", "Bearer secret", ["+905551112233"])
        text = form["text"][0]
        link = text.rpartition(" ")[2]
        assert text.startswith("Kritik sonuç bekliyor, Tetkik'e girin: http://127.0.0.1:")
        _due_now(app_context)  # nobody acknowledged in time
        assert send_due(app_context)
        ((to, _, mail),) = smtp.requests
        message = email.message_from_bytes(mail, policy=policy.default)
        assert to == "servis@hastane.local" and message.get_content().strip() == text
        http.status = 500  # the pager is out of order: the first contact is told again, and soon
        _due_now(app_context)
        assert send_due(app_context)
        with app_context.records.read() as tx:
            row = tx.session.scalars(select(CriticalResult)).one()
            assert row.next_at - tx.now < timedelta(minutes=1)
        sent = "".join(map(str, [*http.requests, *smtp.requests]))
        for private in ("ahin", "Gül", "10000000146", "H-204518", case_id, number, "tansiyon"):
            assert private not in sent

        page = client.get("/critical-results").text
        assert number in page and "Nobody has acknowledged" in page and "not acknowledged in time" in page
        own = client.post(f"/cases/{case_id}/critical-results/{row.id}/acknowledge")
        assert own.status_code == 409  # who reported it does not answer for the other side

        doctor = sign_in(client, app_context, Role.CLINICIAN, departments=("Dahiliye",))
        assert client.get("/critical-results").status_code == 403
        place = client.get(link.partition("127.0.0.1")[2].partition("/")[2].join(("/", "")))
        assert place.headers["location"] == f"/cases/{case_id}#critical"
        assert _WORDS in client.get(f"/cases/{case_id}").text
        done = client.post(f"/cases/{case_id}/critical-results/{row.id}/acknowledge")
        assert done.status_code == 303
        again = client.post(f"/cases/{case_id}/critical-results/{row.id}/acknowledge")
        assert again.status_code == 409
        assert doctor.name in client.get(f"/cases/{case_id}").text
        _due_now(app_context)
        assert not send_due(app_context)
    assert len(_audited(app_context, "critical.sent")) == 3
    assert doctor.user_id in _audited(app_context, "critical.acknowledged")[0]
    assert radiologist.user_id in _audited(app_context, "critical.raised")[0]
    assert "tansiyon" not in "".join(_audited(app_context, "critical.raised"))


def test_who_heard_it_by_telephone_is_written_down_and_others_see_nothing(app_context):
    reception = made_user(app_context.records, Role.RECEPTION)
    case_id = made_case(app_context.records, reception, department="Dahiliye")
    with served(app_context) as client:
        client.headers["Accept-Language"] = "en"
        sign_in(client, app_context, Role.CLINICIAN, departments=("Nöroloji",))
        refused = client.post(f"/cases/{case_id}/critical-results", data={"level": "red", "words": "x"})
        assert refused.status_code == 403
        sign_in(client, app_context, Role.RADIOLOGIST)
        raised = {"level": "orange", "words": _WORDS, "told_to": "Dr. Can, servis", "read_back": "true"}
        assert client.post(f"/cases/{case_id}/critical-results", data=raised).status_code == 303
        page = client.get(f"/cases/{case_id}").text
        assert "Dr. Can, servis" in page and "who read it back" in page
        nodule = {"level": "yellow", "words": "Nodül"}
        said = client.post(
            f"/cases/{case_id}/critical-results", data=nodule, headers={"HX-Request": "true"}
        ).text
        assert 'data-standing="unreached"' in said and "Nobody was reached: call them" in said
        assert not send_due(app_context)  # no contact is set: it waits for a call, and says so at once
        for page in (f"/cases/{case_id}", "/critical-results"):
            assert "Nobody was reached: call them" in client.get(page).text
        assert "No contact is set" in client.get(f"/cases/{case_id}").text
        assert client.post(f"/cases/{case_id}/critical-results", data={"level": "red"}).status_code == 422
        with app_context.records.read() as tx:
            open_ones = [item.id for item in critical_results.results_of_case(tx, case_id)]
        sign_in(client, app_context, Role.CLINICIAN, departments=("Nöroloji",))
        for one in open_ones:
            other = client.post(f"/cases/{case_id}/critical-results/{one}/acknowledge")
            assert other.status_code == 403
        assert client.get("/c/unknown").status_code == 404


def test_a_result_is_told_only_once_it_was(gateways):
    """Queued, told, late and unreached are told apart everywhere that says how far a result is."""
    app_context, http, smtp = gateways
    reception = made_user(app_context.records, Role.RECEPTION)
    case_id = made_case(app_context.records, reception, department="Dahiliye")
    path = f"/cases/{case_id}/critical-results"

    def standing(client):
        return re.findall(r'data-standing="(\w+)"', client.get(path).text)

    with served(app_context) as client:
        client.headers["Accept-Language"] = "en"
        sign_in(client, app_context, Role.RADIOLOGIST)
        said = client.post(path, data={"level": "red", "words": _WORDS}, headers={"HX-Request": "true"}).text
        assert 'data-standing="queued"' in said and "nobody told yet" in said
        http.status = 500
        assert send_due(app_context)
        assert standing(client) == ["unreached"]  # the one who was tried was not reached
        _due_now(app_context)
        assert send_due(app_context) and len(smtp.requests) == 1
        assert standing(client) == ["told"]  # no word of lateness: the first never had it
        assert "waiting for acknowledgement · Dahiliye servisi (e-mail)" in client.get(path).text
        _due_now(app_context)
        assert send_due(app_context)
        assert standing(client) == ["late"]
        called = {"told_to": "Dr. Can", "read_back": "true"}
        with app_context.records.read() as tx:
            (one,) = critical_results.results_of_case(tx, case_id)
        known = client.post(f"{path}/{one.id}/told", data=called, headers={"HX-Request": "true"}).text
        assert 'data-standing="acknowledged"' in known and "Dr. Can" in known


def test_a_ward_sees_what_waits_for_it_above_its_reports(tmp_path):
    file = tmp_path / "contacts.toml"
    file.write_text('[[contact]]\nname = "Servis"\nchannel = "screen"\n', "utf-8")
    app_context = make_context(tmp_path, critical_contacts=file)
    contacts.check(app_context.settings)
    case_id = made_case(
        app_context.records, made_user(app_context.records, Role.RECEPTION), department="Dahiliye"
    )
    with served(app_context) as client:
        client.headers["Accept-Language"] = "en"
        sign_in(client, app_context, Role.RADIOLOGIST)
        client.post(f"/cases/{case_id}/critical-results", data={"level": "red", "words": _WORDS})
        assert send_due(app_context)
        assert "waiting for acknowledgement" in client.get("/critical-results").text
        sign_in(client, app_context, Role.CLINICIAN, departments=("Nöroloji",))
        assert case_id not in client.get("/reports").text
        sign_in(client, app_context, Role.CLINICIAN, departments=("Dahiliye",))
        for page in ("/reports", "/critical-results/waiting"):
            assert f"/cases/{case_id}#critical" in client.get(page).text
        (one,) = re.findall(r"critical-results/(\w+)/acknowledge", client.get(f"/cases/{case_id}").text)
        client.post(f"/cases/{case_id}/critical-results/{one}/acknowledge")
        assert case_id not in client.get("/critical-results/waiting").text
    app_context.records.close()


def test_an_erasure_takes_them_and_an_export_has_them(app_context):
    made = made_report(app_context.records)
    with app_context.records.write(made_user(app_context.records, Role.RADIOLOGIST)) as tx:
        critical_results.raise_result(tx, made.case_id, CriticalLevel.RED, _WORDS, notify=True)
        patient_id = cases.load_case(tx, made.case_id).patient_id
    packed = io.BytesIO()
    export_patient(app_context.records, patient_id, packed)
    with zipfile.ZipFile(packed) as archive:
        (case,) = json.loads(archive.read("patient.json"))["cases"]
    assert case["critical_results"][0]["found"] == _WORDS
    assert count(app_context, CriticalResult) == 1
    erasure.erase(app_context.records, patient_id, ErasureReason.REQUEST, years=20)
    assert count(app_context, CriticalResult) == 0


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("[[contact]]\nname = 'x'\nchannel = 'fax'\nto = '1'", {}),
        ("[[contact]]\nname = 'x'\nchannel = 'sms'\nto = '1'", {}),
        ("[[contact]]\nname = 'x'\nchannel = 'pager'", {"pager_url": "http://127.0.0.1/"}),
        ("[[contact", {}),
        ("", {"critical_minutes": "red=15"}),
        ("", {"critical_minutes": "red=0, orange=1, yellow=1"}),
    ],
)
def test_wrong_contacts_and_times_are_refused_at_the_start(tmp_path, text, settings):
    file = tmp_path / "contacts.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(SettingError):
        contacts.check(Settings(critical_contacts=file, **settings))


def test_whom_the_route_of_a_case_names_is_told_first(gateways, tmp_path):
    app_context, http, _ = gateways
    systems = tmp_path / "systems.toml"
    systems.write_text('[[route]]\nmodality = ["DX"]\nnotify = ["Dahiliye nöbetçisi"]\n', "utf-8")
    app_context = replace(
        app_context, settings=app_context.settings.model_copy(update={"integrations": systems})
    )
    made = made_report(app_context.records)
    with app_context.records.write(made_user(app_context.records, Role.RADIOLOGIST)) as tx:
        tx.session.execute(update(Study).values(modality="DX"))
        critical_results.raise_result(tx, made.case_id, CriticalLevel.RED, _WORDS, notify=True)
    assert send_due(app_context)
    assert [path for path, *_ in http.requests] == ["/sms"]


def test_a_file_that_is_spoilt_while_it_runs_leaves_the_contacts_and_the_pages_that_show_them(
    gateways, tmp_path
):
    app_context, _, _ = gateways
    contacts.check(app_context.settings)
    case_id = made_case(
        app_context.records, made_user(app_context.records, Role.RECEPTION), department="Dahiliye"
    )
    app_context.settings.critical_contacts.write_text("[[contact", "utf-8")
    with served(app_context) as client:
        sign_in(client, app_context, Role.RADIOLOGIST)
        page = client.get(f"/cases/{case_id}")
    assert page.status_code == 200 and "Dahiliye nöbetçisi" in page.text


def test_a_route_that_names_no_contact_is_refused_at_the_start(tmp_path):
    with pytest.raises(SettingError, match="Kimse"):
        contacts.check(Settings(), ["Kimse"])


def test_who_was_told_at_the_signature_is_kept_and_so_is_why_nobody_was(app_context):
    case_id = made_case(app_context.records, made_user(app_context.records, Role.RECEPTION))
    with served(app_context) as client:
        sign_in(client, app_context, Role.RADIOLOGIST)
        path = f"/cases/{case_id}/critical-results"
        told = {"level": "red", "words": _WORDS, "told_to": "Dr. Ay, acil", "told_at": "22:10"}
        assert client.post(path, data=told, follow_redirects=False).status_code == 303
        assert "Dr. Ay, acil 22:10" in client.get(f"/cases/{case_id}").text
        listed = client.get("/critical-results").text
        assert "by telephone or in person" in listed and "Dr. Ay" not in listed
        assert client.post(f"{path}/not-told", data={"reason": "treated"}).status_code == 204
        assert client.post(f"{path}/not-told", data={"reason": "no time"}).status_code == 422
    assert _audited(app_context, "critical.not_told")
