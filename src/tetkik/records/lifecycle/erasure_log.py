"""The log of erasures outside the database: a backup that is older than one brings nobody back.

One line an erasure, only added to, beside the database. A line holds the id of a patient, which names nobody,
and a keyed code, so that nobody without the master key can have a patient erased by writing one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from tetkik.records.ids import is_id
from tetkik.records.vault import Vault

FILE = "erased.jsonl"


def log_erasure(folder: Path, vault: Vault, patient_id: str, at: datetime) -> None:
    """Add an erasure; it is on the disk when this returns."""
    moment = at.isoformat()
    line = json.dumps({"patient": patient_id, "at": moment, "code": _code(vault, patient_id, moment)})
    _append(folder, [line.encode()])


def merge_log(folder: Path, other: bytes) -> None:
    """Take in the lines of another copy that this one lacks."""
    known = set(read_log(folder).splitlines())
    _append(folder, [line for line in other.splitlines() if line and line not in known])


def erased_patients(content: bytes, vault: Vault) -> dict[str, datetime]:
    """Who was erased and when, of the lines whose code holds."""
    found: dict[str, datetime] = {}
    for patient_id, moment, code in _lines(content):
        if is_id(patient_id) and code == _code(vault, patient_id, moment):
            found[patient_id] = datetime.fromisoformat(moment)
    return found


def read_log(folder: Path) -> bytes:
    """The whole ledger; empty where nobody was ever erased."""
    try:
        return (folder / FILE).read_bytes()
    except FileNotFoundError:
        return b""


def _append(folder: Path, lines: Sequence[bytes]) -> None:
    """On the disk when this returns; begun on a line of its own whatever a power failure left."""
    if not lines:
        return
    begin = b"" if read_log(folder).endswith(b"\n") or not read_log(folder) else b"\n"
    handle = os.open(folder / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, begin + b"".join(line + b"\n" for line in lines))
        os.fsync(handle)
    finally:
        os.close(handle)


def _lines(content: bytes) -> Iterator[tuple[str, str, str]]:
    for line in content.splitlines():
        try:
            entry = json.loads(line)
            yield str(entry["patient"]), str(entry["at"]), str(entry["code"])
        except (ValueError, KeyError, TypeError):
            continue  # a line that a power failure cut short


def _code(vault: Vault, patient_id: str, moment: str) -> str:
    return vault.audit_code(f"erased\0{patient_id}\0{moment}".encode()).hex()
