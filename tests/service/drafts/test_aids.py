"""Macros, normal sentences, dictation to a real server, and spelling, by HTTP."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sqlalchemy import select

from tests.documents import sample
from tests.gateways import http_gateway
from tests.records.reports_kit import made_report
from tests.service.kit import make_context, served, sign_in
from tetkik.language import Language
from tetkik.records.reports import drafts
from tetkik.records.schema import AuditRow
from tetkik.service.drafts.dictation import punctuated
from tetkik.values import Author, Role, Section


@pytest.fixture
def client(app_context):
    with served(app_context) as found:
        sign_in(found, app_context, Role.RADIOLOGIST)
        found.headers["Accept-Language"] = "en"
        yield found


def _macro(**other):
    return {"abbreviation": "nk", "name": "Kalp", "language": "tr", "text": "Kalp [mm].", "hotkey": 1} | other


def _own(client):
    return [item for item in client.get("/api/v1/macros").json()["items"] if item["id"]]


def test_macros_are_ones_own_and_travel_as_a_file(client, app_context):
    assert client.post("/account/macros", data=_macro()).status_code == 303
    assert client.post("/account/macros", data=_macro(abbreviation=".NK", hotkey=2)).status_code == 409
    assert client.post("/account/macros", data=_macro(abbreviation="x")).status_code == 409  # the key
    assert client.post("/account/macros", data=_macro(abbreviation="a b!c?", hotkey="")).status_code == 303
    assert client.post("/account/macros", data=_macro(abbreviation="", hotkey="")).status_code == 422
    first = next(item for item in _own(client) if item["abbreviation"] == "nk")
    changed = client.post(f"/account/macros/{first['id']}", data=_macro(text="Kalp\r\n\r\n normal. "))
    assert changed.status_code == 303
    content = client.get("/account/macros/file.json").content
    as_json = {"Content-Type": "application/json"}
    assert {item["text"] for item in json.loads(content)["macros"]} == {"Kalp\nnormal.", "Kalp [mm]."}
    sign_in(client, app_context, Role.RADIOLOGIST)  # another person
    assert _own(client) == []
    assert client.get(f"/account/macros/{first['id']}").status_code == 404
    assert client.post(f"/account/macros/{first['id']}/remove").status_code == 404
    for _ in range(2):  # a second time changes nothing
        assert client.put("/api/v1/macros", content=content, headers=as_json).status_code == 204
        assert len(_own(client)) == 2
    bad = {"macros": [_macro(), _macro(abbreviation="?")]}
    assert client.put("/api/v1/macros", json=bad).status_code == 422
    assert client.post(f"/account/macros/{_own(client)[0]['id']}/remove").status_code == 303
    assert "Kalp" in client.get("/account/macros").text
    sign_in(client, app_context, Role.RECEPTION)
    assert client.get("/account/macros").status_code == 403


def _draft(app_context, made):
    with app_context.records.read() as tx:
        return drafts.draft_of(tx, made.id)


def test_normals_say_nothing_of_what_is_spoken_of(client, app_context):
    made = made_report(app_context.records)
    own = _macro(abbreviation="nkemik", text="Kemikler normal.\nYumuşak dokular normal.", hotkey="")
    assert client.post("/account/macros", data=own).status_code == 303
    before = _draft(app_context, made)
    path = f"/read/{made.case_id}/{made.id}/normals"
    assert client.post(path, json={"revision": before.revision}).status_code == 200
    after = _draft(app_context, made)
    new = [
        (item.text, item.evidence)
        for item, by_person in zip(after.draft.sentences, after.by_person, strict=True)
        if by_person
    ]
    # Effusion and cardiomegaly were found: neither the pleura nor the heart is called normal. Nothing states
    # the projection: nothing is said of the width of the mediastinum.
    assert new == [
        ("Her iki hilus doğal görünümdedir.", ()),
        ("Her iki akciğer parankimi doğal görünümdedir.", ()),
        ("Her iki diyafram konturu düzgündür.", ()),
        ("Kemikler normal.", ()),
        ("Yumuşak dokular normal.", ()),
        ("Yumuşak dokular doğaldır.", ()),
    ]
    assert after.draft.open_marks == before.draft.open_marks
    assert client.post(path, json={"revision": after.revision}).status_code == 200
    assert _draft(app_context, made).revision == after.revision  # nothing was left to say


def test_the_normals_of_a_film_without_findings_close_with_an_impression(client, app_context):
    findings = (sample.finding("Effusion", 0.05), sample.finding("Cardiomegaly", 0.05))
    made = made_report(app_context.records, result=replace(sample.RESULT, findings=findings))
    before = _draft(app_context, made)
    assert before.draft.section(Section.IMPRESSION) == ()
    path = f"/read/{made.case_id}/{made.id}/normals"
    assert client.post(path, json={"revision": before.revision}).status_code == 200
    after = _draft(app_context, made)
    (impression,) = after.draft.section(Section.IMPRESSION)
    assert impression.text == "Akciğer grafisinde akut patoloji saptanmadı."  # nothing states that it is PA
    assert impression.author is Author.PERSON and not after.draft.open_marks


def test_a_field_that_was_left_open_gets_a_hint(client, app_context):
    made = made_report(app_context.records)
    draft = client.get(f"/api/v1/drafts/{made.id}").json()
    sent = [{"section": "findings", "text": "Sağda [mm] çapında kalsifikasyon izlendi."}]
    headers = {"If-Match": f'"{draft["revision"]}"'}
    saved = client.put(f"/api/v1/drafts/{made.id}", json={"sentences": sent}, headers=headers).json()
    assert "This field was left open; fill it." in {hint["reason"] for hint in saved["sentences"][0]["hints"]}


@pytest.mark.parametrize(
    ("language", "spoken", "written"),
    [
        (
            Language.TR,
            "plevral efüzyon izlenmedi nokta infiltrasyon yok",
            "plevral efüzyon izlenmedi. İnfiltrasyon yok",
        ),
        (
            Language.TR,
            "Kalp normal, nokta. Yeni satır. Plevra serbest nokta",
            "Kalp normal.\nPlevra serbest.",
        ),
        (Language.TR, "sağda VİRGÜL solda paragraf bitti", "sağda, solda\nbitti"),
        (Language.TR, "12 virgül 5 milimetre parantez aç ölçüldü parantez kapa", "12,5 milimetre (ölçüldü)"),
        (
            Language.EN,
            "no effusion full stop new line heart size is normal",
            "no effusion.\nheart size is normal",
        ),
        (Language.EN, "the colon comma the period", "the colon, the period"),
    ],
)
def test_spoken_signs_are_written(language, spoken, written):
    assert punctuated(spoken, language) == written


@pytest.mark.attack
def test_what_is_longer_than_a_report_is_refused_before_it_is_read(tmp_path, app_context):
    (tmp_path / "tr.aff").write_text("SET UTF-8\n", "utf-8")
    (tmp_path / "tr.dic").write_text("1\nve\n", "utf-8")
    made = made_report(app_context.records)
    chosen = make_context(
        tmp_path, app_context.records, spelling_dictionary=tmp_path / "tr.dic", dictation_browser=True
    )
    with served(chosen) as client:
        sign_in(client, chosen, Role.RADIOLOGIST)
        headers = {"Content-Type": "text/plain", "Accept-Language": "en"}
        spoken = client.post(
            f"/read/{made.case_id}/dictation?language=tr", content="," * 40_000, headers=headers
        )
        assert spoken.status_code == 422 and "20000 characters" in spoken.text
        asked = {"language": "tr", "texts": ["a" * 4_000] * 6}
        assert client.post(f"/read/{made.case_id}/spelling", json=asked).status_code == 422
        words = ["b" * 600, *(f"akciger{letter * 3}" for letter in "bcdfghjklmnprstvyz" * 3)]
        asked = {"language": "tr", "texts": words}
        found = client.post(f"/read/{made.case_id}/spelling", json=asked).json()["unknown"]
    assert [len(one) for one in found] == [1] * len(words) and found[0][0]["suggestions"] == []


def test_dictation_goes_to_the_recogniser_of_the_hospital_alone(tmp_path, app_context):
    made = made_report(app_context.records)
    path = f"/read/{made.case_id}/dictation?language=tr"
    sound = {"Content-Type": "audio/webm;codecs=opus"}
    with served(app_context) as client:  # off by default
        sign_in(client, app_context, Role.RADIOLOGIST)
        assert client.post(path, content=b"sound", headers=sound).status_code == 503
        assert client.post(path, content="x", headers={"Content-Type": "text/plain"}).status_code == 422
        assert "microphone=()" in client.get("/").headers["permissions-policy"]
    with http_gateway() as recogniser:
        recogniser.body = json.dumps({"text": "plevra serbest nokta"}).encode()
        url = f"{recogniser.url}/v1"
        chosen = make_context(tmp_path, app_context.records, dictation_url=url, dictation_key="k")
        with served(chosen) as client:
            sign_in(client, chosen, Role.RADIOLOGIST)
            assert "microphone=(self)" in client.get("/").headers["permissions-policy"]
            answer = client.post(path, content=b"sound", headers=sound)
            assert answer.json() == {"text": "plevra serbest."}
            ((asked, key, body),) = recogniser.requests
            assert (asked, key) == ("/v1/audio/transcriptions", "Bearer k")
            assert b"sound" in body and b'name="language"\r\n\r\ntr' in body and b"whisper-1" in body
            assert client.post(path, content=b"x" * 1_000_001, headers=sound).status_code == 413
            for status, said in ((500, b"{}"), (302, b"{}"), (200, b"no json"), (200, b'{"text": 1}')):
                recogniser.status, recogniser.body = status, said
                assert client.post(path, content=b"sound", headers=sound).status_code == 503
            sign_in(client, chosen, Role.CLINICIAN)
            assert client.post(path, content=b"sound", headers=sound).status_code == 403
    outside = make_context(tmp_path, app_context.records, dictation_url="http://93.184.216.34/v1")
    with served(outside) as client:
        sign_in(client, outside, Role.RADIOLOGIST)
        assert client.post(path, content=b"sound", headers=sound).status_code == 503
    with app_context.records.read() as tx:
        noted = tx.session.scalars(select(AuditRow.content).where(AuditRow.action == "dictated")).all()
    assert noted and not any("serbest" in (item or "") for item in noted)


def test_spelling_marks_what_neither_dictionary_nor_person_knows(tmp_path, app_context):
    (tmp_path / "tr.aff").write_text("SET UTF-8\nFLAG num\nSFX 0 N 1\nSFX 0 0 de .\n", "utf-8")
    (tmp_path / "tr.dic").write_text("3\ngörünüm/0\nve\nizlendi\n", "utf-8")
    made = made_report(app_context.records)
    chosen = make_context(tmp_path, app_context.records, spelling_dictionary=tmp_path / "tr.dic")
    path = f"/read/{made.case_id}/spelling"
    text = "Efüzyen ve infiltrasyonun görünümde, akciger PAAG 12mm Kerley izlendi."
    with served(chosen) as client:
        sign_in(client, chosen, Role.RADIOLOGIST)

        def asked(language="tr"):
            found = client.post(path, json={"language": language, "texts": [text]}).json()["unknown"][0]
            return {text[one["start"] : one["end"]]: one["suggestions"] for one in found}

        assert asked() == {"Efüzyen": ["Efüzyon"], "akciger": ["akciğer"]}
        assert asked("en") == {}
        assert client.post(f"{path}/words", json={"word": "Efüzyen"}).status_code == 204
        assert client.post(f"{path}/words", json={"word": "a1"}).status_code == 422
        assert set(asked()) == {"akciger"}
        sign_in(client, chosen, Role.RADIOLOGIST)
        assert set(asked()) == {"Efüzyen", "akciger"}


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("Sol pnömotoraks izlendi.", True),
        ("Left pneumothorax.", True),  # typed into a Turkish report
        ("Pnömotoraks izlenmedi.", False),
    ],
)
def test_what_a_person_writes_of_a_critical_finding_is_asked_about_at_the_signature(
    client, app_context, words, asked
):
    made = made_report(app_context.records)
    before = _draft(app_context, made)
    sentences = [{"section": "findings", "text": words, "evidence": []}]
    sent = {"revision": before.revision, "sentences": sentences, "decisions": []}
    page = client.put(f"/read/{made.case_id}/{made.id}", json=sent)
    assert page.status_code == 200
    assert ('data-critical-names="Pneumothorax"' in page.text) is asked
