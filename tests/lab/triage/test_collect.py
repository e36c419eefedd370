"""A crawl of a real server that misbehaves; each crawl is a process of its own, as the command is."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab.triage.site_descriptions import description as site_description
from tests.lab.triage.site_descriptions import write_description
from tests.patience import PATIENCE
from tetkik.errors import PermissionNeeded, UsageError
from tetkik.lab.triage.collect import Site, collect

_spec = importlib.util.spec_from_file_location(
    "misbehaving_site", Path(__file__).with_name("misbehaving_site.py")
)
assert _spec is not None and _spec.loader is not None
server = importlib.util.module_from_spec(_spec)
sys.modules["misbehaving_site"] = server
_spec.loader.exec_module(server)

POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and file modes of POSIX")


def description(**changes: Any) -> dict[str, Any]:
    """Every section of the misbehaving site, asked without a pause."""
    pace = {"delay": 0.0, "timeout": 4.0, "retries": 2, "retry_wait": 0.1, "max_bytes": 100_000}
    whole = {"questions": {"item": "article", "text": ".metin"}, "sections": dict(server.SECTIONS)}
    return site_description(**{"pace": pace, **whole, **changes})


OWN_PAGES: dict[str, Any] = {
    "next_page": "a.ileri",
    "questions": {"item": "article", "link": "a", "follow": True, "text": ".soru"},
    "sections": {section: server.SECTIONS[section] for section in ("goz", "kalp")},
}


@dataclass
class Run:
    """One run of the command, ended or under way."""

    process: subprocess.Popen[str]
    folder: Path
    out: str = ""
    err: str = ""

    def wait(self) -> Run:
        self.out, self.err = self.process.communicate(timeout=PATIENCE)
        return self

    @property
    def status(self) -> int:
        return self.process.returncode

    def rows(self) -> list[dict[str, Any]]:
        text = (self.folder / "complaints.jsonl").read_text("utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "summary.json").read_text("utf-8"))
        return found


def start(
    site: Any, folder: Path, *options: str, table: dict[str, Any] | None = None, prelude: str = ""
) -> Run:
    folder.mkdir(exist_ok=True)
    path = write_description(folder / "site.toml", table or description())
    program = f"{prelude}; from tetkik.cli import main; main()".removeprefix("; ")
    command = [sys.executable, "-c", program, "triage", "collect", str(path), "--base-url", site.url]
    command += ["--out", str(folder), "--contact", "deneme@example.org", *options]
    environment = {**os.environ, "TETKIK_LANGUAGE": "en", "COLUMNS": "200"}
    pipe = subprocess.PIPE
    return Run(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment), folder)


def run(
    site: Any, folder: Path, *options: str, table: dict[str, Any] | None = None, prelude: str = ""
) -> Run:
    return start(site, folder, "--i-have-permission", *options, table=table, prelude=prelude).wait()


def interrupted(site: Any, folder: Path, at: int, number: int, table: dict[str, Any]) -> Run:
    """A run that gets signal `number` while it waits for the answer to its request `at`."""
    site.forget()
    begun = threading.Event()

    def strike(count: int) -> None:
        if count == at and begun.wait(PATIENCE):
            under_way.process.send_signal(number)

    site.before = strike
    under_way = start(site, folder, "--i-have-permission", table=table)
    begun.set()
    under_way.wait()
    site.before = lambda count: None
    return under_way


# A whole crawl, once, and a second run in its folder after one page was mended.


@dataclass
class Crawl:
    site: Any
    first: Run
    rows: list[dict[str, Any]]
    summary: dict[str, Any]
    seen: list[str]
    times: list[float]
    seen_elsewhere: list[str]
    second: Run
    seen_again: list[str]


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crawl]:
    folder = tmp_path_factory.mktemp("crawl")
    with server.MisbehavingSite() as elsewhere, server.on_list_pages(elsewhere.url) as site:
        first = run(site, folder)
        rows, summary, seen, times = first.rows(), first.summary(), list(site.seen), list(site.times)
        site.forget()
        site.answers["/sorular/deri?sayfa=2"] = server.html(server.list_page("deri", 2))
        second = run(site, folder)
        yield Crawl(site, first, rows, summary, seen, times, list(elsewhere.seen), second, list(site.seen))


def texts(section: str, *pages: int) -> Counter[str]:
    return Counter(server.question(section, page, place) for page in pages for place in (1, 2, 3))


@pytest.mark.parametrize(
    ("section", "pages"),
    [
        pytest.param("goz", (1, 2, 3), id="counted up to an empty page"),
        pytest.param("kalp", (1, 2), id="slow, timed out, 500 and 429 before it answers"),
        pytest.param("deri", (1, 3), id="one page always 500: the pages after it are read"),
        pytest.param("cocuk", (1, 2, 3), id="Windows-1254 undeclared and misdeclared, broken HTML"),
        pytest.param("dongu", (1, 3), id="a redirect loop, and a 404 for the end"),
        pytest.param("dis", (1,), id="a redirect to another host, and a page too large"),
        pytest.param("gizli", (), id="forbidden by robots.txt"),
        pytest.param("tekrar", (1, 2), id="the last page again and again"),
        pytest.param("bos", (), id="no question at all"),
    ],
)
def test_every_section_gives_what_it_has(crawl: Crawl, section: str, pages: tuple[int, ...]) -> None:
    label = server.SECTIONS[section]
    assert Counter(row["text"] for row in crawl.rows if row["label"] == label) == texts(section, *pages)


def test_what_could_not_be_read_is_named_with_its_reason(crawl: Crawl) -> None:
    found = {(one["label"], one["page"]): one["reason"] for one in crawl.summary["failures"]}
    assert found == {
        ("Dermatoloji", 2): "HTTP 500",
        ("Nöroloji", 2): "redirected too often",
        ("Üroloji", 2): "redirected off the site",
        ("Üroloji", 3): "larger than the limit",
        ("Üroloji", 4): "larger than the limit",
        ("Psikiyatri", 1): "forbidden by robots.txt",
        ("Ortopedi", 1): "no question on the first page: do the selectors still fit?",
    }
    assert crawl.first.status == 1
    assert crawl.summary["ending"] == "complete"
    assert crawl.summary["rows"] == len(crawl.rows) == sum(crawl.summary["rows_per_label"].values())


def test_robots_is_read_once_and_obeyed(crawl: Crawl) -> None:
    assert crawl.seen[0] == "/robots.txt"
    assert crawl.seen.count("/robots.txt") == 1
    assert not [path for path in crawl.seen if "gizli" in path]


def test_another_host_is_never_asked(crawl: Crawl) -> None:
    assert crawl.seen_elsewhere == []


def test_no_page_is_asked_more_often_than_its_fault_needs(crawl: Crawl) -> None:
    visits = Counter(crawl.seen)
    assert visits["/sorular/deri?sayfa=2"] == 3  # once and two retries
    assert (
        visits["/sorular/dongu?sayfa=2"] + visits["/sorular/dongu?sayfa=2&r=1"] == 6
    )  # once and five redirects
    assert visits["/sorular/tekrar?sayfa=4"] == 1
    assert "/sorular/tekrar?sayfa=5" not in visits


def test_a_retry_waits_longer_each_time_and_as_long_as_it_is_told(crawl: Crawl) -> None:
    times = [
        time for path, time in zip(crawl.seen, crawl.times, strict=True) if path == "/sorular/deri?sayfa=2"
    ]
    assert times[1] - times[0] >= 0.09
    assert times[2] - times[1] >= 0.18
    times = [
        time for path, time in zip(crawl.seen, crawl.times, strict=True) if path == "/sorular/kalp?sayfa=2"
    ]
    assert times[2] - times[1] >= 0.9  # Retry-After: 1


def test_the_user_agent_says_whom_to_write_to(crawl: Crawl) -> None:
    assert len(crawl.site.agents) == 1
    agent = crawl.site.agents.pop()
    crawl.site.agents.add(agent)
    assert agent.startswith("Tetkik/") and "deneme@example.org" in agent


def test_a_row_says_where_and_when_it_was_found(crawl: Crawl) -> None:
    row = next(row for row in crawl.rows if row["text"] == server.question("goz", 2, 1))
    assert list(row) == ["text", "label", "url", "page", "collected", "id"]
    assert row["url"] == f"{crawl.site.url}/sorular/goz?sayfa=2"
    assert row["page"] == 2
    assert len(row["collected"]) == len("2026-01-31")


def test_sections_take_turns(crawl: Crawl) -> None:
    numbers = [int(path.split("sayfa=")[1][0]) for path in crawl.seen if "sayfa=" in path]
    assert numbers == sorted(numbers)


def test_no_word_of_a_patient_is_in_the_log_or_on_the_screen(crawl: Crawl) -> None:
    said = (crawl.first.folder / "crawl.log").read_text("utf-8") + crawl.first.out + crawl.first.err
    assert said
    assert not [row for row in crawl.rows if row["text"][:40] in said]
    assert "gündür" not in said
    assert "Traceback" not in said
    assert "list pages 1" in crawl.first.err


@POSIX
def test_the_questions_are_for_their_owner_alone(crawl: Crawl) -> None:
    assert (crawl.first.folder / "complaints.jsonl").stat().st_mode & 0o077 == 0


def test_a_second_run_asks_only_for_what_had_failed(crawl: Crawl) -> None:
    failed = {one["url"].removeprefix(crawl.site.url) for one in crawl.summary["failures"]}
    asked = set(crawl.seen_again) - {"/robots.txt", "/sorular/dongu?sayfa=2&r=1"}
    assert asked == failed - {"/sorular/gizli?sayfa=1"}
    after = crawl.second.rows()
    assert after[: len(crawl.rows)] == crawl.rows
    assert Counter(row["text"] for row in after[len(crawl.rows) :]) == texts("deri", 2)
    assert crawl.second.summary()["rows_added"] == 3


# Killed, stopped, limited.


@POSIX
def test_killed_at_any_moment_it_loses_and_repeats_nothing(tmp_path: Path) -> None:
    table = description(**OWN_PAGES)
    with server.with_own_pages() as site:
        site.answers["/soru/goz-2-2"] = site.answers["/soru/goz-2-2"](4)
        whole = run(site, tmp_path / "whole", table=table)
    folder = tmp_path / "killed"
    with server.with_own_pages() as site:
        for at in (3, 9):
            assert interrupted(site, folder, at, signal.SIGKILL, table).status == -signal.SIGKILL
            for name in ("complaints.jsonl", "ledger.jsonl"):
                with (folder / name).open("ab") as file:
                    file.write('{"text": "yarım kalmış bir satır, ş'.encode()[:-1])
        done = {
            entry["url"].removeprefix(site.url)
            for entry in map(json.loads, (folder / "ledger.jsonl").read_bytes().splitlines()[:-1])
            if entry.get("outcome") == "done"
        }
        site.forget()
        run(site, folder, table=table)
        seen = list(site.seen)
        killed = run(site, folder, table=table)  # one question answers only when it is asked again
    assert done
    assert not done & set(seen)

    def plain(rows: list[dict[str, Any]]) -> Counter[tuple[str, ...]]:
        return Counter((row["label"], row["text"], row["url"].rsplit("/", 1)[1]) for row in rows)

    assert plain(killed.rows()) == plain(whole.rows())
    assert max(plain(killed.rows()).values()) == 1
    assert len({row["id"] for row in killed.rows()}) == len(killed.rows()) == 15
    both = {row["label"] for row in killed.rows() if row["url"].endswith("/soru/goz-1-1")}
    assert both == {"Göz Hastalıkları", "Kardiyoloji"}
    assert [one["reason"] for one in killed.summary()["failures"]] == ["no text found on the page"]
    assert killed.summary()["skipped"] == 1  # a link to another host
    assert {row["text"] for row in killed.rows() if row["url"].endswith("goz-3-1")} == {
        server.question("goz", 3, 1) + " Teşekkürler."
    }


@POSIX
def test_ctrl_c_ends_cleanly_and_says_how_to_go_on(tmp_path: Path) -> None:
    # Stopped while it waits five minutes to ask for page 2 again.
    pace = {**description()["pace"], "retry_wait": 300.0}
    table = description(pace=pace, sections={"goz": "Göz Hastalıkları"})
    with server.MisbehavingSite() as elsewhere, server.on_list_pages(elsewhere.url) as site:
        fine = site.answers["/sorular/goz?sayfa=2"]
        site.answers["/sorular/goz?sayfa=2"] = lambda visit: fine if visit > 1 else server.Answer(b"", 503)
        stopped = interrupted(site, tmp_path, 3, signal.SIGINT, table)
        assert stopped.status == 130
        assert "run the same command again" in stopped.err
        assert "Traceback" not in stopped.err
        assert stopped.summary()["ending"] == "stopped"
        assert Counter(row["text"] for row in stopped.rows()) == texts("goz", 1)
        site.forget()
        rest = run(site, tmp_path, table=table)
    assert rest.status == 0
    assert Counter(row["text"] for row in rest.rows()) == texts("goz", 1, 2, 3)
    assert "/sorular/goz?sayfa=1" not in site.seen


def test_a_limit_ends_the_run_and_the_next_run_goes_on(tmp_path: Path) -> None:
    table = description(sections={"goz": "Göz Hastalıkları", "dis": "Üroloji"})
    with server.MisbehavingSite() as elsewhere, server.on_list_pages(elsewhere.url) as site:
        site.answers["/robots.txt"] = server.Answer(b"User-agent: tetkik\nCrawl-delay: 1\n")
        first = run(site, tmp_path, "--limit", "3", table=table)
        assert first.status == 0
        assert site.pages_seen() == ["/sorular/goz?sayfa=1", "/sorular/dis?sayfa=1", "/sorular/goz?sayfa=2"]
        # What robots.txt asks for is kept, though the description has no delay at all.
        assert site.times[-1] - site.times[1] >= 0.5
        assert first.summary()["ending"] == "limit"
        site.forget()
        run(site, tmp_path, "--limit", "1", table=table)
        assert site.pages_seen()[0] == "/sorular/dis?sayfa=2"


@pytest.mark.parametrize("answer", [500, None], ids=["an error", "another host"])
def test_without_a_readable_robots_nothing_is_asked(tmp_path: Path, answer: int | None) -> None:
    with server.MisbehavingSite() as elsewhere, server.on_list_pages(elsewhere.url) as site:
        away = server.Answer(status=302, headers={"Location": f"{elsewhere.url}/robots.txt"})
        site.answers["/robots.txt"] = server.Answer(b"", answer) if answer else away
        found = run(site, tmp_path, table=description(sections={"goz": "Göz Hastalıkları"}))
        assert site.pages_seen() == []
        assert elsewhere.seen == []
    assert found.status == 1
    assert found.summary()["failures"][0]["reason"].startswith("robots.txt could not be read: ")


def test_a_site_that_is_down_is_left_alone(tmp_path: Path) -> None:
    pace = {**description()["pace"], "retries": 0, "give_up_after": 2}
    with server.MisbehavingSite() as elsewhere, server.on_list_pages(elsewhere.url) as site:
        healthy = dict(site.answers)
        for path in site.answers:
            if path != "/robots.txt":
                site.answers[path] = server.Answer(b"", 503)
        table = description(pace=pace, sections={"goz": "Göz Hastalıkları", "deri": "Dermatoloji"})
        down = run(site, tmp_path, table=table)
        assert down.summary()["ending"] == "given up"
        assert site.pages_seen() == ["/sorular/goz?sayfa=1", "/sorular/deri?sayfa=1"]
        site.answers.update(healthy)
        run(site, tmp_path, table=table)
    assert Counter(row["text"] for row in down.rows()) == texts("goz", 1, 2, 3) + texts("deri", 1, 3)


@POSIX
def test_a_full_disk_is_one_sentence_and_leaves_whole_lines(tmp_path: Path) -> None:
    table = description(sections={"goz": "Göz Hastalıkları"})
    limited = "resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))"
    small = f"import resource, sys; sys.dont_write_bytecode = True; {limited}"
    with server.MisbehavingSite() as elsewhere, server.on_list_pages(elsewhere.url) as site:
        full = run(site, tmp_path, table=table, prelude=small)
        assert full.status == 1
        assert "complaints.jsonl" in full.err
        assert "Traceback" not in full.err
        assert len(full.rows()) == 3
        run(site, tmp_path, table=table)
    assert Counter(row["text"] for row in full.rows()) == texts("goz", 1, 2, 3)


# Permission and contact.


@pytest.mark.parametrize(("limit", "hours"), [(1800, "1.0"), (None, "5.6")])
def test_how_long_a_crawl_takes_is_said_before_it_begins(monkeypatch, limit, hours) -> None:
    said: list[str] = []
    collect_command = importlib.import_module("tetkik.cli.triage.collect")
    monkeypatch.setattr(collect_command, "note", lambda text, **values: said.append(text.format(**values)))
    pace = {"delay": 2.0}
    site = Site(**{**description(), "sections": {"a": "A", "b": "B"}, "max_pages": 5000, "pace": pace})
    collect_command._show_estimate(site, limit)
    assert f"one request in 2 s: {hours} hours" in said[0]


def test_without_permission_nothing_is_asked(tmp_path: Path) -> None:
    with server.MisbehavingSite() as site:
        refused = start(site, tmp_path).wait()
        assert site.seen == []
    assert refused.status == 2
    assert "KVKK" in refused.err and "--i-have-permission" in refused.err
    assert not (tmp_path / "complaints.jsonl").exists()
    with pytest.raises(PermissionNeeded):
        collect(Site(**description()), tmp_path / "o", contact="a@example.org", permission=False)


@pytest.mark.parametrize(
    "contact", ["", "Ayşe", "a@b", "ftp://example.org", "a@example.org\r\nX-Evil: 1", "a@example.org" * 20]
)
def test_a_contact_that_nobody_can_write_to_is_refused(tmp_path: Path, contact: str) -> None:
    with pytest.raises(UsageError, match="--contact"):
        collect(Site(**description()), tmp_path / "o", contact=contact, permission=True)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("package", ["scrapy", "cssselect"])
def test_without_scrapy_the_remedy_is_named(tmp_path: Path, package: str) -> None:
    hidden = (
        "import importlib.util as u, sys; find = u.find_spec; "
        f"u.find_spec = lambda name, *rest: None if name == {package!r} else find(name, *rest); "
        f"sys.modules[{package!r}] = None"
    )
    with server.MisbehavingSite() as site:
        refused = run(site, tmp_path, prelude=hidden)
    assert refused.status == 2
    assert "pip install '.[data]'" in refused.err
    assert "Traceback" not in refused.err
