"""Requests of S3 that obstore does not have: the versions of a file, and each one's end.

Signed by AWS Signature Version 4 (Authenticating Requests: Using the Authorization Header).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

from tetkik.records.storage.folder import NEVER

if TYPE_CHECKING:
    import httpx

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
