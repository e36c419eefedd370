"""How the crawler behaves towards a site: it stays on it, obeys robots.txt, and waits when asked to.

Scrapy's own middlewares do most of it; these three close what they leave open.
"""

from __future__ import annotations

import asyncio
import email.utils
import time
from typing import Any

from protego import Protego
from scrapy.downloadermiddlewares.retry import RetryMiddleware
from scrapy.exceptions import IgnoreRequest
from scrapy.extensions.throttle import AutoThrottle
from scrapy.http import Request, TextResponse

from tetkik.lab.triage.collect.site import is_private_address

ROBOT = "Tetkik"
"""The name by which robots.txt may address the crawler."""
_LONGEST_WAIT = 300.0


class _OfCrawler:
    def __init__(self, crawler: Any) -> None:
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Any) -> Any:
        return cls(crawler)


class StayOnSite(_OfCrawler):
    """Nothing off the described host is asked, whoever sends us there; every redirect passes here again.

    Stricter than Scrapy's own filter, which lets subdomains and other ports through. A public name that
    answers from a private address (DNS rebinding) is not read.
    """

    def process_request(self, request: Any) -> None:
        if not self.crawler.spider.site.allows(request.url):
            raise IgnoreRequest("redirected off the site")

    def process_response(self, request: Any, response: Any) -> Any:
        direct = "proxy" not in request.meta and not self.crawler.spider.site.private
        if direct and response.ip_address and is_private_address(str(response.ip_address)):
            raise IgnoreRequest("answered from a private address")
        return response


class CautiousRobots(_OfCrawler):
    """A robots.txt that cannot be read forbids everything (RFC 9309, 2.3.1.4), and its crawl delay counts.

    Scrapy reads an error page as an empty robots.txt and goes on. This one stands between Scrapy's robots.txt
    and its retries, and answers for a robots.txt that failed to the last.
    """

    def process_response(self, request: Any, response: Any) -> Any:
        if not _asks_robots(request):
            return response
        if response.status >= 500 or response.status == 429:
            return self._forbid_all(request, f"HTTP {response.status}")
        if response.status == 200:
            rules = Protego.parse(response.body.decode("utf-8", "replace"))
            self._slow_down(rules.crawl_delay(ROBOT) or 0.0)
        return response

    def process_exception(self, request: Any, exception: Exception) -> Any:
        return self._forbid_all(request, reason_of(exception)) if _asks_robots(request) else None

    def _forbid_all(self, request: Any, fault: str) -> Any:
        self.crawler.spider.robots_fault = fault
        return TextResponse(request.url, body=b"User-agent: *\nDisallow: /\n")

    def _slow_down(self, seconds: float) -> None:
        throttle = self.crawler.get_extension(AutoThrottle)
        throttle.mindelay = max(throttle.mindelay, seconds)
        throttle.maxdelay = max(throttle.maxdelay, seconds)
        for slot in self.crawler.engine.downloader.slots.values():
            slot.delay = max(slot.delay, seconds)


class PatientRetry(RetryMiddleware):  # type: ignore[misc]
    """Scrapy's retries, each after a wait that doubles, or as long as the site's `Retry-After` asks.

    With one request at a time nothing else is asked of the site while it waits.
    """

    async def process_response(self, request: Any, response: Any) -> Any:
        result = super().process_response(request, response)
        if isinstance(result, Request):
            await self._wait(request, _retry_after(response.headers.get("Retry-After")))
        return result

    async def process_exception(self, request: Any, exception: Exception) -> Any:
        result = super().process_exception(request, exception)
        if isinstance(result, Request):
            await self._wait(request, 0.0)
        return result

    async def _wait(self, request: Any, at_least: float) -> None:
        doubled = self.crawler.spider.site.pace.retry_wait * 2.0 ** request.meta.get("retry_times", 0)
        end = time.monotonic() + min(max(doubled, at_least), _LONGEST_WAIT)
        # In short steps, so that Ctrl-C does not have to sit it out.
        while self.crawler.crawling and (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 0.25))


def reason_of(fault: BaseException) -> str:
    """Why a request failed, in a few words for the summary."""
    status = getattr(getattr(fault, "response", None), "status", None)
    if status is not None:
        return f"HTTP {status}"
    if isinstance(fault, IgnoreRequest):
        words = str(fault)
        return {"max redirections reached": "redirected too often"}.get(words, words[:1].lower() + words[1:])
    name = type(fault).__name__
    kinds = {
        "timed out": ("Timeout", "TimedOut"),
        "larger than the limit": ("Cancel",),
        "the host name is not known": ("Resolve", "DNSLookup"),
        "the connection was refused": ("Refused",),
        "the answer broke off": ("DataLoss", "ResponseFailed", "DownloadFailed"),
    }
    return next((words for words, parts in kinds.items() if any(part in name for part in parts)), name)


def _asks_robots(request: Any) -> bool:
    return bool(request.meta.get("dont_obey_robotstxt"))


def _retry_after(header: bytes | None) -> float:
    """Seconds, from a number or a date (RFC 9110, 10.2.3)."""
    words = (header or b"").decode("latin-1").strip()
    if words.isdigit():
        return float(words[:9])
    try:
        return email.utils.parsedate_to_datetime(words).timestamp() - time.time()
    except (ValueError, TypeError):
        return 0.0
