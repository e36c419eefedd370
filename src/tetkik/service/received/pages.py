"""The list of received studies that wait, and one of them beside the order that may be its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from tetkik.errors import Conflict, InputError, TetkikError
from tetkik.language import Sentence
from tetkik.records.audit_chain import Action
from tetkik.records.cases import admission, patients
from tetkik.records.cases.identity_comparison import person_from_identity
from tetkik.records.database import Transaction
from tetkik.records.images import received_decisions, receiving, set_aside
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.rendering.navigation import NavigationEntry
from tetkik.service.received.comparison import offer, offer_patients, rows_of
from tetkik.values import Permission, ReceivedState, RemovalReason

router = APIRouter(prefix="/received")
NAVIGATION = (
    NavigationEntry(
        "/received", Permission.STUDY_ASSIGN, "compare", Sentence("Received studies"), "g e", position=25
    ),
)
Assigner = Annotated[RequestContext, allowed(Permission.STUDY_ASSIGN)]
REASONS = (
    *(RemovalReason.WRONG_PATIENT, RemovalReason.TEST, RemovalReason.DUPLICATE),
    *(RemovalReason.POOR_QUALITY, RemovalReason.OTHER),
)


@router.get("")
def listed(ctx: Assigner) -> HTMLResponse:
    """Those that wait for a decision, those with files set aside, those whose decision can be taken back."""
    with ctx.write() as tx:
        waiting = receiving.list_received(tx, (ReceivedState.DOUBTFUL,))
        decided = set_aside.list_decided(tx)
        lacking = set_aside.list_set_aside(tx)
        everything = (*waiting, *lacking, *decided)
        tx.audit(Action.STUDY_OPENED, listed=len(everything))
        names = {one.id: person_from_identity(one.content.identity).name for one in everything}
    return ctx.render(
        "received/list.html.jinja", waiting=waiting, lacking=lacking, decided=decided, names=names
    )


@router.get("/{received_id}")
def shown(ctx: Assigner, received_id: str, order: str = "", done: str = "") -> HTMLResponse:
    return _shown(ctx, received_id, order=order, done=done)


@router.post("/{received_id}/find")
def find(
    ctx: Assigner, received_id: str, words: Annotated[str, Form(max_length=400)] = "", order: str = ""
) -> HTMLResponse:
    return _shown(ctx, received_id, order=order, words=" ".join(words.split()))


@router.post("/{received_id}/accept")
def accept(
    ctx: Assigner,
    received_id: str,
    order_id: Annotated[str, Form(max_length=26)] = "",
    patient_id: Annotated[str, Form(max_length=26)] = "",
    new: Annotated[bool, Form()] = False,
) -> Response:
    """Say that it is this order's, this patient's, or that of somebody who is new here."""

    def decide(tx: Transaction) -> None:
        patient = patient_id
        if new:
            stated = receiving.load_received(tx, received_id).content.identity
            patient = admission.register_patient(tx, person_from_identity(stated))
        received_decisions.accept(tx, received_id, order_id=order_id or None, patient_id=patient or None)

    return _decided(ctx, received_id, decide, order_id)


@router.post("/{received_id}/reject")
def reject(ctx: Assigner, received_id: str, reason: Annotated[RemovalReason, Form()]) -> Response:
    return _decided(ctx, received_id, lambda tx: received_decisions.reject(tx, received_id, reason))


@router.post("/{received_id}/undo")
def undo(ctx: Assigner, received_id: str) -> Response:
    return _decided(ctx, received_id, lambda tx: received_decisions.undo(tx, received_id))


def _decided(
    ctx: RequestContext, received_id: str, decide: Callable[[Transaction], object], order: str = ""
) -> Response:
    try:
        with ctx.write() as tx:
            decide(tx)
    except (Conflict, InputError) as error:
        return _shown(ctx, received_id, order=order, error=error)
    return RedirectResponse(f"/received/{received_id}?done=1", 303)


def _shown(
    ctx: RequestContext,
    received_id: str,
    *,
    order: str = "",
    words: str | None = None,
    done: str = "",
    error: TetkikError | None = None,
) -> HTMLResponse:
    with ctx.write() as tx:
        study = receiving.load_received(tx, received_id)
        content = study.content
        chosen = order or study.order_id or next(iter(content.candidates), "")
        beside = offer(tx, chosen, content) if chosen else None
        others = [offer(tx, one, content) for one in content.candidates if one != chosen]
        searched = words is not None and patients.is_searchable(words)
        found = offer_patients(tx, words or "", content) if searched else ()
        about = beside.compared.patient_id if beside is not None else study.patient_id
        tx.audit(Action.STUDY_OPENED, patient_id=about, case_id=study.case_id, object_id=study.id)
        rejected = receiving.refused_files(tx, received_id)
    waits = study.state is ReceivedState.DOUBTFUL
    rejectable = waits or study.state is ReceivedState.FAILED
    ready = study.state in (ReceivedState.COMPLETE, ReceivedState.REJECTED) and study.decided_by is not None
    return ctx.render(
        "received/study.html.jinja",
        study=study,
        beside=beside,
        rows=tuple(rows_of(content, beside)),
        others=others,
        found=found,
        words=words,
        refused=rejected,
        waits=waits,
        rejectable=rejectable,
        undoable=ready and not study.imported,
        named=[person_from_identity(one) for one in content.others],
        may_be_new=bool(content.identity.patient_name) and not content.others,
        reasons=REASONS,
        done=bool(done),
        error=error,
    )
