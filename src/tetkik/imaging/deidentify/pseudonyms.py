"""What stands for a patient, a study and a date after de-identification, from one secret key.

The same key gives the same answers, so that the files of a study and of a patient stay together, in one run
or in many. Without the key nothing can be traced back (HMAC-SHA256, RFC 2104).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tetkik.errors import InputError, UsageError

_BYTES = 32
_LONGEST = 4096
"""Bytes of a file that is read as a key."""
_LONGEST_SHIFT = 3650
_SHORTEST_SHIFT = 30


@dataclass(frozen=True, slots=True)
class Secret:
    """A key of at least 16 bytes that never shows."""

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < 16:
            raise ValueError("a key needs at least 16 bytes")

    def _digest(self, purpose: str, value: str) -> bytes:
        return hmac.new(self.key, f"{purpose}\0{value}".encode(), hashlib.sha256).digest()

    def uid(self, uid: str) -> str:
        """The UID that stands for `uid`: `2.25.` and a UUID as a number (PS3.5, B.2; RFC 9562, version 8)."""
        number = int.from_bytes(self._digest("uid", uid.strip())[:16], "big")
        number = number & ~(0xF << 76) | 8 << 76
        number = number & ~(0x3 << 62) | 2 << 62
        return f"2.25.{number}"

    def patient(self, patient_id: str) -> str:
        """The Patient ID that stands for `patient_id`."""
        return f"P{self._digest('patient', patient_id.strip()).hex()[:12].upper()}"

    def shift(self, patient_id: str) -> timedelta:
        """How far the dates of a patient move back: 30 to 3,679 days."""
        number = int.from_bytes(self._digest("shift", patient_id.strip())[:8], "big")
        return timedelta(days=_SHORTEST_SHIFT + number % _LONGEST_SHIFT)


def new_secret() -> Secret:
    """A random key, for one run."""
    return Secret(secrets.token_bytes(_BYTES))


def secret_of(file: Path) -> Secret:
    """The key in `file`, which is made, readable by its owner alone, where it is missing.

    Raises:
        InputError: it is too short or too long to be one.
        UsageError: it lies where it would be handed on.
    """
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            out.write(secrets.token_hex(_BYTES) + "\n")
    if file.is_dir():
        raise UsageError("{file} is a folder, and the key is a file; name a file.", file=file)
    with file.open("rb") as opened:
        key = opened.read(_LONGEST + 1)
    if len(key) > _LONGEST:
        raise InputError(
            "{file} is too long for a key ({most} bytes at most); name another file, or one that is not "
            "there yet.",
            file=file,
            most=_LONGEST,
        )
    key = key.strip()
    if len(key) < 16:
        raise InputError(
            "{file} is too short for a key: it needs 16 characters; name another file, or one that is not "
            "there yet.",
            file=file,
        )
    return Secret(key)
