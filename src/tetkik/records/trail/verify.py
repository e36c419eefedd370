"""Whether the audit trail is whole: every entry there, unaltered, in its order, up to the sealed end.

What is found: an entry that was removed, altered, inserted, moved or cut off, and one that was emptied
without an erasure that the trail itself tells of. What the database alone cannot show is that somebody cut
the end off with a head that says so, or put an old copy of the whole back: for that there are anchors outside
(`audit_anchors`), and an auditor may hold one of their own (`Anchor`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy import Row, func, select

from tetkik.errors import InputError
from tetkik.files import written_whole
from tetkik.language import Sentence
from tetkik.records.audit_chain import START, Action, AnchorLine, EntryColumns, chain_of, digest_of, head_seal
from tetkik.records.database import Transaction
from tetkik.records.schema import AuditHead, AuditRow

_BATCH = 5_000
_BATCH_OF_ANCHORS = 1_000
_MOST_FAULTS = 50
_OTHER = "Entry {number} is not the one that the anchor holds."
_CUT = (
    "The trail ends at entry {number}, and the anchor holds entry {anchor}: it was cut off, or an old copy "
    "was put back."
)
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Anchor:
    """The end of the trail at one moment, to be held outside the installation."""

    seq: int
    chain: str

    @classmethod
    def read(cls, file: Path) -> Anchor | None:
        """The anchor in a file; None where there is no such file."""
        try:
            anchor = json.loads(file.read_text("utf-8"))
            return cls(int(anchor["seq"]), str(anchor["chain"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise InputError(
                "{file} is not an anchor of an audit trail; give the file that an earlier verify wrote.",
                file=file,
            ) from None

    def write(self, file: Path) -> None:
        """Put it into a file in place of an older one, whole or not at all."""
        with written_whole(file) as part:
            part.write((json.dumps(asdict(self)) + "\n").encode())


@dataclass(frozen=True, slots=True)
class Broken:
    seq: int
    what: Sentence


@dataclass(frozen=True, slots=True)
class Vouched:
    """What anchors outside the database say of the trail."""

    anchors: int
    first: AnchorLine
    """With the lowest number: entries before were there, and could have been cut before its time."""
    last: AnchorLine
    """With the highest: behind it the database speaks for itself alone."""
    unsealed: int
    """Lines that were not written under the key of this installation; they count for nothing."""
    broken: tuple[Broken, ...]


@dataclass(frozen=True, slots=True)
class Verified:
    entries: int
    erased: int
    broken: tuple[Broken, ...]
    end: Anchor

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.broken


def verify(
    tx: Transaction,
    anchor: Anchor | None = None,
    progress: Progress | None = None,
    *,
    last: int | None = None,
) -> Verified:
    """Walk the trail, in a `still` transaction, so that entries that are added meanwhile do not count.

    It must still lead through an `anchor`, an end that it once had. With `last`, only so many entries before
    the end are looked at.
    """
    walk = _Walk(tx, anchor)
    if last is not None:
        walk.begin_before(last)
    for row in _rows(tx, walk.seq):
        walk.step(row)
        if progress is not None and row.seq % _BATCH == 0:
            progress(row.seq)
    walk.finish()
    faults = tuple(sorted(walk.faults, key=lambda fault: fault.seq))
    end = Anchor(walk.seq, walk.chain.hex())
    return Verified(walk.entries, walk.erased, faults[:_MOST_FAULTS], end)


def compare_anchors(tx: Transaction, lines: Iterable[AnchorLine]) -> Vouched | None:
    """Whether the trail leads through anchors, read twice in the order of their file; None without any.

    Take the lines before the transaction begins: each was written after what it speaks of.
    """
    restored = [(place, line.seq) for place, line in enumerate(lines) if line.restored and line.sealed]
    head = tx.session.scalar(select(func.max(AuditRow.seq))) or 0
    first = last = None
    anchors = unsealed = 0
    faults: dict[int, Sentence] = {}
    numbered = enumerate(lines)
    while batch := list(islice(numbered, _BATCH_OF_ANCHORS)):
        wanted = select(AuditRow.seq, AuditRow.chain).where(AuditRow.seq.in_({line.seq for _, line in batch}))
        there = {row.seq: row.chain.hex() for row in tx.session.execute(wanted)}
        for place, line in batch:
            unsealed += not line.sealed
            if not line.sealed or line.restored:
                continue
            anchors += 1
            first = line if first is None or line.seq < first.seq else first
            last = line if last is None or line.seq > last.seq else last
            if line.chain and there.get(line.seq, "").startswith(line.chain):
                continue
            if any(line.seq > seq for later, seq in restored if later > place):
                continue  # a backup was restored that ends before it
            if line.seq > head:
                faults[head + 1] = Sentence(_CUT, {"number": head, "anchor": line.seq})
            elif len(faults) < _MOST_FAULTS:
                faults[line.seq] = Sentence(_OTHER, {"number": line.seq})
    if first is None or last is None:
        return None
    broken = tuple(Broken(seq, what) for seq, what in sorted(faults.items()))
    return Vouched(anchors, first, last, unsealed, broken)


class _Walk:
    """The state between two entries."""

    def __init__(self, tx: Transaction, anchor: Anchor | None) -> None:
        self.tx = tx
        self.anchor = anchor
        self.seq, self.chain = 0, START
        self.entries = self.erased = 0
        self.faults: list[Broken] = []
        self._emptied: dict[str | None, int] = {}
        """Of each patient the last entry that was emptied."""
        self._last_entry: dict[str, int] = {}
        """Of each patient the last entry that tells of the erasure."""

    def begin_before(self, last: int) -> None:
        """Take the entry before the last ones as it stands."""
        end = self.tx.session.scalar(select(func.max(AuditRow.seq))) or 0
        first = self.tx.session.get(AuditRow, max(end - last, 0))
        if first is not None:
            self.seq, self.chain = first.seq, first.chain

    def step(self, row: Row[tuple[AuditRow]]) -> None:
        self.entries += 1
        if row.seq > self.seq + 1:
            self._fault(self.seq + 1, "Entry {number} is missing.")
        elif row.seq <= self.seq:
            self._fault(row.seq, "Entry {number} stands twice or before the first.")
        whole = self._digest(row)
        columns = EntryColumns(row.at, row.action, row.user_id, row.case_id, row.patient_id)
        # After a gap nothing can be said of the link to what is missing.
        linked = row.seq != self.seq + 1 or row.chain == chain_of(
            self.tx.vault, self.chain, row.seq, columns, row.digest
        )
        if whole and not linked:
            self._fault(row.seq, "Entry {number} was altered, inserted or moved.")
        if self.anchor is not None and row.seq == self.anchor.seq and row.chain.hex() != self.anchor.chain:
            self._fault(row.seq, _OTHER)
        self.seq, self.chain = row.seq, row.chain

    def finish(self) -> None:
        """Look at the end, and whether every emptied entry belongs to an erasure."""
        for patient_id, seq in self._emptied.items():
            if patient_id is None or self._last_entry.get(patient_id, 0) <= seq:
                self._fault(seq, "Entry {number} was emptied without an erasure.")
        head = self.tx.session.get(AuditHead, 1)
        if head is None:
            if self.entries:
                self._fault(self.seq, "The sealed end of the trail is missing.")
        elif head.seal != head_seal(self.tx.vault, head.seq, head.chain):
            self._fault(head.seq, "The seal of the trail's end does not hold.")
        elif head.seq > self.seq:
            self._fault(self.seq + 1, "The trail is cut off before entry {number}.")
        elif (head.seq, head.chain) != (self.seq, self.chain):
            self._fault(head.seq + 1, "Entry {number} stands behind the sealed end.")
        if self.anchor is not None and self.anchor.seq > self.seq:
            what = Sentence(_CUT, {"number": self.seq, "anchor": self.anchor.seq})
            self.faults.append(Broken(self.seq + 1, what))

    def _digest(self, row: Row[tuple[AuditRow]]) -> bool:
        """Whether the entry says what it said; an erased one says nothing."""
        if row.content is None and row.salt is None:
            self.erased += 1
            self._emptied[row.patient_id] = row.seq
            return True
        half = row.content is None or row.salt is None
        if half or digest_of(row.salt, row.content) != row.digest or not _agrees(row):
            self._fault(row.seq, "Entry {number} was altered.")
            return False
        if row.action == Action.PATIENT_ERASED and row.patient_id is not None:
            self._last_entry[row.patient_id] = row.seq
        return True

    def _fault(self, seq: int, template: str) -> None:
        self.faults.append(Broken(seq, Sentence(template, {"number": seq})))


def _agrees(row: Row[tuple[AuditRow]]) -> bool:
    """Whether the columns, by which people search, say the same as the content."""
    try:
        entry = json.loads(row.content or "")
        recorded = (entry["at"], entry["action"], entry["user"], entry["case"], entry["patient"])
    except (ValueError, KeyError, TypeError):
        return False
    return recorded == (row.at.isoformat(), row.action, row.user_id, row.case_id, row.patient_id)


def _rows(tx: Transaction, after: int) -> Iterator[Row[tuple[AuditRow]]]:
    """In batches; a number below 1, which no entry has, comes too where the walk begins at the first."""
    table = AuditRow.__table__
    last = after or None
    while True:
        query = select(table).order_by(table.c.seq).limit(_BATCH)
        batch = tx.session.execute(query if last is None else query.where(table.c.seq > last)).all()
        yield from batch
        if len(batch) < _BATCH:
            return
        last = batch[-1].seq
