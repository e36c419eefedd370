"""A language model's words in the reading view: seen, stopped, refused, cut off; never half kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from tests.patience import PATIENCE
from tests.records.kit import made_user
from tests.report.model_server import ReceivedRequests, model_server
from tests.service.browser import AXE, axe, chord, wait_for_notice
from tests.service.reading_room import Room, claim, made_room, reading, served_room, working
from tetkik.records.worklist import claims
from tetkik.service.drafts import redrafting
from tetkik.settings import Settings, settings
from tetkik.values import Role


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Room:
    return made_room(tmp_path_factory.mktemp("room"), "Effusion")


@pytest.fixture
def heard(monkeypatch) -> Iterator[ReceivedRequests]:
    with model_server(["held"]) as (url, heard):
        monkeypatch.setenv("TETKIK_LLM_URL", url)
        monkeypatch.setenv("TETKIK_LLM_MODEL", "small-model")
        settings.cache_clear()
        yield heard
        heard.go.set()


@pytest.fixture
def room(made, heard) -> Iterator[Room]:
    app_context = replace(made.app_context, settings=Settings(data_dir=made.app_context.settings.data_dir))
    with served_room(replace(made, app_context=app_context)) as room:
        yield room


@pytest.fixture
def page(browser, room) -> Iterator[Page]:
    claim(room)
    with reading(browser, room, language="en") as page:
        page.goto(f"/read/{room.case_id}")
        yield page


def ask(page: Page) -> None:
    """Ask for a language model's draft."""
    page.locator(".draft-side > header details.menu > summary").click()
    page.get_by_role("button", name="Let the language model write it").click()
    agreed = page.locator("#confirm button[value=yes]")
    if agreed.is_visible():
        agreed.click()


def let_it_write(page: Page) -> None:
    """The same, up to the half of its text."""
    ask(page)
    expect(page.locator(".writing li")).to_contain_text("Solda plevral")


def ended(page: Page) -> None:
    expect(page.locator(".writing")).to_have_count(0)
    expect(page.locator(".draft-side > .scroll")).to_be_visible()


def test_its_words_come_in_the_place_of_the_editor_until_the_checked_draft_stands(page, room, heard):
    before = working(room)
    page.evaluate(AXE.read_text("utf-8"))
    let_it_write(page)
    expect(page.locator(".draft-side textarea:visible")).to_have_count(0)
    expect(page.get_by_role("button", name=re.compile("Cancel"))).to_be_focused()
    expect(page.locator("[data-announced]")).to_contain_text("is writing")
    caret = page.locator(".writing .coming").evaluate(
        "line => getComputedStyle(line, '::after').animationName"
    )
    assert caret == "none" and axe(page) == []
    chord(page, "s", "s")
    expect(page.locator("#sign")).to_be_hidden()
    assert working(room) == before
    heard.go.set()
    ended(page)
    wait_for_notice(page, "objections are to be decided")
    after = working(room)
    assert (after.revision, after.draft.writer) == (before.revision + 1, "small-model")
    expect(page.locator("[data-draft]")).to_have_attribute("data-revision", str(after.revision))
    assert [field.input_value() for field in page.locator(".draft-side textarea:visible").all()] == [
        sentence.text for sentence in after.draft.sentences
    ]


def test_escape_stops_it_here_and_at_the_model(page, room, heard):
    before = working(room)
    let_it_write(page)
    page.keyboard.press("Escape")
    ended(page)
    wait_for_notice(page, "the draft stands as it was")
    assert heard.left.wait(PATIENCE), "the model went on"
    assert working(room) == before
    field = page.locator(".draft-side textarea:visible").first
    field.fill("Bunu hekim yazdı.")
    page.keyboard.press("Control+s")
    expect(page.locator("[data-draft]")).to_have_attribute("data-revision", str(before.revision + 1))


def test_who_takes_the_case_over_ends_it(page, room, heard):
    before = working(room)
    other = made_user(room.app_context.records, Role.RADIOLOGIST, name="Dr. Can Demir")
    let_it_write(page)
    with room.app_context.records.write(other) as tx:
        claims.claim_case(tx, room.case_id, take_over=True)
    ended(page)
    expect(page.locator("[data-taken]")).to_contain_text("Dr. Can Demir")
    assert heard.left.wait(PATIENCE) and working(room) == before
    with room.app_context.records.write(room.reader) as tx:
        claims.claim_case(tx, room.case_id, take_over=True)


def cut_off_at(monkeypatch, kind: type) -> None:
    """The line is cut instead of telling the page a step of that kind."""
    tell = redrafting._sse_of

    def cut(step, language):
        if isinstance(step, kind):
            raise ConnectionError("the line is cut")
        return tell(step, language)

    monkeypatch.setattr(redrafting, "_sse_of", cut)


def test_a_connection_that_breaks_off_under_way_keeps_nothing(page, room, heard, monkeypatch):
    before = working(room)
    cut_off_at(monkeypatch, str)
    ask(page)
    wait_for_notice(page, "nothing half-written is kept")
    ended(page)
    assert heard.left.wait(PATIENCE), "the model went on"
    assert working(room) == before


def test_a_connection_that_breaks_off_at_the_last_word_shows_the_draft_that_stands(
    page, room, heard, monkeypatch
):
    before = working(room)
    let_it_write(page)
    cut_off_at(monkeypatch, redrafting._Ended)
    heard.go.set()
    wait_for_notice(page, "the draft is another one by now")
    ended(page)
    assert working(room).revision == before.revision + 1
    expect(page.locator("[data-draft]")).to_have_attribute("data-revision", str(before.revision + 1))


def test_a_text_that_is_refused_gives_way_to_the_composers(page, room, heard):
    heard.behaviours[:] = ["prose"]
    ask(page)
    wait_for_notice(page, "was not taken")
    ended(page)
    expect(page.locator(".draft-side .banner.amber")).to_contain_text("instead of the language model")
    assert working(room).draft.writer == "composer"
