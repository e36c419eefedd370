"""The description of a site, and what it lets the crawler ask and read."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scrapy.exceptions import IgnoreRequest
from scrapy.http import HtmlResponse, Request

from tests.lab.triage.site_descriptions import description, write_description
from tetkik.errors import InputError, UsageError
from tetkik.lab.triage.collect import Site, built_in_sites, load_site
from tetkik.lab.triage.collect.politeness import StayOnSite
from tetkik.values import DEPARTMENTS


def test_the_built_in_description_covers_the_departments() -> None:
    assert built_in_sites() == ("doktorsitesi",)
    site = load_site("doktorsitesi")
    assert set(site.sections.values()) == set(DEPARTMENTS)
    assert site.page_url("uroloji", 7) == "https://www.doktorsitesi.com/blog/sorular/uroloji?sayfa=7"
    assert site.pace.delay >= 1


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"base_url": "ftp://example.org"}, "base_url"),
        ({"base_url": "http://a:b@127.0.0.1"}, "base_url"),
        ({"base_url": "http://127.0.0.1/yol"}, "base_url"),
        ({"base_url": "http://[::1"}, "base_url"),
        ({"base_url": "https://example.org"}, "pace.delay"),
        ({"list_url": "/sorular/{section}"}, "{page}"),
        ({"list_url": "//example.org/{section}/{page}"}, "slash"),
        ({"questions": {"item": "article[["}}, "CSS"),
        ({"questions": {"item": "article", "follow": True, "text": "p"}}, "follow"),
        ({"sections": {"göz sorusu": "Göz"}}, "section"),
        ({"sections": {"goz": " "}}, "label"),
        ({"sections": {}}, "sections"),
        ({"pace": {"delay": -1}}, "pace.delay"),
        ({"wating": 3}, "wating"),
    ],
)
def test_a_faulty_description_is_refused_with_its_fault(
    tmp_path: Path, change: dict[str, Any], fault: str
) -> None:
    path = write_description(tmp_path / "site.toml", description(**change))
    with pytest.raises(InputError) as caught:
        load_site(str(path))
    assert fault in str(caught.value)
    assert str(path) in str(caught.value)


def test_what_is_no_description_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="doktorsitesi"):
        load_site("doktorsitesii")
    for content in (b"id = ", b"\xff\xfe\x00"):
        (tmp_path / "site.toml").write_bytes(content)
        with pytest.raises(InputError):
            load_site(str(tmp_path / "site.toml"))


@pytest.mark.parametrize(
    ("base", "url", "allowed"),
    [
        ("https://example.org", "https://example.org/a", True),
        ("https://example.org", "https://EXAMPLE.org:443/a", True),
        ("https://example.org", "http://example.org/a", False),
        ("https://example.org", "https://www.example.org/a", False),
        ("https://example.org", "https://example.org:8443/a", False),
        ("https://example.org", "https://example.org@evil.test/a", False),
        ("https://example.org", "https://example.org.evil.test/a", False),
        ("https://example.org", "file:///etc/passwd", False),
        ("https://example.org", "javascript:alert(1)", False),
        ("https://example.org", "https://example.org:x/", False),
        ("http://example.org", "https://example.org/a", True),
        ("http://localhost:8000", "http://localhost:8000/a", True),
        ("http://localhost:8000", "http://localhost:8001/a", False),
        ("http://localhost:8000", "http://127.0.0.1:8000/a", False),
        ("http://localhost:8000", "https://localhost/a", False),
    ],
)
def test_only_the_described_host_is_on_the_site(base: str, url: str, allowed: bool) -> None:
    assert Site(**description(base, pace={"delay": 1.0})).allows(url) is allowed


@pytest.mark.parametrize(
    ("address", "meta", "read"),
    [
        ("93.184.215.14", {}, True),
        ("10.0.0.8", {}, False),
        ("::1", {}, False),
        ("10.0.0.8", {"proxy": "p"}, True),
    ],
)
def test_a_public_name_that_answers_from_inside_is_not_read(
    address: str, meta: dict[str, str], read: bool
) -> None:
    crawler = SimpleNamespace(spider=SimpleNamespace(site=load_site("doktorsitesi")))
    request = Request("https://www.doktorsitesi.com/blog", meta=meta)
    response = HtmlResponse(request.url, ip_address=ipaddress.ip_address(address))
    gate = StayOnSite(crawler)
    gate.process_request(request)
    if read:
        assert gate.process_response(request, response) is response
    else:
        with pytest.raises(IgnoreRequest):
            gate.process_response(request, response)
