"""Sealed files in a bucket of an object storage that speaks S3."""

from __future__ import annotations

import hashlib
import hmac
import io
import os
import re
import shutil
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, ClassVar, NamedTuple, cast
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

from tetkik.errors import MissingExtra, SettingError, Unavailable
from tetkik.language import Sentence
from tetkik.records.storage.folder import MARK, NEVER, YOUNG, NoAnswer, name_of, path_of
from tetkik.settings import Settings

if TYPE_CHECKING:
    import httpx
    from _typeshed import WriteableBuffer
    from obstore import GetOptions
    from obstore.store import ClientConfig, S3Store


# Requests of S3 that obstore does not have: the versions of a file, and each one's end.
#
# Signed by AWS Signature Version 4 (Authenticating Requests: Using the Authorization Header).


_SIGNED = "host;x-amz-content-sha256;x-amz-date"
_SECONDS = 10
_LARGEST = 4 << 20
"""Bytes of an answer; a page of 1,000 versions has a tenth of it."""
_ERROR = re.compile(rb"<Code>(\w{1,60})</Code>")
_NO_VERSIONS = {b"NotImplemented", b"MethodNotAllowed"}
_GONE = {b"NoSuchKey", b"NoSuchVersion"}


class _Version(NamedTuple):
    """One version or delete marker of an object; without versions the next one has the same id."""

    id: str
    tag: str
    written: float


class SignedRequests:
    """Requests to one bucket, named in the path."""

    def __init__(
        self, endpoint: str, bucket: str, region: str, key: str, secret: str, authorities: str | None
    ) -> None:
        self._endpoint, self._bucket, self._region = endpoint.rstrip("/"), bucket, region
        self._key, self._secret = key, secret
        self._trusted = ssl.create_default_context()
        if authorities:
            self._trusted.load_verify_locations(cadata=authorities)

    def delete_versions(self, key: str, before: float = NEVER) -> None:
        """Delete an object with every version and delete marker; `OSError` where that does not succeed.

        What is written meanwhile stays: of what a list shows first, each is deleted, and one written at
        `before` or later is not.
        """
        listed = self._listed(key)
        if listed is None:
            self._delete(key)
            _require(self.ask("HEAD", key)[0] == 404, 409, b"")
            return
        versions, more = listed
        going = {one for one in versions if one.written < before}
        for version in going:
            self._delete(key, version.id)
        left = self._listed(key) if going else listed
        if more or left is None or not going.isdisjoint(left[0]):
            raise OSError("status code: 409")

    def _delete(self, key: str, version: str | None = None) -> None:
        status, content = self.ask("DELETE", key, None if version is None else {"versionId": version})
        _require(status in {200, 204} or (status == 404 and _code(content) in _GONE), status, content)

    def _listed(self, key: str) -> tuple[set[_Version], bool] | None:
        """Versions and delete markers of one key, and whether there are more; None where none are kept."""
        status, content = self.ask("GET", query={"versions": "", "prefix": key})
        if status in {405, 501} or (status != 200 and _code(content) in _NO_VERSIONS):
            return None
        _require(status == 200, status, content)
        return _versions(content, key)

    def ask(
        self, method: str, key: str = "", query: dict[str, str] | None = None, content: bytes = b""
    ) -> tuple[int, bytes]:
        """One request; gives status and answer. `OSError` where there is none in time, or too long a one."""
        import httpx

        path = quote(f"/{self._bucket}/{key}".rstrip("/"), safe="/-_.~")
        words = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted((query or {}).items()))
        url = f"{self._endpoint}{path}" + (f"?{words}" if words else "")
        headers = self._signed(method, path, words, content)
        try:
            with (
                httpx.Client(verify=self._trusted, timeout=_SECONDS, trust_env=False) as client,
                client.stream(method, url, headers=headers, content=content) as answer,
            ):
                return answer.status_code, _bounded(answer)
        except httpx.HTTPError:
            raise OSError("no answer") from None

    def _signed(self, method: str, path: str, words: str, content: bytes) -> dict[str, str]:
        now, digest = datetime.now(UTC), hashlib.sha256(content).hexdigest()
        at, host = f"{now:%Y%m%dT%H%M%SZ}", urlsplit(self._endpoint).netloc
        request = f"{method}\n{path}\n{words}\nhost:{host}\nx-amz-content-sha256:{digest}\nx-amz-date:{at}\n"
        request = f"{request}\n{_SIGNED}\n{digest}"
        scope = f"{now:%Y%m%d}/{self._region}/s3/aws4_request"
        key = f"AWS4{self._secret}".encode()
        for word in scope.split("/"):
            key = hmac.digest(key, word.encode(), "sha256")
        signed = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        signature = hmac.new(key, signed.encode(), "sha256").hexdigest()
        given = f"Credential={self._key}/{scope}, SignedHeaders={_SIGNED}, Signature={signature}"
        return {
            "host": host,
            "x-amz-content-sha256": digest,
            "x-amz-date": at,
            "authorization": f"AWS4-HMAC-SHA256 {given}",
        }


def _bounded(answer: httpx.Response) -> bytes:
    content = b""
    for piece in answer.iter_bytes():
        content += piece
        if len(content) > _LARGEST:
            raise OSError("too long an answer")
    return content


def _require(done: bool, status: int, content: bytes) -> None:
    if not done:
        raise OSError(content[:2_000].decode(errors="replace") + f" status code: {status}")


def _code(content: bytes) -> bytes:
    found = _ERROR.search(content[:2_000])
    return found[1] if found else b""


def _versions(content: bytes, key: str) -> tuple[set[_Version], bool] | None:
    try:
        listed = ElementTree.fromstring(content)  # noqa: S314 - bounded, and expat refuses entities that grow
        kind = listed.tag.rpartition("}")[2]
        if kind == "ListBucketResult":  # who does not know `versions` lists the files
            return None
        _require(kind == "ListVersionsResult", 200, b"")
        rows = [*listed.iterfind("{*}Version"), *listed.iterfind("{*}DeleteMarker")]
        found = {_version(row) for row in rows if row.findtext("{*}Key") == key}
    except (ElementTree.ParseError, ValueError):
        raise OSError("status code: 200") from None
    return found, listed.findtext("{*}IsTruncated") == "true"


def _version(row: ElementTree.Element) -> _Version:
    written = datetime.fromisoformat(row.findtext("{*}LastModified", ""))
    return _Version(row.findtext("{*}VersionId", "null"), row.findtext("{*}ETag", ""), written.timestamp())


_PART = 8 << 20
"""Bytes of one request: what is longer is uploaded in parts, and read a range at a time."""
_AT_ONCE = 4
_NO_ANSWER = Sentence("no answer")
_LARGEST_S3 = 1 << 36
"""No file has more bytes: a storage that says so is not believed."""
_SECONDS_S3, _CONNECT_SECONDS, _RETRIES, _RETRY_SECONDS = 30, 3, 3, 20
_CODE, _STATUS = re.compile(r"<Code>(\w{1,60})</Code>"), re.compile(r"status code: (\d{3})")
_READ = re.compile(r"aws_|(http|https|all)_proxy$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where the bucket is, and who opens it."""

    endpoint: str
    """Such as `https://s3.hastane.local`; the bucket is named in the path."""
    name: str
    prefix: str
    """Before every path, without slashes at its ends; may be empty."""
    region: str
    key: str
    secret: str = field(repr=False)
    authorities: str | None = None
    """Certificates (PEM) that are trusted beside those of the system."""


class S3Storage:
    """Files in a bucket; what is long waits in `temporary`, sealed and without a name, until it is whole."""

    asks_first: ClassVar[bool] = False  # a request takes as long as a small file

    def __init__(self, bucket: Bucket, temporary: Path) -> None:
        self.bucket, self._temporary = bucket, temporary
        try:
            with _bare_environment():
                self._store = _opened(bucket)
            self._requests = SignedRequests(
                bucket.endpoint, bucket.name, bucket.region, bucket.key, bucket.secret, bucket.authorities
            )
        except (ValueError, ssl.SSLError):
            raise _no_certificate() from None

    @contextmanager
    def write(self, name: str) -> Iterator[IO[bytes]]:
        import obstore

        path = path_of(name)
        with SpooledTemporaryFile(_PART, dir=str(self._temporary)) as file:
            yield cast("IO[bytes]", file)
            size = file.tell()
            file.seek(0)
            with self._asked():
                # One request, or parts that become a file when they are joined; each is signed with its
                # SHA-256 (Signature Version 4), so that the storage takes nothing that was cut or altered.
                if size <= _PART:
                    obstore.put(self._store, path, file.read(), use_multipart=False)
                    return
                pieces = iter(partial(file.read, _PART), b"")
                obstore.put(self._store, path, pieces, chunk_size=_PART, max_concurrency=_AT_ONCE)
                stored = obstore.head(self._store, path)["size"]
        if stored != size:  # nothing is removed: an earlier version is perhaps a good one, that a row names
            raise self._unavailable(Sentence("another length than it says"))

    @contextmanager
    def read(self, name: str) -> Iterator[tuple[IO[bytes], int]]:
        pieces = self._pieces(path_of(name))
        size, first = next(pieces)
        rest = (piece for _, piece in pieces)
        with io.BufferedReader(_Pieces(chain((first,), rest)), 1 << 20) as file:
            yield file, size

    def _pieces(self, path: str) -> Iterator[tuple[int, bytes]]:
        """The size of a file, with each of its ranges."""
        import obstore

        begin, size = 0, _PART
        wanted: GetOptions = {}
        while begin < size:
            wanted["range"] = (begin, min(begin + _PART, size))
            try:
                with self._asked():
                    got = obstore.get(self._store, path, options=wanted)
                    content = bytes(got.bytes())
            except FileNotFoundError:
                if begin == 0:
                    raise
                raise self._unavailable(Sentence("another length than it says")) from None
            if begin == 0:
                size, tag = got.meta["size"], got.meta["e_tag"]
                if tag:  # no range of what was written meanwhile, sealed anew
                    wanted["if_match"] = tag
            if not content or size > _LARGEST_S3:
                raise self._unavailable(Sentence("another length than it says"))
            yield size, content
            begin += len(content)

    def modified(self, name: str) -> float | None:
        import obstore

        try:
            with self._asked():
                return obstore.head(self._store, path_of(name))["last_modified"].timestamp()
        except FileNotFoundError:
            return None

    def touch(self, name: str) -> bool:
        modified = self.modified(name)
        if modified is not None and modified < time.time() - YOUNG / 2:
            # S3 changes no time of a file; it is written again, which is rare.
            try:
                with self.read(name) as (file, _), self.write(name) as again:
                    shutil.copyfileobj(file, again)
            except FileNotFoundError:
                return False
        return modified is not None

    def remove(self, name: str, before: float = NEVER) -> None:
        path = path_of(name)
        with self._asked():
            self._requests.delete_versions(f"{self.bucket.prefix}/{path}".lstrip("/"), before)

    def names(self) -> Iterator[str]:
        import obstore

        last = ""
        with self._asked():
            for page in obstore.list(self._store):
                for found in page:
                    if found["path"] <= last:  # not in their order: it would perhaps never end
                        raise self._unavailable(Sentence("a list that is not in order"))
                    last = found["path"]
                    if name := name_of(last):
                        yield name

    def mark(self) -> str | None:
        import obstore

        try:
            with self._asked():
                return bytes(obstore.get(self._store, MARK).bytes()).decode(errors="replace")
        except FileNotFoundError:
            return None

    def set_mark(self, installation: str) -> None:
        import obstore

        with self._asked():
            obstore.put(self._store, MARK, installation.encode(), use_multipart=False)

    def check(self) -> None:
        """Ask for the first files; `Unavailable` where the bucket cannot be listed."""
        next(self.names(), None)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Faults of the storage as `Unavailable`; a file that is not there stays that."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError) as fault:
            code = _CODE.search(str(fault)) or _STATUS.search(str(fault))
            missing = isinstance(fault, FileNotFoundError) and (not code or code[1] in {"404", "NoSuchKey"})
            if missing or (code and code[1] == "InvalidRange"):  # of a file without a byte: none of ours
                raise FileNotFoundError from None
            raise self._unavailable(code[1] if code else _NO_ANSWER) from None

    def _unavailable(self, fault: str | Sentence) -> Unavailable:
        kind = NoAnswer if fault == _NO_ANSWER else Unavailable
        return kind(
            "The object storage {place} did not do what it was asked ({fault}); try again in a moment. If it "
            "stays so, see that it runs and has room, and run tetkik doctor.",
            place=f"{self.bucket.endpoint}/{self.bucket.name}",
            fault=fault,
        )


class _Pieces(io.RawIOBase):
    """Pieces of a file as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        self._rest = self._rest or memoryview(next(self._pieces, b""))
        length = min(len(view), len(self._rest))
        view[:length], self._rest = self._rest[:length], self._rest[length:]
        return length


def _opened(bucket: Bucket) -> S3Store:
    try:
        from obstore.store import S3Store
    except ModuleNotFoundError:
        raise MissingExtra("Object storage needs the package obstore; `{extra}`.", extra="s3") from None
    client: ClientConfig = {
        "allow_http": bucket.endpoint.startswith("http://"),
        "timeout": timedelta(seconds=_SECONDS_S3),
        "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
    }
    if bucket.authorities is not None:
        if "-----BEGIN" not in bucket.authorities:
            raise _no_certificate()
        client["root_certificate"] = bucket.authorities
    from obstore.exceptions import BaseError

    try:
        return S3Store(
            bucket.name,
            prefix=bucket.prefix or None,
            endpoint=bucket.endpoint,
            region=bucket.region,
            access_key_id=bucket.key,
            secret_access_key=bucket.secret,
            virtual_hosted_style_request=False,
            unsigned_payload=False,
            skip_signature=False,
            client_options=client,
            retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_SECONDS)},
        )
    except BaseError:
        raise _no_certificate() from None


@contextmanager
def _bare_environment() -> Iterator[None]:
    """Without what obstore would read there: another's credentials, options that weaken ours, a proxy."""
    taken = {name: os.environ.pop(name) for name in [*os.environ] if _READ.match(name)}
    try:
        yield
    finally:
        os.environ.update(taken)


def _no_certificate() -> SettingError:
    return SettingError("The file of the setting object_storage_ca holds no certificate; name one in PEM.")


# The object storage that the settings name.


def open_storage(settings: Settings) -> S3Storage | None:
    """The bucket that the settings name, without a request to it; None where files lie in `data_dir`."""
    if not settings.object_storage:
        return None
    key, secret, endpoint = (
        settings.object_storage_key,
        settings.object_storage_secret,
        settings.object_storage_endpoint,
    )
    if key is None or secret is None or not endpoint:
        raise SettingError(
            "The setting object_storage names a bucket, and object_storage_endpoint, object_storage_key or "
            "object_storage_secret is missing; give all of them."
        )
    name, _, prefix = settings.object_storage.removeprefix("s3://").rstrip("/").partition("/")
    bucket = Bucket(
        endpoint.rstrip("/"),
        name,
        prefix,
        settings.object_storage_region,
        key.get_secret_value(),
        secret.get_secret_value(),
        _authorities(settings.object_storage_ca),
    )
    return S3Storage(bucket, settings.data_dir.absolute() / "tmp")


def _authorities(file: Path | None) -> str | None:
    try:
        return file.read_text("utf-8") if file else None
    except (OSError, ValueError):
        raise SettingError(
            "The file {file} of the setting object_storage_ca cannot be read; correct its name or its "
            "permissions.",
            file=file,
        ) from None
