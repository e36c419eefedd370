"""Signed reports for a silent trial: read a page at a time, each noted in the trail, nothing written back."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select

from tetkik.errors import RecordsError
from tetkik.language import Language
from tetkik.records.audit_chain import Action
from tetkik.records.database import Records, Transaction
from tetkik.records.images.images import StoredImage, list_study_images
from tetkik.records.reports.versions import version_of
from tetkik.records.reports.withdrawal_queries import standing
from tetkik.records.schema import Case, Patient, Report, ReportVersion
from tetkik.records.schema.base import within
from tetkik.values import SYSTEM, Section

_PAGE = 32
_DIGITS = 16
"""Hexadecimal digits of a pseudonym: 64 bits."""
_SECTIONS = (Section.FINDINGS, Section.IMPRESSION)


@dataclass(frozen=True, slots=True)
class SignedStudy:
    """A study with its signed report; patient and study are called by keyed pseudonyms."""

    study: str
    patient: str
    text: str = field(repr=False)
    language: Language
    signed_at: datetime
    model: str | None
    """Whose findings the radiologist was shown; None where no model had answered."""
    images: tuple[tuple[str, StoredImage], ...] = field(repr=False)
    """With the pseudonym of each."""


@dataclass(frozen=True, slots=True)
class SignedPage:
    studies: tuple[SignedStudy, ...]
    left_out: Counter[str]
    """Reports of restricted cases, of erased patients, altered ones, and studies without an image."""
    last: str
    """The id to go on after."""


def read_signed_page(
    records: Records,
    after: str,
    limits_sha256: str,
    since: datetime | None = None,
    until: datetime | None = None,
) -> SignedPage | None:
    """The next signed reports that stand; None after the last.

    Each is noted in the trail before it is handed on: what could not be noted was not read.
    """
    with records.write(SYSTEM) as tx:
        rows = tx.session.execute(
            select(Report, Case.restricted, Patient.key, ReportVersion.created_at)
            .join(Case, Case.id == Report.case_id)
            .join(Patient, Patient.id == Report.patient_id)
            .join(
                ReportVersion,
                (ReportVersion.report_id == Report.id) & (ReportVersion.number == Report.version),
            )
            .where(standing(), Report.id > after, *within(ReportVersion.created_at, since, until))
            .order_by(Report.id)
            .limit(_PAGE)
        ).all()
        if not rows:
            return None
        studies: list[SignedStudy] = []
        left_out: Counter[str] = Counter()
        for report, restricted, key, signed_at in rows:
            if restricted or key is None:
                left_out["restricted" if restricted else "erased"] += 1
                continue
            try:
                study = _study(tx, report, signed_at)
            except RecordsError:
                left_out["altered"] += 1
                continue
            if not study.images:
                left_out["without_image"] += 1
                continue
            tx.audit_about(Action.TRIAL_READ, report, images=len(study.images), limits_sha256=limits_sha256)
            studies.append(study)
        return SignedPage(tuple(studies), left_out, rows[-1][0].id)


def _study(tx: Transaction, report: Report, signed_at: datetime) -> SignedStudy:
    document = version_of(tx, report.id, pictures=False).document
    sentences = (item.text for part in _SECTIONS for item in document.draft.section(part))
    images = list_study_images(tx, report.study_id)
    return SignedStudy(
        study=_pseudonym(tx, "study", report.id),
        patient=_pseudonym(tx, "patient", report.patient_id),
        text="\n".join(sentences),
        language=document.draft.language,
        signed_at=signed_at,
        model=document.result.model if document.result is not None else None,
        images=tuple((_pseudonym(tx, "image", image.id), image) for image in images),
    )


def _pseudonym(tx: Transaction, what: str, row_id: str) -> str:
    return tx.vault.digest(f"trial {what}", row_id).hex()[:_DIGITS]
