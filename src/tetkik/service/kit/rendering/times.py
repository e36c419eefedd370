"""Times as a page says them: "5 minutes ago", and in full in the time zone of the server."""

from __future__ import annotations

from datetime import datetime

from tetkik.language import Language, translate

_STEPS = (
    (86400, "{n} d ago"),
    (3600, "{n} h ago"),
    (60, "{n} min ago"),
)


def exact(moment: datetime) -> str:
    """Day, month, year, hours and minutes, as both languages of the pages write them here."""
    return moment.astimezone().strftime("%d.%m.%Y %H:%M")


def ago(moment: datetime, now: datetime, language: Language) -> str:
    """How long before `now`; the other way round counts as just now."""
    seconds = (now - moment).total_seconds()
    for length, words in _STEPS:
        if seconds >= length:
            return translate(words, language, n=int(seconds // length))
    return translate("just now", language)
