"""The spider: list pages in turn from every section, then their questions, each on the disk at once."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import scrapy
from scrapy.exceptions import CloseSpider

from tetkik.lab.triage.collect.page import ListPage, read_list, read_question
from tetkik.lab.triage.collect.politeness import reason_of
from tetkik.lab.triage.collect.site import Site
from tetkik.lab.triage.collect.store import (
    LostQuestion,
    PageOutcome,
    PageRecord,
    PageRef,
    Row,
    Store,
    ends_section,
    first_pages,
    next_page,
)
from tetkik.values import ProgressCallback

_Work = Callable[[Any], Iterator[Any]]
_GONE = ("HTTP 404", "HTTP 410")
_OWN_DECISION = (
    "forbidden by robots.txt",
    "redirected off the site",
    "redirected too often",
    "larger than the limit",
)
"""Reasons that say nothing about the health of the site."""


class QuestionSpider(scrapy.Spider):  # type: ignore[misc]
    """Crawls one site into one store.

    Pages are taken breadth first (page 1 of every section, then page 2), so that a crawl cut short is
    balanced over the departments. A list page is recorded once all its questions are stored or recorded as
    lost, and only then the next one is asked for.
    """

    name = "questions"

    def __init__(self, *, site: Site, store: Store, limit: int | None, progress: ProgressCallback) -> None:
        super().__init__()
        self.site = site
        self.pages_fetched = 0
        self.rows_added = 0
        self.limited = False
        self.robots_fault = ""  # why robots.txt could not be read
        self.reason = ""
        self.fault: BaseException | None = None
        self._store = store
        self._limit = limit
        self._progress = progress
        self._requested: set[tuple[str, int]] = set()
        self._open: dict[PageRecord, set[str]] = {}
        self._failures_in_a_row = 0

    async def start(self) -> AsyncIterator[Any]:
        """What earlier runs left, then the first page of what is new."""
        for lost in list(self._store.lost.values()):
            if lost.section in self.site.sections:
                yield self._ask_question(lost, None, lost.url)
        for ref in first_pages(self.site, self._store):
            for request in self._ask_page(ref):
                yield request

    def closed(self, reason: str) -> None:
        """Called by Scrapy at the end."""
        self.reason = reason

    def _ask_page(self, ref: PageRef | None) -> Iterator[Any]:
        if ref is None or (ref.section, ref.number) in self._requested:
            return
        if self._limit is not None and len(self._requested) >= self._limit:
            self.limited = True
            return
        self._requested.add((ref.section, ref.number))
        read, lose = partial(self._read_list, ref=ref), partial(self._lose_list, ref=ref)
        yield self._request(ref.url, read, lose, priority=-2 * ref.number)

    def _ask_question(self, ref: PageRef, page: PageRecord | None, url: str) -> Any:
        read = partial(self._read_question, ref=ref, page=page, url=url)
        lose = partial(self._lose_question, ref=ref, page=page, url=url)
        # Before the list page that comes next.
        return self._request(url, read, lose, priority=-2 * ref.number + 1)

    def _request(self, url: str, read: _Work, lose: _Work, *, priority: int) -> Any:
        def answered(response: Any) -> Iterator[Any]:
            return self._guarded(read, response)

        def failed(failure: Any) -> Iterator[Any]:
            return self._guarded(lose, self._reason(failure.value))

        # `dont_filter`: two sections may show one question.
        return scrapy.Request(url, answered, errback=failed, priority=priority, dont_filter=True)

    def _guarded(self, work: _Work, about: Any) -> Iterator[Any]:
        """Whatever goes wrong here, such as a full disk, ends the crawl and is raised after it."""
        try:
            yield from work(about)
        except CloseSpider:
            raise
        except Exception as error:
            self.fault = error
            raise CloseSpider("fault") from None

    def _reason(self, fault: BaseException) -> str:
        reason = reason_of(fault)
        if self.robots_fault and reason == "forbidden by robots.txt":
            return f"robots.txt could not be read: {self.robots_fault}"
        return reason

    def _read_list(self, response: Any, ref: PageRef) -> Iterator[Any]:
        self.pages_fetched += 1
        self._progress("list pages", self.pages_fetched, self._limit)
        content_type = _content_type(response)
        if not _is_html(content_type):
            yield from self._lose_list("not an HTML page", ref=ref)
            return
        found = read_list(response.body, response.url, content_type, self.site)
        record = self._record(ref, found)
        if found.questions:
            self._failures_in_a_row = 0
        if record.outcome is PageOutcome.FAILED or not self.site.questions.follow:
            self._add(self._row(question.text, question.url, ref) for question in found.questions)
            yield from self._finish(record)
            return
        urls = [question.url for question in found.questions if question.url is not None]
        wanted = {
            url
            for url in urls
            if not self._store.has(ref.section, url) and (ref.section, url) not in self._store.lost
        }
        self._open[record] = wanted
        for url in dict.fromkeys(urls):
            if url in wanted:
                yield self._ask_question(ref, record, url)
        if not wanted:
            yield from self._finish(record)

    def _record(self, ref: PageRef, found: ListPage) -> PageRecord:
        seen = "\n".join(f"{question.url} {question.text}" for question in found.questions)
        mark = hashlib.sha256(seen.encode("utf-8", "surrogatepass")).hexdigest()[:16] if seen else ""
        outcome, reason = PageOutcome.DONE, ""
        if not found.questions and ref.number == self.site.first_page:
            outcome, reason = PageOutcome.FAILED, "no question on the first page: do the selectors still fit?"
        elif not found.questions:
            outcome = PageOutcome.LAST
        record = PageRecord(
            ref.section, ref.number, ref.url, outcome, found.next_url, mark, found.skipped, reason
        )
        if outcome is PageOutcome.DONE and ends_section(self.site, self._store, record):
            record = replace(record, outcome=PageOutcome.LAST)
        return record

    def _read_question(self, response: Any, ref: PageRef, page: PageRecord | None, url: str) -> Iterator[Any]:
        content_type = _content_type(response)
        text = read_question(response.body, content_type, self.site) if _is_html(content_type) else ""
        if not text:
            yield from self._lose_question("no text found on the page", ref=ref, page=page, url=url)
            return
        self._failures_in_a_row = 0
        self._add([self._row(text, url, ref)])
        self._store.found(ref.section, url)
        yield from self._settle(page, url)

    def _row(self, text: str, own_url: str | None, ref: PageRef) -> Row:
        return Row.of(
            text=text,
            label=self.site.sections[ref.section],
            own_url=own_url,
            list_url=ref.url,
            page=ref.number,
            collected=datetime.now(UTC).date().isoformat(),
        )

    def _add(self, rows: Iterable[Row]) -> None:
        self.rows_added += self._store.add(rows)
        self._progress("questions", self.rows_added, None)

    def _settle(self, page: PageRecord | None, url: str) -> Iterator[Any]:
        """One question of an open list page is dealt with; the last one closes the page."""
        if page is None:
            return
        waiting = self._open[page]
        waiting.discard(url)
        if not waiting:
            del self._open[page]
            yield from self._finish(page)

    def _finish(self, record: PageRecord) -> Iterator[Any]:
        self._store.record(record)
        yield from self._ask_page(next_page(self.site, self._store, record))

    def _lose_list(self, reason: str, ref: PageRef) -> Iterator[Any]:
        outcome = PageOutcome.FAILED
        if reason in _GONE and ref.number > self.site.first_page:
            outcome, reason = PageOutcome.LAST, ""
        elif "robots.txt" in reason:
            outcome = PageOutcome.FORBIDDEN
        record = PageRecord(ref.section, ref.number, ref.url, outcome, reason=reason)
        self._store.record(record)  # before `_count`, which may end the crawl
        self._count(reason)
        yield from self._ask_page(next_page(self.site, self._store, record))

    def _lose_question(self, reason: str, ref: PageRef, page: PageRecord | None, url: str) -> Iterator[Any]:
        self._store.lose(LostQuestion(ref.section, ref.number, url, reason))
        self._count(reason)
        yield from self._settle(page, url)

    def _count(self, reason: str) -> None:
        if not reason or reason in _GONE or reason in _OWN_DECISION or "robots.txt" in reason:
            return
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= self.site.pace.give_up_after:
            raise CloseSpider("given up")


def _content_type(response: Any) -> str:
    return (response.headers.get("Content-Type") or b"").decode("latin-1")


def _is_html(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return not kind or kind in ("text/html", "application/xhtml+xml", "text/plain")
