"""The audit trail for programs: no patient's name in it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from tetkik.errors import InputError
from tetkik.records.audit_chain import Action
from tetkik.records.trail import audit_events
from tetkik.records.trail.audit_events import AuditFilter
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.http.paging import (
    Cursor,
    Limit,
    Page,
    Since,
    Until,
    decode_cursor,
    encode_cursor,
    zoned,
)
from tetkik.service.kit.http.shape import Shape
from tetkik.values import Permission

router = APIRouter(tags=["audit"])

Auditor = Annotated[RequestContext, allowed(Permission.AUDIT_READ)]
Code = Annotated[str | None, Query(max_length=26, pattern=r"^[0-9A-Za-z-]+$")]
_LAST = 2**63 - 1


class AuditEntry(Shape):
    """One entry of the audit trail."""

    seq: int
    at: datetime
    action: str
    user_id: str | None = Field(description="Who; null for the program itself.")
    user: str | None = Field(description="The name of that person.")
    case_id: str | None
    case: str | None
    patient_id: str | None = Field(description="To whose data, as an id.")
    object_id: str | None = Field(description="To which image, report, user.")
    roles: list[str] = Field(description="That the person had then.")
    method: str | None = Field(description="How the person had proved who they are.")
    address: str | None
    request: str | None = Field(description="Joins the entry with the log.")
    detail: dict[str, str | int | float | bool | None] = Field(description="More, in codes and numbers.")
    erased: bool = Field(description="Whether an erasure emptied it.")


@router.get("/audit")
def entries(
    ctx: Auditor,
    user_id: Code = None,
    case: Code = None,
    patient_id: Code = None,
    action: Action | None = None,
    since: Since = None,
    until: Until = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[AuditEntry]:
    """The newest entries that fit, of a case by its number or its id; reading them is an entry itself."""
    before = _number(cursor) if cursor is not None else None
    wanted = AuditFilter(
        user_id=user_id,
        case=case,
        patient_id=patient_id,
        action=action,
        since=zoned(since),
        until=zoned(until),
    )
    with ctx.write() as tx:
        found = audit_events.load_newest(tx, wanted, limit=limit + 1, before=before)
        tx.audit(Action.AUDIT_READ)
    items = [AuditEntry.from_value(event) for event in found[:limit]]
    return Page(items=items, next=encode_cursor([items[-1].seq]) if len(found) > limit else None)


def _number(cursor: str) -> int:
    before = int(decode_cursor(cursor, [int])[0])
    if not 0 < before <= _LAST:
        raise InputError("The cursor is not one of this list; take `next` of the page before, as it is.")
    return before
