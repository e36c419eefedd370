"""The audit chain: what was done, by whom, to whose data; entries are chained, so none goes unseen.

Each entry is written out as canonical JSON; `digest` is SHA-256 of a random salt and that text; `chain` is a
keyed hash over the previous chain value, the number of the entry, its columns and its digest. The salt keeps
the digest from telling what an erased entry said: erasure empties text and salt, and the chain still holds,
columns included. The key is of the ring, which lies under the master key, so that whoever writes into the
database alone cannot forge a chain.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from tetkik.records.schema.trail import AuditHead, AuditRow
from tetkik.records.vault import Vault
from tetkik.values.access import Actor

# Anchors of the audit trail outside the database: its end after each transaction, as lines that are added.
#
# The chain shows what was altered in the trail, and not that its end was cut off together with the head that
# says so. A line holds the number of the last entry and the first half of its chain value, which nobody can
# make without the key, and a code over the whole line. The same value stands in each line of the service's
# log.


FILE = "audit.anchors"
_CHAIN = 16
_CODE = 8
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AnchorLine:
    seq: int
    chain: str
    """The beginning of the chain value, hexadecimal; of a restored backup empty."""
    at: str
    """ISO 8601."""
    restored: bool = False
    """That a backup was restored that ends at `seq`: what was later is gone with good reason."""
    sealed: bool = True
    """Whether its code holds; a line of a log has none, and its chain value stands for itself."""


class AnchorFile:
    """A file of anchors, opened for each line: it may be moved aside at any time."""

    newest: ClassVar[str] = ""
    """The end of the trail as this process last wrote it, for lines of the log; empty before the first."""

    def __init__(self, file: Path, vault: Vault) -> None:
        self.file = file
        self._vault = vault
        self._failed = False

    def add(self, seq: int, chain: bytes, at: datetime) -> None:
        """Add the end of the trail; a fault goes to the log, for the transaction is through."""
        AnchorFile.newest = f"{seq}:{chain[:_CHAIN].hex()}"
        try:
            self._append({"at": at.isoformat(timespec="seconds"), "trail": AnchorFile.newest})
        except OSError as error:
            if not self._failed:
                _log.error("audit.anchors cannot be written (%s); correct audit_anchors", error.strerror)
            self._failed = True
        else:
            self._failed = False

    def add_restored(self, seq: int, at: datetime) -> None:
        """Note that the trail goes on from an entry of a backup."""
        self._append({"at": at.isoformat(timespec="seconds"), "restored": f"{seq}:"})

    def _append(self, line: dict[str, str]) -> None:
        line["code"] = _code(self._vault, line)
        handle = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, (json.dumps(line) + "\n").encode())
        finally:
            os.close(handle)


class AnchorLines:
    """The anchors that a file holds now, or a log that the service wrote; other lines are passed over."""

    def __init__(self, file: Path, vault: Vault) -> None:
        self.file = file
        self._vault = vault
        self._size = file.stat().st_size if file.exists() else 0

    def __iter__(self) -> Iterator[AnchorLine]:
        if not self._size:
            return
        with self.file.open("rb") as lines:
            while lines.tell() < self._size:
                try:
                    content = lines.readline()
                    line = json.loads(content[content.find(b"{") :])  # a syslog writes before it
                    restored = "restored" in line
                    seq, _, chain = line["restored" if restored else "trail"].partition(":")
                    at = str(line.get("at") or line.get("timestamp", ""))
                    sealed = line["code"] == _code(self._vault, line) if "code" in line else not restored
                    yield AnchorLine(int(seq), bytes.fromhex(chain).hex(), at, restored, sealed)
                except (ValueError, KeyError, TypeError, AttributeError):
                    continue


def _code(vault: Vault, line: dict[str, str]) -> str:
    content = "\0".join(str(line.get(name, "")) for name in ("at", "trail", "restored"))
    return vault.audit_code(f"anchor\0{content}".encode())[:_CODE].hex()


START = bytes(32)
"""What the first entry is chained to."""
_SALT = 16


class Action(StrEnum):
    SIGN_IN = "sign_in"
    SIGN_IN_FAILED = "sign_in.failed"
    SIGN_OUT = "sign_out"
    SCREEN_LOCKED = "screen.locked"
    SCREEN_UNLOCKED = "screen.unlocked"
    PASSWORD_CHANGED = "password.changed"  # noqa: S105 - the name of an action
    PASSKEY_ADDED = "passkey.added"
    PASSKEY_REMOVED = "passkey.removed"
    TOKEN_CREATED = "token.created"  # noqa: S105 - the name of an action
    TOKEN_REVOKED = "token.revoked"  # noqa: S105 - the name of an action
    USER_CREATED = "user.created"
    USER_CHANGED = "user.changed"
    USER_DISABLED = "user.disabled"
    INVITED = "invited"
    FORBIDDEN = "forbidden"
    BREAK_GLASS = "break_glass"
    CASE_OPENED = "case.opened"
    """A person looked at it."""
    CASE_CREATED = "case.created"
    CASE_CHANGED = "case.changed"
    CASE_CLOSED = "case.closed"
    CASE_MOVED = "case.moved"
    """From one patient to another: an entry for each."""
    CASES_LISTED = "cases.listed"
    PATIENT_SEARCHED = "patient.searched"
    PATIENT_OPENED = "patient.opened"
    """A person looked at the records of one, apart from a case."""
    PATIENT_RECEIVED = "patient.received"
    """The hospital's system told of one who was not known here."""
    PATIENT_CHANGED = "patient.changed"
    PATIENT_LINKED = "patient.linked"
    PATIENT_UNLINKED = "patient.unlinked"
    PATIENT_EXPORTED = "patient.exported"
    PATIENT_ERASED = "patient.erased"
    ERASURE_POSTPONED = "patient.erasure_postponed"
    COMPLAINT_TRIAGED = "complaint.triaged"
    DEPARTMENT_CHOSEN = "department.chosen"
    URGENCY_CHOSEN = "urgency.chosen"
    SLIP_PRINTED = "slip.printed"
    ORDER_PLACED = "order.placed"
    ORDER_CHANGED = "order.changed"
    ORDER_CANCELLED = "order.cancelled"
    ORDER_LINKED = "order.linked"
    """Its study came, and is in a case."""
    ORDER_UNLINKED = "order.unlinked"
    STUDY_RECEIVED = "study.received"
    """One that another system sent is complete; `verdict` says whether its order is known."""
    STUDY_OPENED = "study.opened"
    """A person looked at received studies that wait for a decision."""
    STUDY_DECIDED = "study.decided"
    """A person said whose it is, that it does not belong here, or took that back."""
    STUDIES_FETCHED = "studies.fetched"
    """An archive was asked for earlier studies of a patient."""
    WORKLIST_SENT = "worklist.sent"
    """A modality got the orders that wait for it."""
    ENCOUNTER_OPENED = "encounter.opened"
    ENCOUNTER_CLOSED = "encounter.closed"
    IMAGE_UPLOADED = "image.uploaded"
    IMAGE_OPENED = "image.opened"
    IDENTITY_CONFIRMED = "image.identity_confirmed"
    """That it is its record's patient's, though the file says something of the patient otherwise."""
    IMAGE_REMOVED = "image.removed"
    """Taken out of its case, or moved to another one."""
    IMAGE_RESTORED = "image.restored"
    IMAGE_SENT = "image.sent"
    """A language model was asked for a draft and got the image; `host` says where."""
    MODEL_RAN = "model.ran"
    MODEL_FAILED = "model.failed"
    CASE_CLAIMED = "case.claimed"
    CLAIM_RELEASED = "claim.released"
    CASE_ASSIGNED = "case.assigned"
    POOL_CHANGED = "pool.changed"
    DRAFT_WRITTEN = "draft.written"
    DRAFT_OPENED = "draft.opened"
    DRAFT_CHANGED = "draft.changed"
    FINDING_REVIEWED = "finding.reviewed"
    REPORT_SIGNED = "report.signed"
    REPORT_AMENDMENT_BEGUN = "report.amendment_begun"
    REPORT_AMENDED = "report.amended"
    REPORT_WITHDRAWN = "report.withdrawn"
    REPORT_CERTIFIED = "report.certified"
    """Its PDF was signed with the radiologist's own certificate."""
    REPORT_OPENED = "report.opened"
    DOCUMENT_EXPORTED = "document.exported"
    RESULT_SENT = "result.sent"
    """A document of a report was sent to another system, which took it or did not."""
    RESULT_RESENT = "result.resent"
    """A person had it sent again."""
    OUTBOX_OPENED = "outbox.opened"
    TEMPLATE_CHANGED = "template.changed"
    MACROS_CHANGED = "macros.changed"
    """A person's own texts and words; of no patient."""
    DICTATED = "dictated"
    CRITICAL_RAISED = "critical.raised"
    CRITICAL_SENT = "critical.sent"
    """A contact was told that a critical result waits, or could not be."""
    CRITICAL_ACKNOWLEDGED = "critical.acknowledged"
    CRITICAL_NOT_TOLD = "critical.not_told"
    """A report with a critical finding was signed, and nobody needs to be told of it."""
    FEEDBACK_EXPORTED = "feedback.exported"
    STATISTICS_OPENED = "statistics.opened"
    STATISTICS_EXPORTED = "statistics.exported"
    TRIAL_READ = "trial.read"
    """A signed report and the images of its study were read for a silent trial of a model."""
    AUDIT_READ = "audit.read"
    AUDIT_EXPORTED = "audit.exported"
    BACKUP_MADE = "backup.made"
    BACKUP_RESTORED = "backup.restored"
    RETENTION_APPLIED = "retention.applied"
    MASTER_KEY_REPLACED = "master_key.replaced"


@dataclass(frozen=True, slots=True)
class TrailEntry:
    at: datetime
    actor: Actor
    action: Action
    case_id: str | None
    patient_id: str | None
    object_id: str | None
    detail: Mapping[str, str | int | float | bool | None]
    codes: Mapping[str, str] = field(default_factory=dict)
    """Of rows that open accounts (`row_authentication`)."""

    def content(self) -> str:
        """Canonical JSON (keys sorted, no spaces), so that a digest has one text to speak of."""
        actor = self.actor
        entry = {
            "at": self.at.isoformat(),
            "action": self.action,
            "user": actor.user_id,
            "roles": sorted(actor.roles),
            "method": actor.method,
            "address": actor.address,
            "request": actor.request_id,
            "case": self.case_id,
            "patient": self.patient_id,
            "object": self.object_id,
            "detail": dict(self.detail),
            **({"codes": dict(self.codes)} if self.codes else {}),
        }
        return json.dumps(entry, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


class EntryColumns(NamedTuple):
    """What stands of an entry beside its content, to be searched by; it outlives an erasure."""

    at: datetime
    action: str
    user_id: str | None
    case_id: str | None
    patient_id: str | None

    def packed(self) -> bytes:
        """For the chain: one text for these columns and no others."""
        ids = (self.user_id or "", self.case_id or "", self.patient_id or "")
        return "\0".join((self.at.isoformat(), self.action, *ids)).encode()


def append(session: Session, vault: Vault, entries: Sequence[TrailEntry]) -> tuple[int, bytes]:
    """Write entries at the end of the chain; gives that end.

    The head stays locked until the transaction ends.
    """
    head = session.scalar(select(AuditHead).where(AuditHead.id == 1).with_for_update())
    if head is None:
        head = AuditHead(id=1, seq=0, chain=START, seal=head_seal(vault, 0, START))
        session.add(head)
    for entry in entries:
        content, salt = entry.content(), os.urandom(_SALT)
        digest = digest_of(salt, content)
        seq = head.seq + 1
        columns = EntryColumns(entry.at, entry.action, entry.actor.user_id, entry.case_id, entry.patient_id)
        chain = chain_of(vault, head.chain, seq, columns, digest)
        row = AuditRow(seq=seq, **columns._asdict(), content=content, salt=salt, digest=digest, chain=chain)
        session.add(row)
        head.seq, head.chain = seq, chain
    head.seal = head_seal(vault, head.seq, head.chain)
    session.flush()
    return head.seq, head.chain


def digest_of(salt: bytes, content: str) -> bytes:
    """SHA-256 of salt and text."""
    return hashlib.sha256(salt + content.encode()).digest()


def chain_of(vault: Vault, before: bytes, seq: int, columns: EntryColumns, digest: bytes) -> bytes:
    """The chain value of an entry, from that of the one before."""
    return vault.audit_code(before + seq.to_bytes(8, "big") + digest + columns.packed())


def head_seal(vault: Vault, seq: int, chain: bytes) -> bytes:
    """The seal of the chain's end, so that cutting off the last entries shows."""
    return vault.audit_code(b"head" + seq.to_bytes(8, "big") + chain)
