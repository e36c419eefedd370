"""Signed reports: list, read, compare, sign, amend, withdraw."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from tetkik.errors import Forbidden, InputError, TetkikError
from tetkik.integrations.outbox import queue_results
from tetkik.integrations.systems import systems_of
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.reports import reports, signing, versions, withdrawal
from tetkik.records.reports.reports import ListedReport, Wanted
from tetkik.records.reports.signing import PictureOf
from tetkik.records.reports.withdrawal_queries import Withdrawn
from tetkik.rules.readiness import Readiness
from tetkik.service.drafts.revisions import DraftRoute
from tetkik.service.drafts.shapes import DraftShape
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.access.passkeys import reauthenticate
from tetkik.service.kit.background.image_decoder import DecoderDep, ImageDecoder
from tetkik.service.kit.http.idempotency import IdempotentDep
from tetkik.service.kit.http.responses import (
    MATCHED,
    Cursor,
    Limit,
    Page,
    Revision,
    Since,
    Until,
    decode_cursor,
    download_headers,
    encode_cursor,
    is_phone,
    zoned,
)
from tetkik.service.reports import documents, shapes
from tetkik.service.reports.documents import KINDS, Format
from tetkik.values import Permission, ReportState
from tetkik.workflow.reports import hospital_of

document_router = APIRouter(prefix="/reports", tags=["documents"])

_SIGNED: dict[int | str, dict[str, object]] = {
    200: {"content": {"application/json": {}}, "description": "The bytes that the signature's digest is of."}
}
_CONTENT: dict[str, dict[str, object]] = {kind.media.partition(";")[0]: {} for kind in KINDS.values()}


@document_router.get("/{report_id}/versions/{number}/signed", response_class=Response, responses=_SIGNED)
def signed(
    ctx: Annotated[RequestContext, allowed(Permission.REPORT_ORIGINAL)],
    report_id: Annotated[str, Path(max_length=26, description="Of the report.")],
    number: Annotated[int, Path(ge=1, lt=2**31, description="Of the version, from 1.")],
) -> Response:
    """A version byte for byte as it was signed, whatever became of it; its digest stands in the header."""
    with ctx.write() as tx:
        found = versions.as_signed(tx, report_id, number)
    digest = base64.b64encode(bytes.fromhex(found.digest)).decode()
    name = f"report-{report_id}-v{number}.signed.json"
    headers = download_headers(name) | {"Repr-Digest": f"sha-256=:{digest}:"}  # RFC 9530
    return Response(found.content, headers=headers, media_type="application/json")


@document_router.get(
    "/{report_id}/versions/{number}/{form}",
    response_class=Response,
    responses={200: {"content": _CONTENT, "description": "The file; its name identifies nobody."}},
)
def document(
    ctx: Annotated[RequestContext, allowed(Permission.REPORT_READ)],
    report_id: Annotated[str, Path(max_length=26, description="Of the report.")],
    number: Annotated[int, Path(ge=1, lt=2**31, description="Of the version, from 1.")],
    form: Annotated[Format, Path(description="As what.")],
) -> Response:
    """A signed version as a file, made now and kept nowhere."""
    return documents.answer(ctx, report_id, number, form)


router = APIRouter(prefix="/reports", tags=["reports"], route_class=DraftRoute)
Reader = Annotated[RequestContext, allowed(Permission.REPORT_READ)]
Signer = Annotated[RequestContext, allowed(Permission.REPORT_SIGN)]
ReportId = Annotated[str, Path(max_length=26, description="Of the report.")]
Number = Annotated[int, Path(ge=1, lt=2**31, description="Of the version, from 1.")]


@router.get("")
def listed(
    ctx: Reader,
    department: Annotated[str | None, Query(max_length=60, description="Of the case.")] = None,
    state: Annotated[ReportState | None, Query(description="`final`, `amended` or `withdrawn`.")] = None,
    own: Annotated[bool, Query(description="Only those that you signed.")] = False,
    patient_id: Annotated[str | None, Query(max_length=26, description="Of one patient.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[shapes.ReportListed]:
    """Signed reports that you may see, the newest signature first."""
    wanted = Wanted(
        department=department,
        state=state,
        own=own,
        patient_id=patient_id,
        since=zoned(since),
        until=zoned(until),
    )
    with ctx.write() as tx:
        found = reports.list_reports(tx, wanted, limit=limit + 1, after=after_cursor(cursor))
        tx.audit(Action.CASES_LISTED, list="reports", count=min(len(found), limit))
    page = found[:limit]
    more = len(found) > limit
    return Page(
        items=[
            shapes.ReportListed.from_value(item, patient=item.person.name if item.person else None)
            for item in page
        ],
        next=cursor_of(page[-1]) if more else None,
    )


def cursor_of(last: ListedReport) -> str:
    """The cursor of whatever comes after the last report of a page."""
    return encode_cursor([last.signed_at.isoformat(), last.report_id])


def after_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    """Where a list goes on; None is its beginning."""
    if cursor is None:
        return None
    at, report_id = decode_cursor(cursor, [str, str])
    try:
        moment = datetime.fromisoformat(str(at))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InputError("The cursor is not one of this list; take `next` of the page before, as it is.")
    return moment, str(report_id)


@router.post("/verify")
def verify(ctx: Reader, sent: shapes.CodeSent) -> shapes.Verified:
    """Whether a verification code belongs to a signed report, and to its last version."""
    with ctx.read() as tx:
        found = reports.report_verified(tx, sent.code)
        if found is None:
            return shapes.Verified(known=False)
        report_id, number = found
        try:
            known = versions.versions_of(tx, report_id)
        except Forbidden:
            return shapes.Verified(known=True)
        (meant,) = (item for item in known if item.number == number)
        return shapes.Verified(
            known=True,
            is_last=meant.is_last,
            withdrawn=meant.withdrawn is not None,
            report_id=report_id,
            number=number,
        )


@router.get("/{report_id}")
def read(ctx: Reader, response: Response, report_id: ReportId) -> shapes.VersionShape:
    """The last signed version; its number is the ETag, for whoever withdraws it."""
    with ctx.write() as tx:
        found = versions.open_version(tx, report_id)
    response.headers["ETag"] = f'"{found.info.number}"'
    return shapes.VersionShape.whole(found, ctx.language)


@router.get("/{report_id}/versions")
def all_versions(ctx: Reader, report_id: ReportId) -> Page[shapes.VersionListed]:
    """Every signed version, the first first; there are few, so this is one page."""
    with ctx.read() as tx:
        return Page(
            items=[shapes.VersionListed.from_value(item) for item in versions.versions_of(tx, report_id)]
        )


@router.get("/{report_id}/versions/{number}")
def read_version(ctx: Reader, report_id: ReportId, number: Number) -> shapes.VersionShape:
    """One signed version, for ever as it was signed."""
    with ctx.write() as tx:
        return shapes.VersionShape.whole(versions.open_version(tx, report_id, number), ctx.language)


@router.get("/{report_id}/compare")
def compare(
    ctx: Reader,
    report_id: ReportId,
    before: Annotated[int, Query(alias="from", ge=1, lt=2**31, description="Number of a version.")],
    after: Annotated[int, Query(alias="to", ge=1, lt=2**31, description="Number of another one.")],
) -> shapes.Comparison:
    """Word by word, and measurement by measurement, what changed from one version to another."""
    with ctx.write() as tx:
        old = versions.open_version(tx, report_id, before)
        new = versions.open_version(tx, report_id, after)
    return shapes.Comparison.of(old, new, ctx.language)


@router.post("/{report_id}/sign", status_code=201, response_model=shapes.SignedShape)
def sign(
    ctx: Signer, decoder: DecoderDep, report_id: ReportId, sent: shapes.SignSent, once: IdempotentDep
) -> Response:
    """Sign the draft with the password or a passkey again; it never changes from then on.

    While something is to be decided the answer is 409, and `blocking` lists it as the draft does: findings
    that the report states and nobody judged, marks of a model's sentences, an image that names another
    person. It is not a qualified electronic signature. On the display of a phone it is 403 unless the
    setting `phone_signing` allows it; the trail then says that it was one.
    """
    small = sent.small_display or is_phone(ctx.request.headers)
    if small and not ctx.settings.phone_signing:
        raise Forbidden("Reports are not signed on the display of a phone here; sign at a workstation.")
    method = reauthenticate(ctx.request, ctx.actor, sent)
    proof = signing.Proof(ctx.actor.user_id or "", method, datetime.now(UTC), small_display=small)

    picture, readiness = prepared(ctx, decoder, report_id)

    def work(tx: Transaction) -> shapes.SignedShape:
        hospital = hospital_of(ctx.settings)
        signed = signing.sign(tx, report_id, sent.revision, proof, hospital, picture, readiness)
        queue_results(tx, systems_of(ctx.settings), report_id)
        return shapes.SignedShape.from_value(signed, report_id=report_id)

    return once.run(ctx.records, ctx.actor, work).response()


def prepared(
    ctx: RequestContext, decoder: ImageDecoder, report_id: str
) -> tuple[PictureOf, Readiness | None]:
    """The picture of the image, and what is not judged, before the transaction that signs.

    Nothing where the draft cannot be signed: the transaction says why.
    """
    try:
        with ctx.read() as tx:
            foreseen = signing.foresee(tx, report_id)
    except TetkikError:
        return decoder.report_picture, None
    readiness = Readiness.of(foreseen.state)
    if readiness.unjudged or foreseen.state.draft.open_marks:
        return decoder.report_picture, readiness
    return foreseen.drawn(decoder.report_picture), readiness


@router.post("/{report_id}/amendments", status_code=201, response_model=DraftShape)
def amend(ctx: Signer, report_id: ReportId, sent: shapes.AmendmentSent, once: IdempotentDep) -> Response:
    """Begin to amend a signed report; the signed version stays what is read until the next signature."""

    def work(tx: Transaction) -> DraftShape:
        return DraftShape.of(signing.begin_amendment(tx, report_id, sent.reason), ctx.language)

    return once.run(ctx.records, ctx.actor, work).response()


@router.delete("/{report_id}/amendments", status_code=204)
def give_up(ctx: Signer, report_id: ReportId, revision: Revision) -> None:
    """Give the amendment under way up; the signed version stays as it is."""
    with ctx.write() as tx:
        signing.drop_amendment(tx, report_id, revision)


@router.post("/{report_id}/withdraw", status_code=201, response_model=Withdrawn, responses=MATCHED)
def withdraw(
    ctx: Annotated[RequestContext, allowed(Permission.REPORT_WITHDRAW)],
    report_id: ReportId,
    sent: shapes.WithdrawalSent,
    once: IdempotentDep,
    revision: Revision,
) -> Response:
    """Withdraw a report that was issued in error, with the password or a passkey again.

    Its versions stay as they were signed, and stand no longer; the case is to be read again.
    """
    method = reauthenticate(ctx.request, ctx.actor, sent)
    proof = signing.Proof(ctx.actor.user_id or "", method, datetime.now(UTC))

    def work(tx: Transaction) -> Withdrawn:
        done = withdrawal.withdraw(tx, report_id, revision, sent.why, sent.words, proof)
        queue_results(tx, systems_of(ctx.settings), report_id)
        return done

    try:
        return once.run(ctx.records, ctx.actor, work).response()
    except withdrawal.AnotherVersion as error:
        raise HTTPException(412, error.template) from None
