"""A crawl from beginning to end: permission, settings, Scrapy, summary."""

from __future__ import annotations

import importlib.util
import json
import re
import signal
import tomllib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tetkik._version import __version__
from tetkik.documents.write import write_files
from tetkik.errors import MissingExtra, PermissionNeeded, UsageError
from tetkik.lab.triage.collect.site import Site
from tetkik.lab.triage.collect.store import Failure, Store
from tetkik.values import ProgressCallback

if TYPE_CHECKING:
    from tetkik.lab.triage.collect.spider import QuestionSpider


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
class CrawlSummary:
    """What a run did, and how the folder stands after it; times are UTC, ISO 8601."""

    site: str
    started: str
    ended: str
    ending: Ending
    pages_fetched: int
    pages_done: int  # list pages of the folder that are read with all their questions
    rows_added: int
    rows: int
    rows_per_label: dict[str, int]
    skipped: int  # items of the list pages without a text or a link on the site
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


_CONTACT = re.compile(r"[^@\s()<>]+@[^@\s()<>]+\.[^@\s()<>]+|https?://[^\s()<>]+", re.ASCII)


def collect(
    site: Site,
    folder: Path,
    *,
    contact: str,
    permission: bool,
    limit: int | None = None,
    progress: ProgressCallback = lambda step, done, total: None,
) -> CrawlSummary:
    """Crawl a site into a folder; in a folder with an earlier crawl of it, go on from there.

    Writes `complaints.jsonl` (`text`, `label`, `url`, `page`, `collected`, `id`; one question a line),
    `ledger.jsonl` (what became of each list page), `summary.json` and `crawl.log` (errors, no page's words).
    One crawl a process: Twisted's reactor starts once. Ctrl-C ends it after the request under way, a second
    one at once; nothing written is lost either way.

    Args:
        contact: an e-mail or web address for the site's owner, sent in the user agent.
        permission: the user's word that the site's owner allows the crawl and the law the use.
        limit: at most so many list pages in this run, taken in turn from the sections.

    Raises:
        PermissionNeeded: without `permission`.
        UsageError: no contact that a person could use; the folder holds another crawl; a second crawl in this
            process.
    """
    if not permission:
        raise PermissionNeeded(
            "{site} is not collected without permission: its terms of use and the law on personal data (KVKK "
            "No. 6698, health data) must allow it; if the site's owner has agreed, add --i-have-permission.",
            site=site.base_url,
        )
    if len(contact) > 200 or not _CONTACT.fullmatch(contact):
        raise UsageError(
            "A crawl tells the site whom to write to, and {contact!r} is no e-mail or web address; "
            "give one with --contact.",
            contact=contact,
        )
    if importlib.util.find_spec("scrapy") is None:
        raise MissingExtra("Collecting needs Scrapy, which is not installed; `{extra}`.", extra="data")
    started = _now()
    store = Store(folder, site)
    try:
        spider = _crawl(
            _settings(site, folder, contact), site=site, store=store, limit=limit, progress=progress
        )
        if spider.fault is not None:
            raise spider.fault
        summary = _summary(spider, store, started)
        text = json.dumps(summary.as_json(), ensure_ascii=False, indent=2) + "\n"
        write_files({"summary.json": text.encode("utf-8")}, folder)
    finally:
        store.close()
    return summary


def _crawl(settings: dict[str, Any], **wanted: Any) -> QuestionSpider:
    from scrapy.crawler import AsyncCrawlerProcess
    from twisted.internet.error import ReactorNotRestartable

    from tetkik.lab.triage.collect.spider import QuestionSpider

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    process = AsyncCrawlerProcess(settings)
    crawler = process.create_crawler(QuestionSpider)
    task = process.crawl(crawler, **wanted)
    try:
        process.start()
    except ReactorNotRestartable:
        raise UsageError("A process can crawl once; start another Python for the next crawl.") from None
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if task.done() and not task.cancelled() and (error := task.exception()) is not None:
        raise error
    spider: QuestionSpider = crawler.spider
    return spider


def _settings(site: Site, folder: Path, contact: str) -> dict[str, Any]:
    from scrapy.settings import default_settings

    here, pace = "tetkik.lab.triage.collect.politeness", site.pace
    # Scrapy varies the delay by half, which would go below it; older releases have another name for that.
    old = not hasattr(default_settings, "DOWNLOAD_DELAY_JITTER")
    return {
        **({"RANDOMIZE_DOWNLOAD_DELAY": False} if old else {}),
        **tomllib.loads(resources.files(__package__).joinpath("scrapy.toml").read_text("utf-8")),
        "USER_AGENT": f"Tetkik/{__version__} (+{contact})",
        "DOWNLOADER_MIDDLEWARES": {
            "scrapy.downloadermiddlewares.offsite.OffsiteMiddleware": None,
            "scrapy.downloadermiddlewares.retry.RetryMiddleware": None,
            f"{here}.StayOnSite": 50,  # before robots.txt is asked for, at 100
            f"{here}.CautiousRobots": 110,  # sees an answer after the retries
            f"{here}.PatientRetry": 550,
        },
        "DOWNLOAD_DELAY": pace.delay,
        "AUTOTHROTTLE_START_DELAY": pace.delay,
        "AUTOTHROTTLE_MAX_DELAY": max(60.0, pace.delay),
        "DOWNLOAD_TIMEOUT": pace.timeout,
        "DOWNLOAD_MAXSIZE": pace.max_bytes,
        "RETRY_TIMES": pace.retries,
        "HTTPPROXY_ENABLED": not site.private,
        "LOG_FILE": str(folder / "crawl.log"),
    }


def _summary(spider: QuestionSpider, store: Store, started: str) -> CrawlSummary:
    done = [page for page in store.pages.values() if page.outcome in ("done", "last")]
    return CrawlSummary(
        site=spider.site.id,
        started=started,
        ended=_now(),
        ending=_ending(spider),
        pages_fetched=spider.pages_fetched,
        pages_done=len(done),
        rows_added=spider.rows_added,
        rows=store.rows_per_label.total(),
        rows_per_label=dict(store.rows_per_label.most_common()),
        skipped=sum(page.skipped for page in done),
        failures=store.failures(),
    )


def _ending(spider: QuestionSpider) -> Ending:
    if spider.reason == "finished":
        return Ending.LIMIT if spider.limited else Ending.COMPLETE
    # Scrapy's word for Ctrl-C is "shutdown"; after a second one it says nothing.
    return Ending.GIVEN_UP if spider.reason == "given up" else Ending.STOPPED


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
