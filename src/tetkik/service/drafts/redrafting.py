"""A fresh draft while somebody waits: at once from the composer, piece by piece from a language model."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import structlog
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from tetkik import workflow
from tetkik.errors import Conflict, NotSignedIn, TetkikError, UsageError
from tetkik.language import Language, Sentence
from tetkik.records.database import Transaction
from tetkik.records.reports.drafts import Known, RedraftInput, redraft_input, rewrite
from tetkik.records.reports.edit_conflicts import EditConflict, WorkingDraft
from tetkik.records.worklist import claims
from tetkik.records.worklist.case_contents import is_actor_current
from tetkik.report.llm import LanguageModel, open_model
from tetkik.rules.editing import Rule
from tetkik.rules.judging import rewritten
from tetkik.service.drafts.revisions import assessed
from tetkik.service.drafts.shapes import DraftShape, RedraftSent
from tetkik.service.kit.access.authorization import RequestContext
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.service.kit.context import AppContext
from tetkik.service.kit.http.responses import event, event_stream
from tetkik.service.kit.rendering.templates import status_of
from tetkik.values import Actor, Draft
from tetkik.workflow.cancellable_model import Stoppable
from tetkik.workflow.reports import audit_sending, picture_for

_log = structlog.get_logger()
_CHECKS = 5.0
"""Seconds after which a stream at the latest sees that its session is over or locked."""


@dataclass(frozen=True, slots=True)
class FreshDraft:
    """A draft that is not kept yet; the work on it began at `begun`."""

    report_id: str
    revision: int
    begun: datetime
    draft: Draft

    @property
    def rule(self) -> Rule:
        """What it does to the draft at hand."""
        return partial(rewritten, self.draft)

    def keep(self, tx: Transaction, known: Known = ()) -> WorkingDraft:
        """Put it in the place of the draft at hand."""
        kept = rewrite(tx, self.report_id, self.revision, self.draft, known)
        reader = claims.reader_of_case(tx, kept.case_id)
        if reader is not None and reader.user_id != tx.actor.user_id and reader.since > self.begun:
            raise Conflict(
                "{name} took the case over meanwhile; the draft stands as it was.", name=reader.name
            )
        return kept


def fresh_draft(
    context: AppContext,
    actor: Actor,
    report_id: str,
    revision: int,
    sent: RedraftSent,
    decoder: ImageDecoder | None = None,
    writer: LanguageModel | None = None,
    on_text: Callable[[str], None] | None = None,
) -> FreshDraft:
    """A draft from what is known of the image; nothing is kept yet, and no transaction waits for it.

    Without a `decoder` a language model never gets the image.
    """
    writer = writer or writer_of(sent)
    with context.records.write(actor) as tx:
        ground, begun = redraft_input(tx, report_id, revision), tx.now
    shared, withheld = None, None
    if decoder is not None and writer is not None and writer.image_host is not None:
        shared, withheld = _shared(context, actor, ground, decoder, writer)
    reported = workflow.report_findings(
        ground.result,
        ground.inputs,
        context.settings,
        prior=ground.prior,
        language=sent.language,
        writer=writer,
        identity=ground.identity,
        on_text=on_text,
        shared=shared,
    )
    draft = reported.drafted.draft
    if withheld is not None:
        draft = replace(draft, notices=(*draft.notices, withheld))
    return FreshDraft(report_id, revision, begun, draft)


def _shared(
    context: AppContext, actor: Actor, ground: RedraftInput, decoder: ImageDecoder, writer: LanguageModel
) -> tuple[bytes | None, Sentence | None]:
    """What a model that may see the image gets of it, and why it gets none."""
    image = ground.image
    if image.removed_at is not None:
        return None, Sentence("The language model did not get the image: it was removed from the case.")
    if ground.frame is None:
        return None, Sentence(
            "The language model did not get the image: it is not known which frame the findings are of."
        )
    try:
        pixels = decoder.pixels(image, ground.frame)
    except TetkikError:
        return None, Sentence("The language model did not get the image: it cannot be read.")
    audit = partial(audit_sending, context.records, actor, image)
    return picture_for(writer, pixels, suitable=ground.result.suitable, before_sending=audit)


def writer_of(sent: RedraftSent) -> LanguageModel | None:
    """The chosen language model; None for the composer."""
    if sent.writer == "composer":
        return None
    writer = open_model()
    if writer is None:
        raise UsageError("No language model is configured; an administrator can name one with llm_url.")
    return writer


@dataclass(frozen=True, slots=True)
class _Ended:
    draft: WorkingDraft | None = None
    fault: Exception | None = None


_Step = str | int | _Ended
"""What a language model has just written, the number of a request to it, or the end."""


def streamed(
    ctx: RequestContext, decoder: ImageDecoder, report_id: str, revision: int, sent: RedraftSent
) -> Response:
    """Server-sent events while the draft is written (HTML standard, section 9.2).

    What can be refused at once is refused with its own status, before the stream begins. Whoever closes the
    stream stops the work.
    """
    model = writer_of(sent)
    with ctx.write() as tx:
        redraft_input(tx, report_id, revision)
    return event_stream(_events(ctx, (report_id, revision, sent, decoder), model, ctx.language))


async def _events(
    ctx: RequestContext,
    wanted: tuple[str, int, RedraftSent, ImageDecoder],
    model: LanguageModel | None,
    language: Language,
) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    steps: asyncio.Queue[_Step] = asyncio.Queue()

    def publish(step: _Step) -> None:
        with suppress(RuntimeError):  # that loop is closed: nobody waits there any more
            loop.call_soon_threadsafe(steps.put_nowait, step)

    def goes_on() -> bool:
        with ctx.read() as tx:
            return is_actor_current(tx)

    writer = None if model is None else Stoppable(model, publish)

    def write() -> None:
        try:
            fresh = fresh_draft(ctx.app, ctx.actor, *wanted, writer, publish)
            if writer is not None:
                writer.check()

            known = assessed(ctx, fresh.report_id, fresh.rule)
            with ctx.write() as tx:
                if not is_actor_current(tx):
                    raise NotSignedIn("The session is over; sign in again.")
                kept = fresh.keep(tx, known)
            publish(_Ended(kept))
        # Whatever happens in the thread ends the stream with a word, and is not lost.
        except Exception as fault:
            publish(_Ended(fault=fault))

    threading.Thread(target=write, daemon=True, name="redraft").start()
    checked = time.monotonic()
    try:
        while True:
            step = await _next(steps)
            if isinstance(step, _Ended) or time.monotonic() - checked >= _CHECKS:
                checked = time.monotonic()
                if not await run_in_threadpool(goes_on):
                    yield event("end")
                    return
            yield ": still writing\n\n" if step is None else _sse_of(step, language)
            if isinstance(step, _Ended):
                return
    finally:
        if writer is not None:
            writer.stop()


async def _next(steps: asyncio.Queue[_Step]) -> _Step | None:
    with suppress(TimeoutError):
        return await asyncio.wait_for(steps.get(), _CHECKS)
    return None


def _sse_of(step: _Step, language: Language) -> str:
    if isinstance(step, str):
        return event("text", text=step)
    if isinstance(step, int):
        return event("asked", **{"try": step})
    if step.draft is not None:
        return event("done", **DraftShape.of(step.draft, language).model_dump(mode="json"))
    return event("fault", **_fault(step.fault, language))


def _fault(fault: Exception | None, language: Language) -> dict[str, object]:
    """A fault as the stream's last word; of an unexpected one the kind alone."""
    if not isinstance(fault, TetkikError):
        _log.error("unexpected", kind=type(fault).__name__, during="redraft")
        sentence = Sentence("Something failed here; it is in the log under this request's number.")
        return {"status": 500, "title": "Unexpected", "detail": sentence.in_language(language)}
    problem: dict[str, object] = {
        "status": 412 if isinstance(fault, EditConflict) else status_of(fault),
        "title": type(fault).__name__,
        "detail": fault.in_language(language),
    }
    if isinstance(fault, EditConflict):
        problem["revision"] = fault.current.revision
    return problem
