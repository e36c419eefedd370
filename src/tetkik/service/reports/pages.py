"""Signed reports: the list, the page that the ward reads, two versions side by side, the amendment."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field, ValidationInfo, ValidatorFunctionWrapHandler, field_validator

from tetkik.documents.parts import about, cited, heading, heatmap_words, judged_words, parts_of, patient_name
from tetkik.errors import Forbidden, TetkikError
from tetkik.language import Sentence
from tetkik.records.audit_chain import Action
from tetkik.records.cases import patients
from tetkik.records.reports import deliveries, outbox, qualified, reports, signing, versions
from tetkik.records.reports.reports import Wanted
from tetkik.records.reports.versions import SignedVersion
from tetkik.records.worklist import case_contents, claims, critical_results
from tetkik.rules.comparison import compared, compared_measurements
from tetkik.service.drafts.view import measurement_lines
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.http.responses import Cursor, Date
from tetkik.service.kit.rendering.templates import NavigationEntry
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
_LONGEST = 120
"""Characters of what is looked for."""
_LISTED = (ReportState.FINAL, ReportState.AMENDED, ReportState.WITHDRAWN)


class Period(StrEnum):
    """When a report was signed."""

    WEEK = "week"
    MONTH = "month"
    LAST_MONTH = "last-month"
    DAYS = "days"
    """From a day to another."""


_PERIODS = {
    Period.WEEK: Sentence("Last 7 days"),
    Period.MONTH: Sentence("Last 30 days"),
    Period.LAST_MONTH: Sentence("Last month"),
    Period.DAYS: Sentence("Choose the days …"),
}


class ReportFilter(BaseModel):
    """Which reports; what an address has wrong is left out."""

    department: str = Field(default="", max_length=60)
    state: ReportState | None = None
    own: bool = False
    period: Period | None = None
    since: Date | None = None
    until: Date | None = None

    @field_validator("*", mode="wrap")
    @classmethod
    def _lenient(cls, value: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> object:
        try:
            return handler(value)
        except ValueError:
            return cls.model_fields[info.field_name or ""].default

    def days(self, today: date) -> tuple[date | None, date | None]:
        """The first and the last day of the period; None where it is open."""
        match self.period:
            case Period.WEEK | Period.MONTH:
                return today - timedelta(days=6 if self.period is Period.WEEK else 29), None
            case Period.LAST_MONTH:
                last = today.replace(day=1) - timedelta(days=1)
                return last.replace(day=1), last
            case Period.DAYS:
                return self.since, self.until
        return None, None

    def wanted(self, ctx: RequestContext, words: str = "") -> Wanted:
        first, last = self.days(datetime.now().astimezone().date())
        return Wanted(
            department=self.department or None,
            state=self.state if self.state in _LISTED else None,
            own=self.own and ctx.actor.may(Permission.REPORT_SIGN),
            since=_midnight(first) if first else None,
            until=_midnight(last, days=1) if last else None,
            words=words,
        )


class ReportSearch(ReportFilter):
    """The same with a patient; the words travel in the body of the request alone."""

    words: str = Field(default="", max_length=_LONGEST, repr=False)


@router.get("")
def listed(ctx: Reader, chosen: Annotated[ReportFilter, Query()], cursor: Cursor = None) -> Response:
    """The signed reports that a person may see, the newest first; filters stand in the address."""
    return _list(ctx, chosen, cursor=cursor)


@router.post("")
def find(ctx: Reader, chosen: Annotated[ReportSearch, Form()]) -> Response:
    """The same of a patient; without enough of a name of everybody."""
    words = " ".join(chosen.words.split())
    return _list(ctx, chosen, words if patients.is_searchable(words) else "")


def _list(
    ctx: RequestContext, chosen: ReportFilter, words: str = "", *, cursor: str | None = None
) -> Response:
    wanted = chosen.wanted(ctx, words)
    with ctx.write() as tx:
        found = reports.list_reports(tx, wanted, limit=_PAGE + 1, after=after_cursor(cursor))
        departments = reports.departments(tx)
        tx.audit(Action.CASES_LISTED, list="reports", count=min(len(found), _PAGE))
        ward = not ctx.actor.may(Permission.REPORT_SIGN)
        waiting = critical_results.list_results(tx, known=False) if ward else ()
        seq = case_contents.newest_sequence(tx)
    page = found[:_PAGE]
    kept = chosen.model_dump(mode="json", exclude_defaults=True, exclude={"words"})
    more = len(found) > _PAGE
    fragment = ctx.request.headers.get("hx-request") == "true"
    shown = ctx.render(
        f"reports/{'found' if fragment else 'list'}.html.jinja",
        reports=page,
        waiting=waiting,
        seq=seq,
        departments=[(name, name) for name in departments],
        chosen=chosen,
        words=words,
        periods=[(period, word.in_language(ctx.language)) for period, word in _PERIODS.items()],
        filtered=bool(kept or words),
        cut=_PAGE if more and words else None,
        older=f"/reports?{urlencode(kept | {'cursor': cursor_of(page[-1])})}" if more and not words else None,
        newest=f"/reports?{urlencode(kept)}" if cursor is not None else None,
    )
    if fragment:  # the filters without the patient, for whoever comes back to the list
        shown.headers["HX-Replace-Url"] = f"/reports?{urlencode(kept)}" if kept else "/reports"
    return shown


def _midnight(day: date, days: int = 0) -> datetime:
    """The beginning of a day, or of so many days after it, in the time zone of the server."""
    near = min(max(day, date(1990, 1, 1)), date(2200, 1, 1))  # beyond, a zone could lead out of the calendar
    return datetime.combine(near + timedelta(days=days), time.min).astimezone()


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
            if ctx.actor.may(Permission.CLAIM):
                claims.claim_to_read(tx, begun.case_id)
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
            sent = outbox.items_of_report(tx, report_id)
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
        sent=sent,
        certified=certified,
        certify_at=_certify_at(ctx, found) if not certified else "",
        reasons=tuple(WithdrawalReason),
        error=error,
    )
