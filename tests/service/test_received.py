"""Studies that wait: both sides shown, and accepted, given to somebody else, rejected, taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from tests.service.browser import axe, opened, overflow, serving, signed_in
from tests.service.kit import count, served, sign_in
from tetkik.language import Sentence
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.images import received_decisions, receiving
from tetkik.records.images.receiving import NewFile, ReceivedContent
from tetkik.records.orders.orders import OrderContent, load_order, place_order
from tetkik.records.schema.cases import Case, Image, Patient
from tetkik.records.schema.orders import ReceivedStudy
from tetkik.records.schema.trail import AuditRow
from tetkik.values.access import SYSTEM, Role
from tetkik.values.radiograph import Identity, Sex
from tetkik.values.states import OrderState, ReceivedState, RemovalReason

AT = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
GULCIN = Person("Gülçin ŞAHİN", "10000000146", "H-1", "19700101", Sex.FEMALE)
SAID = ReceivedContent(
    Identity("10000000146", "SAHIN^GULCIN", "19700110", Sex.FEMALE, accession="A-1", study_uid="1.2.3"),
    modality="DX",
    made_at=AT,
)
ORDERED = OrderContent(accession="A-1", modality="DX", procedure="PA akciğer grafisi", scheduled_at=AT)


@pytest.fixture
def client(app_context):
    with served(app_context) as client:
        client.headers["Accept-Language"] = "en"
        sign_in(client, app_context, Role.TECHNICIAN)
        yield client


@pytest.fixture
def order_id(app_context):
    with app_context.records.write(SYSTEM) as tx:
        return place_order(tx, patients.create(tx, GULCIN), ORDERED, "hbys")


@pytest.fixture
def study_id(app_context, order_id):
    return received(app_context)


def received(app_context, content=SAID):
    """A study that is complete, and was compared with the orders."""
    with app_context.records.write(SYSTEM) as tx:
        uid = content.identity.study_uid
        receiving.add_file(tx, NewFile(f"f-{uid}", "ct1", b"\1" * 32, tx.now), uid, content)
        received_id = tx.session.scalars(select(ReceivedStudy.id).order_by(ReceivedStudy.id.desc())).first()
        return received_decisions.decide(tx, received_id).id


def state(app_context, study_id):
    with app_context.records.read() as tx:
        return receiving.load_received(tx, study_id)


def decided(client, study_id, what, **form):
    answer = client.post(f"/received/{study_id}/{what}", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/received/{study_id}?done=1")


def audited(app_context, action):
    with app_context.records.read() as tx:
        wanted = select(AuditRow.content).where(AuditRow.action == action)
        return tx.session.scalars(wanted.order_by(AuditRow.seq)).all()


def test_both_sides_are_shown_and_what_differs_is_marked(app_context, client, study_id):
    listed = client.get("/received").text
    assert "GULCIN SAHIN" in listed and "it differs from its order" in listed
    page = client.get(f"/received/{study_id}").text
    for word in ("GULCIN SAHIN", "Gülçin ŞAHİN", "10.01.1970", "01.01.1970", "PA akciğer grafisi"):
        assert word in page
    (differs,) = [row for row in page.split("<tr") if row.startswith(' class="differs"')]
    assert "Date of birth" in differs and "different" in differs
    assert page.count("the same") > 5
    assert len(audited(app_context, "study.opened")) == 2
    assert count(app_context, Case) == count(app_context, Image) == 0


def test_accepted_for_the_order_it_goes_into_the_case_of_its_patient(app_context, client, study_id, order_id):
    decided(client, study_id, "accept", order_id=order_id)
    found = state(app_context, study_id)
    with app_context.records.read() as tx:
        order = load_order(tx, order_id)
    assert (found.state, found.order_id, found.patient_id) == (
        ReceivedState.COMPLETE,
        order_id,
        order.patient_id,
    )
    assert (order.case_id, order.state) == (found.case_id, OrderState.COMPLETED)
    again = client.post(f"/received/{study_id}/accept", data={"order_id": order_id})
    assert again.status_code == 409 and "Somebody else has decided" in again.text
    decided(client, study_id, "undo")
    assert state(app_context, study_id).state is ReceivedState.DOUBTFUL
    assert [row.count('"accepted"') for row in audited(app_context, "study.decided")] == [1, 0]


def test_another_order_is_found_and_chosen(app_context, client, study_id):
    with app_context.records.write(SYSTEM) as tx:
        other = patients.create(tx, Person("Ömer IŞIK", "", "H-9", "19700110", Sex.MALE))
        right = place_order(tx, other, replace(ORDERED, accession="A-2"), "hbys")
    found = client.post(f"/received/{study_id}/find", data={"words": "ömer"}).text
    assert f'href="/received/{study_id}?order={right}"' in found
    page = client.get(f"/received/{study_id}", params={"order": right}).text
    assert "Ömer IŞIK" in page and f'value="{right}"' in page
    decided(client, study_id, "accept", order_id=right)
    assert state(app_context, study_id).patient_id == other


def test_a_study_that_nobody_ordered_is_of_a_known_or_a_new_patient(app_context, client, order_id):
    known = received(
        app_context, replace(SAID, identity=replace(SAID.identity, accession="B-1"), modality="CT")
    )
    page = client.get(f"/received/{known}").text
    assert "nobody ordered it" in page and "No order" in page
    with app_context.records.read() as tx:
        patient_id = load_order(tx, order_id).patient_id
    decided(client, known, "accept", patient_id=patient_id)
    assert state(app_context, known).patient_id == patient_id
    stranger = Identity("H-77", "ISIK^CAN", "19800101", study_uid="1.2.4")
    new = received(app_context, replace(SAID, identity=stranger))
    refused = client.post(f"/received/{new}/accept")
    assert refused.status_code == 422 and "Choose the order or the patient" in refused.text
    decided(client, new, "accept", new="true")
    assert count(app_context, Patient) == 2
    with app_context.records.read() as tx:
        assert patients.load_person(tx, state(app_context, new).patient_id).name == "CAN ISIK"


def test_nobody_is_registered_whose_number_is_known(app_context, client, study_id):
    answer = client.post(f"/received/{study_id}/accept", data={"new": "true"})
    assert answer.status_code == 409 and "is known; choose that patient" in answer.text
    assert state(app_context, study_id).state is ReceivedState.DOUBTFUL and count(app_context, Patient) == 1


def test_rejected_with_a_reason_and_taken_back(app_context, client, study_id):
    assert client.post(f"/received/{study_id}/reject").status_code == 422
    decided(client, study_id, "reject", reason="test")
    assert state(app_context, study_id).state is ReceivedState.REJECTED
    assert '"reason":"test"' in audited(app_context, "study.decided")[0]
    assert "Take the decision back" in client.get(f"/received/{study_id}").text
    decided(client, study_id, "undo")
    assert "Whose study is this?" in client.get(f"/received/{study_id}").text


def test_a_decision_of_a_person_is_listed_whatever_the_program_rejected(
    app_context, client, study_id, monkeypatch
):
    monkeypatch.setattr(receiving, "_MOST", 1)
    for number in range(2):
        other = received(
            app_context, replace(SAID, identity=replace(SAID.identity, study_uid=f"1.2.4.{number}"))
        )
        with app_context.records.write(SYSTEM) as tx:
            received_decisions.reject(tx, other, RemovalReason.TEST)
    decided(client, study_id, "reject", reason="test")
    assert f"/received/{study_id}" in client.get("/received").text


def test_files_that_name_several_patients_say_so(app_context, client, study_id):
    with app_context.records.write(SYSTEM) as tx:
        other = replace(SAID, identity=replace(SAID.identity, patient_name="KAYA^ALI", patient_id="H-3"))
        receiving.add_file(tx, NewFile("g", "ct1", b"\2" * 32, tx.now), "1.2.3", other)
    page = client.get(f"/received/{study_id}").text
    assert "its files name several patients" in page and "ALI KAYA" in page
    assert "Register as a new patient" not in page


@pytest.mark.parametrize("role", [Role.RADIOLOGIST, Role.CLINICIAN, Role.HEAD])
def test_who_reads_images_does_not_decide_whose_they_are(app_context, client, study_id, role):
    sign_in(client, app_context, role)
    assert client.get(f"/received/{study_id}").status_code == 403
    assert client.post(f"/received/{study_id}/reject", data={"reason": "test"}).status_code == 403


@pytest.mark.program("chromium")
@pytest.mark.parametrize("width", [1440, 390])
def test_the_pages_in_a_browser(app_context, browser, study_id, width):
    received(app_context, replace(SAID, identity=Identity("H-77", "ISIK^CAN", study_uid="1.2.4")))
    with serving(app_context) as address, opened(browser, address, width=width) as window:
        signed_in(window, app_context, Role.TECHNICIAN)
        page = window.new_page()
        page.goto("/received")
        assert axe(page) == [] and overflow(page) == 0
        page.get_by_role("link", name="GULCIN SAHIN").click()
        assert page.locator("tr.differs").count() == 1
        assert axe(page) == [] and overflow(page) == 0
        page.fill("#words", "şahin")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Gülçin ŞAHİN", exact=True).wait_for()
        assert axe(page) == [] and overflow(page) == 0
        page.get_by_role("button", name="Tetkiki reddet").first.click()
        assert axe(page) == []


def test_what_was_set_aside_is_seen_and_can_be_rejected(app_context, client, study_id, order_id):
    fault = Sentence("It names another patient than its study does.")
    with app_context.records.write(SYSTEM) as tx:
        receiving.refuse_file(tx, NewFile("f-9", "mr1", b"\2" * 32, tx.now), fault)
    listed = client.get("/received").text
    assert "Files that could not be processed" in listed and "1 file was not taken" in listed
    with app_context.records.read() as tx:
        (failed,) = receiving.list_set_aside(tx)
        assert receiving.count_waiting(tx).failed == receiving.count_waiting(tx).doubtful == 1
    assert f"/received/{failed.id}/reject" in client.get(f"/received/{failed.id}").text
    decided(client, failed.id, "reject", reason="other")
    assert state(app_context, failed.id).state is ReceivedState.REJECTED
    with app_context.records.write(SYSTEM) as tx:
        tx.session.get_one(ReceivedStudy, study_id).state = ReceivedState.IMPORTED
        tx.session.get_one(ReceivedStudy, study_id).refused = 1
    assert f"/received/{study_id}" in client.get("/received").text
