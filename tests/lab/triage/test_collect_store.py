"""The folder of a crawl survives a kill, and says which page comes next."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.lab.triage.site_descriptions import description
from tetkik.errors import DataError, UsageError
from tetkik.lab.triage.collect import Site
from tetkik.lab.triage.collect.store import (
    Journal,
    LostQuestion,
    PageOutcome,
    PageRecord,
    Row,
    Store,
    ends_section,
    first_pages,
    next_page,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    entries=st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), max_size=5),
    share=st.floats(0, 1),
)
def test_a_cut_file_keeps_its_whole_lines(
    tmp_path: Path, entries: list[dict[str, str]], share: float
) -> None:
    path = tmp_path / "journal.jsonl"
    path.unlink(missing_ok=True)
    journal = Journal(path)
    journal.append(entries)
    journal.close()
    content = path.read_bytes()
    cut = content[: int(len(content) * share)]
    path.write_bytes(cut)
    journal = Journal(path)
    kept = journal.read()
    assert kept == entries[: cut.count(b"\n")]
    journal.append([{"son": "satır"}])
    assert journal.read() == [*kept, {"son": "satır"}]
    journal.close()


def test_a_question_that_moved_to_another_page_is_known(tmp_path: Path) -> None:
    with_store(
        tmp_path, lambda store: store.add([row("Başım ağrıyor", page=1), row("Başım  AĞRIYOR", page=2)])
    )
    assert (
        with_store(tmp_path, lambda store: store.add([row("Başım ağrıyor", page=3), row("Dizim şişti")])) == 1
    )


def test_the_same_words_at_two_addresses_are_two_questions() -> None:
    ids = {
        row("Başım ağrıyor", own=own, label=label).id for own in ("/1", "/2") for label in ("Göz", "Nöroloji")
    }
    assert len(ids) == 4


def test_one_crawl_a_folder(tmp_path: Path) -> None:
    store = Store(tmp_path, Site(**description()))
    if os.name == "posix":
        with pytest.raises(UsageError, match="Another crawl"):
            Store(tmp_path, Site(**description()))
    store.close()
    with pytest.raises(UsageError, match="holds a crawl of"):
        Store(tmp_path, Site(**description("http://127.0.0.1:2")))
    Store(tmp_path, Site(**description())).close()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("complaints.jsonl", b'{"text": "a"}\n'),
        ("complaints.jsonl", b"text,label\n"),
        ("complaints.jsonl", b"[]\n"),
        (
            "ledger.jsonl",
            b'{"kind":"crawl","site":"deneme","base_url":"http://127.0.0.1:1"}\n{"kind":"page"}\n',
        ),
    ],
)
def test_what_collect_did_not_write_is_not_touched(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        Store(tmp_path, Site(**description()))
    assert (tmp_path / name).read_bytes() == content


def test_a_lost_question_is_lost_until_it_is_found(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1/soru/1"
    lost = LostQuestion("goz", 1, url, "HTTP 500")
    with_store(tmp_path, lambda store: store.lose(lost))
    assert with_store(tmp_path, lambda store: list(store.lost.values())) == [lost]
    with_store(tmp_path, lambda store: store.add([row("Gözüm kanlı", own=url)]))
    assert with_store(tmp_path, lambda store: store.failures()) == ()


# Which page comes next.


def test_questions_that_move_down_by_a_page_do_not_end_a_section(tmp_path: Path) -> None:
    def follow(store: Store) -> list[bool]:
        ends = []
        for number, mark in enumerate(["a", "b", "b", "c", "d", "d", "d"], start=1):
            page = replace(PAGE, number=number, mark=mark)
            ends.append(ends_section(COUNTED, store, page))
            store.record(page)
        return ends

    assert with_store(tmp_path, follow) == [False] * 6 + [True]


def test_dead_pages_end_a_section_until_the_next_run(tmp_path: Path) -> None:
    def fail(store: Store) -> list[int]:
        store.record(PAGE)
        for number in (2, 3, 4):
            assert next_page(COUNTED, store, store.pages["goz", number - 1]) is not None
            store.record(replace(PAGE, number=number, outcome=PageOutcome.FAILED, reason="HTTP 500"))
        assert next_page(COUNTED, store, store.pages["goz", 4]) is None
        return [ref.number for ref in first_pages(COUNTED, store)]

    assert with_store(tmp_path, fail) == [2, 3, 4]


def test_links_that_lead_in_a_circle_end_a_section(tmp_path: Path) -> None:
    linked = Site(**description(next_page="a", sections={"goz": "Göz"}))

    def follow(store: Store) -> tuple[bool, bool]:
        first = replace(PAGE, next_url="http://127.0.0.1:1/2")
        store.record(first)
        assert next_page(linked, store, first) is not None
        circle = replace(PAGE, number=2, url="http://127.0.0.1:1/2", next_url=first.url)
        return ends_section(linked, store, circle), ends_section(
            linked, store, replace(circle, next_url=None)
        )

    assert with_store(tmp_path, follow) == (True, True)


def test_no_section_is_followed_for_ever(tmp_path: Path) -> None:
    def last(store: Store) -> object:
        return next_page(COUNTED, store, replace(PAGE, number=COUNTED.max_pages))

    assert with_store(tmp_path, last) is None


COUNTED = Site(**description(sections={"goz": "Göz"}))
PAGE = PageRecord("goz", 1, COUNTED.page_url("goz", 1), PageOutcome.DONE, mark="a")


def with_store(folder: Path, work: Callable[[Store], Any]) -> Any:
    store = Store(folder, Site(**description()))
    try:
        return work(store)
    finally:
        store.close()


def row(text: str, *, page: int = 1, own: str | None = None, label: str = "Göz Hastalıkları") -> Row:
    return Row.of(
        text=text,
        label=label,
        own_url=own,
        list_url="http://127.0.0.1:1/l",
        page=page,
        collected="2026-01-01",
    )
