"""The crawl's folder: rows and a ledger of pages, each line on the disk before the next step is taken.

`complaints.jsonl` holds one question a line, `ledger.jsonl` what became of each list page. A page enters the
ledger only after its rows; killed in between, the page is read again and its rows are known by their id.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from operator import attrgetter
from pathlib import Path
from typing import Any

from tetkik.errors import DataError, UsageError
from tetkik.lab.engine.duplicate_texts import canonical
from tetkik.lab.triage.collect.site import Site


class PageOutcome(StrEnum):
    """What became of a list page."""

    DONE = "done"
    """Read, with all its questions; the section goes on."""
    LAST = "last"
    """Read; the section ends here."""
    FAILED = "failed"
    """Not read; tried again by the next run."""
    FORBIDDEN = "forbidden"
    """robots.txt does not allow it; asked of robots.txt again by the next run."""


@dataclass(frozen=True, slots=True)
class Row:
    """One question, as a line of `complaints.jsonl`.

    `url` is the question's own address, or that of the list page it stands on; `collected` a date, ISO 8601;
    `id` of the label, the question's own address if it has one, and the text in its canonical form: the same
    when the question has moved to another list page.
    """

    text: str
    label: str
    url: str
    page: int
    collected: str
    id: str

    @classmethod
    def of(
        cls, *, text: str, label: str, own_url: str | None, list_url: str, page: int, collected: str
    ) -> Row:
        key = "\n".join((label, own_url or "", canonical(text)))
        number = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return cls(text, label, own_url or list_url, page, collected, number)


@dataclass(frozen=True, slots=True)
class PageRef:
    """A list page, or a question's own page on it, that is to be fetched."""

    section: str
    number: int
    url: str


@dataclass(frozen=True, slots=True)
class PageRecord(PageRef):
    """A list page as a line of the ledger; by `mark`, a hash of its questions, one is known again."""

    outcome: PageOutcome
    next_url: str | None = None
    mark: str = ""
    skipped: int = 0
    reason: str = ""

    @property
    def failed(self) -> bool:
        return self.outcome in (PageOutcome.FAILED, PageOutcome.FORBIDDEN)


@dataclass(frozen=True, slots=True)
class LostQuestion(PageRef):
    """A question's own page that could not be read, as a line of the ledger."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A page that could not be read; the next run tries it again."""

    label: str
    page: int  # the number of the list page, or of the one that leads to the question
    url: str
    reason: str  # such as `HTTP 500` or `forbidden by robots.txt`; never words of the page


class Journal:
    """A file of JSON objects, one a line, that only grows and survives a kill at any moment."""

    def __init__(self, path: Path) -> None:
        # Health data: for its owner alone. Unbuffered, so that what has failed is not written later.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        self._file = os.fdopen(descriptor, "r+b", buffering=0)
        self._path = path

    def lock(self) -> bool:
        """Keep other processes out for as long as this one lives; False where another is in."""
        try:
            import fcntl
        except ImportError:  # Windows, where two crawls in one folder are the user's to avoid
            return True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def read(self) -> list[dict[str, Any]]:
        """Every object; a last line that a kill has cut is taken off the file."""
        self._file.seek(0)
        content = self._file.read()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) != len(content):
            self._file.truncate(len(whole))
            os.fsync(self._file.fileno())
        objects = []
        for number, line in enumerate(whole.split(b"\n")[:-1], start=1):
            try:
                entry = json.loads(line)
            except ValueError:
                entry = None
            if not isinstance(entry, dict):
                raise DataError(
                    "{path} is damaged at line {line}; take that line out, or collect into another folder.",
                    path=self._path,
                    line=number,
                )
            objects.append(entry)
        return objects

    def append(self, entries: Iterable[dict[str, Any]]) -> None:
        """Write the objects; on return they are on the disk, on an error none is in the file."""
        lines = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
        left = memoryview(lines.encode("utf-8", "replace"))  # a lone surrogate of a broken page has no UTF-8
        end = self._file.seek(0, os.SEEK_END)
        try:
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(end)
            error.filename = str(self._path)
            raise

    def close(self) -> None:
        self._file.close()


class Store:
    """The folder of a crawl: what is known, and the writing of what is new.

    `lost` are questions whose own page could not be read, by section and address. A `UsageError` says that
    the folder holds a crawl of another site, or that another crawl is writing to it.
    """

    def __init__(self, folder: Path, site: Site) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.pages: dict[tuple[str, int], PageRecord] = {}
        self.lost: dict[tuple[str, str], LostQuestion] = {}
        self.rows_per_label: Counter[str] = Counter()
        self._site = site
        self._ids: set[str] = set()
        self._urls: set[tuple[str, str]] = set()
        self._complaints = Journal(folder / "complaints.jsonl")
        self._ledger = Journal(folder / "ledger.jsonl")
        path = folder / "complaints.jsonl"
        try:
            if not self._ledger.lock():
                raise UsageError(
                    "Another crawl is writing to {folder}; wait for it, or name another.", folder=folder
                )
            for entry in self._complaints.read():
                self._know(Row(**entry))
            path = folder / "ledger.jsonl"
            self._read_ledger(folder, self._ledger.read())
        except (TypeError, KeyError, ValueError):
            self.close()
            raise DataError(
                "{path} was not written by `tetkik triage collect`; collect into another folder.", path=path
            ) from None
        except BaseException:
            self.close()
            raise

    def _read_ledger(self, folder: Path, entries: list[dict[str, Any]]) -> None:
        host = self._site.base_url.rstrip("/")
        if not entries:
            self._ledger.append([{"kind": "crawl", "site": self._site.id, "base_url": host}])
        elif (entries[0].get("site"), entries[0].get("base_url")) != (self._site.id, host):
            raise UsageError(
                "{folder} holds a crawl of {other}; collect {site} into another folder.",
                folder=folder,
                other=entries[0].get("base_url"),
                site=host,
            )
        for entry in entries[1:]:
            kind = entry.pop("kind", "")
            if kind == "page":
                page = PageRecord(**{**entry, "outcome": PageOutcome(entry["outcome"])})
                self.pages[page.section, page.number] = page
            elif kind == "lost" and not self.has(entry["section"], entry["url"]):
                self.lost[entry["section"], entry["url"]] = LostQuestion(**entry)

    def _know(self, row: Row) -> None:
        self._ids.add(row.id)
        self._urls.add((row.label, row.url))
        self.rows_per_label[row.label] += 1

    def has(self, section: str, url: str) -> bool:
        """Whether the question of this address is in the folder under the section's label."""
        return (self._site.sections.get(section, ""), url) in self._urls

    def add(self, rows: Iterable[Row]) -> int:
        """Write the rows that are new; how many they were."""
        new = list({row.id: row for row in rows if row.id not in self._ids}.values())
        if new:
            self._complaints.append(asdict(row) for row in new)
        for row in new:
            self._know(row)
        return len(new)

    def found(self, section: str, url: str) -> None:
        """The question of this address is no longer lost."""
        self.lost.pop((section, url), None)

    def record(self, page: PageRecord) -> None:
        self._ledger.append([{"kind": "page", **asdict(page)}])
        self.pages[page.section, page.number] = page

    def lose(self, question: LostQuestion) -> None:
        """Write that a question's own page could not be read."""
        self._ledger.append([{"kind": "lost", **asdict(question)}])
        self.lost[question.section, question.url] = question

    def failures(self) -> tuple[Failure, ...]:
        """What could not be read, in the order of sections and pages."""
        every: list[Any] = [*(page for page in self.pages.values() if page.failed), *self.lost.values()]
        labels = self._site.sections
        order = {section: place for place, section in enumerate(labels)}
        every.sort(key=lambda one: (order.get(one.section, len(order)), one.number))
        return tuple(
            Failure(labels.get(one.section, one.section), one.number, one.url, one.reason) for one in every
        )

    def close(self) -> None:
        self._complaints.close()
        self._ledger.close()


# Which list page comes next, from the site's description and the ledger alone.


_DEAD_PAGES = 3
"""A section is not followed past so many failed pages in a row."""


_number = attrgetter("number")


def first_pages(site: Site, store: Store) -> list[PageRef]:
    """Where a run begins: the page after the last known one of each section, then what failed before.

    Lowest numbers first, so that runs with a small limit serve every section in turn and none of them is
    spent on a page that fails for ever.
    """
    fresh: list[PageRef] = []
    failed: list[PageRecord] = []
    for section in site.sections:
        known = sorted((page for page in store.pages.values() if page.section == section), key=_number)
        failed += [page for page in known if page.failed]
        if not known:
            fresh.append(PageRef(section, site.first_page, site.page_url(section, site.first_page)))
        elif following := next_page(site, store, known[-1]):
            fresh.append(following)
    return sorted(fresh, key=_number) + sorted(failed, key=_number)


def next_page(site: Site, store: Store, page: PageRecord) -> PageRef | None:
    """The page after `page`; None where the section ends, or where that page is known already."""
    number = page.number + 1
    if (page.section, number) in store.pages or number >= site.first_page + site.max_pages:
        return None
    if page.outcome in (PageOutcome.LAST, PageOutcome.FORBIDDEN):
        return None
    if site.next_page is not None:
        if page.outcome is not PageOutcome.DONE or page.next_url is None:
            return None
        return PageRef(page.section, number, page.next_url)
    tail = [store.pages.get((page.section, number - back)) for back in range(1, _DEAD_PAGES + 1)]
    if all(one is not None and one.outcome is PageOutcome.FAILED for one in tail):
        return None
    if page.outcome is PageOutcome.FAILED and page.number == site.first_page:
        return None
    return PageRef(page.section, number, site.page_url(page.section, number))


def ends_section(site: Site, store: Store, page: PageRecord) -> bool:
    """Whether a page that could be read is its section's last.

    With a link to the next page: there is none, or it leads to a page known already. Counting pages: this
    page and the one before it both show what earlier pages showed, as where a site answers every number
    beyond the last with the last page or the first. One such page alone may come from questions that moved
    down while new ones were asked.
    """
    known = [one for one in store.pages.values() if one.section == page.section]
    if site.next_page is not None:
        return page.next_url is None or page.next_url in {page.url, *(one.url for one in known)}
    before = store.pages.get((page.section, page.number - 1))
    if before is None or not before.mark:
        return False
    earlier = {one.mark for one in known if one.number < before.number and one.mark}
    return before.mark in earlier and page.mark in earlier | {before.mark}
