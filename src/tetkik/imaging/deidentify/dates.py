"""Dates moved by days: DA and DT values (PS3.5, section 6.2)."""

from __future__ import annotations

from datetime import date, timedelta


def shifted(value: str, vr: str, shift: timedelta) -> str | None:
    """A `DA`, `DT` or `TM` value that is `shift` earlier; None where it is no date.

    A time of day stays, a DT keeps what follows its date. A DT without a day loses what it has.
    """
    if vr == "TM":
        return value if value.replace(".", "").replace(":", "").isdigit() else None
    digits = value.strip().replace(".", "-").replace("-", "") if vr == "DA" else value.strip()
    try:
        moved = date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])) - shift
    except (ValueError, OverflowError):
        return None
    rest = digits[8:] if vr == "DT" else ""
    if rest and not rest.translate(str.maketrans("", "", ".+-")).isdigit():
        return None
    return f"{moved:%Y%m%d}{rest}"
