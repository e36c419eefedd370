"""Signed versions of reports: kept for ever, read back as they were signed, or not at all.

What is sealed is the whole document with everything that was decided on the way. Reading compares its digest
with the signature's, its verification code with the version's, and the signer with the signature's row: a
version that was altered is not shown as if it were the signed one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Select, select

from tetkik.errors import Forbidden, NotFound, RecordsError
from tetkik.records import serialization
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.ids import is_id
from tetkik.records.people import access
from tetkik.records.reports import withdrawal_queries
from tetkik.records.reports.deliveries import record_delivery
from tetkik.records.reports.edit_conflicts import number_of, row_of
from tetkik.records.reports.identity import said_name
from tetkik.records.reports.report_inputs import Picture, ReviewedFinding, checked_picture
from tetkik.records.reports.withdrawal_queries import Withdrawn
from tetkik.records.schema import Case, Report, ReportVersion, SignatureRow
from tetkik.records.serialization import digest_of
from tetkik.rules.draft_state import MarkDecision
from tetkik.values import Method, Permission, ReportDocument, Withdrawal


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is kept of a version."""

    document: ReportDocument
    """Signed; without its pictures, which lie in the file store."""
    pictures: tuple[Picture, ...] = ()
    decisions: tuple[MarkDecision, ...] = ()
    verdicts: tuple[ReviewedFinding, ...] = ()
    follows: str | None = None
    """Digest of the withdrawal that this version comes after; None after another version."""


@dataclass(frozen=True, slots=True)
class VersionInfo:
    id: str
    report_id: str
    number: int
    replaces: int | None
    """The number of the version that it amends; None for the first."""
    signed_at: datetime
    signed_by: str
    verification: str
    corrected: bool
    is_last: bool
    withdrawn: Withdrawn | None
    follows: Withdrawn | None
    """The withdrawal that it comes after; None of the first, and of an amendment."""


@dataclass(frozen=True, slots=True)
class SignedVersion:
    info: VersionInfo
    case_id: str
    patient_id: str
    image_id: str
    report_number: str
    document: ReportDocument = field(repr=False)
    """With its pictures, where they were asked for, and with its withdrawal."""
    pictures: frozenset[str]
    method: Method
    signer_id: str
    """Of the user who signed it."""
    reason: str | None = field(repr=False)
    decisions: tuple[MarkDecision, ...] = field(repr=False)
    verdicts: tuple[ReviewedFinding, ...]
    in_writing: bool
    """Whether a draft of the report is open: an amendment, or anew after a withdrawal."""
    by_glass: bool


@dataclass(frozen=True, slots=True)
class Original:
    """The bytes that were signed."""

    content: bytes = field(repr=False)
    digest: str
    """SHA-256 of it, hexadecimal, as the signature has it."""


def versions_of(tx: Transaction, report_id: str) -> tuple[VersionInfo, ...]:
    """The signed versions of a report, the first first; none as long as it is a draft."""
    row = row_of(tx, report_id)
    found = tx.session.execute(_signed(report_id).order_by(ReportVersion.number)).all()
    numbers = {version.id: version.number for version, _ in found}
    back = withdrawal_queries.of_report(tx, report_id)
    return tuple(_info(row, version, signature, numbers, back) for version, signature in found)


def version_of(
    tx: Transaction,
    report_id: str,
    number: int | None = None,
    *,
    pictures: bool = True,
    by: Permission = Permission.REPORT_READ,
) -> SignedVersion:
    """A version as it was signed; None is the last one. `Forbidden` without the permission, whoever asks."""
    access.require(tx, by)
    row = row_of(tx, report_id)
    version, signature = signed_rows(tx, report_id, number or row.version)
    sealed = _unsealed(tx, version, signature)
    back = withdrawal_queries.of_report(tx, report_id)
    withdrawal = _withdrawal(tx, version, back)
    if withdrawal is not None and (hospital := sealed.document.hospital).time_zone:
        at = hospital.local(withdrawal.signature.signed_at)
        withdrawal = replace(withdrawal, signature=replace(withdrawal.signature, signed_at=at))
    document = replace(sealed.document, withdrawal=withdrawal)
    if pictures:
        parts = {item.what: checked_picture(tx, version.patient_id, item) for item in sealed.pictures}
        keys = tuple(parts[item.what] for item in sealed.pictures if item.what.startswith("key-"))
        document = replace(
            document, image=parts.get("image"), heatmap=parts.get("heatmap"), key_pictures=keys
        )
    return row.to_value(
        SignedVersion,
        info=_info(row, version, signature, _numbers(tx, version), back),
        report_number=number_of(tx, row),
        document=document,
        pictures=frozenset(item.what for item in sealed.pictures),
        method=signature.method,
        signer_id=signature.user_id,
        reason=tx.open_text(version, "reason") or None,
        decisions=sealed.decisions,
        verdicts=sealed.verdicts,
        in_writing=row.draft is not None,
        by_glass=access.decide_access(tx, tx.session.get_one(Case, row.case_id)).by_glass,
    )


def open_version(tx: Transaction, report_id: str, number: int | None = None) -> SignedVersion:
    """`version_of` without the pictures, with an entry in the audit trail that the actor read it."""
    found = version_of(tx, report_id, number, pictures=False)
    tx.audit(
        Action.REPORT_OPENED,
        case_id=found.case_id,
        patient_id=found.patient_id,
        object_id=report_id,
        version=found.info.number,
        by_glass=found.by_glass,
    )
    return found


def as_signed(tx: Transaction, report_id: str, number: int) -> Original:
    """The bytes of a version as they were signed, with an entry in the audit trail that the actor has them.

    An auditor has them of every case, for whoever verifies a signature needs what was signed.
    """
    needed = Permission.REPORT_ORIGINAL
    if not tx.actor.may(needed):
        raise Forbidden("Your role does not allow this ({permission}).", permission=needed)
    if not (tx.actor.may(Permission.AUDIT_READ) and is_id(report_id)):
        row_of(tx, report_id)
    version, signature = signed_rows(tx, report_id, number)
    content = _content(tx, version, signature)
    row = tx.session.get_one(Report, report_id)
    tx.audit_about(Action.DOCUMENT_EXPORTED, row, format="signed", version=number)
    record_delivery(tx, report_id, number, "signed")
    return Original(content, signature.digest)


def is_whole(tx: Transaction, version: ReportVersion, signature: SignatureRow) -> bool:
    """Whether a version reads back as it was signed; for the verification of everything that is kept."""
    try:
        _unsealed(tx, version, signature)
    except RecordsError:
        return False
    return True


def signed_rows(tx: Transaction, report_id: str, number: int) -> tuple[ReportVersion, SignatureRow]:
    """A signed version and its signature."""
    found = tx.session.execute(_signed(report_id).where(ReportVersion.number == number)).one_or_none()
    if found is None:
        raise NotFound("This report has no such signed version; look at the list of its versions.")
    return found[0], found[1]


def _signed(report_id: str) -> Select[ReportVersion, SignatureRow]:
    return (
        select(ReportVersion, SignatureRow)
        .join(SignatureRow, SignatureRow.version_id == ReportVersion.id)
        .where(ReportVersion.report_id == report_id)
    )


def _withdrawal(tx: Transaction, version: ReportVersion, back: tuple[Withdrawn, ...]) -> Withdrawal | None:
    """The withdrawal of this version, with its words; None where it stands."""
    taken = withdrawal_queries.of_version(back, version.number)
    if taken is None:
        return None
    last, _ = signed_rows(tx, version.report_id, taken.number)
    statement = withdrawal_queries.statement_of(tx, last.id)
    assert statement is not None
    return statement.withdrawal


def _content(tx: Transaction, version: ReportVersion, signature: SignatureRow) -> bytes:
    content = tx.open_column(version, "document") or b""
    if digest_of(content) != signature.digest:
        raise _altered()
    return content


def _unsealed(tx: Transaction, version: ReportVersion, signature: SignatureRow) -> Sealed:
    sealed = serialization.from_bytes(Sealed, _content(tx, version, signature))
    document = sealed.document
    signed = document.signature
    identity = (document.verification, document.id, document.version)
    if signed is None or identity != (version.verification, version.report_id, version.number):
        raise _altered()
    signer = (signed.name, signed.title, signed.registration, signed.signed_at)
    if signer != (signature.name, signature.title, signature.registration, signature.signed_at):
        raise _altered()
    before = withdrawal_queries.digest_after(tx, version.replaces) if version.replaces is not None else None
    if sealed.follows != before:
        raise _altered()
    return sealed


def _altered() -> RecordsError:
    return RecordsError(
        "What is stored of this signed report is not what was signed: it was altered; restore it from a "
        "backup, and run tetkik audit verify."
    )


def _numbers(tx: Transaction, version: ReportVersion) -> dict[str, int]:
    if version.replaces is None:
        return {}
    return {version.replaces: tx.session.get_one(ReportVersion, version.replaces).number}


def _info(
    row: Report,
    version: ReportVersion,
    signature: SignatureRow,
    numbers: dict[str, int],
    back: tuple[Withdrawn, ...],
) -> VersionInfo:
    return version.to_value(
        VersionInfo,
        replaces=numbers[version.replaces] if version.replaces is not None else None,
        signed_at=signature.signed_at,
        signed_by=said_name(signature.title, signature.name),
        is_last=version.number == row.version,
        withdrawn=withdrawal_queries.of_version(back, version.number),
        follows=next((item for item in back if item.number == version.number - 1), None),
    )


def case_of(tx: Transaction, report_id: str) -> str:
    """The case of a report, for whoever has to ask there for permission first."""
    missing = NotFound("There is no such report; look for it in the list of reports.")
    return tx.find(Report, report_id, missing).case_id
