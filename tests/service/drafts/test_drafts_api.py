"""The API of drafts: revisions, decisions, judgements, fresh drafts, templates, the preview."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from sqlalchemy import select

from tests.documents.test_pdf import pages
from tests.records.kit import made_case, made_user
from tests.records.reports_kit import made_image, made_report
from tests.service.kit import served, sign_in
from tetkik.records.reports import drafts
from tetkik.records.schema import AuditRow
from tetkik.service.drafts import shapes
from tetkik.settings import settings
from tetkik.values import Role

API = "/api/v1/drafts"


@pytest.fixture
def client(app_context):
    with served(app_context) as found:
        sign_in(found, app_context, Role.RADIOLOGIST)
        found.headers["Accept-Language"] = "en"
        yield found


def put(client, draft, sentences, revision=None, **more):
    etag = f'"{draft["revision"] if revision is None else revision}"'
    body = {"sentences": sentences, **more}
    return client.put(f"{API}/{draft['report_id']}", json=body, headers={"If-Match": etag})


def sentences_of(draft):
    return [{"section": item["section"], "text": item["text"]} for item in draft["sentences"]]


def read(client, made):
    answer = client.get(f"{API}/{made.id}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == f'"{answer.json()["revision"]}"'
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


def test_a_draft_is_read_edited_and_decided(client, app_context):
    made = made_report(app_context.records)
    draft = read(client, made)
    assert draft["open_marks"] == 0 and {item["by"] for item in draft["sentences"]} == {"machine"}
    assert [item["label"] for item in draft["findings"] if item["positive"]] == ["Effusion", "Cardiomegaly"]
    assert {item["author"] for item in draft["sentences"]} == {"machine"}
    assert [(item["kind"], item["name"]) for item in draft["blocking"]] == [
        ("finding", "Pleural effusion"),
        ("finding", "Cardiomegaly"),
    ]
    text = [*sentences_of(draft), {"section": "findings", "text": "Sağda nodül izlendi."}]
    saved = put(client, draft, text).json()
    (typed,) = [item for item in saved["sentences"] if item["by"] == "person"]
    assert (typed["author"], typed["marks"], typed["hints"]) == ("person", [], [])
    assert [item["evidence"] for item in saved["sentences"] if item["by"] == "machine"] == [
        item["evidence"] for item in draft["sentences"]
    ]
    sent = {"label": "Effusion", "judgement": "rejected", "sentences_follow": False}
    judged = client.post(f"{API}/{made.id}/reviews", json=sent, headers={"If-Match": '"2"'}).json()
    decisions = [
        {"sentence": place, **{key: mark[key] for key in ("fault", "start", "end")}, "decision": "kept"}
        for place, item in enumerate(judged["sentences"])
        for mark in item["marks"]
    ]
    assert judged["open_marks"] == len(decisions) > 0
    decided = client.post(
        f"{API}/{made.id}/decisions", json={"decisions": decisions}, headers={"If-Match": '"3"'}
    ).json()
    mark = decided["sentences"][decisions[0]["sentence"]]["marks"][0]
    assert (mark["decision"], decided["open_marks"]) == ("kept", 0)
    assert mark["decided_by"] and mark["decided_at"]


def test_a_text_beside_the_sentences_is_handed_on_by_its_name(monkeypatch):
    class Noted(shapes.DraftSent):
        note: shapes.Text | None = None

    monkeypatch.setattr(shapes, "_CONTENT", {"draft", "measurements", "note"})
    assert Noted(sentences=[], note="Önceki ile aynı.").value().texts == {"note": "Önceki ile aynı."}
    assert Noted(sentences=[]).value().texts == {}


def test_a_decision_may_come_with_the_text_it_is_about(client, app_context):
    made = made_report(app_context.records)
    draft = read(client, made)
    text = [
        {"section": "findings", "text": " "},
        {
            "section": "findings",
            "text": "Nodül izlendi.",
            "evidence": ["finding:Effusion"],
            "author": "edited",
        },
    ]
    first = put(client, draft, text).json()
    (place,) = range(len(first["sentences"]))
    decisions = [
        {"sentence": 1, **{key: mark[key] for key in ("fault", "start", "end")}, "decision": "kept"}
        for mark in first["sentences"][place]["marks"]
    ]
    saved = put(client, first, text, decisions=decisions)
    assert saved.status_code == 200, saved.text
    assert saved.json()["open_marks"] == 0


def test_who_saves_second_gets_the_text_as_it_is_now(client, app_context):
    made = made_report(app_context.records)
    draft = read(client, made)
    assert put(client, draft, [{"section": "findings", "text": "Kalp büyük."}]).status_code == 200
    late = put(client, draft, [{"section": "findings", "text": "Kalp küçük."}])
    assert (late.status_code, late.headers["content-type"]) == (412, "application/problem+json")
    problem = late.json()
    assert (problem["revision"], problem["saved_by"], late.headers["etag"]) == (2, "Uzm. radiologist", '"2"')
    assert [item["text"] for item in problem["current"]["sentences"]] == ["Kalp büyük."]
    assert "nothing was overwritten" in problem["detail"]


def test_who_is_shown_a_draft_by_a_conflict_has_opened_it(client, app_context):
    made = made_report(app_context.records)
    with app_context.records.read() as tx:
        words = drafts.draft_of(tx, made.id).draft.sentences[0].text
    for path in ("/api/v1/drafts", f"/read/{made.case_id}"):
        body = {"revision": 7, "sentences": []}
        sent = client.put(f"{path}/{made.id}", json=body, headers={"If-Match": '"7"'})
        assert sent.status_code in (409, 412) and words in sent.text
    with app_context.records.read() as tx:
        opened = select(AuditRow).where(AuditRow.action == "draft.opened", AuditRow.case_id == made.case_id)
        assert len(tx.session.scalars(opened).all()) == 2


@pytest.mark.parametrize("etag", ['"0"', "*", "nonsense", '"99999999999999"', '""', '"-1"', '"²"'])
def test_another_etag_is_another_revision(client, app_context, etag):
    made = made_report(app_context.records)
    body: dict[str, Any] = {"sentences": []}
    sent = client.put(f"{API}/{made.id}", json=body, headers={"If-Match": etag.encode()})
    assert sent.status_code == 412


@pytest.mark.parametrize("path", ["", "/decisions", "/reviews", "/redraft", "/redraft/stream", "/template"])
def test_a_change_without_a_revision_is_not_made(client, app_context, path):
    made = made_report(app_context.records)
    bodies = {
        "": {"sentences": []},
        "/decisions": {"decisions": []},
        "/reviews": {"label": "Mass", "judgement": "added"},
        "/template": {"template_id": "x"},
    }
    body = bodies.get(path, {"language": "tr"})
    answer = client.request("PUT" if not path else "POST", f"{API}/{made.id}{path}", json=body)
    assert answer.status_code == 428
    assert "If-Match" in answer.json()["detail"]


def test_hostile_text_is_escaped_wherever_it_is_shown(client, app_context):
    made = made_report(app_context.records)
    draft = read(client, made)
    hostile = "Kalp büyük <script>alert(1)</script> \u202e\x00{{7*7}}"
    saved = put(client, draft, [{"section": "findings", "text": hostile}]).json()
    assert "\x00" not in saved["sentences"][0]["text"] and "\u202e" not in saved["sentences"][0]["text"]
    assert saved["sentences"][0]["hints"] and not saved["open_marks"]
    preview = client.get(f"{API}/{made.id}/preview.pdf")
    assert "<script>" in "".join(pages(preview.content))  # words on paper


@pytest.mark.parametrize("text", ["a" * 4001, "ş" * 100_000])
def test_a_sentence_without_end_is_refused_without_an_echo(client, app_context, text):
    made = made_report(app_context.records)
    answer = put(client, read(client, made), [{"section": "findings", "text": text}])
    assert answer.status_code == 422
    assert len(answer.text) < 2000


def test_a_finding_is_judged_and_its_sentences_follow(client, app_context):
    made = made_report(app_context.records)
    reviews = f"{API}/{made.id}/reviews"

    def said(draft):
        return " ".join(item["text"] for item in draft["sentences"]).lower()

    sent = {"label": "Effusion", "judgement": "accepted", "side": "left", "size": "12"}
    accepted = client.post(reviews, json=sent, headers={"If-Match": '"1"'}).json()
    assert "(12 mm)" in said(accepted) and "judged" in {item["author"] for item in accepted["sentences"]}
    sent = {"label": "Effusion", "judgement": "rejected"}
    judged = client.post(reviews, json=sent, headers={"If-Match": '"2"'}).json()
    assert "efüzyon" not in said(judged) and judged["undo"] == ["Effusion"]
    assert {item["label"]: item["judgement"] for item in judged["findings"]}["Effusion"] == "rejected"
    back = client.delete(f"{reviews}/last", headers={"If-Match": '"3"'}).json()
    assert back["sentences"] == accepted["sentences"]
    labels = [item["label"] for item in back["blocking"]]
    assert labels == ["Cardiomegaly"]
    all_judged = client.post(
        f"{reviews}/accepted", json={"labels": labels}, headers={"If-Match": '"4"'}
    ).json()
    assert all_judged["blocking"] == [] and all_judged["open_marks"] == 0
    sent = {"label": "Effusion", "judgement": "accepted", "size": "large"}
    assert client.post(reviews, json=sent, headers={"If-Match": '"5"'}).status_code == 422
    assert client.post(f"{API}/{made.id}/identity", headers={"If-Match": '"5"'}).json()["blocking"] == []


def test_a_fresh_draft_in_the_other_language(client, app_context):
    made = made_report(app_context.records)
    answer = client.post(f"{API}/{made.id}/redraft", json={"language": "en"}, headers={"If-Match": '"1"'})
    assert answer.json()["language"] == "en"
    assert any("effusion" in item["text"] for item in answer.json()["sentences"])


def test_no_language_model_is_said_before_the_stream(client, app_context):
    made = made_report(app_context.records)
    for path in ("redraft", "redraft/stream"):
        answer = client.post(
            f"{API}/{made.id}/{path}",
            json={"language": "tr", "writer": "language_model"},
            headers={"If-Match": '"1"'},
        )
        assert answer.status_code == 422 and "llm_url" in answer.json()["detail"]


class _Model(BaseHTTPRequestHandler):
    """An OpenAI-style server that writes one draft in three pieces."""

    draft = json.dumps(
        {
            "sentences": [
                {
                    "section": "findings",
                    "text": "Plevral efüzyon olasıdır.",
                    "evidence": ["finding:Effusion"],
                    "certainty": "probable",
                },
                {
                    "section": "findings",
                    "text": "Kardiyomegali izlendi.",
                    "evidence": ["finding:Cardiomegaly"],
                    "certainty": "certain",
                },
                {
                    "section": "impression",
                    "text": "Plevral efüzyon.",
                    "evidence": ["finding:Effusion"],
                    "certainty": "probable",
                },
            ]
        }
    )
    asked: ClassVar[list[str]] = []

    def do_GET(self):
        self._send(json.dumps({"data": [{"id": "small"}]}).encode(), "application/json")

    def do_POST(self):
        self.asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        third = len(self.draft) // 3
        pieces = [self.draft[:third], self.draft[third : 2 * third], self.draft[2 * third :]]
        events: list[Any] = [
            {"choices": [{"delta": {"content": piece}, "finish_reason": None}]} for piece in pieces
        ]
        events.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
        self._send(body.encode(), "text/event-stream")

    def _send(self, body, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def language_model(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("TETKIK_LLM_URL", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setenv("TETKIK_LLM_MODEL", "small")
    settings.cache_clear()
    yield server
    server.shutdown()
    server.server_close()
    monkeypatch.undo()
    settings.cache_clear()


def test_a_language_models_draft_comes_as_it_is_written(client, app_context, language_model):
    made = made_report(app_context.records, history="Gülçin ŞAHİN nefes darlığı")
    with client.stream(
        "POST",
        f"{API}/{made.id}/redraft/stream",
        json={"language": "tr", "writer": "language_model"},
        headers={"If-Match": '"1"'},
    ) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        result = "".join(answer.iter_text())
    events = [part.split("\n", 1) for part in result.strip().split("\n\n") if part.startswith("event:")]
    kinds = [head for head, _ in events]
    assert kinds.count("event: text") >= 2 and kinds[-1] == "event: done", result[-500:]
    text = "".join(json.loads(data[6:])["text"] for head, data in events if head == "event: text")
    assert json.loads(text) == json.loads(_Model.draft)
    done = json.loads(events[-1][1][6:])
    assert (done["revision"], done["writer"]) == (2, "small")
    assert any(item["text"] == "Kardiyomegali izlendi." for item in done["sentences"])
    assert "ŞAHİN" not in _Model.asked[-1] and "Gülçin" not in _Model.asked[-1]


@pytest.mark.attack
def test_where_an_image_goes_is_in_the_trail_before_a_model_gets_it(
    client, app_context, language_model, monkeypatch
):
    def audited() -> list[str]:
        with app_context.records.read() as tx:
            return list(tx.session.scalars(select(AuditRow.content).where(AuditRow.action == "image.sent")))

    made = made_report(app_context.records)
    wanted = {"language": "tr", "writer": "language_model"}

    def redraft(revision: int, **sent: str) -> None:
        url, held = f"{API}/{made.id}/redraft", {"If-Match": f'"{revision}"'}
        assert client.post(url, json=wanted | sent, headers=held).status_code == 200

    redraft(1)
    assert "image_url" not in _Model.asked[-1] and audited() == []
    monkeypatch.setenv("TETKIK_LLM_IMAGES", "inside")
    settings.cache_clear()
    redraft(2, writer="composer")
    assert audited() == []
    redraft(3)
    (entry,) = audited()
    assert made.image_id in entry and '"host":"127.0.0.1"' in entry
    assert "data:image/png;base64," in _Model.asked[-1]


def test_a_stream_that_comes_too_late_ends_with_a_fault(client, app_context, language_model):
    made = made_report(app_context.records)
    late = client.post(
        f"{API}/{made.id}/redraft/stream", json={"language": "tr"}, headers={"If-Match": '"7"'}
    )
    assert late.status_code == 412


def test_the_preview_says_on_every_page_that_nobody_signed(client, app_context):
    made = made_report(app_context.records)
    answer = client.get(f"{API}/{made.id}/preview.pdf")
    assert answer.headers["content-type"] == "application/pdf"
    assert "ŞAHİN" not in answer.headers["content-disposition"]
    for page in pages(answer.content):
        assert "Taslak" in page


def test_a_report_by_hand(client, app_context):
    case_id = made_case(app_context.records, made_user(app_context.records, Role.RECEPTION))
    image_id = made_image(app_context.records, case_id)
    begun = client.post(API, json={"image_id": image_id, "language": "tr"}, headers={"Idempotency-Key": "k"})
    assert begun.status_code == 201 and begun.json()["sentences"] == []
    again = client.post(API, json={"image_id": image_id, "language": "tr"}, headers={"Idempotency-Key": "k"})
    assert again.json() == begun.json() and again.headers["idempotency-replayed"] == "true"
    other = client.post(API, json={"image_id": image_id, "language": "tr"})
    assert other.status_code == 409


def test_a_template_goes_around_the_draft(client, app_context):
    made = made_report(app_context.records)
    text = "Hasta: {patient}\nBULGULAR: {findings} Kemik yapılar doğaldır.\nSONUÇ: {impression}"
    body = {"name": "Akciğer", "language": "tr", "text": text}
    added = client.post("/api/v1/templates", json=body)
    assert added.status_code == 201, added.text
    assert client.post("/api/v1/templates", json=body).status_code == 409
    before = read(client, made)
    template = {"template_id": added.json()["id"]}
    after = client.post(f"{API}/{made.id}/template", json=template, headers={"If-Match": '"1"'}).json()
    own = [item for item in after["sentences"] if item["by"] == "person"]
    assert [(item["section"], item["text"]) for item in own] == [("findings", "Kemik yapılar doğaldır.")]
    assert sentences_of(before) == [
        {"section": item["section"], "text": item["text"]} for item in after["sentences"] if item not in own
    ]
    twice = client.post(f"{API}/{made.id}/template", json=template, headers={"If-Match": '"2"'}).json()
    assert sentences_of(twice) == sentences_of(after)
    assert client.delete(f"/api/v1/templates/{template['template_id']}").status_code == 204
    assert client.get(f"/api/v1/templates/{template['template_id']}").status_code == 404


@pytest.mark.parametrize(
    "text", ["{nothing}", "{findings", "{findings.__class__}", "{findings!r}", "{0}", "}"]
)
def test_a_template_with_a_hole_is_refused(client, text):
    body = {"name": "Akciğer", "language": "tr", "text": text}
    assert client.post("/api/v1/templates", json=body).status_code == 422


@pytest.mark.parametrize(
    "role", [Role.CLINICIAN, Role.RECEPTION, Role.ENGINEER, Role.AUDITOR, Role.ADMINISTRATOR]
)
def test_a_draft_is_the_radiologists(app_context, role):
    made = made_report(app_context.records)
    with served(app_context) as client:
        sign_in(client, app_context, role)
        assert client.get(f"{API}/{made.id}").status_code == 403
        assert client.get(f"{API}/{made.id}/preview.pdf").status_code == 403


def test_a_measurement_is_made_moved_and_removed(client, app_context):
    made = made_report(app_context.records)
    draft = read(client, made)
    assert draft["measurements"] == []
    path = f"{API}/{made.id}/measurements"
    points = [[2.0, 3.0], [2.0, 27.0]]
    sent = {"kind": "length", "image_id": made.image_id, "points": points, "label": "kosta"}
    assert client.post(path, json=sent).status_code == 428
    answer = client.post(path, json=sent, headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    (item,) = answer.json()["measurements"]
    result = {key: item[key] for key in ("value", "unit", "calibrated", "plane", "name", "text", "about")}
    assert result == {
        "value": 24.0,
        "unit": "{pixels}",
        "calibrated": False,
        "plane": None,
        "name": "kosta",
        "text": "24 pixels",
        "about": "not calibrated",
    }
    again = client.post(path, json=sent, headers={"If-Match": '"1"'})
    assert again.status_code == 412 and len(again.json()["current"]["measurements"]) == 1
    far = client.patch(
        f"{path}/{item['id']}", json={"points": [[2, 3], [2, 31]]}, headers={"If-Match": '"2"'}
    )
    assert far.status_code == 422, far.text
    moved = client.patch(
        f"{path}/{item['id']}", json={"points": [[2, 3], [32, 3]]}, headers={"If-Match": '"2"'}
    )
    (after,) = moved.json()["measurements"]
    assert (after["value"], after["label"], after["id"]) == (30.0, "kosta", item["id"])
    pdf = client.get(f"{API}/{made.id}/preview.pdf").content
    assert "30 piksel" in pages(pdf)[0] and "kalibre değil" in pages(pdf)[0]
    gone = client.delete(f"{path}/{item['id']}", headers={"If-Match": '"3"'})
    assert gone.json()["measurements"] == []
    assert client.delete(f"{path}/{item['id']}", headers={"If-Match": '"4"'}).status_code == 404
