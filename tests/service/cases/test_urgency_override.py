"""Another urgency than that of triage, by the pages and the API: who may, what is asked, what is shown."""

from __future__ import annotations

import json
import re

import pytest
from sqlalchemy import select

from tests.records.kit import made_case
from tests.service.kit import make_context, served, sign_in
from tetkik.language import Language
from tetkik.records.cases import cases
from tetkik.records.ids import new_id
from tetkik.records.schema import AuditRow
from tetkik.values import Priority, Role, UrgencyLevel, UrgencyReason

API = "/api/v1"
HEART = "Göğsümde baskı var, sol koluma vuruyor, terliyorum."
CALM = "İki haftadır ayak tırnağım batıyor."
LOWER = {"urgency": "sari", "urgency_reason": "chronic"}


@pytest.fixture(scope="module")
def app_context(tmp_path_factory):
    made = make_context(tmp_path_factory.mktemp("hospital"), language=Language.TR)
    yield made
    made.records.close()


@pytest.fixture(scope="module")
def app(app_context):
    with served(app_context) as client:
        yield client


@pytest.fixture
def desk(app, app_context):
    app.cookies.clear()
    app.headers["Accept-Language"] = "tr"
    sign_in(app, app_context, Role.RECEPTION)
    return app


def opened(client, **form):
    answer = client.post("/reception", data={"once": new_id(), "unknown": "true"} | form)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].removeprefix("/cases/").removesuffix("?opened")


def view(app_context, case_id):
    with app_context.records.read() as tx:
        return cases.load_case(tx, case_id, audit=False)


def test_a_level_set_at_the_desk_is_the_one_of_case_slip_and_worklist(desk, app_context):
    case_id = opened(desk, complaint=CALM, urgency="kirmizi", urgency_reason="looks_ill")
    case = view(app_context, case_id)
    assert (case.urgency, case.priority) == (UrgencyLevel.KIRMIZI, Priority.CRITICAL)
    page = desk.get(f"/cases/{case_id}").text
    assert "Hasta kötü görünüyor" in page and "Belirleyen: Uzm. reception" in page
    assert "Triyajın verdiği: Yeşil: bekleyebilir" in re.sub(r"</?p>", "", page)
    assert "Kırmızı: hemen" in desk.get(f"/cases/{case_id}/slip").text
    sign_in(desk, app_context, Role.RADIOLOGIST)
    (item,) = [one for one in desk.get(f"{API}/worklist").json()["items"] if one["case_id"] == case_id]
    assert item["urgency"] == "kirmizi"


def test_a_red_is_not_lowered_unconfirmed_and_nothing_typed_is_lost(desk, app_context):
    answer = desk.post("/reception", data={"once": new_id(), "name": "Ece", "complaint": HEART} | LOWER)
    assert answer.status_code == 409 and "düşürdüğünüzü onaylayın" in answer.text and HEART in answer.text
    assert re.search(r'id="urgency-choice" data-found="kirmizi" data-held="kirmizi" open', answer.text)
    assert re.search(r'value="sari" data-key="s" checked', answer.text)
    assert re.search(r'value="chronic" data-key="7" checked', answer.text)
    case_id = opened(desk, complaint=HEART, urgency_sure="true", **LOWER)
    assert view(app_context, case_id).urgency is UrgencyLevel.SARI


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"complaint": CALM, "urgency": "kirmizi"}, 422),
        ({"complaint": "", "urgency": "kirmizi", "urgency_reason": "looks_ill"}, 422),
        ({"complaint": CALM, "urgency": "mavi", "urgency_reason": "looks_ill"}, 422),
    ],
    ids=["no reason", "no complaint", "no such level"],
)
def test_what_cannot_be_set_is_told(desk, form, status):
    answer = desk.post("/reception", data={"once": new_id(), "unknown": "true"} | form)
    assert answer.status_code == status and "data-sentence" in answer.text


def test_the_live_answer_names_its_level_to_the_choice(desk):
    told = [
        json.loads(desk.post("/reception/triage", data={"complaint": text}).headers["HX-Trigger"])
        for text in (HEART, CALM, "")
    ]
    assert told == [{"urgency": {"level": level}} for level in ("kirmizi", "yesil", None)]


def test_the_case_page_sets_lowers_and_takes_back(desk, app_context):
    case_id = opened(desk, complaint=HEART)
    at = f"/cases/{case_id}/urgency"
    assert desk.post(at, data=LOWER).status_code == 409
    assert desk.post(at, data={"urgency": "sari"}).status_code == 422
    assert desk.post(at, data=LOWER | {"urgency_sure": "true"}).headers["location"] == f"/cases/{case_id}"
    assert 'value="sari" data-key="s" checked' in desk.get(f"/cases/{case_id}").text
    desk.post(at, data={"urgency": ""})
    assert view(app_context, case_id).urgency is UrgencyLevel.KIRMIZI
    with app_context.records.read() as tx:
        rows = tx.session.scalars(
            select(AuditRow.content).where(AuditRow.case_id == case_id, AuditRow.action == "urgency.chosen")
        ).all()
    assert len(rows) == 2 and not any("baskı" in (row or "") for row in rows)
    desk.post(f"/cases/{case_id}/close")
    assert desk.post(at, data={"urgency": "yesil", "urgency_reason": "denied"}).status_code == 409
    assert "urgency-choice" not in desk.get(f"/cases/{case_id}").text


def test_whoever_may_not_correct_a_case_does_not_set_its_urgency(desk, app_context):
    case_id = opened(desk, complaint=CALM, department="Dermatoloji")
    for role in (Role.RADIOLOGIST, Role.TECHNICIAN, Role.CLINICIAN):
        sign_in(desk, app_context, role)
        assert desk.post(f"/cases/{case_id}/urgency", data=LOWER).status_code == 403
        assert "urgency-choice" not in desk.get(f"/cases/{case_id}").text
        tag = {"If-Match": desk.get(f"{API}/cases/{case_id}").headers["etag"]}
        raised = {"urgency": {"level": "kirmizi", "reason": "looks_ill"}}
        assert desk.patch(f"{API}/cases/{case_id}", json=raised, headers=tag).status_code == 403
    sign_in(desk, app_context, Role.ENGINEER)
    assert desk.post(f"/cases/{case_id}/urgency", data=LOWER).status_code == 403


def test_a_program_sets_it_with_the_case_and_later(desk):
    raised = {"level": "kirmizi", "reason": "vital_signs"}
    made = desk.post(f"{API}/cases", json={"unknown": True, "complaint": CALM, "urgency": raised}).json()
    assert made["urgency"] == "kirmizi" and made["triage"]["urgency"]["level"] == "yesil"
    assert {key: made["urgency_chosen"][key] for key in raised} == raised and made["urgency_chosen"]["at"]
    here = f"{API}/cases/{made['id']}"

    def change(urgency):
        tag = {"If-Match": desk.get(here).headers["etag"]}
        return desk.patch(here, json={"urgency": urgency}, headers=tag)

    assert change({"level": None}).status_code == 409
    assert change({"level": "sari"}).status_code == 422
    assert change({"level": "sari", "reason": "bored"}).status_code == 422
    back = change({"level": None, "sure": True}).json()
    assert (back["urgency"], back["urgency_chosen"], back["priority"]) == ("yesil", None, 2)
    bare = desk.post(f"{API}/cases", json={"unknown": True, "urgency": raised})
    assert bare.status_code == 422


def test_each_reason_has_its_words_and_its_key(desk, app_context):
    case_id = opened(desk, complaint=CALM)
    for language in ("tr", "en"):
        desk.headers["Accept-Language"] = language
        page = desk.get(f"/cases/{case_id}").text
        found = re.findall(r'name="urgency_reason" value="(\w+)" data-key="(\d)"><span>([^<]+)<', page)
        assert [name for name, _, _ in found] == [reason.value for reason in UrgencyReason]
        assert [key for _, key, _ in found] == list("12345678")
        assert not {words for _, _, words in found} & set(UrgencyReason)


def test_the_engineer_sees_how_often_it_was_changed(desk, app_context):
    opened(desk, complaint=HEART, urgency_sure="true", **LOWER)
    sign_in(desk, app_context, Role.ENGINEER)
    page = desk.get("/engineer/triage").text
    assert "Kişilerin değiştirdiği aciliyet, düzeye göre" in page
    assert re.search(r'<span class="mono">gogus_agrisi\w+</span>', page)
    assert "Kişilerin değiştirdiği aciliyet, modele göre" in page and "triage-linear-tr" in page


def test_a_case_without_a_complaint_has_no_choice(desk, app_context):
    case_id = made_case(app_context.records, sign_in(desk, app_context, Role.RECEPTION))
    assert "urgency-choice" not in desk.get(f"/cases/{case_id}").text
    assert desk.post(f"/cases/{case_id}/urgency", data=LOWER).status_code == 409
