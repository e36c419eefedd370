"""A day that is given to a command, as a moment."""

from __future__ import annotations

from datetime import UTC, datetime, time

from tetkik.errors import UsageError


def parse_day(text: str | None, *, end: bool = False) -> datetime | None:
    """The beginning of a day of this machine's zone, or its end; None for none.

    Args:
        text: such as `2026-11-21`.
        end: whether its last moment is meant.

    Raises:
        UsageError: not a day.
    """
    if text is None:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise UsageError("{day} is not a day; write it as 2026-11-21.", day=text) from None
    return datetime.combine(day, time.max if end else time.min).astimezone().astimezone(UTC)
