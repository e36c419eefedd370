"""Patients by name: an inverted index in the memory of each process; nothing of it lies in the database.

Digests of names or of their beginnings tell names without a key by how often each comes: an attack with the
frequencies of names found 37% of full names. So each process opens the sealed names once, and then reads on:
whoever writes a name gives its row the next number of one row, and numbers are given out in the order in
which transactions end (as announcements are), so that no smaller one appears later.
"""

from __future__ import annotations

import heapq
import json
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from threading import Lock, Thread

from sqlalchemy import Engine, func, select, tuple_, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from tetkik.errors import RecordsError
from tetkik.records.announcements import hold_order
from tetkik.records.ids import LENGTH
from tetkik.records.schema import Patient
from tetkik.records.vault import Vault
from tetkik.turkish import fold

IDENTITY = "patients.identity"
"""Where the sealed name stands."""
SHORTEST_PREFIX = 3
"""Letters from which on a word may be the beginning of a name; a shorter one is the whole name."""
_BATCH = 1_000
MOST_FOUND = 200
"""Patients that a search gives, the newest."""


def number_names(session: Session, patient_ids: Collection[str]) -> None:
    """Give patients whose names were written the next number, when the transaction is about to end."""
    if not patient_ids:
        return
    hold_order(session)
    session.flush()
    last = session.scalar(select(func.max(Patient.name_revision))) or 0
    numbered = update(Patient).where(Patient.id.in_(patient_ids)).values(name_revision=last + 1)
    session.execute(numbered, execution_options={"synchronize_session": False})


class NameIndex:
    """The names of the patients of a database.

    An entry is a name as it was at one revision; older ones of the same patient are passed over.
    """

    def __init__(self, engine: Engine, vault: Vault) -> None:
        self._engine, self._vault = engine, vault
        self._lock = Lock()
        self._last: tuple[int, str] = (0, "")
        self._ids = bytearray()
        self._revisions = array("q")
        self._entries: dict[str, array[int]] = {}
        """Of each word the entries that have it, in order."""
        self._words: list[str] = []
        self._sorted = True
        self._stopped = self._whole = False
        self._later: dict[str, int] = {}
        """The newest entry of patients whose names were written since the first reading."""
        self._stale: set[int] = set()

    def find(self, session: Session, words: Sequence[str]) -> list[str]:
        """Ids of patients whose names have every one of these folded words, the latest first, 200 at most."""
        with self._lock:
            self._read_on()
            found = set[int]().union(*self._of(words[0]))
            for word in words[1:]:
                found.intersection_update(set[int]().union(*self._of(word)))
            found -= self._stale
            newest = (
                heapq.nlargest(MOST_FOUND, found) if len(found) > MOST_FOUND else sorted(found, reverse=True)
            )
            ids = {self._id(entry): self._revisions[entry] for entry in reversed(newest)}
        there = select(Patient.id, Patient.name_revision).where(
            Patient.id.in_(ids), Patient.identity.is_not(None), Patient.erase_after.is_(None)
        )
        valid = {row.id for row in session.execute(there) if ids[row.id] == row.name_revision}
        return [patient_id for patient_id in reversed(ids) if patient_id in valid]

    def warm(self) -> None:
        """Read the names now, beside everything else, so that the first search need not wait."""

        def read() -> None:
            with self._lock, suppress(RecordsError, SQLAlchemyError):  # the first search says what is wrong
                self._read_on()

        Thread(target=read, name="names", daemon=True).start()

    def close(self) -> None:
        """Let a reading that is under way end."""
        self._stopped = True

    def _of(self, word: str) -> Iterator[array[int]]:
        """Entries of every name that a word is, or is the beginning of."""
        if len(word) < SHORTEST_PREFIX:
            yield self._entries.get(word, array("I"))
            return
        if not self._sorted:
            self._words.sort()
            self._sorted = True
        for place in range(bisect_left(self._words, word), len(self._words)):
            if not self._words[place].startswith(word):
                return
            yield self._entries[self._words[place]]

    def _id(self, entry: int) -> str:
        return self._ids[LENGTH * entry : LENGTH * (entry + 1)].decode()

    def _read_on(self) -> None:
        """Read what was written since; of what was committed alone, for a caller may still take it back."""
        columns = (Patient.id, Patient.key, Patient.identity, Patient.name_revision)
        place = tuple_(Patient.name_revision, Patient.id)
        query = select(*columns).order_by(Patient.name_revision, Patient.id).limit(_BATCH)
        with self._engine.connect() as connection:
            while not self._stopped:
                rows = connection.execute(query.where(place > self._last)).all()
                for row in rows:
                    if row.key is None or row.identity is None:
                        continue  # erased
                    if not self._vault.knows(row.key):
                        self._vault.renew(connection)
                    self._add(row.id, row.key, row.identity, row.name_revision or 0)
                if rows:
                    self._last = (rows[-1].name_revision or 0, rows[-1].id)
                if len(rows) < _BATCH:
                    self._whole = True
                    return

    def _add(self, patient_id: str, key: bytes, identity: bytes, revision: int) -> None:
        with suppress(RecordsError):  # altered: found by its numbers alone, and then said to be so
            opened = self._vault.key(patient_id, key).open(identity, f"{IDENTITY}:{patient_id}")
            name: str = json.loads(opened)["name"]
            entry = len(self._revisions)
            if self._whole:
                if patient_id in self._later:
                    self._stale.add(self._later[patient_id])
                self._later[patient_id] = entry
            self._revisions.append(revision)
            self._ids += patient_id.encode()
            for word in set(fold(name).split()):
                if word not in self._entries:
                    self._entries[word] = array("I")
                    self._words.append(word)
                    self._sorted = False
                self._entries[word].append(entry)
