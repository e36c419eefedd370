"""A hospital whose radiologist has cases before them, and a page at one of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.service.reading_room import Room, another_case, claim, made_room, reading, served_room


@pytest.fixture(scope="module")
def reading_hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """The hospital, with a case that nobody changes and an earlier one of the same patient."""
    with served_room(made_room(tmp_path_factory.mktemp("room"), "Effusion", prior=True)) as room:
        yield room


@pytest.fixture
def room(reading_hospital: Room) -> Room:
    """The hospital with a case that is this test's alone."""
    return another_case(reading_hospital)


@pytest.fixture
def page(browser: Browser, room: Room) -> Iterator[Page]:
    """A page at that case, which the reader has claimed."""
    claim(room)
    with reading(browser, room) as page:
        page.goto(f"/read/{room.case_id}")
        yield page
