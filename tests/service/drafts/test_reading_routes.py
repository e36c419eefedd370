"""The reading view without a browser: who may, whose turn it is, what stands there before a draft."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from tests.records import changes
from tests.records.kit import take_job
from tests.service.kit import served, sign_in
from tests.service.reading_room import Room, made_room, read_one
from tetkik.errors import InputError
from tetkik.language import Language, Sentence
from tetkik.records.cases import cases
from tetkik.records.images import images, jobs
from tetkik.records.images.jobs import JobKind
from tetkik.records.reports import drafts, templates
from tetkik.records.schema import AuditRow
from tetkik.records.worklist import claims
from tetkik.service.drafts.view import FindingGroup, FindingSources, finding_lines
from tetkik.values import SYSTEM, Finding, FindingsResult, Judgement, Priority, Role, Route, ThresholdOn


@pytest.fixture(scope="module")
def room(tmp_path_factory) -> Room:
    return made_room(tmp_path_factory.mktemp("room"), "Effusion")


@pytest.fixture
def client(room) -> Iterator[TestClient]:
    with served(room.app_context) as client:
        yield client


def fresh(room: Room, *, work: bool = False, image: bool = True) -> tuple[str, str]:
    """Another case of the patient, with the same file as an image that no model has read."""
    with room.app_context.records.write(SYSTEM) as tx:
        known = images.load_image(tx, room.image_id)
        case_id = cases.open_case(tx, known.patient_id)
        if not image:
            return case_id, ""
        stored = images.store_file(tx, known.patient_id, io.BytesIO(images.read_content(tx, known)))
        added = images.add_image(tx, case_id, stored, images.load_metadata(tx, known))
        if work:
            jobs.add_job(tx, JobKind.READ_IMAGE, added.image, Priority.ROUTINE)
        return case_id, added.image.id


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.RADIOLOGIST])
def test_only_radiologists_read(client, room, role):
    sign_in(client, room.app_context, role)
    assert client.get(f"/read/{room.case_id}").status_code == 403


def test_who_comes_second_may_take_over(client, room):
    case_id, _ = fresh(room)
    first = sign_in(client, room.app_context, Role.RADIOLOGIST)
    assert client.post(f"/read/{case_id}/claim").headers["location"] == f"/read/{case_id}"
    assert "data-mine" in client.get(f"/read/{case_id}").text
    second = sign_in(client, room.app_context, Role.RADIOLOGIST)
    page = client.get(f"/read/{case_id}").text
    assert first.name in page and "data-mine" not in page
    assert client.put(f"/read/{case_id}/claim").status_code == 409
    client.post(f"/read/{case_id}/claim")
    assert "data-mine" not in client.get(f"/read/{case_id}").text
    assert client.post(f"/read/{case_id}/claim", data={"take_over": "true"}).status_code == 303
    assert "data-mine" in client.get(f"/read/{case_id}").text
    with room.app_context.records.read() as tx:
        reader = claims.reader_of_case(tx, case_id)
    assert reader is not None and reader.user_id == second.user_id


def test_a_model_at_work_is_awaited_and_a_failure_told(client, room):
    case_id, image_id = fresh(room, work=True)
    sign_in(client, room.app_context, Role.RADIOLOGIST)
    assert "data-awaited" in client.get(f"/read/{case_id}").text
    ready = f"/read/{case_id}/ready?image={image_id}"
    assert client.get(ready).status_code == 204
    with room.app_context.records.write(SYSTEM) as tx:
        work = take_job(tx, "test")
        assert work is not None
        fault = InputError("{file} cannot be read.", file="x")
        jobs.fail_job(tx, work, Sentence(fault.template, fault.values), for_good=True)
    assert client.get(ready).status_code == 200
    page = client.get(f"/read/{case_id}?image={image_id}", headers={"Accept-Language": "en"}).text
    assert "x cannot be read." in page and "data-awaited" not in page


def test_normal_is_no_finding_among_others(client, room, tmp_path):
    with room.app_context.records.read() as tx:
        patient_id = cases.load_case(tx, room.case_id, audit=False).patient_id
    case_id, image_id = read_one(room.app_context, patient_id, tmp_path, 3)
    reader = sign_in(client, room.app_context, Role.RADIOLOGIST)
    with room.app_context.records.write(reader) as tx:
        report_id = drafts.report_of_image(tx, image_id) or ""
        changes.judge(tx, report_id, drafts.draft_of(tx, report_id).revision, "Hernia", Judgement.ADDED)
    page = client.get(f"/read/{case_id}", headers={"Accept-Language": "en"}).text
    found, whole = page.index(">Found <"), page.index("Contradicts what was found")
    assert 'data-finding="Hernia"' in page[found:whole] and 'data-finding="Normal"' not in page[found:whole]
    assert 'data-finding="Normal"' in page[whole:] and "These exclude each other: Normal, " in page[whole:]


def test_what_no_draft_states_is_a_suggestion_until_somebody_judges_it():
    weak = Finding("Nodule", True, 0.6, 0.6, 0.5, ThresholdOn.PROBABILITY, positive=True, asserts=False)
    result = FindingsResult("", Route.CHEST, True, (), (), None, (weak,), "model", "0" * 64)
    for judged, suggested in (({}, True), ({"Nodule": Judgement.ACCEPTED}, False)):
        (line,) = finding_lines(result, judged, FindingSources())[FindingGroup.POSITIVE]
        assert line.suggested is suggested
    stated = replace(result, findings=(replace(weak, asserts=True),))
    assert not finding_lines(stated, {}, FindingSources())[FindingGroup.POSITIVE][0].suggested


def test_a_report_by_hand(client, room):
    case_id, image_id = fresh(room)
    sign_in(client, room.app_context, Role.RADIOLOGIST)
    assert "/reports?image=" in client.get(f"/read/{case_id}").text
    answer = client.post(f"/read/{case_id}/reports?image={image_id}")
    assert answer.status_code == 303
    assert "data-draft" in client.get(answer.headers["location"]).text
    assert client.post(f"/read/{case_id}/reports?image={image_id}").status_code == 409


def test_a_case_without_an_image(client, room):
    case_id, _ = fresh(room, image=False)
    sign_in(client, room.app_context, Role.RADIOLOGIST)
    page = client.get(f"/read/{case_id}", headers={"Accept-Language": "en"})
    assert page.status_code == 200
    assert "No image yet" in page.text


def test_the_next_case_is_one_that_nobody_reads(client, room):
    sign_in(client, room.app_context, Role.RADIOLOGIST)
    answer = client.get("/read/next")
    assert answer.headers["location"] == f"/read/{room.case_id}"
    others = {client.post(f"/read/next?after={room.case_id}").headers["location"] for _ in range(9)}
    assert "/worklist" in others  # each was claimed, until none was left
    assert client.post("/read/next").headers["location"] == f"/read/{room.case_id}"
    assert "data-mine" in client.get(f"/read/{room.case_id}").text


@pytest.mark.attack
def test_a_link_claims_nothing_and_a_restricted_case_opens_with_a_reason_alone(client, room):
    """`GET /read/{id}` claimed, and the claim opened a restricted case; also from another site's page."""
    case_id, _ = fresh(room)
    address = f"/read/{case_id}"
    sign_in(client, room.app_context, Role.RADIOLOGIST)
    elsewhere = {"sec-fetch-site": "cross-site"}
    page = client.get(address, headers=elsewhere).text
    assert "data-mine" not in page and f'action="{address}/claim' in page
    client.get("/read/next", headers=elsewhere)
    assert client.post(f"{address}/claim", headers=elsewhere).status_code == 403
    for path in (f"{address}/claim", "/read/next"):
        assert client.post(path, headers={"X-CSRF-Token": "x"}).status_code == 403
    assert client.get(f"/api/v1/cases/{case_id}/claim").json()["reader"] is None

    with room.app_context.records.write(SYSTEM) as tx:
        cases.restrict(tx, case_id)
    assert client.post(f"{address}/claim").headers["location"] == address
    assert client.put(f"{address}/claim").status_code == 403
    assert client.put(f"/api/v1/cases/{case_id}/claim?take_over=true").status_code == 403
    page = client.get(address)
    assert page.status_code == 403 and 'name="claim"' in page.text and "ŞAHİN" not in page.text
    reason = {"reason": "Nöbetçi radyoloğum, rapor bekleniyor", "next": address, "claim": "true"}
    assert client.post(f"/cases/{case_id}/break-glass", data=reason).headers["location"] == address
    page = client.get(address).text
    assert "data-mine" in page and "break-glass" in page


def test_a_text_of_the_hospital(client, room):
    sign_in(client, room.app_context, Role.RADIOLOGIST)
    with room.app_context.records.write(SYSTEM) as tx:
        added = templates.add(tx, "Akciğer", Language.TR, "Toraks kafesi simetriktir. {findings}")
        report_id = drafts.report_of_image(tx, room.image_id)
        revision = drafts.draft_of(tx, report_id or "").revision
    address = f"/read/{room.case_id}/{report_id}"
    assert "Akciğer" in client.get(address).text
    sent: dict[str, object] = {"revision": revision, "template_id": added.id}
    # Where nothing is stated it is offered before the draft too, not only in the menu.
    button = f'data-template="{added.id}"'
    assert client.get(address).text.count(button) == 1
    assert client.put(address, json={"revision": revision, "sentences": []}).text.count(button) == 2
    sent["revision"] = revision + 1
    taken = client.post(f"{address}/template", json=sent).text
    assert "Toraks kafesi simetriktir." in taken and taken.count(button) == 1
    late = client.post(f"{address}/template", json=sent, headers={"Accept-Language": "en"})
    assert late.status_code == 409
    assert "You saved this draft in another window" in late.text


@pytest.mark.parametrize(
    "body",
    [
        {"revision": -1, "sentences": []},
        {"revision": 1, "sentences": [{"text": " ", "section": "findings"}]},
        {"revision": 1, "sentences": [{"text": "x", "section": "elsewhere"}]},
        {"revision": 1, "sentences": [{"text": "x" * 5000, "section": "findings"}]},
    ],
)
def test_what_cannot_be_a_draft_is_refused(client, room, body):
    sign_in(client, room.app_context, Role.RADIOLOGIST)
    with room.app_context.records.read() as tx:
        report_id = drafts.report_of_image(tx, room.image_id)
    assert client.put(f"/read/{room.case_id}/{report_id}", json=body).status_code == 422


def test_whoever_fetches_the_panels_has_opened_the_draft(client, room):
    with room.app_context.records.read() as tx:
        report_id = drafts.report_of_image(tx, room.image_id)
    actor = sign_in(client, room.app_context, Role.RADIOLOGIST)
    assert "data-draft" in client.get(f"/read/{room.case_id}/{report_id}").text
    with room.app_context.records.read() as tx:
        done = select(AuditRow.action).where(AuditRow.user_id == actor.user_id)
        assert "draft.opened" in tx.session.scalars(done).all()
