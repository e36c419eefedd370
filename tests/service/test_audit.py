"""The auditor's pages and the API of the trail: every step, no name, nothing for anybody else."""

from __future__ import annotations

import ast
import json

import pytest
from sqlalchemy import delete, select, text

from tests.service.kit import sign_in
from tests.service.moving import moved
from tests.templates import trees
from tetkik.language import Language
from tetkik.records.audit_chain import Action
from tetkik.records.schema.cases import Case
from tetkik.records.schema.trail import AuditRow
from tetkik.service.audit import action_word, actions_named, detail_words
from tetkik.values.access import Role

_NAMES = ("Gülçin", "ŞAHİN", "10000000146", "19700101", "nefes darl")


@pytest.fixture
def client(application, app_context, there):
    moved(application, app_context)
    sign_in(application, app_context, Role.AUDITOR)
    return application


def test_the_trail_shows_who_did_what_and_no_patient(client, there):
    page = client.get("/audit", headers={"Accept-Language": "tr"})
    assert page.status_code == 200
    assert "Elif KAYA" in page.text and "raporu imzaladı" in page.text
    assert "emergency" in page.text and f"/audit/cases/{there.case_id}" in page.text
    assert not any(name in page.text for name in _NAMES)


def test_filters_and_pages(client, app_context, there):
    with app_context.records.write(there.reader) as tx:
        for _ in range(60):
            tx.audit(Action.DRAFT_OPENED, case_id=there.case_id)
    first = client.get("/audit", params={"action": "draft.opened"}).text
    assert first.count('data-label="#"') == 50
    older = first.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
    assert "action=draft.opened" in older and "before=" in older
    second = client.get(older).text
    assert second.count('data-label="#"') == 10 and 'rel="prev"' in second
    with app_context.records.read() as tx:
        number = tx.session.get_one(Case, there.case_id).number
    for params, some in [
        ({"case": number}, True), ({"case": "2020-1"}, False), ({"person": there.reader.user_id}, True),
        ({"since": "2020-01-01", "until": "2020-01-02"}, False), ({"since": "nonsense", "action": "?"}, True),
    ]:  # fmt: skip
        assert ('data-label="#"' in client.get("/audit", params=params).text) is some, params


def test_the_story_of_a_case(client, there):
    page = client.get(f"/audit/cases/{there.case_id}").text
    steps = [action_word(step, Language.EN) for step in ("case.created", "image.uploaded", "report.signed")]
    places = [page.index(step) for step in steps]
    assert places == sorted(places)
    assert not any(name in page for name in _NAMES)
    for missing in ("0" * 26, "2026-999999", "x"):
        assert client.get(f"/audit/cases/{missing}").status_code == 404


def test_looking_at_the_trail_is_an_entry_itself(client, app_context, there):
    client.get("/audit")
    client.get(f"/audit/cases/{there.case_id}")
    with app_context.records.read() as tx:
        rows = tx.session.scalars(select(AuditRow).where(AuditRow.action == Action.AUDIT_READ)).all()
    assert [row.case_id for row in rows] == [None, there.case_id]


def test_a_broken_trail_is_told_on_the_page(client, app_context):
    assert "intact" in client.post("/audit/verify", headers={"Accept-Language": "en"}).text
    with app_context.records.engine.begin() as connection:
        connection.execute(text("DROP TRIGGER audit_delete_refused"))
        connection.execute(delete(AuditRow).where(AuditRow.seq == 3))
    page = client.get("/audit", headers={"Accept-Language": "en"}).text
    assert "Entry 3 is missing." in page
    assert "Entry 3 is missing." in client.post("/audit/verify", headers={"Accept-Language": "en"}).text


def test_the_export_is_fhir_line_by_line(client, there):
    answer = client.post("/audit/export", data={"action": "report.signed"})
    assert "attachment" in answer.headers["content-disposition"]
    (line,) = answer.text.splitlines()
    event = json.loads(line)
    assert event["resourceType"] == "AuditEvent" and event["agent"][0]["requestor"]
    assert client.post("/audit/export").text.count("\n") > 5


def test_the_api_gives_pages(client, there):
    seen: list[int] = []
    cursor = None
    while True:
        page = client.get(
            "/api/v1/audit", params={"limit": 4} | ({"cursor": cursor} if cursor else {})
        ).json()
        seen += [item["seq"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    # Each page read is an entry of its own, behind those that are being read.
    assert seen == list(range(seen[0], 0, -1)) and len(seen) > 8
    (signed,) = client.get("/api/v1/audit", params={"action": "report.signed"}).json()["items"]
    assert (signed["user"], signed["case_id"], signed["detail"]["version"]) == ("Elif KAYA", there.case_id, 1)
    assert client.get("/api/v1/audit", params={"cursor": "x"}).status_code == 422
    assert client.get("/api/v1/audit", params={"since": "2026-01-01T00:00:00"}).status_code == 200


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.AUDITOR])
def test_nobody_else_sees_it(application, app_context, there, role):
    client = moved(application, app_context)
    sign_in(client, app_context, role)
    for path in ("/audit", f"/audit/cases/{there.case_id}", "/api/v1/audit"):
        assert client.get(path).status_code == 403
    for path in ("/audit/verify", "/audit/export"):
        assert client.post(path).status_code == 403


def test_every_action_has_its_words_in_both_languages():
    for language in Language:
        words = [word for _, word in actions_named(language)]
        assert len(set(words)) == len(Action)
        assert not set(words) & set(Action)
    assert action_word("of.the.future", Language.EN) == "of.the.future"


def test_what_an_entry_tells_is_in_words():
    detail = {"by_glass": False, "version": 2, "corrected": True, "address": None, "of.the.future": "x"}
    assert detail_words(detail, Language.TR) == [
        ("sürüm", 2),
        ("düzeltildi", "evet"),
        ("of.the.future", "x"),
    ]
    assert detail_words({"by_glass": True}, Language.EN) == [("opened with a reason", "Yes")]


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        (
            {"field": "priority", "what": "chosen", "priority": 0, "before": 2},
            "öncelik elle seçildi kritik rutin",
        ),
        ({"urgency": "kirmizi", "reason": "looks_ill"}, "kırmızı Hasta kötü görünüyor"),
        ({"fields": "name,phone", "given": "head,radiologist"}, "ad, telefon bölüm sorumlusu, radyolog"),
        ({"permission": "report.sign", "by": "passkey"}, "rapor imzalamak geçiş anahtarı"),
        ({"label": "Effusion", "judgement": "rejected"}, "Plevral efüzyon reddedildi"),
        ({"size": 7_340_032, "format": "sr"}, "7.3 MB DICOM yapılandırılmış rapor"),
        ({"taken_from": "u1", "made_at": "2026-03-01"}, "Elif KAYA 01.03.2026"),
    ],
)
def test_codes_of_an_entry_are_words(detail, said):
    found = detail_words(detail, Language.TR, {"u1": "Elif KAYA"})
    assert " ".join(str(value) for _, value in found) == said


def test_no_detail_that_is_noted_is_without_a_word():
    given = {
        keyword.arg
        for _, tree in trees()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") in ("audit", "audit_about")
        for keyword in call.keywords
        if keyword.arg
    }
    named = given - {"case_id", "patient_id", "object_id"}
    assert len(named) > 30
    turkish = {name: detail_words({name: "x"}, Language.TR)[0][0] for name in named}
    assert {name for name, word in turkish.items() if name == word} <= {"model"}  # the same in both languages
