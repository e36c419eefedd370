"""A zip of images, such as a patient's CD: every image in it is an upload of its own, with its own answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.access.body_limits import takes_files
from tetkik.service.kit.background.image_decoder import DecoderDep
from tetkik.service.kit.http import problems
from tetkik.service.kit.http.incoming_files import IncomingFile, reserve, spooled_file
from tetkik.service.studies.api import CaseId, Sure
from tetkik.service.studies.archive import MOST_ENTRIES, Archive, Member, Survey
from tetkik.service.studies.shapes import UploadShape
from tetkik.service.studies.upload import Upload
from tetkik.values import Permission

router = APIRouter(prefix="/images/archive", tags=["images"])
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


@router.post(
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
