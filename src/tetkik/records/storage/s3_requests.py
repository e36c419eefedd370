"""Requests of S3 that obstore does not have: the versions of a file, and each one's end.

Signed by AWS Signature Version 4 (Authenticating Requests: Using the Authorization Header).
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

if TYPE_CHECKING:
    import httpx

_SIGNED = "host;x-amz-content-sha256;x-amz-date"
_SECONDS = 10
_LARGEST = 4 << 20
"""Bytes of an answer; a page of 1,000 versions has a tenth of it."""
_ROUNDS = 20


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

    def delete_versions(self, key: str) -> None:
        """Delete an object with every version and delete marker; `OSError` where that does not succeed."""
        for _ in range(_ROUNDS):
            status, content = self.ask("GET", query={"versions": "", "prefix": key})
            if status in {400, 404, 405, 501} and b"NoSuchBucket" not in content:  # it keeps no versions
                status, content = self.ask("DELETE", key)
                _require(status in {200, 204, 404}, status, content)
                return
            _require(status == 200, status, content)
            versions = _versions(content, key)
            if not versions:
                return
            for version in versions:
                status, content = self.ask("DELETE", key, {"versionId": version})
                _require(status in {200, 204, 404}, status, content)
        raise OSError("status code: 409")

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
                httpx.Client(verify=self._trusted, timeout=_SECONDS) as client,
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


def _versions(content: bytes, key: str) -> list[str]:
    """Ids of the versions and delete markers of one key."""
    try:
        listed = ElementTree.fromstring(content)  # noqa: S314 - bounded, and expat refuses entities that grow
    except ElementTree.ParseError:
        raise OSError("status code: 200") from None
    rows = [*listed.iterfind("{*}Version"), *listed.iterfind("{*}DeleteMarker")]
    return [row.findtext("{*}VersionId", "null") for row in rows if row.findtext("{*}Key") == key]
