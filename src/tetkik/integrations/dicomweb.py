"""DICOMweb as a user (PS3.18): studies stored (STOW-RS), looked for (QIDO-RS) and fetched (WADO-RS)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from email.message import Message
from io import BytesIO
from uuid import uuid4

import httpx
from pydicom import Dataset, dcmread

from tetkik.errors import TetkikError
from tetkik.integrations.calling import (
    BUSY,
    LONGEST_CALL,
    Answer,
    CallOutcome,
    answer_of_fault,
    answer_of_store,
    http_client,
)
from tetkik.integrations.systems import Configuration, HospitalSystem
from tetkik.settings import Settings

LONGEST_ANSWER = 20_000_000
"""Bytes of an answer that is no image."""
_JSON = "application/dicom+json"
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{1,70}")
"""RFC 2046, section 5.1.1."""


class DicomwebError(TetkikError):
    """A server of DICOMweb does not answer, or what it answers is no answer."""


def stow(
    systems: Configuration, peer: HospitalSystem, objects: Sequence[bytes], settings: Settings
) -> Answer:
    """Store files (PS3.10); the answer is the server's status with that of the worst object.

    Stored is what the server names as stored, and nothing else: a proxy also answers 200.
    """
    boundary = uuid4().hex
    body = b"".join(
        f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode() + content + b"\r\n"
        for content in objects
    )
    kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
    try:
        with (
            http_client(systems, peer, peer.dicomweb or "", settings) as client,
            client.stream(
                "POST",
                "studies",
                content=body + f"--{boundary}--\r\n".encode(),
                headers={"Content-Type": kind, "Accept": _JSON},
            ) as response,
        ):
            content = _read(response, LONGEST_ANSWER)
    except (httpx.HTTPError, OSError, DicomwebError) as error:
        return answer_of_fault(error)
    wanted = {str(dcmread(BytesIO(one), specific_tags=["SOPInstanceUID"]).SOPInstanceUID) for one in objects}
    return _stored(response, content, wanted)


def find(
    systems: Configuration, peer: HospitalSystem, path: str, query: Mapping[str, str], settings: Settings
) -> tuple[Dataset, ...]:
    """What a server knows: `path` is `studies`, or below one `studies/{uid}/series`, `…/instances`.

    Raises:
        DicomwebError: it does not answer, or not as PS3.18 says.
    """
    with _asked(systems, peer, path, settings, query, _JSON) as response:
        content = _read(response, LONGEST_ANSWER)
        if response.status_code == httpx.codes.NO_CONTENT:
            return ()
    try:
        return tuple(Dataset.from_json(item) for item in json.loads(content))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise unreadable(peer) from None


def fetch(
    systems: Configuration, peer: HospitalSystem, path: str, longest: int, settings: Settings
) -> tuple[bytes, ...]:
    """The files (PS3.10) below `path`, in the syntax in which they are stored; `longest` bytes together.

    Raises:
        DicomwebError: it does not answer, has more, or not as PS3.18 says.
    """
    accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    with _asked(systems, peer, path, settings, {}, accept) as response:
        content = _read(response, longest)
        header = Message()
        header["Content-Type"] = response.headers.get("content-type", "")
    boundary = header.get_param("boundary")
    if header.get_content_type() != "multipart/related" or not _is_boundary(boundary):
        raise unreadable(peer)
    return tuple(_parts(content, str(boundary).encode(), peer))


@contextmanager
def _asked(
    systems: Configuration,
    peer: HospitalSystem,
    path: str,
    settings: Settings,
    query: Mapping[str, str],
    accept: str,
) -> Iterator[httpx.Response]:
    try:
        with (
            http_client(systems, peer, peer.dicomweb or "", settings) as client,
            client.stream("GET", path, params=query, headers={"Accept": accept}) as response,
        ):
            if not response.is_success:
                raise DicomwebError(
                    "{name} does not give what it was asked for by DICOMweb ({status}); look at its log.",
                    name=peer.name,
                    status=f"HTTP {response.status_code}",
                )
            yield response
    except (httpx.HTTPError, OSError) as error:
        raise DicomwebError(
            "{name} cannot be reached by DICOMweb ({status}); check its address and its certificate.",
            name=peer.name,
            status=type(error).__name__,
        ) from None


def _read(response: httpx.Response, longest: int) -> bytes:
    """The body; DicomwebError where it is longer, httpx.ReadTimeout where it comes too slowly."""
    content, until = bytearray(), time.monotonic() + LONGEST_CALL
    for part in response.iter_bytes():
        content += part
        if time.monotonic() > until:
            raise httpx.ReadTimeout("the answer comes too slowly", request=response.request)
        if len(content) > longest:
            raise DicomwebError(
                "{name} answered by DICOMweb with more than {longest} bytes; ask for less.",
                name=response.request.url.host,
                longest=longest,
            )
    return bytes(content)


def _stored(response: httpx.Response, content: bytes, wanted: Set[str]) -> Answer:
    """The store instances response (PS3.18, section 10.5.3): 200, 202 and 409 tell of each object."""
    status = f"HTTP {response.status_code}"
    code = response.status_code
    if code in (httpx.codes.OK, httpx.codes.ACCEPTED, httpx.codes.CONFLICT):
        worst = _worst(content, wanted, failed=code == httpx.codes.CONFLICT)
        return replace(worst, status=f"{status}, {worst.status}")
    if code in (408, 425, 429) or code >= 500:
        after = response.headers.get("retry-after", "")
        again = Answer.unavailable if code in BUSY else Answer.transient
        return again(status, float(after) if after.isdecimal() and len(after) < 6 else None)
    return Answer.permanent(status)


def _worst(content: bytes, wanted: Set[str], *, failed: bool) -> Answer:
    """The worst status of the objects: FailureReason (0008,1197), WarningReason (0008,1196)."""
    try:
        found = Dataset.from_json(json.loads(content))
        refused, kept = found.get("FailedSOPSequence", ()), found.get("ReferencedSOPSequence", ())
        reasons = [int(one.FailureReason) for one in (*refused, *found.get("OtherFailuresSequence", ()))]
        warned = [int(one.WarningReason) for one in kept if "WarningReason" in one]
        named = {str(one.get("ReferencedSOPInstanceUID", "")) for one in (*kept, *refused)}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Answer.permanent("not in DICOM JSON") if failed else Answer.transient("not in DICOM JSON")
    answers = [answer_of_store(status) for status in (*reasons, *warned)]
    order = (CallOutcome.PERMANENT, CallOutcome.TRANSIENT, CallOutcome.DONE)
    if not failed and not wanted <= named:
        answers.append(Answer.transient("not every object was named"))
    if answers:
        return min(answers, key=lambda one: order.index(one.outcome))
    return Answer.permanent("no reason given") if failed else Answer.done("0000H")


def _is_boundary(value: object) -> bool:
    return isinstance(value, str) and _BOUNDARY.fullmatch(value) is not None


def _parts(content: bytes, boundary: bytes, peer: HospitalSystem) -> Iterator[bytes]:
    """The bodies of a multipart message (RFC 2046), each without its headers."""
    pieces = (b"\r\n" + content).split(b"\r\n--" + boundary)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise unreadable(peer)
    for piece in pieces[1:-1]:
        _, gap, body = piece.partition(b"\r\n\r\n")
        if not gap:
            raise unreadable(peer)
        yield body


def unreadable(peer: HospitalSystem) -> DicomwebError:
    return DicomwebError(
        "What {name} answered by DICOMweb cannot be read; check that its address is that of DICOMweb.",
        name=peer.name,
    )
