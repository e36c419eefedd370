"""Signed reports: the list, the page that the ward reads, two versions side by side, the amendment."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from fastapi.responses import RedirectResponse, Response

from tetkik.documents.parts import about, cited, parts_of
from tetkik.documents.report_phrases import heading, heatmap_words, judged_words, patient_name
from tetkik.errors import Forbidden, TetkikError
from tetkik.language import Sentence
from tetkik.records.audit_chain import Action
from tetkik.records.reports import deliveries, qualified, reports, signing, versions
from tetkik.records.reports.comparison import compared, compared_measurements
from tetkik.records.reports.reports import Wanted
from tetkik.records.reports.versions import SignedVersion
from tetkik.service.drafts.view import measurement_lines
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.http.paging import Cursor
from tetkik.service.kit.rendering.navigation import NavigationEntry
from tetkik.service.reports import documents
from tetkik.service.reports.api import after_cursor, cursor_of
from tetkik.values import Permission, ReportState, Section, WithdrawalReason

router = APIRouter(prefix="/reports")
NAVIGATION = (
    NavigationEntry(
        "/reports", Permission.REPORT_READ, "report", Sentence("Reports"), "g o", position=50, start=3
    ),
)
Reader = Annotated[RequestContext, allowed(Permission.REPORT_READ)]
Signer = Annotated[RequestContext, allowed(Permission.REPORT_SIGN)]
_PAGE = 40
_LISTED = (ReportState.FINAL, ReportState.AMENDED, ReportState.WITHDRAWN)


@router.get("")
def listed(
    ctx: Reader,
    department: Annotated[str, Query(max_length=60)] = "",
    state: Annotated[str, Query(max_length=10)] = "",
    own: bool = False,
    day: Annotated[str, Query(max_length=10)] = "",
    cursor: Cursor = None,
) -> Response:
    """The signed reports that a person may see, the newest first; filters stand in the address."""
    since = _day(day)
    wanted = Wanted(
        department=department or None,
        state=ReportState(state) if state in _LISTED else None,
        own=own and ctx.actor.may(Permission.REPORT_SIGN),
        since=since,
        until=since + timedelta(days=1) if since else None,
    )
    with ctx.write() as tx:
        found = reports.list_reports(tx, wanted, limit=_PAGE + 1, after=after_cursor(cursor))
        departments = reports.departments(tx)
        tx.audit(Action.CASES_LISTED, list="reports", count=min(len(found), _PAGE))
    page = found[:_PAGE]
    chosen = {"department": department, "state": state, "own": "1" if own else "", "day": day}
    kept = {name: value for name, value in chosen.items() if value}
    older = urlencode(kept | {"cursor": cursor_of(page[-1])}) if len(found) > _PAGE else None
    newest = f"/reports?{urlencode(kept)}" if cursor is not None else None
    return ctx.render(
        "reports/list.html.jinja",
        reports=page,
        departments=departments,
        chosen=chosen,
        filtered=bool(kept),
        older=f"/reports?{older}" if older else None,
        newest=newest,
    )


def _day(text: str) -> datetime | None:
    """The beginning of a day in the time zone of the server; None for anything else."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    # Beyond, a zone could lead out of the calendar.
    return found.astimezone() if found.tzinfo is None and 1900 < found.year < 3000 else None


@router.get("/{report_id}")
def read(ctx: Reader, report_id: str) -> Response:
    return _reading(ctx, report_id, None)


@router.get("/{report_id}/versions/{number}")
def read_version(ctx: Reader, report_id: str, number: int) -> Response:
    return _reading(ctx, report_id, number)


@router.get("/{report_id}/versions/{number}/{form}")
def document(ctx: Reader, report_id: str, number: int, form: documents.Format) -> Response:
    return documents.answer(ctx, report_id, number, form)


@router.get("/{report_id}/document.pdf")
def last_pdf(ctx: Reader, report_id: str) -> Response:
    return documents.answer(ctx, report_id, None, documents.Format.PDF)


@router.get("/{report_id}/compare")
def compare(
    ctx: Reader,
    report_id: str,
    before: Annotated[int | None, Query(alias="from")] = None,
    after: Annotated[int | None, Query(alias="to")] = None,
) -> Response:
    language = ctx.language
    with ctx.write() as tx:
        known = versions.versions_of(tx, report_id)
        new = versions.open_version(tx, report_id, after)
        old = versions.open_version(tx, report_id, before or max(new.info.number - 1, 1))
    return ctx.render(
        "reports/compare.html.jinja",
        known=known,
        old=old,
        new=new,
        heading=lambda section: heading(section, language),
        sections=compared(old.document.draft, new.document.draft),
        measured=[
            (item.change, line)
            for item in compared_measurements(old.document.measurements, new.document.measurements)
            for line in measurement_lines([item.measurement], language, new.document.draft.language)
        ],
    )


@router.post("/{report_id}/amend")
def amend(ctx: Signer, report_id: str, reason: Annotated[str, Form()] = "") -> Response:
    try:
        with ctx.write() as tx:
            begun = signing.begin_amendment(tx, report_id, reason)
    except TetkikError as error:
        return _reading(ctx, report_id, None, error=error)
    return RedirectResponse(f"/read/{begun.case_id}?image={begun.image_id}", 303)


@router.post("/{report_id}/amend/drop")
def drop(ctx: Signer, report_id: str, revision: Annotated[int, Form()]) -> Response:
    with ctx.write() as tx:
        signing.drop_amendment(tx, report_id, revision)
    return RedirectResponse(f"/reports/{report_id}", 303)


def _certify_at(ctx: RequestContext, found: SignedVersion) -> str:
    """Where the agent of the reader's card listens, if this version can be signed with it; else empty."""
    own = found.signer_id == ctx.actor.user_id
    standing = found.info.is_last and found.document.withdrawal is None
    return ctx.settings.signature_agent if own and standing else ""


def _reading(
    ctx: RequestContext, report_id: str, number: int | None, error: TetkikError | None = None
) -> Response:
    try:
        with ctx.write() as tx:
            found = versions.open_version(tx, report_id, number)
            known = versions.versions_of(tx, report_id)
            under_way = signing.amendment_of(tx, report_id)
            certified = qualified.has_certificate(tx, found)
            given = deliveries.recipients_of(tx, report_id) if ctx.actor.may(Permission.REPORT_SIGN) else ()
    except Forbidden:
        # Another department's, or a restricted case: its own page asks for the reason.
        if not ctx.actor.may(Permission.BREAK_GLASS):
            raise
        with ctx.records.read() as tx:
            case_id = versions.case_of(tx, report_id)
        return RedirectResponse(f"/cases/{case_id}", 303)
    first = [Section.IMPRESSION, Section.FINDINGS, Section.RECOMMENDATION, Section.TECHNIQUE]
    parts = parts_of(found.document.content, ctx.language)
    return ctx.render(
        "reports/report.html.jinja",
        version=found,
        info=found.info,
        document=found.document,
        patient=patient_name(found.document.identity.patient_name),
        parts=sorted(parts, key=lambda part: [*first, part.name].index(part.name)),
        references=tuple(dict.fromkeys(passage.source for passage in cited(found.document))),
        facts=about(found.document, ctx.language),
        heat_words=heatmap_words(found.document),
        judged=judged_words(found.document),
        known=known,
        under_way=under_way,
        given=given,
        certified=certified,
        certify_at=_certify_at(ctx, found) if not certified else "",
        reasons=tuple(WithdrawalReason),
        error=error,
    )
