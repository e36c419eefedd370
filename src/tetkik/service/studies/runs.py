"""Runs: what models said of an image, once more with another model, and the work as it happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from tetkik.bundle.manifest import Task
from tetkik.bundle.store import available
from tetkik.errors import InputError
from tetkik.language import Language
from tetkik.records.audit_chain import Action
from tetkik.records.database import Records, Transaction
from tetkik.records.images import images, jobs, runs
from tetkik.records.images.jobs import JobKind
from tetkik.records.people.access import load_visible_case as see_case
from tetkik.records.worklist.case_contents import is_actor_current
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.access.rate_limits import hold_stream, rate_limits_of
from tetkik.service.kit.background.image_decoder import DecoderDep, ImageDecoder
from tetkik.service.kit.http.idempotency import IdempotentDep
from tetkik.service.kit.http.responses import event, event_stream
from tetkik.service.studies.images import FindingsShape, RunShape, WorkShape
from tetkik.values.access import Actor, Permission
from tetkik.values.states import JobState, Priority
from tetkik.workflow.image_processing import ProcessingStage

api = APIRouter(tags=["runs"])
Reader = Annotated[RequestContext, allowed(Permission.IMAGE_READ)]
Sender = Annotated[RequestContext, allowed(Permission.IMAGE_UPLOAD)]
ImageId = Annotated[str, Path(max_length=26, description="Of the image.")]
_LOOK_SECONDS = 1.0
_ALIVE_SECONDS = 15.0


class RunSent(BaseModel):
    """What is asked for."""

    model: str | None = Field(
        default=None,
        max_length=120,
        description="Id of an installed model of findings; None takes that of the settings.",
    )
    frame: int | None = Field(
        default=None, ge=1, le=2**31 - 1, description="Of several, counted from 1; None takes the middle one."
    )


@api.post("/images/{image_id}/runs", status_code=202, response_model=WorkShape)
def run_again(
    ctx: Sender, decoder: DecoderDep, image_id: ImageId, sent: RunSent, once: IdempotentDep
) -> Response:
    """Have the image read once more. A draft that a person has changed, and a signed report, stay."""
    findings = {one.manifest.id for one in available() if one.manifest.task is Task.FINDINGS}
    if sent.model is not None and sent.model not in findings:
        raise InputError("There is no such model of findings here; `GET /models` lists those there are.")

    def work(tx: Transaction) -> WorkShape:
        image = images.load_visible_image(tx, image_id)
        case = see_case(tx, image.case_id)
        jobs.add_job(tx, JobKind.READ_IMAGE, image, Priority(case.priority), sent.model, sent.frame)
        waits = jobs.newest_job(tx, image.id)
        assert waits is not None
        return WorkShape.of(waits, ctx.language)

    outcome = once.run(ctx.records, ctx.actor, work, status=202)
    decoder.work_available.set()
    return outcome.response()


@api.get("/images/{image_id}/runs")
def of_image(ctx: Reader, image_id: ImageId) -> list[RunShape]:
    """Every run over an image, newest first."""
    with ctx.read() as tx:
        images.load_visible_image(tx, image_id)
        return [RunShape.from_value(run) for run in runs.list_runs(tx, image_id)]


@api.get("/runs/{run_id}")
def one(ctx: Reader, run_id: Annotated[str, Path(max_length=26, description="Of the run.")]) -> FindingsShape:
    """One run with everything that it said. 404 where it failed."""
    with ctx.write() as tx:
        run = runs.load_run(tx, run_id)
        see_case(tx, run.case_id)
        shown = FindingsShape.of(run, runs.load_result(tx, run.id))
        whose = {"case_id": run.case_id, "patient_id": run.patient_id}
        tx.audit(Action.IMAGE_OPENED, **whose, object_id=run.image_id, what="run")
    return shown


@api.get(
    "/images/{image_id}/stream",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def stream(ctx: Reader, decoder: DecoderDep, image_id: ImageId) -> StreamingResponse:
    """The progress of the work on an image, as server-sent events, until it ends.

    `stage` tells how far it is, `text` what a language model has just written (to whoever may read drafts
    alone), `done` and `failed` the end; `end` says that the session is over or locked.
    """

    def may_see() -> None:
        with ctx.read() as tx:
            images.load_visible_image(tx, image_id)

    await run_in_threadpool(may_see)
    hold_stream(ctx.request, rate_limits_of(ctx.request).progress, ctx.user_id)
    words = ctx.actor.may(Permission.DRAFT_READ)
    progress = _progress(ctx.records, ctx.actor, decoder, image_id, ctx.language, words=words)
    return event_stream(progress)


async def _progress(
    records: Records, actor: Actor, decoder: ImageDecoder, image_id: str, language: Language, *, words: bool
) -> AsyncIterator[str]:
    """The work of this process is sent as it happens; of another's, that it goes on and that it is done."""
    silent, reached = 0.0, None
    now, over = await run_in_threadpool(_reached_state, records, actor, image_id, language)
    if over:
        yield now
        return
    async with aclosing(decoder.progress.follow(image_id, _LOOK_SECONDS)) as steps:
        async for step in steps:
            if step is not None and step.stage is not None:
                if step.text and words:
                    yield event("text", text=step.text)
                elif step.stage is not reached:
                    reached = step.stage
                    yield event("stage", stage=step.stage)
                continue
            reached = None if step is not None else reached  # another attempt begins anew
            now, over = await run_in_threadpool(_reached_state, records, actor, image_id, language)
            if over:
                yield now
                return
            if now and step is None and reached is None:
                reached = ProcessingStage.FINDING
                yield now
            silent += _LOOK_SECONDS
            if silent >= _ALIVE_SECONDS:
                silent = 0.0
                yield ": still waiting\n\n"


def _reached_state(records: Records, actor: Actor, image_id: str, language: Language) -> tuple[str, bool]:
    """The event of how far the records say that the work is, and whether it or the session is over."""
    with records.read(actor) as tx:
        if not is_actor_current(tx):
            return event("end"), True
        work = jobs.newest_job(tx, image_id)
    if work is None or work.state is JobState.DONE:
        return event("done"), True
    if work.state is JobState.FAILED:
        fault = work.fault.in_language(language) if work.fault is not None else None
        return event("failed", fault=fault), True
    return event("stage", stage=ProcessingStage.FINDING) if work.state is JobState.RUNNING else "", False
