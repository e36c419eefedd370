"""Studies that other systems sent, from their first file to a case (`integrations.importing`).

A study waits until it is complete; then it is compared with the orders (`orders.matching`). What is matched
goes into the case of its order; for anything else a person decides, and nothing of it is read before.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, or_, select

from tetkik.errors import NotFound
from tetkik.language import Sentence
from tetkik.records.audit_chain import Action
from tetkik.records.cases.identity_comparison import compare_identity, person_from_identity
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.orders.matching import StudyFacts
from tetkik.records.schema.cases import Case
from tetkik.records.schema.orders import ReceivedFile, ReceivedStudy
from tetkik.records.serialization import from_bytes, to_bytes
from tetkik.values.radiograph import Difference, Identity
from tetkik.values.states import Priority, ReceivedFileState, ReceivedState

_MOST_OTHERS = 10
BATCH = 500
"""Most names in one statement."""


@dataclass(frozen=True, slots=True)
class ReceivedContent:
    """What the files of a study say; sealed."""

    identity: Identity = field(default_factory=Identity, repr=False)
    """Of the first file, with its text repaired."""
    modality: str | None = None
    body_part: str | None = None
    description: str = field(default="", repr=False)
    issuer: str = ""
    accession_issuer: str = ""
    made_at: datetime | None = None
    """With the sender's clock put right."""
    clock_ahead: int | None = None
    """Minutes by which a study was made after it came; None where that is not so."""
    declared: str = ""
    """Specific Character Set (0008,0005)."""
    repaired: bool = False
    proposed: str | None = None
    """A character set that the text seems to be in, where no setting says so."""
    others: tuple[Identity, ...] = field(default=(), repr=False)
    """Other patients whom files of the same study name."""
    reasons: tuple[Difference, ...] = field(default=(), repr=False)
    """Where it differs from the nearest order."""
    candidates: tuple[str, ...] = ()
    """Orders that might be meant, the nearest first."""

    @property
    def facts(self) -> StudyFacts:
        return StudyFacts(
            self.identity,
            issuer=self.issuer,
            accession_issuer=self.accession_issuer,
            modality=self.modality,
            body_part=self.body_part,
            at=self.made_at,
        )

    def names(self, identity: Identity) -> bool:
        """Whether a file that says this is about somebody whom the study is known to be about.

        One that names nobody is so of a study that names nobody: whoever knows a Study Instance UID could
        otherwise add an image to it.
        """
        return any(
            _same(identity, known) and (_names_somebody(identity) or not _names_somebody(known))
            for known in (self.identity, *self.others)
        )

    def names_surely(self, identity: Identity) -> bool:
        """Whether it says so itself, where the study does: by a number, or by name and date of birth."""
        known, filed = person_from_identity(self.identity), person_from_identity(identity)
        both = {
            trait
            for trait in ("tckn", "number", "name", "birth_date")
            if getattr(known, trait) and getattr(filed, trait)
        }
        named = bool(both & {"tckn", "number"}) or both >= {"name", "birth_date"}
        return named or identity in (self.identity, *self.others)


@dataclass(frozen=True, slots=True)
class ReceivedView:
    """A received study as it stands."""

    id: str
    state: ReceivedState
    peer: str
    verdict: str | None
    order_id: str | None
    case_id: str | None
    patient_id: str | None
    prior_of: str | None
    files: int
    imported: int
    refused: int
    expected: int | None
    asked_at: datetime | None
    first_at: datetime
    last_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    fault: Sentence | None
    content: ReceivedContent = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file of the spool."""

    name: str
    peer: str
    instance_digest: bytes = field(repr=False)
    received_at: datetime


@dataclass(frozen=True, slots=True)
class WaitingFile:
    id: str
    name: str


def add_file(tx: Transaction, file: NewFile, study_uid: str, content: ReceivedContent) -> ReceivedState:
    """Count a file to its study, which waits for more from then on; gives the state of the file's study.

    Another file under the UID of one that is there is set aside: which of them is right, nobody knows.
    """
    row = _row_of(tx, file, study_uid, content)
    known = tx.session.scalar(
        select(ReceivedFile.id).where(
            ReceivedFile.received_id == row.id,
            ReceivedFile.instance_digest == file.instance_digest,
            ReceivedFile.state != ReceivedFileState.REFUSED,  # a damaged one is sent again under its UID
        )
    )
    if known is not None:
        _add_row(tx, row, file, _SAME_UID)
        return row.state
    _add_row(tx, row, file)
    held = open_content(tx, row)
    if row.files == 1 and row.verdict is None:
        held = content
    elif not held.names(content.identity) or (
        # Whoever knows the UID of a study could else add to a case that was decided.
        row.verdict is not None and not held.names_surely(content.identity)
    ):
        held = replace(held, others=(*held.others, content.identity)[:_MOST_OTHERS])
        row.verdict, row.decided_by, row.decided_at = None, None, None
    if row.state is ReceivedState.REJECTED:
        # A person's rejection is the person's again; what was refused as an earlier study was sent this time.
        row.state = ReceivedState.DOUBTFUL if row.prior_of is None else ReceivedState.RECEIVING
        row.prior_of = row.decided_by = row.decided_at = None
        row.verdict = row.verdict if row.state is ReceivedState.DOUBTFUL else None
        row.first_at, row.expected, row.asked_at = file.received_at, None, None
    elif row.state in (ReceivedState.IMPORTED, ReceivedState.FAILED):
        row.state, row.first_at = ReceivedState.RECEIVING, file.received_at
        row.expected = row.asked_at = None
    elif row.state is ReceivedState.COMPLETE and row.verdict is None:
        row.state = ReceivedState.RECEIVING
    row.fault = None
    seal_content(tx, row, held)
    return row.state


def refuse_file(tx: Transaction, file: NewFile, fault: Sentence) -> None:
    """Set a file aside whose study cannot be made out."""
    row = _row_of(tx, file, f"unreadable {file.peer}", ReceivedContent())
    _add_row(tx, row, file, fault)
    if row.files == row.refused:
        row.state, row.fault = ReceivedState.FAILED, pack_fault(fault)


def set_aside(tx: Transaction, file: NewFile, fault: Sentence) -> None:
    """Keep a file apart that no case wants, as one of a rejected study; those of a peer are together."""
    row = _row_of(tx, file, f"set aside {file.peer}", ReceivedContent())
    row.state, row.decided_at = ReceivedState.REJECTED, row.decided_at or tx.now
    row.fault = pack_fault(fault)
    _add_row(tx, row, file, fault)


def file_states(tx: Transaction, names: Collection[str]) -> dict[str, ReceivedFileState]:
    """What is known of files of the spool, by their names."""
    found: dict[str, ReceivedFileState] = {}
    wanted = list(names)
    for start in range(0, len(wanted), BATCH):
        part = ReceivedFile.name.in_(wanted[start : start + BATCH])
        rows = tx.session.execute(select(ReceivedFile.name, ReceivedFile.state).where(part))
        found |= {row.name: row.state for row in rows}
    return found


def count_instances(tx: Transaction, received_id: str) -> int:
    """How many different instances of a study came; one that came twice, changed, is one."""
    different = func.count(ReceivedFile.instance_digest.distinct())
    return tx.session.scalar(select(different).where(ReceivedFile.received_id == received_id)) or 0


def waiting_files(tx: Transaction, received_id: str) -> tuple[WaitingFile, ...]:
    """Files of a study that are still to be imported, as they came."""
    wanted = (ReceivedFile.received_id == received_id, ReceivedFile.state == ReceivedFileState.WAITING)
    rows = tx.session.execute(
        select(ReceivedFile.id, ReceivedFile.name).where(*wanted).order_by(ReceivedFile.id)
    )
    return tuple(WaitingFile(file_id, name) for file_id, name in rows)


def settle_file(
    tx: Transaction, file_id: str, *, image_id: str | None = None, fault: Sentence | None = None
) -> None:
    """Say that a file is in a case, or why it cannot be."""
    row = tx.session.get_one(ReceivedFile, file_id)
    study = tx.session.get_one(ReceivedStudy, row.received_id, with_for_update=True)
    if image_id is not None:
        row.state, row.image_id, row.fault = ReceivedFileState.IMPORTED, image_id, None
        study.imported += 1
    else:
        row.state, row.fault = ReceivedFileState.REFUSED, pack_fault(fault)
        study.refused += 1


def finish(tx: Transaction, received_id: str) -> ReceivedView:
    """Say that nothing of a study waits any more."""
    row = lock(tx, received_id)
    if row.state is ReceivedState.COMPLETE and not waiting_files(tx, received_id):
        row.state = ReceivedState.IMPORTED if row.imported else ReceivedState.FAILED
        if not row.imported:
            faults = select(ReceivedFile.fault).where(ReceivedFile.received_id == received_id)
            row.fault = tx.session.scalar(faults.where(ReceivedFile.fault.is_not(None)).limit(1))
    return _view(tx, row)


def load_received(tx: Transaction, received_id: str) -> ReceivedView:
    """A received study by its id; the caller asks who may see it, and audits that somebody did."""
    return _view(tx, _load(tx, received_id))


def find_received(tx: Transaction, study_uid: str) -> ReceivedView | None:
    """The received study of a Study Instance UID."""
    digest = tx.vault.digest("study", study_uid)
    row = tx.session.scalar(select(ReceivedStudy).where(ReceivedStudy.uid_digest == digest))
    return _view(tx, row) if row is not None else None


def list_received(
    tx: Transaction,
    states: Iterable[ReceivedState],
    *,
    most: int | None = 200,
    begun: bool = False,
    since: datetime | None = None,
    urgent: bool = False,
) -> tuple[ReceivedView, ...]:
    """Received studies in some states, the one that waits longest first; `begun` are those with files.

    With `urgent` those of the most urgent cases come before.
    """
    wanted: list[ColumnElement[bool]] = [ReceivedStudy.state.in_(tuple(states))]
    if begun:
        wanted.append(ReceivedStudy.files > 0)
    if since is not None:
        wanted.append(ReceivedStudy.last_at > since)
    chosen = select(ReceivedStudy).where(*wanted)
    if urgent:
        chosen = chosen.join(Case, Case.id == ReceivedStudy.case_id, isouter=True)
        chosen = chosen.order_by(func.coalesce(Case.priority, Priority.ROUTINE))
    rows = tx.session.scalars(chosen.order_by(ReceivedStudy.last_at, ReceivedStudy.id).limit(most))
    return tuple(_view(tx, row) for row in rows)


def count_received(tx: Transaction) -> dict[ReceivedState, int]:
    """How many studies are in each state."""
    rows = tx.session.execute(select(ReceivedStudy.state, func.count()).group_by(ReceivedStudy.state))
    return {row.state: row[1] for row in rows}


def refused_files(tx: Transaction, received_id: str) -> tuple[Sentence, ...]:
    """Why files of a study were set aside."""
    wanted = (ReceivedFile.received_id == received_id, ReceivedFile.state == ReceivedFileState.REFUSED)
    rows = tx.session.scalars(select(ReceivedFile.fault).where(*wanted).order_by(ReceivedFile.id))
    return tuple(found for packed in rows if (found := _unpacked(packed)) is not None)


def note_expected(tx: Transaction, received_id: str, count: int | None) -> None:
    """Keep how many images the source says that a study has; None where it gave no answer."""
    row = _load(tx, received_id)
    row.asked_at = tx.now
    row.expected = count if count is not None else row.expected


def expect_prior(tx: Transaction, study_uid: str, patient_id: str, peer: str) -> bool:
    """Say that an earlier study of a patient is about to be fetched; gives whether nothing of it is here."""
    digest = tx.vault.digest("study", study_uid)
    row = tx.session.scalar(select(ReceivedStudy).where(ReceivedStudy.uid_digest == digest))
    if row is not None:
        if (row.prior_of, row.peer, row.files) != (patient_id, peer, 0):
            return False
        row.first_at = row.last_at = tx.now  # nothing came the last time
        return True
    row = _create(tx, NewFile("", peer, b"", tx.now), study_uid)
    row.prior_of = patient_id
    seal_content(tx, row, ReceivedContent())
    return True


def forget_expected(tx: Transaction, study_uid: str) -> None:
    """Take `expect_prior` back, where nothing came: the study is asked for again the next time."""
    nothing = (ReceivedStudy.prior_of.is_not(None), ReceivedStudy.files == 0)
    digest = tx.vault.digest("study", study_uid)
    tx.apply(delete(ReceivedStudy).where(ReceivedStudy.uid_digest == digest, *nothing))


def lock(tx: Transaction, received_id: str) -> ReceivedStudy:
    """The row, until the transaction ends: whoever decides about it comes before or after."""
    return _load(tx, received_id, lock=True)


_SAME_UID = Sentence("Another file has the same SOP Instance UID; correct the system that sent it.")


def _same(one: Identity, other: Identity) -> bool:
    return not compare_identity(person_from_identity(one), other) and (one.sex or other.sex) == (
        other.sex or one.sex
    )


def _names_somebody(identity: Identity) -> bool:
    return bool(
        identity.patient_id or identity.national_id or (identity.patient_name and identity.birth_date)
    )


def _row_of(tx: Transaction, file: NewFile, study_uid: str, content: ReceivedContent) -> ReceivedStudy:
    digest = tx.vault.digest("study", study_uid)
    row = tx.session.scalar(select(ReceivedStudy).where(ReceivedStudy.uid_digest == digest).with_for_update())
    if row is None:
        row = _create(tx, file, study_uid)
        seal_content(tx, row, content)
    return row


def _create(tx: Transaction, file: NewFile, study_uid: str) -> ReceivedStudy:
    row = ReceivedStudy(id=new_id(), state=ReceivedState.RECEIVING, peer=file.peer)
    row.uid_digest = tx.vault.digest("study", study_uid)
    row.files = row.imported = row.refused = 0
    row.first_at = row.last_at = file.received_at
    tx.session.add(row)
    return row


def _add_row(tx: Transaction, row: ReceivedStudy, file: NewFile, fault: Sentence | None = None) -> None:
    state = ReceivedFileState.REFUSED if fault is not None else ReceivedFileState.WAITING
    tx.session.flush()
    tx.session.add(
        ReceivedFile(
            id=new_id(),
            received_id=row.id,
            state=state,
            name=file.name,
            instance_digest=file.instance_digest,
            fault=pack_fault(fault),
            received_at=file.received_at,
        )
    )
    row.files += 1
    row.refused += fault is not None
    row.peer, row.last_at = file.peer, max(row.last_at, file.received_at)
    if row.files == 1:
        row.first_at = file.received_at
    tx.session.flush()


def _load(tx: Transaction, received_id: str, *, lock: bool = False) -> ReceivedStudy:
    missing = NotFound("There is no such received study; look at the list again.")
    return tx.find(ReceivedStudy, received_id, missing, lock=lock)


def seal_content(tx: Transaction, row: ReceivedStudy, content: ReceivedContent) -> None:
    """Keep what a study says: under its patient's key, or the installation's while there is none."""
    packed = to_bytes(content)
    if row.patient_id is not None:
        tx.seal_column(row, "content", packed)
    else:
        row.content = tx.vault.seal(packed, f"received_studies.content:{row.id}")


def open_content(tx: Transaction, row: ReceivedStudy) -> ReceivedContent:
    """What `seal_content` kept."""
    if row.content is None:
        return ReceivedContent()
    if row.patient_id is not None:
        return from_bytes(ReceivedContent, tx.open_column(row, "content") or b"")
    return from_bytes(ReceivedContent, tx.vault.open(row.content, f"received_studies.content:{row.id}"))


def _view(tx: Transaction, row: ReceivedStudy) -> ReceivedView:
    return row.to_value(ReceivedView, content=open_content(tx, row), fault=_unpacked(row.fault))


def pack_fault(fault: Sentence | None) -> str | None:
    if fault is None:
        return None
    values = {name: str(value)[:200] for name, value in fault.values.items()}
    return json.dumps([fault.template, values], ensure_ascii=False)


def _unpacked(packed: str | None) -> Sentence | None:
    return Sentence(*json.loads(packed)) if packed else None


def audit_received(
    tx: Transaction, view: ReceivedView, action: Action, **detail: str | int | bool | None
) -> None:
    """Note what happened to a received study."""
    tx.audit(
        action,
        case_id=view.case_id,
        patient_id=view.patient_id,
        object_id=view.id,
        peer=view.peer,
        **detail,
    )


# Received studies for people: of which not everything could be taken over, and those decided already.


_MOST = 200


@dataclass(frozen=True, slots=True)
class ReceivedCounts:
    doubtful: int
    failed: int
    oldest_seconds: float
    """How long the oldest doubtful one waits; 0 where none does."""


def list_set_aside(tx: Transaction) -> tuple[ReceivedView, ...]:
    """Studies that failed as a whole, and those in a case that lack files; the newest first."""
    partial = (ReceivedStudy.state == ReceivedState.IMPORTED) & (ReceivedStudy.refused > 0)
    wanted = or_(ReceivedStudy.state == ReceivedState.FAILED, partial)
    ids = select(ReceivedStudy.id).where(wanted).order_by(ReceivedStudy.last_at.desc(), ReceivedStudy.id)
    return tuple(load_received(tx, one) for one in tx.session.scalars(ids.limit(_MOST)).all())


def list_decided(tx: Transaction) -> tuple[ReceivedView, ...]:
    """Studies about which a person decided and of which nothing is in a case yet; the newest first."""
    states = (ReceivedState.COMPLETE, ReceivedState.REJECTED)
    wanted = (ReceivedStudy.state.in_(states), ReceivedStudy.decided_by.is_not(None))
    ids = select(ReceivedStudy.id).where(*wanted).order_by(ReceivedStudy.decided_at.desc(), ReceivedStudy.id)
    return tuple(load_received(tx, one) for one in tx.session.scalars(ids.limit(_MOST)).all())


def count_waiting(tx: Transaction) -> ReceivedCounts:
    """For monitoring."""
    doubtful = ReceivedStudy.state == ReceivedState.DOUBTFUL
    oldest = tx.session.scalar(select(func.min(ReceivedStudy.last_at)).where(doubtful))
    return ReceivedCounts(
        tx.count(ReceivedStudy, doubtful),
        tx.count(ReceivedStudy, ReceivedStudy.state == ReceivedState.FAILED),
        max(0.0, (tx.now - oldest).total_seconds()) if oldest is not None else 0.0,
    )
