"""What documents read from a report's values, cleaned: a file may say anything of its patient."""

from __future__ import annotations

import re
from datetime import date

_UID = re.compile(r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+", re.ASCII)
_LONGEST_UID = 64


def calendar_date(text: str | None) -> date | None:
    """DICOM's `YYYYMMDD`; None for anything that is no day of the calendar."""
    digits = (text or "").strip()
    if len(digits) != len("YYYYMMDD") or not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def dicom_date(text: str | None) -> str:
    """The same day as `YYYYMMDD`, or empty."""
    day = calendar_date(text)
    return f"{day:%Y%m%d}" if day is not None else ""


def valid_uid(text: str | None) -> str | None:
    """A DICOM UID (PS3.5, section 9.1); None for anything else."""
    uid = (text or "").strip()
    return uid if len(uid) <= _LONGEST_UID and _UID.fullmatch(uid) else None


def family_and_given(name: str) -> tuple[str, str]:
    """A name as people write it, parted: the last word is taken for the family's."""
    words = name.split()
    return (words[-1], " ".join(words[:-1])) if words else ("", "")
