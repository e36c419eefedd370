"""A bucket that is away, full, locked or lies: one sentence, nothing half kept, and nobody waits for long."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.ports import free_port
from tests.records.kit import made_sqlite
from tests.records.object_storage import KEY, REGION, SECRET
from tests.records.whole import made_whole
from tetkik.errors import SettingError, Unavailable
from tetkik.records.database import Records
from tetkik.records.lifecycle import retention
from tetkik.records.lifecycle.erasure import ErasureReason, erase
from tetkik.records.lifecycle.integrity import verify_stored
from tetkik.records.storage import s3
from tetkik.records.storage.s3 import Bucket, S3Storage, open_storage
from tetkik.settings import Settings

NAME = "ab" * 32
LARGE = (8 << 20) + 1
"""Bytes of a file that is uploaded in parts."""


def write(storage, content=b"sealed"):
    with storage.write(NAME) as file:
        file.write(content)


def read(storage):
    with storage.read(NAME) as (file, _):
        return file.read()


ACTS = (
    write,
    read,
    *(lambda one, name=name: getattr(one, name)(NAME) for name in ("modified", "touch", "remove")),
)
EVERY_ACT = (*ACTS, lambda one: list(one.names()), lambda one: one.check())


def all_refused(storage, acts=EVERY_ACT):
    faults = []
    for act in acts:
        with pytest.raises(Unavailable) as refused:
            act(storage)
        said = str(refused.value)
        assert said.endswith(".") and SECRET not in said and KEY not in said and "\n" not in said
        fault = refused.value.values["fault"]
        faults.append(getattr(fault, "template", fault))
    return faults


def test_a_storage_that_is_away_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(s3, "_RETRIES", 1)
    bucket = Bucket(f"http://127.0.0.1:{free_port()}", "tetkik", "", REGION, KEY, SECRET)
    assert set(all_refused(S3Storage(bucket, tmp_path))) == {"no answer"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "acts"),
    [
        ({"secret": "wrong"}, EVERY_ACT),
        ({"key": "NOBODY"}, EVERY_ACT),
        # HEAD of S3 has no body, and so does not tell a bucket that is missing from a file that is.
        ({"name": "no-such-bucket"}, (write, read, EVERY_ACT[4], *EVERY_ACT[5:])),
    ],
)
def test_a_refusal_is_one_sentence(object_storage, tmp_path, changes, acts):
    storage = S3Storage(replace(object_storage.bucket(), **changes), tmp_path)
    allowed = {"SignatureDoesNotMatch", "InvalidAccessKeyId", "NoSuchBucket", "403"}
    assert set(all_refused(storage, acts)) <= allowed


def test_a_storage_that_takes_connections_and_answers_none_is_left(object_storage, tmp_path, monkeypatch):
    monkeypatch.setattr(s3, "_SECONDS", 0.3)
    monkeypatch.setattr(s3, "_RETRIES", 1)
    monkeypatch.setattr("tetkik.records.storage.s3._SECONDS", 0.3)
    storage = S3Storage(object_storage.bucket(), tmp_path)
    with object_storage.stopped():
        assert set(all_refused(storage)) == {"no answer"}
    monkeypatch.undo()
    storage = S3Storage(object_storage.bucket(), tmp_path)
    write(storage)
    assert read(storage) == b"sealed"


@pytest.mark.parametrize("size", [5000, LARGE])
def test_a_full_bucket_keeps_nothing_of_a_file(object_storage, tmp_path, size):
    bucket = object_storage.bucket()
    storage = S3Storage(bucket, tmp_path)
    limit = ("--quota-scope=bucket", f"--bucket={bucket.name}", "--uid=tetkik")
    object_storage.admin("quota", "set", *limit, "--max-size=4096")
    object_storage.admin("quota", "enable", *limit)
    assert all_refused(storage, [lambda one: write(one, bytes(size))]) == ["QuotaExceeded"]
    assert storage.modified(NAME) is None and list(storage.names()) == []
    status, parts = object_storage.requests(bucket.name).ask("GET", query={"uploads": ""})
    assert status == 200 and b"<Upload>" not in parts, "no part waits to be joined"


def test_a_file_that_is_named_again_is_young_again(object_storage, tmp_path, monkeypatch):
    bucket = object_storage.bucket(versions=True)
    storage, requests = S3Storage(bucket, tmp_path), object_storage.requests(bucket.name)
    write(storage, content := bytes(LARGE))

    def versions():
        return requests.ask("GET", query={"versions": ""})[1].count(b"<Version>")

    assert storage.touch(NAME) and versions() == 1, "it is young"
    monkeypatch.setattr(s3, "YOUNG", -10)
    assert storage.touch(NAME) and versions() == 2, "written again"
    assert read(storage) == content


def test_a_file_that_is_written_again_while_it_is_read_gives_no_mixture(object_storage, tmp_path):
    storage = S3Storage(object_storage.bucket(), tmp_path)
    write(storage, bytes(LARGE))
    with pytest.raises(Unavailable, match="PreconditionFailed"), storage.read(NAME) as (file, _):
        assert file.read(10) == bytes(10)
        write(storage, bytes([1]) * LARGE)
        file.read()
    assert read(storage) == bytes([1]) * LARGE
    with pytest.raises(Unavailable, match="length"), storage.read(NAME) as (file, _):
        storage.remove(NAME)
        file.read()


def test_no_request_goes_out_without_trusting_the_certificate(object_storage, tmp_path, monkeypatch):
    monkeypatch.setattr(s3, "_RETRIES", 0)
    plain = object_storage.bucket()
    bucket = replace(plain, endpoint=object_storage.tls)
    trusted = replace(bucket, authorities=object_storage.certificates.ca.read_text())
    storage = S3Storage(trusted, tmp_path)
    write(storage)
    assert read(storage) == b"sealed" and storage.touch(NAME)
    assert set(all_refused(S3Storage(bucket, tmp_path))) == {"no answer"}
    storage.remove(NAME)
    assert storage.modified(NAME) is None


def test_what_is_erased_while_the_storage_is_away_goes_with_the_daily_sweep(
    object_storage, tmp_path, monkeypatch
):
    bucket = object_storage.bucket(versions=True)
    records = Records(made_sqlite(tmp_path / "tetkik.db"), tmp_path, storage=S3Storage(bucket, tmp_path))
    whole = made_whole(records)
    assert retention.remove_orphaned_files(records) == (0, 0, 0)
    monkeypatch.setattr(s3, "_RETRIES", 0)
    there = records.files.storage
    records.files.storage = S3Storage(replace(bucket, secret="wrong"), tmp_path)
    with records.read() as tx, pytest.raises(Unavailable):
        verify_stored(tx)  # that a file cannot be asked for says not that it is damaged
    assert erase(records, whole.patient_id, ErasureReason.COURT, years=0).complete
    done = retention.apply_retention(records, retention.RetentionTerms(20))
    assert (done.files, done.stuck) == (0, 1) and not retention.is_due(records), "the rest waits for nothing"
    records.files.storage = there
    left = len(list(there.names()))
    monkeypatch.setattr(retention, "YOUNG", -5)
    with monkeypatch.context() as locked:
        locked.setattr(S3Storage, "remove", _locked)
        assert retention.remove_orphaned_files(records) == (0, left, 0)
    assert left and retention.remove_orphaned_files(records) == (left, 0, 0)
    assert list(there.names()) == []
    records.close()


def _locked(self, name, before):
    """As Object Lock refuses."""
    raise Unavailable("The object storage {place} did not do what it was asked.", place="")


heads: list[dict[str, str]] = []


@contextmanager
def lying(answer):
    """A server that answers each request with head lines and body from `answer(method, path)`.

    `heads` gathers the lines that were sent to it.
    """
    heads.clear()

    class Liar(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            heads.append({name.lower(): value for name, value in self.headers.items()})
            self.rfile.read(int(self.headers.get("content-length") or 0))
            status, head, body = answer(self.command, self.path)
            self.send_response_only(status)
            for line in {"Content-Length": str(len(body)), "Connection": "close", **head}.items():
                self.send_header(*line)
            self.end_headers()
            self.wfile.write(body if self.command != "HEAD" else b"")
            self.close_connection = True

        do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield Bucket(f"http://127.0.0.1:{server.server_port}", "tetkik", "", REGION, KEY, SECRET)
    finally:
        server.shutdown()
        server.server_close()


WRITTEN = datetime(2026, 11, 23, 10, tzinfo=UTC).timestamp()


def versions_of(*ids):
    """A list of versions of the file."""
    rows = "".join(
        f"<Version><Key>ab/{NAME}</Key><VersionId>{one}</VersionId><ETag>{one}</ETag>"
        "<LastModified>2026-11-23T10:00:00.000Z</LastModified></Version>"
        for one in ids
    )
    return f"<ListVersionsResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>{rows}</ListVersionsResult>".encode()


HEAD = {"Last-Modified": "Mon, 23 Nov 2026 10:00:00 GMT", "ETag": '"x"'}
_LISTED = (
    "<Contents><Key>ab/{name}</Key><Size>1</Size><LastModified>2026-11-23T10:00:00.000Z</LastModified>"
    "<ETag>x</ETag></Contents>"
)
LIES = {
    "cut": (206, {**HEAD, "Content-Range": "bytes 0-99/100", "Content-Length": "100"}, b"x" * 40),
    "short": (206, {**HEAD, "Content-Range": "bytes 0-99/100"}, b"x" * 40),
    "nothing": (206, {**HEAD, "Content-Range": "bytes 0-99/100"}, b""),
    "other range": (206, {**HEAD, "Content-Range": "bytes 5-44/100"}, b"x" * 40),
    "huge": (206, {**HEAD, "Content-Range": f"bytes 0-{LARGE - 2}/{1 << 60}"}, b"x" * (LARGE - 1)),
    "negative": (206, {**HEAD, "Content-Range": "bytes 0-3/-1"}, b"xxxx"),
    "whole instead of a range": (200, HEAD, b"x" * (LARGE + 5)),
    "elsewhere": (307, {"Location": "http://127.0.0.1:9/"}, b""),
    "error": (500, {}, b"<Error><Code>" + b"A" * 100_000),
    "nonsense": (418, {}, b"\xff\x00"),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_is_not_a_file_is_noticed(tmp_path, monkeypatch, lie):
    monkeypatch.setattr(s3, "_RETRIES", 0)
    with lying(lambda *_: LIES[lie]) as bucket:
        all_refused(S3Storage(bucket, tmp_path), [read])


def test_a_size_that_no_file_has_is_not_believed(tmp_path):
    with lying(lambda *_: LIES["huge"]) as bucket:
        all_refused(S3Storage(bucket, tmp_path), [lambda one: one.read(NAME).__enter__()])


_ENDLESS = b"<x>" + b" " * (5 << 20) + b"</x>"
_EMPTY = b"<?xml version='1.0'?><x/>"


@pytest.mark.parametrize(
    ("act", "body"),
    [
        *((lambda one: write(one, bytes(LARGE)), body) for body in (b"", b"<a", _EMPTY, _ENDLESS)),
        *((lambda one: one.remove(NAME), body) for body in (b"", b"<a", _ENDLESS)),
    ],
)
def test_an_answer_that_is_no_list_is_noticed(tmp_path, monkeypatch, act, body):
    monkeypatch.setattr(s3, "_RETRIES", 0)
    with lying(lambda *_: (200, HEAD, body)) as bucket:
        all_refused(S3Storage(bucket, tmp_path), [act])


def test_versions_that_never_go_end_the_attempt(tmp_path):
    listed = versions_of("1")
    with lying(lambda method, _: (200, {}, listed) if method == "GET" else (204, {}, b"")) as bucket:
        assert all_refused(S3Storage(bucket, tmp_path), [lambda one: one.remove(NAME)]) == ["409"]


@pytest.mark.parametrize(
    "listing",
    [
        (501, {}, b"<Error><Code>NotImplemented</Code></Error>"),
        (400, {}, b"<Error><Code>NotImplemented</Code></Error>"),
        (200, {}, b"<ListBucketResult><Contents><Key>ab</Key></Contents></ListBucketResult>"),
    ],
)
def test_a_storage_without_versions_removes_a_file_all_the_same(tmp_path, listing):
    asked = []

    def answer(method, path):
        asked.append((method, path))
        return {"GET": listing, "DELETE": (204, {}, b""), "HEAD": (404, {}, b"")}[method]

    with lying(answer) as bucket:
        S3Storage(bucket, tmp_path).remove(NAME)
    assert asked[1:] == [("DELETE", f"/tetkik/ab/{NAME}"), ("HEAD", f"/tetkik/ab/{NAME}")]


@pytest.mark.parametrize("code", ["RequestTimeout", "ExpiredToken", "AuthorizationHeaderMalformed"])
def test_a_refused_list_of_versions_is_no_storage_without_versions(tmp_path, code):
    asked = []

    def answer(method, path):
        asked.append(method)
        return 400, {}, f"<Error><Code>{code}</Code></Error>".encode()

    with lying(answer) as bucket:
        assert all_refused(S3Storage(bucket, tmp_path), [lambda one: one.remove(NAME)]) == [code]
    assert asked == ["GET"], "a delete marker would hide the versions from every later sweep"


@pytest.mark.parametrize("status", [404, 200])
def test_a_file_that_does_not_go_is_told(tmp_path, status):
    """A proxy that knows no such page; a server that says yes and keeps it."""
    statuses = {"GET": 501, "DELETE": status, "HEAD": 200}
    with lying(lambda method, _: (statuses[method], {}, b"")) as bucket:
        all_refused(S3Storage(bucket, tmp_path), [lambda one: one.remove(NAME)])


def test_what_is_written_while_a_file_is_removed_stays(tmp_path):
    there, removed = {"1", "2"}, []

    def answer(method, path):
        if method == "GET":
            return 200, {}, versions_of(*sorted(there))
        removed.append(path.partition("versionId=")[2])
        there.discard(removed[-1])
        there.add("3")
        return 204, {}, b""

    with lying(answer) as bucket:
        storage = S3Storage(bucket, tmp_path)
        storage.remove(NAME)
        assert sorted(removed) == ["1", "2"] and there == {"3"}
        storage.remove(NAME, before=WRITTEN - 1)
        assert there == {"3"}, "the sweep takes what is old alone"


def test_a_wrong_length_removes_no_earlier_version(tmp_path):
    asked = []

    def answer(method, path):
        asked.append(method)
        if method == "POST":
            kind = "InitiateMultipartUploadResult" if "uploads" in path else "CompleteMultipartUploadResult"
            names = "<Bucket>tetkik</Bucket><Key>x</Key><UploadId>1</UploadId><ETag>x</ETag><Location/>"
            return 200, {}, f"<{kind}>{names}</{kind}>".encode()
        return 200, {**HEAD, **({"Content-Length": "7"} if method == "HEAD" else {})}, b""

    with lying(answer) as bucket:
        all_refused(S3Storage(bucket, tmp_path), [lambda one: write(one, bytes(LARGE))])
    assert asked[-1] == "HEAD", "no version is looked for to be deleted"


def test_the_environment_changes_no_request(tmp_path, monkeypatch):
    changed = {"AWS_SESSION_TOKEN": "sneaky", "AWS_UNSIGNED_PAYLOAD": "true", "AWS_SKIP_SIGNATURE": "true"}
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "ALL_PROXY"), f"http://127.0.0.1:{free_port()}")
    for name, value in {**changed, **proxies}.items():
        monkeypatch.setenv(name, value)
    with lying(lambda method, _: (200, HEAD, versions_of() if method == "GET" else b"")) as bucket:
        storage = S3Storage(bucket, tmp_path)
        write(storage)
        storage.remove(NAME)
    assert [len(one["x-amz-content-sha256"]) for one in heads] == [64, 64]
    assert all("x-amz-security-token" not in one and "authorization" in one for one in heads)
    assert os.environ["AWS_SESSION_TOKEN"] == "sneaky", "what else reads it finds it"


def test_a_list_that_turns_round_ends(tmp_path):
    rows = "".join(_LISTED.format(name=name) for name in ("ab" * 32, "ab" * 31 + "ac"))
    more = "<IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>"
    listed = f"<ListBucketResult>{more}{rows}</ListBucketResult>".encode()
    with lying(lambda *_: (200, {}, listed)) as bucket:
        storage = S3Storage(bucket, tmp_path)
        found = storage.names()
        assert [next(found), next(found)] == ["ab" * 32, "ab" * 31 + "ac"]
        with pytest.raises(Unavailable, match="order"):
            next(found)


def settings(folder, **changes):
    given = {"object_storage": "s3://tetkik/a/b", "object_storage_endpoint": "https://s3.hastane.local"}
    secrets = {"object_storage_key": KEY, "object_storage_secret": SECRET}
    return Settings(data_dir=folder, **{**given, **secrets, **changes})


def test_settings_name_a_bucket(tmp_path):
    assert open_storage(Settings(data_dir=tmp_path)) is None
    found = open_storage(settings(tmp_path))
    assert found is not None
    bucket = found.bucket
    assert (bucket.name, bucket.prefix, bucket.endpoint) == ("tetkik", "a/b", "https://s3.hastane.local")
    assert SECRET not in repr(bucket)


@pytest.mark.parametrize(
    "changes",
    [
        {"object_storage_key": None},
        {"object_storage_secret": None},
        {"object_storage_endpoint": ""},
        {"object_storage_ca": "missing.pem"},
        *({"object_storage_ca": f"{name}.pem"} for name in ("none", "empty", "broken", "other")),
    ],
)
def test_settings_that_open_no_bucket_are_told(tmp_path, monkeypatch, changes):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "none.pem").write_text("no certificate")
    (tmp_path / "empty.pem").write_text("")
    for name, kind in (("broken", "CERTIFICATE"), ("other", "PUBLIC KEY")):
        (tmp_path / f"{name}.pem").write_text(f"-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n")
    with pytest.raises(SettingError, match="object_storage"):
        open_storage(settings(tmp_path, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        *({"object_storage": name} for name in ("tetkik", "s3://T", "s3://a/../b c", "https://x/y")),
        {"object_storage_endpoint": "http://s3.hastane.local"},
        {"object_storage_endpoint": "https://u:p@s3.hastane.local"},
        {"object_storage_endpoint": "https://s3.hastane.local/x?y"},
    ],
)
def test_addresses_that_are_none_are_refused(tmp_path, changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        settings(tmp_path, **changes)
