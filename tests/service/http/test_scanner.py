"""The malware scanner: what it finds, and what it does not answer about, does not come in."""

from __future__ import annotations

import socket

import pytest

from tests.service.http.clamd import EICAR, clamd
from tetkik.errors import InputError, SettingError
from tetkik.service.http.scanner import ScannerSilent, scan
from tetkik.settings import settings


@pytest.mark.parametrize("unix", [False, True])
def test_clean_passes_whole_and_what_is_found_is_named(tmp_path, unix):
    content = bytes(range(256)) * 9000  # more than two pieces
    with clamd(tmp_path / "clamd.sock" if unix else None) as (scanner, scanned):
        scan(scanner, content, "a.dcm")
        scan(scanner, b"", "empty")
        with pytest.raises(InputError, match=r"found Eicar-Signature in b\.dcm; it was not kept"):
            scan(scanner, content + EICAR, "b.dcm")
    assert scanned == [content, b"", content + EICAR]


def silent_servers(tmp_path):
    """Where nobody answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{free.getsockname()[1]}"
    yield f"unix:{tmp_path / 'nothing'}"
    yield "no.such.host.invalid:3310"


def test_no_answer_lets_nothing_in(tmp_path):
    for scanner in silent_servers(tmp_path):
        with pytest.raises(ScannerSilent, match=r"no answer about a\.dcm, so it was not kept"):
            scan(scanner, b"x", "a.dcm")
    with clamd(longest=1_000_000) as (scanner, scanned), pytest.raises(ScannerSilent):
        scan(scanner, bytes(5_000_000), "a.dcm")
    assert scanned == []


@pytest.mark.parametrize("word", ["clamd", "host:", "unix:", "http://a:3310", "host:3310:x"])
def test_a_setting_that_names_no_scanner_is_refused(monkeypatch, word):
    monkeypatch.setenv("TETKIK_UPLOAD_SCANNER", word)
    settings.cache_clear()
    with pytest.raises(SettingError, match="upload_scanner"):
        settings()
    settings.cache_clear()
