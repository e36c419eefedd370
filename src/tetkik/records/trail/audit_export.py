"""The audit trail as a file of FHIR AuditEvents, one a line (NDJSON), written whole or not at all."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from tetkik.records.audit_chain import Action
from tetkik.records.database import Records
from tetkik.records.trail.audit_events import AuditFilter, iterate_events
from tetkik.records.trail.fhir_audit_events import to_line
from tetkik.values import SYSTEM, Actor


def export_trail(
    records: Records,
    target: Path,
    since: datetime | None = None,
    until: datetime | None = None,
    actor: Actor = SYSTEM,
) -> int:
    """Write the entries of a time."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    count = 0
    try:
        with records.read(actor) as tx, part.open("w", encoding="utf-8") as file:
            for event in iterate_events(tx, AuditFilter(since=since, until=until)):
                file.write(to_line(event) + "\n")
                count += 1
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    with records.write(actor) as tx:
        tx.audit(Action.AUDIT_EXPORTED, entries=count)
    return count
