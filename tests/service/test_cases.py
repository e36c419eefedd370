"""Triage and cases for programs: the contract's keys, created once, changed by who saw the last state."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager

import pytest
from sqlalchemy import select

from tests.records.kit import id_of, made_case, made_user
from tests.service.kit import make_context, served, sign_in
from tetkik.errors import Conflict
from tetkik.language import Language
from tetkik.records.cases import cases
from tetkik.records.ids import new_id
from tetkik.records.schema.trail import AuditRow
from tetkik.values.access import Role
from tetkik.values.complaint import DEPARTMENTS, UrgencyLevel
from tetkik.values.states import Priority, UrgencyReason

API = "/api/v1"
TEXT = "Göğsümde baskı var, sol koluma vuruyor."


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
def client(app, app_context):
    app.cookies.clear()
    sign_in(app, app_context, Role.RECEPTION)
    return app


def test_triage_has_the_keys_of_the_contract(client):
    answer = client.post(f"{API}/triage", json={"text": TEXT}).json()
    assert list(answer) == [
        "text", "departments", "urgency", "abstain", "reason", "question", "destination", "evidence",
        "model",
    ]  # fmt: skip
    assert answer["text"] == TEXT and answer["urgency"]["level"] == "kirmizi"
    assert answer["destination"] == {"kind": "emergency", "text": "Acil Servis"}
    unread = client.post(f"{API}/triage", json={"text": "My chest hurts"}).json()
    assert (unread["urgency"], unread["destination"]) == ({"level": None, "flags": []}, None)
    assert sum(item["probability"] for item in answer["departments"]) == pytest.approx(1, abs=1e-4)


def test_a_case_is_made_once_for_one_key(client):
    body = {"patient": {"name": "Ali Kaya", "birth_date": "1980-05-17", "sex": "M"}, "complaint": TEXT,
            "department": "Kardiyoloji", "question": "Kalp?"}  # fmt: skip
    key = {"Idempotency-Key": new_id()}
    first = client.post(f"{API}/cases", json=body, headers=key)
    again = client.post(f"{API}/cases", json=body, headers=key)
    assert (first.status_code, first.json()) == (201, again.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    made = first.json()
    assert made["patient"] == {
        "name": "Ali Kaya",
        "tckn": "",
        "number": "",
        "birth_date": "1980-05-17",
        "phone": "",
        "sex": "M",
    }
    assert (made["state"], made["urgency"], made["priority"], made["department"]) == (
        "waiting", "kirmizi", 0, "Kardiyoloji",
    )  # fmt: skip
    assert made["triage"]["text"] == TEXT
    other = client.post(f"{API}/cases", json=body | {"question": ""}, headers=key)
    assert other.status_code == 409
    same = client.post(f"{API}/cases", json={"patient_id": made["patient_id"]}).json()
    assert (same["patient_id"], same["triage"]) == (made["patient_id"], None)


def test_a_request_that_comes_again_while_it_is_in_work_gets_its_answer(client, app_context, monkeypatch):
    """As on PostgreSQL: both find nothing, and the second meets the first as it keeps its answer."""

    records, write = app_context.records, app_context.records.write

    @contextmanager
    def beside(actor):
        monkeypatch.setattr(records, "write", write)
        with write(actor) as tx:
            yield tx
        raise Conflict("Somebody else wrote the same at the same moment; look at it again and repeat.")

    monkeypatch.setattr(records, "write", beside)
    sent = {"json": {"patient": {"name": "Beklenen HASTA"}}, "headers": {"Idempotency-Key": new_id()}}
    second = client.post(f"{API}/cases", **sent)
    assert (second.status_code, second.headers["Idempotency-Replayed"]) == (201, "true")
    monkeypatch.undo()
    assert client.post(f"{API}/cases", **sent).json() == second.json()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"patient": {"name": "Ali", "tckn": "12345678901"}}, 422),
        ({"patient": {"name": "Ali", "tckn": "1"}}, 422),
        ({"unknown": True, "department": "Falcılık"}, 422),
        ({"unknown": True, "colour": "blue"}, 422),
        ({"patient_id": new_id()}, 404),
        ({"unknown": True, "complaint": "\ud800"}, 422),
    ],
)
def test_what_cannot_be_is_a_problem_without_its_values(client, body, status):
    import json

    sent = json.dumps(body).encode()
    answer = client.post(f"{API}/cases", content=sent, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Falcılık" not in answer.text and "12345678901" not in answer.text


def test_a_change_names_what_it_was_made_on(client, app_context):
    made = client.post(f"{API}/cases", json={"unknown": True, "department": "Dahiliye"}).json()
    here = f"{API}/cases/{made['id']}"
    shown = client.get(here)
    tag = shown.headers["ETag"]
    assert client.get(here, headers={"If-None-Match": tag}).status_code == 304
    assert client.patch(here, json={"department": "Üroloji"}).status_code == 428
    changed = client.patch(
        here,
        json={
            "department": "Üroloji",
            "patient": {"name": "Ece"},
            "question": "Taş?",
            "restricted": True,
            "closed": True,
        },
        headers={"If-Match": tag},
    )
    assert changed.status_code == 200
    now = client.get(here)
    assert (now.json(), now.headers["ETag"]) == (changed.json(), changed.headers["ETag"])
    assert (now.json()["department"], now.json()["patient"]["name"], now.json()["state"]) == (
        "Üroloji", "Ece", "closed",
    )  # fmt: skip
    late = client.patch(here, json={"question": "Başka"}, headers={"If-Match": tag})
    assert late.status_code == 412 and client.get(here).json()["question"] == "Taş?"
    fresh = {"If-Match": now.headers["ETag"]}
    assert client.patch(here, json={"closed": False}, headers=fresh).json()["state"] == "waiting"


def test_half_a_change_is_none(client):
    made = client.post(f"{API}/cases", json={"unknown": True, "department": "Dahiliye"})
    here = f"{API}/cases/{made.json()['id']}"
    tag = client.get(here).headers["ETag"]
    wrong = {"department": "Üroloji", "patient": {"name": "Ece", "tckn": "12345678901"}}
    assert client.patch(here, json=wrong, headers={"If-Match": tag}).status_code == 422
    assert client.get(here).headers["ETag"] == tag


def test_the_list_goes_on_with_its_cursor_and_names_nobody(client, app_context):
    actor = sign_in(client, app_context, Role.RECEPTION)
    made = [made_case(app_context.records, actor, department="Nöroloji") for _ in range(5)]
    found, cursor = [], None
    while True:
        query = {"limit": 2, "department": "Nöroloji"} | ({"cursor": cursor} if cursor else {})
        page = client.get(f"{API}/cases", params=query).json()
        assert "patient" not in str(page) and "ŞAHİN" not in str(page)
        found += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(found) == sorted(made) and found == sorted(found, reverse=True)
    assert client.get(f"{API}/cases", params={"cursor": "x"}).status_code == 422


def test_roles(client, app_context):
    case_id = made_case(
        app_context.records, sign_in(client, app_context, Role.RECEPTION), department="Kardiyoloji"
    )
    sign_in(client, app_context, Role.ENGINEER)
    assert client.get(f"{API}/cases/{case_id}").status_code == 403
    assert client.post(f"{API}/triage", json={"text": TEXT}).status_code == 200
    sign_in(client, app_context, Role.TECHNICIAN)
    assert client.post(f"{API}/cases", json={"unknown": True, "complaint": TEXT}).status_code == 403
    assert client.post(f"{API}/cases", json={"unknown": True}).status_code == 201
    sign_in(client, app_context, Role.CLINICIAN, departments=("Nöroloji",))
    assert client.get(f"{API}/cases/{case_id}").status_code == 403


# Where a person picks a department or a priority: Turkish order, and a choice that holds.


IN_ORDER = [
    *("Beyin ve Sinir Cerrahisi", "Dahiliye", "Dermatoloji", "Fizik Tedavi ve Rehabilitasyon"),
    *("Genel Cerrahi", "Göğüs Hastalıkları", "Göz Hastalıkları", "Kadın Hastalıkları ve Doğum"),
    *("Kardiyoloji", "Kulak Burun Boğaz", "Nöroloji", "Ortopedi", "Pediatri", "Psikiyatri", "Üroloji"),
]


def listed(page):
    """The departments of a page in their order, from its lists and boxes."""
    names = re.findall(r">\s*([^<>]+?)\s*</(?:option|label|span)>", page)
    return [name for name in names if name in DEPARTMENTS]


def test_departments_stand_in_the_order_of_the_turkish_alphabet(app, app_context):
    desk = made_user(app_context.records, Role.RECEPTION)
    case_id = made_case(app_context.records, desk, department="Üroloji")
    for role, path in (
        (Role.RECEPTION, "/reception"),
        (Role.RECEPTION, f"/cases/{case_id}"),
        (Role.RADIOLOGIST, "/worklist"),
        (Role.ADMINISTRATOR, "/admin/users"),
        (Role.ADMINISTRATOR, f"/admin/users/{id_of(desk)}"),
    ):
        sign_in(app, app_context, role)
        assert listed(app.get(path).text)[:15] == IN_ORDER, path


def test_a_priority_is_chosen_on_the_page_and_over_the_api(app, app_context):
    desk = sign_in(app, app_context, Role.RECEPTION)
    case_id = made_case(app_context.records, desk)
    at = f"/cases/{case_id}"
    assert app.post(f"{at}/priority", data={"priority": "critical"}).status_code == 303
    assert "Bir kişi seçti" in app.get(at).text
    with app_context.records.read(desk) as tx:
        assert cases.load_case(tx, case_id, audit=False).priority is Priority.CRITICAL
    assert app.post(f"{at}/priority", data={"priority": "soon"}).status_code == 422
    seen = app.get(f"/api/v1{at}")
    assert (seen.json()["priority"], seen.json()["priority_chosen"]) == (0, True)
    headers = {"If-Match": seen.headers["etag"]}
    after = app.patch(f"/api/v1{at}", json={"priority": "as_found"}, headers=headers).json()
    assert (after["priority"], after["priority_chosen"]) == (2, False)
    assert "Triyaja ve geçerli bulgulara göre" in app.get(at).text
    sign_in(app, app_context, Role.RADIOLOGIST)
    assert app.post(f"{at}/priority", data={"priority": "urgent"}).status_code == 403


# Another urgency than that of triage, by the pages and the API: who may, what is asked, what is shown.

HEART = "Göğsümde baskı var, sol koluma vuruyor, terliyorum."
CALM = "İki haftadır ayak tırnağım batıyor."
LOWER = {"urgency": "sari", "urgency_reason": "chronic"}


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
