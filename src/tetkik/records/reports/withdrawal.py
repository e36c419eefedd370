"""A signed report is withdrawn: it was issued in error, it stands no longer, and nothing of it is changed.

The act is signed like the report, with the password or a passkey again. It takes the report back with all its
versions, which stay as they were signed, and the case back to the worklist with a fresh draft: the machine's,
without anything that was decided or judged on the way, for whatever led to the error may have led to that.
"""

from __future__ import annotations

from sqlalchemy import delete, select

from tetkik.errors import Conflict, InputError
from tetkik.language import Language
from tetkik.records import serialization
from tetkik.records.audit_chain import Action
from tetkik.records.cases.locks import lock_reports_with
from tetkik.records.cases.patients import records_of
from tetkik.records.cases.priority import update_worklist
from tetkik.records.database import Transaction
from tetkik.records.reports.deliveries import tell_recipients
from tetkik.records.reports.drafts import drop_foreign_priors
from tetkik.records.reports.edit_conflicts import bump_revision, record_change, row_of
from tetkik.records.reports.identity import said_name
from tetkik.records.reports.report_inputs import keep_working, material_of
from tetkik.records.reports.signing import Proof, prove
from tetkik.records.reports.versions import signed_rows
from tetkik.records.reports.withdrawal_queries import PLACE, WithdrawalStatement, Withdrawn, standing
from tetkik.records.schema import (
    Case,
    FindingReview,
    Report,
    ReportVersion,
    SignatureRow,
    User,
    WithdrawalRow,
)
from tetkik.rules.draft_state import Working
from tetkik.values import (
    AccountChange,
    CaseState,
    Draft,
    Permission,
    ReportContent,
    ReportState,
    Signature,
    Withdrawal,
    WithdrawalReason,
)
from tetkik.values.common import one_line

LONGEST_WORDS = 1000
"""Characters of the words of a withdrawal beside the reason from the list."""


class AnotherVersion(Conflict):
    """The report has another last version than the one that was to be withdrawn."""

    def __init__(self) -> None:
        super().__init__(
            "Another version of this report was signed meanwhile; read that one, and withdraw it if it is "
            "wrong, too."
        )


def has_standing_report(tx: Transaction, case_id: str) -> bool:
    """Whether a case has a signed report that is not withdrawn."""
    found = select(Report.id).where(Report.case_id == case_id, standing()).limit(1)
    return tx.session.scalar(found) is not None


def withdraw(
    tx: Transaction, report_id: str, number: int, why: WithdrawalReason, words: str, proof: Proof
) -> Withdrawn:
    """Withdraw a signed report with all its versions; an amendment under way is given up.

    Readers of the report will see the words; they are needed where the list of reasons does not say it.
    `Forbidden` where the actor may not withdraw, or the proof is another person's or too old;
    `AnotherVersion` where a later one was signed meanwhile; `Conflict` where it was never signed, or is
    withdrawn.
    """
    prove(tx, proof, Permission.REPORT_WITHDRAW)
    words = _withdrawal_words(why, words)
    lock_reports_with(tx, report_id)  # later drafts are checked again once the case is locked
    row = row_of(tx, report_id, lock=True)
    _refuse(row, number)
    version, signature = signed_rows(tx, row.id, number)
    given_up = row.amending is not None
    user = tx.session.get_one(User, tx.actor.user_id)
    who = Signature(user.name, user.title, user.registration, signed_at=tx.now.astimezone())
    _add(tx, version, signature, Withdrawal(why, words, who), proof)
    row.state, row.amending = ReportState.WITHDRAWN, None
    case = tx.session.get_one(Case, row.case_id, with_for_update=True)
    tx.session.execute(delete(FindingReview).where(FindingReview.report_id == row.id))
    if case.emptied_at is None:  # of an erased patient nothing is written anew
        _begin_anew(tx, row)
        case.state, case.updated_at = CaseState.TO_READ, tx.now
    bump_revision(tx, row)
    tx.session.flush()
    if case.emptied_at is None:
        update_worklist(tx, case.id)
        drop_foreign_priors(tx, records_of(tx, row.patient_id))
    record_change(
        tx,
        row,
        Action.REPORT_WITHDRAWN,
        event="report",
        version=number,
        why=why,
        method=proof.method,
        verification=version.verification,
        given_up=given_up or None,
    )
    tell_recipients(tx, row, AccountChange.REPORT_WITHDRAWN, number)
    tx.announce("case", case.id)
    return Withdrawn(number, why, said_name(who.title, who.name), who.signed_at)


def _withdrawal_words(why: WithdrawalReason, words: str) -> str:
    words = one_line(words)
    if len(words) > LONGEST_WORDS:
        raise InputError(
            "What is said of a withdrawal has at most {longest} characters; shorten it.",
            longest=LONGEST_WORDS,
        )
    if why is WithdrawalReason.OTHER and not words:
        raise InputError("A withdrawal for another reason needs words; say what is wrong with the report.")
    return words


def _refuse(row: Report, number: int) -> None:
    if not row.version:
        raise Conflict("This report was never signed, so there is nothing to withdraw; change its draft.")
    if row.version != number:
        raise AnotherVersion
    if row.state is ReportState.WITHDRAWN:
        raise Conflict("This report is withdrawn already; load the page again.")


def _add(
    tx: Transaction, version: ReportVersion, signature: SignatureRow, withdrawal: Withdrawal, proof: Proof
) -> None:
    """The statement, sealed, under the name of the version that it takes back."""
    statement = WithdrawalStatement(
        version.report_id, version.number, version.verification, signature.digest, withdrawal, proof.method
    )
    content, who = serialization.to_bytes(statement), withdrawal.signature
    tx.session.add(
        WithdrawalRow(
            version_id=version.id,
            user_id=proof.user_id,
            why=withdrawal.why,
            **{name: getattr(who, name) for name in ("name", "title", "registration")},
            method=proof.method,
            statement=tx.seal(version.patient_id, PLACE, version.id, content),
            digest=serialization.digest_of(content),
            withdrawn_at=who.signed_at,
        )
    )


def _begin_anew(tx: Transaction, row: Report) -> None:
    """A draft to go on with: as the machine wrote it, or empty."""
    draft = material_of(tx, row).draft or Draft(Language(row.language), (), writer="person")
    keep_working(tx, row, Working(ReportContent(draft)))
