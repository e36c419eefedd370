"""A language model's draft while somebody waits: heard, stopped, overtaken, refused; never half kept."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from tests.patience import PATIENCE
from tests.records import changes
from tests.records.kit import made_user
from tests.records.reports_kit import made_report
from tests.report.model_server import GOOD, model_server
from tests.service.browser import serving
from tests.service.kit import make_context, opened_session
from tetkik.errors import InputError
from tetkik.imaging.examples import example_chest
from tetkik.imaging.read import read_bytes
from tetkik.language import Language
from tetkik.records.reports import drafts
from tetkik.records.schema import BrowserSession, Image, Run
from tetkik.records.worklist import claims
from tetkik.rules.editing import DraftEdit
from tetkik.service.drafts import redrafting
from tetkik.service.drafts.shapes import RedraftSent
from tetkik.settings import settings
from tetkik.values import DraftSentence, Role, Section

ASKED = {"language": "tr", "writer": "language_model"}


class Desk:
    """A radiologist before a draft, a language model that is held in the middle, and what it heard."""

    def __init__(self, app_context, reader, report, client, heard) -> None:
        self.app_context, self.reader, self.report = app_context, reader, report
        self.client, self.heard = client, heard

    @contextmanager
    def stream(self) -> Iterator[httpx.Response]:
        address = f"/api/v1/drafts/{self.report.id}/redraft/stream"
        with self.client.stream("POST", address, json=ASKED, headers={"If-Match": '"1"'}) as answer:
            assert answer.status_code == 200
            yield answer

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """Every event of a whole stream."""
        with self.stream() as answer:
            blocks = "".join(answer.iter_text()).split("\n\n")
        heads = [block.split("\n", 1) for block in blocks if block.startswith("event: ")]
        return [(head.removeprefix("event: "), json.loads(data[6:])) for head, data in heads]

    def standing(self):
        with self.app_context.records.read() as tx:
            return drafts.draft_of(tx, self.report.id)


@pytest.fixture
def desk(tmp_path, monkeypatch, request):
    app_context = make_context(tmp_path)
    reader = made_user(app_context.records, Role.RADIOLOGIST)
    report = made_report(app_context.records)
    cookie, csrf = opened_session(app_context, reader)
    behaviours = getattr(request, "param", ["held"])
    with model_server(behaviours) as (url, heard):
        monkeypatch.setenv("TETKIK_LLM_URL", url)
        monkeypatch.setenv("TETKIK_LLM_MODEL", "small-model")
        settings.cache_clear()
        headers = {"X-CSRF-Token": csrf, "Accept-Language": "en"}
        with serving(app_context) as address:
            with httpx.Client(
                base_url=address, cookies={"tetkik": cookie}, headers=headers, timeout=PATIENCE
            ) as client:
                yield Desk(app_context, reader, report, client, heard)
            heard.go.set()
    app_context.records.close()


def written_by_another(desk):
    """What somebody else saves in the middle."""
    other = made_user(desk.app_context.records, Role.RADIOLOGIST, name="Dr. Can Demir")

    def save():
        with desk.app_context.records.write(other) as tx:
            changes.save(tx, desk.report.id, 1, DraftEdit([DraftSentence("Onun cümlesi.", Section.FINDINGS)]))
        desk.heard.go.set()

    return save


def taken_by_another(desk):
    """Another takes the case over in the middle."""
    other = made_user(desk.app_context.records, Role.RADIOLOGIST, name="Dr. Can Demir")
    with desk.app_context.records.write(desk.reader) as tx:
        claims.claim_case(tx, desk.report.case_id)

    def take():
        with desk.app_context.records.write(other) as tx:
            claims.claim_case(tx, desk.report.case_id, take_over=True)
        desk.heard.go.set()

    return take


@pytest.mark.parametrize("desk", [["held"], ["mute"]], indirect=True)
def test_who_leaves_stops_the_model_and_the_draft_stands(desk):
    before, middle = desk.standing(), threading.Event()
    desk.heard.between = middle.set
    with desk.stream() as answer:
        words = answer.iter_text()
        assert next(words).startswith("event: asked")
        assert middle.wait(PATIENCE)
    assert desk.heard.left.wait(PATIENCE), "the model went on"
    assert len(desk.heard.requests) == 1
    assert desk.standing() == before


def test_what_it_writes_is_heard_before_it_is_through(desk):
    with desk.stream() as answer:
        told = ""
        for text in answer.iter_text():
            told += text
            if "event: text" in told and not desk.heard.go.is_set():
                assert desk.standing().revision == 1
                desk.heard.go.set()
    assert "event: done" in told
    standing = desk.standing()
    assert (standing.revision, standing.draft.writer) == (2, "small-model")
    # A side that nobody gave waits for the radiologist's decision.
    assert standing.draft.open_marks


@pytest.mark.parametrize(("meanwhile", "status"), [(written_by_another, 412), (taken_by_another, 409)])
def test_who_was_faster_is_not_overwritten(desk, meanwhile, status):
    before = desk.standing()
    desk.heard.between = meanwhile(desk)
    last, fault = desk.events()[-1]
    assert (last, fault["status"]) == ("fault", status)
    after = desk.standing()
    if status == 412:
        assert fault["revision"] == 2
        assert [item.text for item in after.draft.sentences] == ["Onun cümlesi."]
    else:
        assert "Dr. Can Demir" in fault["detail"] and after == before


@pytest.mark.parametrize("desk", [["prose", "good"]], indirect=True)
def test_a_second_try_is_told(desk):
    events = desk.events()
    assert [data["try"] for kind, data in events if kind == "asked"] == [1, 2]
    second = events.index(("asked", {"try": 2}))
    text = "".join(data["text"] for kind, data in events[second:] if kind == "text")
    assert json.loads(text) == GOOD and events[-1][0] == "done"


@pytest.mark.parametrize("desk", [["other_form"]], indirect=True)
def test_a_text_that_cannot_be_taken_leaves_the_composers_with_the_reason(desk):
    last, draft = desk.events()[-1]
    assert (last, draft["writer"], len(desk.heard.requests)) == ("done", "composer", 3)
    (notice,) = [item.in_language(Language.EN) for item in desk.standing().draft.notices if item.values]
    assert "instead of the language model" in notice and "not the form of a draft" in notice


def test_a_locked_screen_ends_the_stream_and_the_work(desk, monkeypatch):
    monkeypatch.setattr(redrafting, "_CHECKS", 0.05)
    before = desk.standing()

    def lock():
        with desk.app_context.records.write(desk.reader) as tx:
            tx.session.execute(update(BrowserSession).values(locked=True))

    desk.heard.between = lock
    assert desk.events()[-1] == ("end", {})
    assert desk.heard.left.wait(PATIENCE)
    assert desk.standing() == before


def test_nothing_is_kept_or_told_once_the_screen_is_locked(desk):
    before = desk.standing()

    def lock():
        with desk.app_context.records.write(desk.reader) as tx:
            tx.session.execute(update(BrowserSession).values(locked=True))
        desk.heard.go.set()

    desk.heard.between = lock  # and the model ends before anybody looks at the session again
    assert desk.events()[-1] == ("end", {})
    assert desk.standing() == before


class Decoder:
    """Notes the frame that is asked for; it cannot read `broken`."""

    def __init__(self, broken: bool = False) -> None:
        self.asked: list[int | None] = []
        self.broken = broken

    def pixels(self, image, frame=None):
        self.asked.append(frame)
        if self.broken:
            raise InputError("{file} ends too early.", file="x")
        return read_bytes(example_chest(), "film")


@pytest.mark.attack
@pytest.mark.parametrize(
    ("stored", "judged", "broken", "asked", "why"),
    [
        ({}, None, False, [1], None),
        ({"removed_at": datetime.now(UTC)}, None, False, [], "removed from the case"),
        ({"frames": 9}, 7, False, [7], None),
        ({"frames": 9}, None, False, [], "which frame"),
        ({}, None, True, [1], "cannot be read"),
    ],
    ids=["one", "removed", "frame", "unknown frame", "broken"],
)
@pytest.mark.parametrize("desk", [["good"]], indirect=True)
def test_only_the_frame_that_was_judged_is_shared(desk, monkeypatch, stored, judged, broken, asked, why):
    monkeypatch.setenv("TETKIK_LLM_IMAGES", "inside")
    settings.cache_clear()
    with desk.app_context.records.write(desk.reader) as tx:
        for table, values in ((Image, stored), (Run, {"frame": judged})):
            if values:
                tx.session.execute(update(table).values(**values))
    decoder: Any = Decoder(broken)
    sent = RedraftSent(language=Language.EN, writer="language_model")
    fresh = redrafting.fresh_draft(desk.app_context, desk.reader, desk.report.id, 1, sent, decoder)
    notices = " ".join(item.in_language(Language.EN) for item in fresh.draft.notices)
    assert decoder.asked == asked and fresh.draft.writer == "small-model"
    assert ("image_url" in json.dumps(desk.heard.requests[-1])) is (why is None)
    assert why is None or ("did not get the image" in notices and why in notices)
