"""A patient's records: who else may be the same person, two side by side, joined, and taken apart again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from tetkik.errors import Conflict, InputError, TetkikError
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Match
from tetkik.records.reports.slow_work import written
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.values import LinkReason, Permission, SplitReason
from tetkik.workflow import patient_comparison, patient_merge

router = APIRouter(prefix="/patients")

Merger = Annotated[RequestContext, allowed(Permission.PATIENTS_MERGE)]


@router.get("/{patient_id}")
def records(
    ctx: Merger, patient_id: str, joined: str | None = None, separated: str | None = None
) -> HTMLResponse:
    done = "joined" if joined is not None else "separated" if separated is not None else ""
    return _records(ctx, patient_id, done=done)


@router.post("/{patient_id}/find")
def find(ctx: Merger, patient_id: str, words: Annotated[str, Form(max_length=400)] = "") -> HTMLResponse:
    return _records(ctx, patient_id, words=words.strip())


def _records(
    ctx: RequestContext,
    patient_id: str,
    *,
    words: str | None = None,
    done: str = "",
    error: TetkikError | None = None,
) -> HTMLResponse:
    with ctx.write() as tx:
        held = patient_comparison.load_records(tx, patient_id)
        alike = patient_comparison.find_possible_duplicates(tx, patient_id)
        found: tuple[Match, ...] = ()
        if words and patients.is_searchable(words):
            found = tuple(match for match in patients.search(tx, words) if match.id != held[0].id)
    return ctx.render(
        "patients/records.html.jinja",
        records=held,
        alike=alike,
        found=found,
        words=words,
        most=patients.MOST_MATCHES,
        done=done,
        error=error,
        reasons=list(SplitReason),
    )


@router.get("/{patient_id}/with/{other_id}")
def compare(ctx: Merger, patient_id: str, other_id: str) -> HTMLResponse:
    return _compared(ctx, patient_id, other_id)


@router.post("/{patient_id}/with/{other_id}")
def join(
    ctx: Merger,
    patient_id: str,
    other_id: str,
    reason: Annotated[LinkReason, Form()],
    survivor: Annotated[str, Form(max_length=26)] = "",
    seen: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Let the one that was chosen stand for both, or show them again with what is wrong."""
    try:
        if survivor not in (patient_id, other_id):
            raise InputError("Nobody can tell which record stands for both; choose one of the two.")
        replaced = other_id if survivor == patient_id else patient_id
        written(ctx.write, lambda tx: patient_merge.link(tx, replaced, survivor, reason, seen))
    except (Conflict, InputError) as error:
        return _compared(ctx, patient_id, other_id, error=error, reason=reason)
    return RedirectResponse(f"/patients/{survivor}?joined", 303)


def _compared(
    ctx: RequestContext,
    patient_id: str,
    other_id: str,
    *,
    error: TetkikError | None = None,
    reason: LinkReason | None = None,
) -> HTMLResponse:
    try:
        with ctx.write() as tx:
            found = patient_comparison.compare_patients(tx, patient_id, other_id)
    except Conflict as already:
        return _records(ctx, patient_id, error=already)
    # One record that knows no number is likely of somebody who was unknown.
    unknown = any(not (side[0].person.tckn or side[0].person.number) for side in (found.one, found.other))
    likely = LinkReason.IDENTIFIED if unknown else LinkReason.REGISTERED_TWICE
    return ctx.render(
        "patients/compare.html.jinja",
        found=found,
        agreements={trait.value: agreement.value for trait, agreement in found.traits},
        reasons=list(LinkReason),
        reason=reason or likely,
        error=error,
    )


@router.post("/{patient_id}/separate")
def separate(ctx: Merger, patient_id: str, reason: Annotated[SplitReason, Form()]) -> Response:
    try:
        survivor = written(ctx.write, lambda tx: patient_merge.unlink(tx, patient_id, reason))
    except Conflict as error:
        return _records(ctx, patient_id, error=error)
    return RedirectResponse(f"/patients/{survivor}?separated", 303)
