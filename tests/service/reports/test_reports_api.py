"""Signed reports: over the API and on the pages, for whom, as which files."""

from __future__ import annotations

import hashlib
import json
from io import BytesIO

import hl7
import pydicom
import pytest
from sqlalchemy import select

from tests.documents.test_pdf import pages
from tests.records import changes
from tests.records.kit import made_user
from tests.records.reports_kit import judged_all, made_report, sign, signed_report
from tests.service.kit import make_context, opened_session, served, sign_in
from tetkik.language import Language
from tetkik.records.cases.patients import Person
from tetkik.records.people import access, passwords
from tetkik.records.reports import measurements, signing, templates
from tetkik.records.reports.measurements import NewMeasurement
from tetkik.records.schema import AuditRow, Case, IdempotentRequest, User
from tetkik.rules.editing import DraftEdit
from tetkik.values import DraftSentence, Judgement, MeasurementKind, Role, Section

API = "/api/v1/reports"
PASSWORD = "doğru at pili zımba"


@pytest.fixture
def app_context(tmp_path):
    return make_context(tmp_path, hospital_name="Örnek Hastanesi")


@pytest.fixture
def client(app_context):
    with served(app_context) as found:
        found.headers["Accept-Language"] = "en"
        yield found


def entered(client, app_context, *roles, **more):
    """Sign in as somebody who has a password."""
    actor = sign_in(client, app_context, *roles, **more)
    with app_context.records.write(actor) as tx:
        tx.session.get_one(User, actor.user_id).password_hash = passwords.hashed(PASSWORD)
    return actor


def actions(app_context):
    with app_context.records.read() as tx:
        return [row.action for row in tx.session.scalars(select(AuditRow).order_by(AuditRow.seq))]


def test_a_report_is_signed_with_the_password_again(client, app_context):
    entered(client, app_context, Role.RADIOLOGIST)
    made = made_report(app_context.records)
    wrong = client.post(f"{API}/{made.id}/sign", json={"revision": 1, "password": "wrong"})
    assert wrong.status_code in (401, 403), wrong.text
    none = client.post(f"{API}/{made.id}/sign", json={"revision": 1})
    assert none.status_code == 403
    waits = client.post(f"{API}/{made.id}/sign", json={"revision": 1, "password": PASSWORD})
    assert waits.status_code == 409 and waits.json()["title"] == "NotReady"
    labels = [item["label"] for item in waits.json()["blocking"]]
    assert labels == ["Effusion", "Cardiomegaly"]
    accepted = f"/api/v1/drafts/{made.id}/reviews/accepted"
    client.post(accepted, json={"labels": labels}, headers={"If-Match": '"1"'})
    signed = client.post(f"{API}/{made.id}/sign", json={"revision": 2, "password": PASSWORD})
    assert signed.status_code == 201, signed.text
    assert (signed.json()["number"], signed.json()["corrected"]) == (1, False)
    read = client.get(f"{API}/{made.id}").json()
    assert (read["verification"], read["method"], read["state"]) == (
        signed.json()["verification"],
        "password",
        "final",
    )
    again = client.post(f"{API}/{made.id}/sign", json={"revision": 3, "password": PASSWORD})
    assert again.status_code == 409


def test_one_key_signs_once_and_the_password_is_kept_nowhere(client, app_context):
    actor = entered(client, app_context, Role.RADIOLOGIST)
    made = made_report(app_context.records)
    with app_context.records.write(actor) as tx:
        body = {"revision": judged_all(tx, made.id).revision, "password": PASSWORD}
    first, second = (
        client.post(f"{API}/{made.id}/sign", json=body, headers={"Idempotency-Key": "sign-1"})
        for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    plain = hashlib.sha256(f"POST {API}/{made.id}/sign\n".encode() + first.request.content).digest()
    with app_context.records.read() as tx:
        assert tx.session.scalars(select(IdempotentRequest.request)).one() != plain


def test_a_stale_signature_is_told_what_stands_there(client, app_context):
    actor = entered(client, app_context, Role.RADIOLOGIST)
    made = made_report(app_context.records)
    with app_context.records.write(actor) as tx:
        changes.save(tx, made.id, 1, DraftEdit([DraftSentence("Kalp büyük.", Section.FINDINGS)]))
    late = client.post(f"{API}/{made.id}/sign", json={"revision": 1, "password": PASSWORD})
    assert (late.status_code, late.json()["revision"]) == (409, 2)
    assert late.json()["current"]["sentences"][0]["text"] == "Kalp büyük."


def test_a_report_is_amended_and_compared(client, app_context):
    entered(client, app_context, Role.RADIOLOGIST)
    made = signed_report(app_context.records)
    begun = client.post(f"{API}/{made.id}/amendments", json={"reason": "Kalp boyutu."})
    assert begun.status_code == 201 and begun.json()["amending"] == "Kalp boyutu."
    revision = begun.json()["revision"]
    text = [{"section": item["section"], "text": item["text"]} for item in begun.json()["sentences"]]
    text[-1]["text"] = "Kontrol önerilir."
    saved = client.put(
        f"/api/v1/drafts/{made.id}", json={"sentences": text}, headers={"If-Match": f'"{revision}"'}
    )
    assert client.get(f"{API}/{made.id}").json()["number"] == 1  # what counts until the signature
    signed = client.post(
        f"{API}/{made.id}/sign", json={"revision": saved.json()["revision"], "password": PASSWORD}
    )
    assert signed.json()["number"] == 2
    compared = client.get(f"{API}/{made.id}/compare", params={"from": 1, "to": 2}).json()
    changed = [part for part in compared["sections"] if part["changed"]]
    assert [part["section"] for part in changed] == ["recommendation"]
    assert {one["change"] for one in changed[0]["stretches"]} >= {"removed", "added"}
    versions = client.get(f"{API}/{made.id}/versions").json()["items"]
    assert [(item["number"], item["replaces"]) for item in versions] == [(1, None), (2, 1)]
    for number, sentence in ((1, False), (2, True)):
        whole = client.get(f"{API}/{made.id}/versions/{number}").text
        assert ("Kontrol önerilir." in whole) is sentence


def test_an_amendment_can_be_given_up(client, app_context):
    entered(client, app_context, Role.RADIOLOGIST)
    made = signed_report(app_context.records)
    begun = client.post(f"{API}/{made.id}/amendments", json={"reason": "Kalp boyutu."}).json()
    etag = {"If-Match": f'"{begun["revision"]}"'}
    assert client.delete(f"{API}/{made.id}/amendments", headers=etag).status_code == 204
    assert client.delete(f"{API}/{made.id}/amendments", headers=etag).status_code == 409


def test_every_format_says_what_was_signed_and_names_nobody(client, app_context):
    sign_in(client, app_context, Role.CLINICIAN)
    made = signed_report(app_context.records)
    found = {}
    for form in ("pdf", "fhir", "sr", "capture", "hl7", "text", "image", "heatmap"):
        answer = client.get(f"{API}/{made.id}/versions/1/{form}")
        assert answer.status_code == 200, form
        disposition = answer.headers["content-disposition"]
        assert "report-" in disposition and "-v1." in disposition
        assert "AHIN" not in disposition.upper() and "ŞAHİN" not in disposition
        assert answer.headers["cache-control"] == "no-store"
        found[form] = answer.content
    code = client.get(f"{API}/{made.id}").json()["verification"]
    assert any(code in page for page in pages(found["pdf"])) or code[:16] in "".join(pages(found["pdf"]))
    assert json.loads(found["fhir"])["resourceType"] == "Bundle"
    assert pydicom.dcmread(BytesIO(found["sr"])).Modality == "SR"
    assert pydicom.dcmread(BytesIO(found["capture"])).Modality == "OT"
    assert b"ORU^R01" in found["hl7"] and code in found["text"].decode()
    assert found["image"].startswith(b"\x89PNG")
    assert actions(app_context).count("document.exported") == 6
    assert actions(app_context).count("image.opened") == 2


def test_a_picture_that_is_not_there_is_not_found(client, app_context):
    sign_in(client, app_context, Role.CLINICIAN)
    made = signed_report(app_context.records, pictures=False)
    assert client.get(f"{API}/{made.id}/versions/1/heatmap").status_code == 404
    assert client.get(f"{API}/{made.id}/versions/2/pdf").status_code == 404
    assert client.get(f"{API}/{made.id}/versions/1/exe").status_code == 422


def test_a_draft_is_no_report(client, app_context):
    sign_in(client, app_context, Role.RADIOLOGIST)
    made = made_report(app_context.records)
    assert client.get(f"{API}/{made.id}").status_code == 404
    assert client.get(f"{API}/{made.id}/versions").json()["items"] == []
    assert client.get(API).json()["items"] == []


def test_a_clinician_sees_the_reports_of_their_departments(client, app_context):
    sign_in(client, app_context, Role.CLINICIAN, departments=("Kardiyoloji",))
    own = signed_report(app_context.records, department="Kardiyoloji")
    other = signed_report(app_context.records, department="Üroloji")
    hidden = signed_report(app_context.records, department="Kardiyoloji", restricted=True)
    assert [item["report_id"] for item in client.get(API).json()["items"]] == [own.id]
    for closed in (other, hidden):
        assert client.get(f"{API}/{closed.id}").status_code == 403
        assert client.get(f"{API}/{closed.id}/versions/1/pdf").status_code == 403
        page = client.get(f"/reports/{closed.id}")
        assert (page.status_code, page.headers["location"]) == (303, f"/cases/{closed.case_id}")
    assert client.get(f"/reports/{own.id}").status_code == 200


@pytest.mark.parametrize("second", [Role.ENGINEER, Role.AUDITOR, Role.ADMINISTRATOR])
def test_a_second_role_opens_no_other_department(client, app_context, second):
    sign_in(client, app_context, Role.CLINICIAN, second, departments=("Kardiyoloji",))
    made = signed_report(app_context.records, department="Üroloji")
    assert client.get(API).json()["items"] == []
    assert client.get(f"{API}/{made.id}").status_code == 403
    assert client.get(f"/api/v1/cases/{made.case_id}").status_code == 403


def test_a_broken_glass_opens_the_report_and_says_so(client, app_context):
    actor = sign_in(client, app_context, Role.CLINICIAN, departments=("Kardiyoloji",))
    made = signed_report(app_context.records, department="Üroloji")
    with app_context.records.write(actor) as tx:
        access.break_glass(tx, made.case_id, "Acil serviste, bilinci kapalı")
    page = client.get(f"/reports/{made.id}")
    assert page.status_code == 200 and "Opened with a reason" in page.text
    assert client.get(f"{API}/{made.id}/versions/1/pdf").status_code == 200
    with app_context.records.read() as tx:
        opened = select(AuditRow.content).where(AuditRow.action == "report.opened")
        assert '"by_glass":true' in (tx.session.scalars(opened).first() or "")


def test_a_code_is_verified(client, app_context):
    sign_in(client, app_context, Role.CLINICIAN)
    made = signed_report(app_context.records)
    code = client.get(f"{API}/{made.id}").json()["verification"]
    known = client.post(f"{API}/verify", json={"code": code}).json()
    assert known == {
        "known": True,
        "is_last": True,
        "withdrawn": False,
        "report_id": made.id,
        "number": 1,
    }
    assert client.post(f"{API}/verify", json={"code": "0" * 64}).json()["known"] is False
    assert client.post(f"{API}/verify", json={"code": "x"}).status_code == 422


@pytest.mark.parametrize(
    "role", [Role.RECEPTION, Role.TECHNICIAN, Role.ENGINEER, Role.AUDITOR, Role.ADMINISTRATOR]
)
def test_nobody_else_reads_reports(client, app_context, role):
    sign_in(client, app_context, role)
    made = signed_report(app_context.records)
    for path in (API, f"{API}/{made.id}", "/reports", f"/reports/{made.id}", "/templates"):
        assert client.get(path).status_code == 403, path


@pytest.mark.parametrize("role", [Role.CLINICIAN])
def test_a_reader_neither_signs_nor_amends(client, app_context, role):
    sign_in(client, app_context, role)
    made = signed_report(app_context.records)
    assert client.post(f"{API}/{made.id}/amendments", json={"reason": "x"}).status_code == 403
    assert client.post(f"/reports/{made.id}/amend", data={"reason": "x"}).status_code == 403
    assert "amend" not in client.get(f"/reports/{made.id}").text.split("<main")[1].replace("amended", "")


HOSTILE = "</p><script>alert(1)</script><img src=x onerror=alert(1)>"


def test_the_pages_show_words_and_never_markup(client, app_context):
    actor = sign_in(client, app_context, Role.RADIOLOGIST)
    made = made_report(
        app_context.records, person=Person(f'Ali "{HOSTILE}" Veli', "", "<b>1</b>"), history=HOSTILE
    )
    with app_context.records.write(actor) as tx:
        changes.save(tx, made.id, 1, DraftEdit([DraftSentence(f"Kalp büyük. {HOSTILE}", Section.FINDINGS)]))
        sign(tx, made.id, actor)
        begun = signing.begin_amendment(tx, made.id, f"Neden {HOSTILE}")
        changes.save(
            tx,
            made.id,
            begun.revision,
            DraftEdit([DraftSentence(f"Kalp küçük. {HOSTILE}", Section.FINDINGS)]),
        )
        sign(tx, made.id, actor)
        templates.add(tx, "<i>Ad</i>", Language.TR, f"{HOSTILE} {{findings}}")
    for path in ("/reports", f"/reports/{made.id}", f"/reports/{made.id}/compare", "/templates"):
        page = client.get(path)
        assert page.status_code == 200, path
        for markup in ("<script>alert", "<img src=x", "<b>1</b>", "<i>Ad</i>"):
            assert markup not in page.text, path


def test_the_page_reads_the_impression_first_and_marks_an_old_version(client, app_context):
    actor = sign_in(client, app_context, Role.RADIOLOGIST)
    made = signed_report(app_context.records, actor)
    text = client.get(f"/reports/{made.id}").text
    assert text.index('class="impression"') < text.index('class="findings"') < text.index('class="technique"')
    assert "Gülçin ŞAHİN" in text and f"/reports/{made.id}/versions/1/heatmap" in text
    with app_context.records.write(actor) as tx:
        signing.begin_amendment(tx, made.id, "Yanlış taraf")
        sign(tx, made.id, actor)
    old = client.get(f"/reports/{made.id}/versions/1").text
    assert "This version was amended" in old and "Yanlış taraf" not in old
    assert "Why version 1 was amended: Yanlış taraf" in client.get(f"/reports/{made.id}").text
    compared = client.get(f"/reports/{made.id}/compare").text
    assert "unchanged" in compared


def test_what_was_judged_and_measured_stands_in_the_version_and_its_comparison(client, app_context):
    actor = sign_in(client, app_context, Role.RADIOLOGIST)
    made = made_report(app_context.records)
    line = NewMeasurement(MeasurementKind.LENGTH, made.image_id, [(2.0, 3.0), (2.0, 27.0)], "kosta")
    with app_context.records.write(actor) as tx:
        changes.judge(tx, made.id, 1, "Nodule", Judgement.ADDED)
        measurements.add(tx, made.id, 2, line)
        sign(tx, made.id, actor)
        begun = signing.begin_amendment(tx, made.id, "Ölçüm")
        (item,) = begun.measurements
        changes.move(tx, made.id, begun.revision, item.id, points=[(2.0, 3.0), (32.0, 3.0)])
        sign(tx, made.id, actor)
    version = client.get(f"{API}/{made.id}/versions/1").json()
    assert {"label": "Nodule", "name": "Nodule", "judgement": "added"} in version["judgements"]
    assert [(one["label"], one["value"]) for one in version["measurements"]] == [("kosta", 24.0)]
    compared = client.get(f"{API}/{made.id}/compare", params={"from": 1, "to": 2}).json()
    changed = [(one["change"], one["measurement"]["value"]) for one in compared["measurements"]]
    assert changed == [("removed", 24.0), ("added", 30.0)]
    page = client.get(f"/reports/{made.id}").text
    assert "30 piksel" in page and "Radyoloğun eklediği bulgular: Nodül" in page
    page = client.get(f"/reports/{made.id}/compare").text
    assert "kosta: <b>24 pixels</b>" in page and "kosta: <b>30 pixels</b>" in page


def test_an_amendment_begins_and_ends_on_the_page(client, app_context):
    sign_in(client, app_context, Role.RADIOLOGIST)
    made = signed_report(app_context.records)
    refused = client.post(f"/reports/{made.id}/amend", data={"reason": " "})
    assert refused.status_code == 422 and "needs a reason" in refused.text
    begun = client.post(f"/reports/{made.id}/amend", data={"reason": "Yanlış taraf"})
    assert begun.headers["location"] == f"/read/{made.case_id}?image={made.image_id}"
    page = client.get(f"/reports/{made.id}").text
    assert "being amended: Yanlış taraf" in page
    revision = page.split('name="revision" value="')[1].split('"')[0]
    dropped = client.post(f"/reports/{made.id}/amend/drop", data={"revision": revision})
    assert dropped.status_code == 303
    assert "being amended" not in client.get(f"/reports/{made.id}").text


def test_a_report_of_a_patient_is_found_without_the_name_in_an_address(client, app_context):
    sign_in(client, app_context, Role.RADIOLOGIST)
    made = signed_report(app_context.records)
    hidden = signed_report(app_context.records, restricted=True)
    sent = {"words": "gülçin", "period": "week"}
    found = client.post("/reports", data=sent, headers={"HX-Request": "true"})
    assert f"/reports/{made.id}" in found.text and hidden.id not in found.text and "<html" not in found.text
    assert found.headers["HX-Replace-Url"] == "/reports?period=week"
    whole = client.post("/reports", data=sent | {"period": "last-month"})
    assert "No report fits these filters" in whole.text and 'value="gülçin"' in whole.text
    with app_context.records.read() as tx:
        number = tx.session.get_one(Case, hidden.case_id).number
    assert hidden.id in client.post("/reports", data={"words": f"{number}-1"}).text
    assert "No report fits" in client.post("/reports", data={"words": "mehmet"}).text
    assert hidden.id in client.post("/reports", data={"words": "g"}).text
    assert actions(app_context).count("patient.searched") == 4


def test_templates_are_kept_on_their_page(client, app_context):
    sign_in(client, app_context, Role.RADIOLOGIST)
    form = {"name": "Normal akciğer", "language": "tr", "text": "{findings} Kemikler doğal."}
    assert client.post("/templates", data=form).status_code == 303
    twice = client.post("/templates", data=form)
    assert twice.status_code == 409 and "Another template has this name" in twice.text
    wrong = client.post("/templates", data=form | {"name": "b", "text": "{nothing}"})
    assert wrong.status_code == 422 and "{nothing}" in wrong.text
    address = client.get("/templates").text.split('href="/templates/')[1].split('"')[0]
    assert "Kemikler doğal." in client.get(f"/templates/{address}").text
    changed = client.post(f"/templates/{address}", data=form | {"text": "{impression} Yeni."})
    assert changed.status_code == 303
    assert "Yeni." in client.get(f"/templates/{address}").text
    assert client.post(f"/templates/{address}/remove").status_code == 303
    assert client.get(f"/templates/{address}").status_code == 404


def test_without_the_pages_token_nothing_happens(client, app_context):
    actor = made_user(app_context.records, Role.RADIOLOGIST)
    made = made_report(app_context.records)
    cookie, _ = opened_session(app_context, actor)
    client.cookies.set("tetkik", cookie)
    body = {"revision": 1, "password": PASSWORD}
    assert client.post(f"{API}/{made.id}/sign", json=body).status_code == 403
    assert client.put(f"/api/v1/drafts/{made.id}", json={"sentences": []}).status_code == 403


def test_whoever_has_a_copy_hears_of_the_amendment_and_the_signer_sees_that(client, app_context):
    ward = sign_in(client, app_context, Role.CLINICIAN)
    made = signed_report(app_context.records)
    assert client.get(f"{API}/{made.id}/versions/1/hl7").status_code == 200
    reader = made_user(app_context.records, Role.RADIOLOGIST)
    with app_context.records.write(reader) as tx:
        signing.begin_amendment(tx, made.id, "Taraf")
        sign(tx, made.id, reader)
    account = client.get("/account").text
    assert f'href="/reports/{made.id}/compare"' in account and "was amended after you got a copy" in account
    assert "Who has a copy" not in client.get(f"/reports/{made.id}").text
    sign_in(client, app_context, Role.RADIOLOGIST)
    page = client.get(f"/reports/{made.id}").text
    assert "Who has a copy: 1" in page and ward.name in page and "not acknowledged yet" in page
    amended = hl7.parse(client.get(f"{API}/{made.id}/versions/2/hl7").text)
    assert str(amended.segment("OBR")[25]) == "C"
