"""What a crawl did, as a value and as `summary.json`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class Ending(StrEnum):
    """Why a run ended."""

    COMPLETE = "complete"
    """Every page of every section was read, or has failed and is listed."""
    LIMIT = "limit"
    """As many list pages as were asked for; running again goes on."""
    STOPPED = "stopped"
    """By Ctrl-C; running again goes on."""
    GIVEN_UP = "given up"
    """Too many failures in a row; running again goes on."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A page that could not be read; the next run tries it again.

    Attributes:
        page: the number of the list page, or of the list page that leads to the question.
        reason: such as `HTTP 500` or `forbidden by robots.txt`; never words of the page.
    """

    label: str
    page: int
    url: str
    reason: str


@dataclass(frozen=True, slots=True)
class CrawlSummary:
    """What a run did, and how the folder stands after it.

    Attributes:
        started: UTC, ISO 8601.
        ended: UTC, ISO 8601.
        pages_done: list pages of the folder that are read with all their questions.
        skipped: items of the list pages without a text or a link on the site.
    """

    site: str
    started: str
    ended: str
    ending: Ending
    pages_fetched: int
    pages_done: int
    rows_added: int
    rows: int
    rows_per_label: dict[str, int]
    skipped: int
    failures: tuple[Failure, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "site": self.site,
            "started": self.started,
            "ended": self.ended,
            "ending": self.ending.value,
            "pages": {"fetched": self.pages_fetched, "done": self.pages_done, "failed": len(self.failures)},
            "rows": self.rows,
            "rows_added": self.rows_added,
            "rows_per_label": self.rows_per_label,
            "skipped": self.skipped,
            "failures": [asdict(failed) for failed in self.failures],
        }

    def write(self, path: Path) -> None:
        """Write `summary.json`, whole or not at all."""
        draft = path.with_suffix(".part")
        try:
            draft.write_text(json.dumps(self.as_json(), ensure_ascii=False, indent=2) + "\n", "utf-8")
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
