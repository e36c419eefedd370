"""Refused sign-ins in the audit trail: one entry a minute for an account, or for a network without a login.

Further ones within that minute are counted in this process; their number is written with the next refusal of
anybody once the minute is over.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

from tetkik.records.audit_chain import Action
from tetkik.records.database import Records
from tetkik.values import Actor

_EVERY = timedelta(minutes=1)
_lock = threading.Lock()


@dataclass(slots=True)
class _Refused:
    at: datetime
    """Of the last entry."""
    user_id: str | None
    detail: dict[str, str]
    waiting: int = 0


_known: WeakKeyDictionary[Records, dict[str, _Refused]] = WeakKeyDictionary()


def record_refusal(
    records: Records, actor: Actor, network: str, user_id: str | None = None, **detail: str
) -> None:
    """Record that `actor` was refused from a network; `user_id` is the account, if there is one."""
    key = user_id or f"{actor.method} {network}"
    with records.read() as tx:
        now = tx.now
    with _lock:
        known = _known.setdefault(records, {})
        over = {name for name, one in known.items() if now - one.at >= _EVERY}
        if key in known and key not in over:
            known[key].waiting += 1
            return
        before = [known.pop(name) for name in over]
        known[key] = _Refused(now, user_id, detail)
    with records.write(actor) as tx:
        for one in before:
            if one.waiting:
                tx.audit(Action.SIGN_IN_FAILED, object_id=one.user_id, count=one.waiting, **one.detail)
        tx.audit(Action.SIGN_IN_FAILED, object_id=user_id, **detail)
