"""Anchors of the audit trail outside the database: its end after each transaction, as lines that are added.

The chain shows what was altered in the trail, and not that its end was cut off together with the head that
says so. A line holds the number of the last entry and the first half of its chain value, which nobody can
make without the key, and a code over the whole line. The same value stands in each line of the service's log.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from tetkik.records.vault import Vault

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
