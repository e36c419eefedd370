"""Breaking the glass: one person opens one case for an hour, with a reason that the auditor reads.

The reason may speak of the patient, so it is sealed under the patient's key.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select

from tetkik.errors import Forbidden, InputError
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.people.visibility import decide_access, find_case
from tetkik.records.schema import BrokenGlass

LASTS = timedelta(hours=1)
SHORTEST = 10
LONGEST = 500


def break_glass(tx: Transaction, case_id: str, reason: str) -> datetime:
    """Open a case that is not open to the actor; gives until when."""
    case = find_case(tx, case_id)
    reason = " ".join(reason.split())
    if not SHORTEST <= len(reason) <= LONGEST:
        raise InputError(
            "The reason needs {least} to {most} characters; say why the patient needs it now.",
            least=SHORTEST,
            most=LONGEST,
        )
    sight = decide_access(tx, case)
    if sight.open and not sight.by_glass:
        raise Forbidden("This case is open to you as it is; no reason is needed.")
    if not sight.could_break:
        raise Forbidden("Your role does not open closed cases; ask the radiologist on call.")
    row_id, until = new_id(), tx.now + LASTS
    tx.session.add(
        BrokenGlass(
            id=row_id,
            user_id=tx.actor.user_id,
            case_id=case_id,
            reason=tx.seal(case.patient_id, "break_glass.reason", row_id, reason.encode()),
            at=tx.now,
            expires_at=until,
        )
    )
    tx.session.flush()
    tx.audit(Action.BREAK_GLASS, case_id=case_id, patient_id=case.patient_id, object_id=row_id)
    return until


def open_until(tx: Transaction, case_id: str) -> datetime | None:
    """Until when the actor's broken glass keeps a case open; None where no glass is broken."""
    return tx.session.scalar(
        select(func.max(BrokenGlass.expires_at)).where(
            BrokenGlass.user_id == tx.actor.user_id,
            BrokenGlass.case_id == case_id,
            BrokenGlass.expires_at > tx.now,
        )
    )
