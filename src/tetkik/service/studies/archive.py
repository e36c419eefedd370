"""A zip as it comes from a patient's CD: which of its entries are images, and the content of one at a time.

Nothing of it is written to a disk by a name that it gives, links are not followed, and zips inside it stay
closed. What an entry is, its first bytes say: files on a CD (PS3.10, PS3.12) have no endings.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Collection, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import PurePosixPath
from typing import IO, Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from tetkik.bundle.store import UNREADABLE, ZIP, is_bomb, is_folder, is_link
from tetkik.errors import InputError, TetkikError
from tetkik.imaging.limits import check_bytes
from tetkik.imaging.read import ImageKind, kind_of
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.access.middleware import takes_files
from tetkik.service.kit.background.image_decoder import DecoderDep
from tetkik.service.kit.http import problems
from tetkik.service.kit.http.incoming_files import (
    IncomingFile,
    Reservation,
    clean_file_name,
    reserve,
    spooled_file,
)
from tetkik.service.studies.images import UploadShape
from tetkik.service.studies.upload import CaseId, Sure, Upload
from tetkik.values.access import Permission

MOST_ENTRIES = 20_000
_HEAD = 1024
_PIECE = 1 << 20
_ENCRYPTED = 0x1 | 0x40
_LOCAL_HEADER = 30
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True, slots=True)
class Member:
    """An entry that is an image, or that cannot be looked into.

    Names may come twice, so it has its place in the archive, counted from 1. The name is shown and sealed,
    and never a path.
    """

    number: int
    name: str = field(repr=False)
    entry: zipfile.ZipInfo = field(repr=False)
    fault: TetkikError | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """What an archive holds: images and what cannot be looked into, in its order; others stay closed."""

    members: tuple[Member, ...]
    others: int
    archives: int


class Archive:
    def __init__(self, content: IO[bytes], name: str) -> None:
        self._name = name
        self._content = content
        try:
            self._zip = zipfile.ZipFile(content)
        except UNREADABLE:
            raise _unreadable(content, name) from None
        if len(self._zip.filelist) > MOST_ENTRIES:
            raise InputError(
                "{file} holds more than {limit} files; send it in parts.", file=name, limit=MOST_ENTRIES
            )

    def survey(self, most: int) -> Survey:
        """Look at the beginning of each entry; altogether its images may unpack to `most` bytes."""
        clashing = self._clashing()
        members: list[Member] = []
        pictures: list[Member] = []
        others, archives, programs = 0, 0, set[PurePosixPath]()
        for number, entry in enumerate(self._zip.filelist, 1):
            if is_folder(entry):
                continue
            member = Member(number, clean_file_name(entry.filename), entry)
            fault = _fault_of(entry, member.name, overlaps=number in clashing)
            kind = ImageKind.OTHER
            if fault is None and entry.file_size and not is_link(entry):
                try:
                    with self._zip.open(entry) as packed:
                        kind = kind_of(packed.read(_HEAD))
                except UNREADABLE:
                    fault = _damaged(member.name)
            if fault is not None:
                members.append(Member(number, member.name, entry, fault))
            elif kind is ImageKind.DICOM:
                members.append(member)
            elif kind is ImageKind.PICTURE:
                pictures.append(member)
            else:
                others += 1
                archives += kind is ImageKind.ARCHIVE
                if kind is ImageKind.PROGRAM:
                    programs.add(PurePosixPath(entry.filename).parent)
        own = [picture for picture in pictures if not _belongs_to(picture.entry, programs)]
        members = sorted([*members, *own], key=lambda member: member.number)
        self._check(members, most)
        return Survey(tuple(members), others + len(pictures) - len(own), archives)

    def _check(self, members: Collection[Member], most: int) -> None:
        if not members:
            raise InputError(
                "{file} holds no DICOM, PNG, JPEG or TIFF file; look into it, and send the images.",
                file=self._name,
            )
        if sum(member.entry.file_size for member in members if member.fault is None) > most:
            raise InputError(
                "{file} unpacks to more than {limit} bytes of images; send it in parts, or have the setting "
                "max_archive_bytes raised.",
                file=self._name,
                limit=most,
            )

    def _clashing(self) -> set[int]:
        """The numbers of entries that reach into the next one: so a small zip pretends to be a large one."""
        entries = self._zip.filelist
        placed = sorted(
            (entry.header_offset, number)
            for number, entry in enumerate(entries, 1)
            if self._begins_at(entry.header_offset)
        )
        return {
            number
            for (start, number), (following, _) in pairwise(placed)
            if start + _LOCAL_HEADER + entries[number - 1].compress_size > following
        }

    def _begins_at(self, offset: int) -> bool:
        """Whether an entry begins there; one that lies about it fails when it is opened."""
        self._content.seek(max(0, offset))
        return self._content.read(len(ZIP)) == ZIP

    def content(self, member: Member, load: Reservation) -> bytes:
        if member.fault is not None:
            raise member.fault
        check_bytes(member.entry.file_size, member.name)
        pieces: list[bytes] = []
        try:
            # What unpacks to more than its directory says is cut off there, and its checksum fails.
            with self._zip.open(member.entry) as packed:
                while piece := packed.read(_PIECE):
                    load.add(len(piece))
                    pieces.append(piece)
        except UNREADABLE:
            raise _damaged(member.name) from None
        if sum(map(len, pieces)) != member.entry.file_size:
            raise _damaged(member.name)
        return b"".join(pieces)


def _unreadable(content: IO[bytes], name: str) -> InputError:
    content.seek(0)
    if content.read(len(ZIP)) == ZIP:
        return InputError("{file} is a zip that is damaged or cut short; make or copy it again.", file=name)
    return InputError("{file} is no zip; send one, or each image by itself.", file=name)


def _fault_of(entry: zipfile.ZipInfo, name: str, *, overlaps: bool) -> InputError | None:
    """What forbids to open an entry, as far as the directory tells."""
    if entry.flag_bits & _ENCRYPTED:
        return InputError(
            "{file} is encrypted in its zip; unpack it with its password and send it.", file=name
        )
    if overlaps or is_bomb(entry):
        return InputError(
            "{file} is packed as in a decompression bomb and was not opened; leave it out.", file=name
        )
    if entry.compress_type not in _PACKINGS:
        return InputError(
            "{file} is packed in a way that is not read here; pack it as an ordinary zip (deflate).",
            file=name,
        )
    return None


def _damaged(name: str) -> InputError:
    return InputError("{file} is damaged in its zip; make or copy the zip again.", file=name)


def _belongs_to(entry: zipfile.ZipInfo, programs: Collection[PurePosixPath]) -> bool:
    """Whether a picture lies in the folder of a program, such as the viewer on a CD; all below the top."""
    above = PurePosixPath(entry.filename).parents
    return any(folder in programs and folder.parts for folder in above)


archive_api = APIRouter(prefix="/images/archive", tags=["images"])
Sender = Annotated[RequestContext, allowed(Permission.IMAGE_UPLOAD)]
_MOST_NAMED = 500
"""Files of a zip that one request names; an address has an end."""
_LINES = "application/x-ndjson"
_ZIP: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_BODY = {
    "requestBody": {
        "required": True,
        "description": "The zip itself. `X-File-Name` may name it.",
        "content": {"application/zip": _ZIP, "application/octet-stream": _ZIP},
    }
}


class ArchiveShape(BaseModel):
    """The first line of the answer: what the zip holds."""

    images: int = Field(description="Files that are images or cannot be looked into; each gets a line.")
    others: int = Field(description="Other files, which stay closed: a directory, a viewer, a leaflet.")
    archives: int = Field(description="How many of those are archives themselves.")

    @classmethod
    def of(cls, survey: Survey) -> ArchiveShape:
        return cls(images=len(survey.members), others=survey.others, archives=survey.archives)


class MemberShape(BaseModel):
    """A line of the answer: what became of one file of the zip."""

    number: int = Field(description="Its place in the zip, counted from 1; `only` takes it.")
    name: str = Field(repr=False, description="The last part of the name that it has there.")
    status: int = Field(description="What `POST /images` would have answered with.")
    answer: dict[str, Any] = Field(
        repr=False, description="What it would have answered: an upload (201), else a problem."
    )


@archive_api.post(
    "",
    response_class=StreamingResponse,
    openapi_extra=_BODY,
    responses={200: {"content": {_LINES: {"schema": {"type": "string"}}}}},
)
@takes_files
async def upload_archive(
    ctx: Sender,
    decoder: DecoderDep,
    case_id: CaseId = None,
    sure: Sure = False,
    only: Annotated[
        list[Annotated[int, Field(ge=1, le=MOST_ENTRIES)]] | None,
        Query(max_length=_MOST_NAMED, description="Numbers of files in the zip; none is all."),
    ] = None,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=80,
            pattern=r"^[\x21-\x7e]+$",
            description="The same key gives the same answers, and each image is made once.",
        ),
    ] = None,
) -> Response:
    """Upload a zip of images, such as a patient's CD. Each is kept or refused by itself.

    The answer is a line of JSON (`ArchiveShape`) about the content of the zip, and then one for each image
    (`MemberShape`) as soon as it is kept or refused. What was answered with 201 is kept, whatever happens
    next; sending the zip again doubles nothing.
    """
    async with AsyncExitStack() as stack:
        spool, name = await stack.enter_async_context(spooled_file(ctx.request, ctx.records.files.temporary))
        archive = await run_in_threadpool(Archive, spool, name or "zip")
        survey = await run_in_threadpool(archive.survey, ctx.settings.max_archive_bytes)

        def answered(member: Member) -> tuple[int, dict[str, Any]]:
            try:
                with reserve() as load:
                    file = IncomingFile(archive.content(member, load), member.name)
                    named = f"{idempotency_key}\n{member.number}".encode()
                    key = idempotency_key and hashlib.sha256(named).hexdigest()
                    upload = Upload(ctx.app, decoder, ctx.actor, file, case_id, sure=sure)
                    outcome = upload.run(ctx.request, key)
                return outcome.status, outcome.value(UploadShape).model_dump(mode="json")
            except Exception as fault:  # it costs this file alone; the others are still to be answered
                problem = problems.problem_of_fault(ctx.request, fault)
                return problem.status, problem.model_dump(exclude_none=True)

        def lines() -> Iterator[str]:
            yield _line(ArchiveShape.of(survey))
            for member in survey.members:
                if only is None or member.number in only:
                    status, answer = answered(member)
                    yield _line(
                        MemberShape(number=member.number, name=member.name, status=status, answer=answer)
                    )

        return _Lines(lines(), stack.pop_all())
    raise AssertionError  # no context here swallows a fault


class _Lines(StreamingResponse):
    """The answer, which lets the archive go when it is over, or when nobody listens any more."""

    def __init__(self, lines: Iterator[str], held: AsyncExitStack) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(lines, media_type=_LINES, headers=headers)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held:
            await super().__call__(scope, receive, send)


def _line(shape: BaseModel) -> str:
    return shape.model_dump_json() + "\n"
