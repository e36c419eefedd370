"""A fresh draft while somebody waits: at once from the composer, piece by piece from a language model."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog
from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from tetkik import workflow
from tetkik.errors import TetkikError, UsageError
from tetkik.language import Language, Sentence
from tetkik.records.reports.redrafting import ground_of, rewrite
from tetkik.records.reports.working import EditConflict, WorkingDraft
from tetkik.report.llm import LanguageModel, open_model
from tetkik.service.api.draft_shapes import DraftShape, RedraftSent
from tetkik.service.house import House
from tetkik.service.http.problems import status_of
from tetkik.service.showing.rendering import language_of
from tetkik.values import Actor, Draft

_log = structlog.get_logger()
_ALIVE = 10
"""Seconds of silence after which a comment tells proxies that the stream lives."""


def fresh_draft(
    house: House,
    actor: Actor,
    report_id: str,
    revision: int,
    sent: RedraftSent,
    heard: Callable[[str], None] | None = None,
) -> Draft:
    """A draft from what is known of the image; nothing is kept yet, and no transaction waits for it.

    Raises:
        EditConflict: somebody else saved in between.
        Conflict: no model has looked at the image.
        UsageError: a language model was asked for and none is configured.
    """
    writer = _writer(sent)
    with house.records.write(actor) as tx:
        ground = ground_of(tx, report_id, revision)
    reported = workflow.report_findings(
        ground.result,
        ground.inputs,
        prior=ground.prior,
        language=sent.language,
        writer=writer,
        identity=ground.identity,
        heard=heard,
    )
    return reported.drafted.draft


def _writer(sent: RedraftSent) -> LanguageModel | None:
    if sent.writer == "composer":
        return None
    writer = open_model()
    if writer is None:
        raise UsageError("No language model is configured; an administrator can name one with llm_url.")
    return writer


@dataclass(frozen=True, slots=True)
class _Ended:
    """How the writing ended."""

    draft: WorkingDraft | None = None
    fault: Exception | None = None


def streamed(
    request: Request, house: House, actor: Actor, report_id: str, revision: int, sent: RedraftSent
) -> Response:
    """Server-sent events while the draft is written (HTML standard, section 9.2).

    What can be refused at once is refused with its own status, before the stream begins.
    """
    _writer(sent)
    with house.records.write(actor) as tx:
        ground_of(tx, report_id, revision)
    pieces: queue.SimpleQueue[str | _Ended] = queue.SimpleQueue()

    def write() -> None:
        try:
            draft = fresh_draft(house, actor, report_id, revision, sent, pieces.put)
            with house.records.write(actor) as tx:
                kept = rewrite(tx, report_id, revision, draft)
            pieces.put(_Ended(kept))
        # Whatever happens in the thread ends the stream with a word, and is not lost.
        except Exception as fault:
            pieces.put(_Ended(fault=fault))

    threading.Thread(target=write, daemon=True, name="redraft").start()
    return StreamingResponse(
        _events(pieces, language_of(request)),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def _events(pieces: queue.SimpleQueue[str | _Ended], language: Language) -> Iterator[str]:
    while True:
        try:
            piece = pieces.get(timeout=_ALIVE)
        except queue.Empty:
            yield ": still writing\n\n"
            continue
        if isinstance(piece, str):
            yield _event("text", json.dumps({"text": piece}, ensure_ascii=False))
            continue
        if piece.draft is not None:
            yield _event("done", DraftShape.of(piece.draft, language).model_dump_json())
        else:
            yield _event("fault", json.dumps(_told(piece.fault, language), ensure_ascii=False))
        return


def _event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n"


def _told(fault: Exception | None, language: Language) -> dict[str, object]:
    """A fault as the stream's last word; of an unexpected one the kind alone."""
    if not isinstance(fault, TetkikError):
        _log.error("unexpected", kind=type(fault).__name__, during="redraft")
        sentence = Sentence("Something failed here; it is in the log under this request's number.")
        return {"status": 500, "title": "Unexpected", "detail": sentence.in_language(language)}
    told: dict[str, object] = {
        "status": status_of(fault),
        "title": type(fault).__name__,
        "detail": fault.in_language(language),
    }
    if isinstance(fault, EditConflict):
        told["revision"] = fault.current.revision
    return told
