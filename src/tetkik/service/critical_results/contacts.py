"""Who is told of a critical result, in what order, and how long each has: of a file and a setting."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tetkik.errors import SettingError
from tetkik.settings import Settings
from tetkik.values import CriticalLevel


class Channel(StrEnum):
    SMS = "sms"
    PAGER = "pager"
    EMAIL = "email"


class Contact(BaseModel):
    """Somebody who can be told: a person on duty, a ward, a desk."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=80)]
    channel: Channel
    to: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\s<>,;]+$")]
    """A number or an address, as the gateway wants it."""
    departments: tuple[str, ...] = ()
    """Whose cases they are told of; none is every department's."""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    contact: tuple[Contact, ...] = ()


def contacts_for(
    settings: Settings, department: str | None, first: Sequence[str] = ()
) -> tuple[Contact, ...]:
    """The contacts of a department in the order of the file, those of every department behind them.

    Before both come those whose names are in `first`.
    """
    known = _read(settings.critical_contacts)
    named = [item for name in first for item in known if item.name == name]
    own = [item for item in known if department in item.departments]
    return tuple(dict.fromkeys((*named, *own, *(item for item in known if not item.departments))))


def minutes_of(settings: Settings) -> Mapping[CriticalLevel, timedelta]:
    """How long a contact has before the next one is told.

    Raises:
        SettingError: a level without a time, or one that is no number of minutes.
    """
    found = {}
    for pair in settings.critical_minutes.split(","):
        name, _, minutes = pair.partition("=")
        if name.strip() in list(CriticalLevel) and minutes.strip().isdecimal() and int(minutes) > 0:
            found[CriticalLevel(name.strip())] = timedelta(minutes=int(minutes))
    if set(found) != set(CriticalLevel):
        raise SettingError(
            "The setting critical_minutes needs minutes for each level; write it as red=15, orange=60, "
            "yellow=1440."
        )
    return found


def check(settings: Settings, named: Iterable[str] = ()) -> None:
    """Refuse wrong settings at the start, rather than when a patient waits.

    `named` are the contacts that other files name.
    """
    minutes_of(settings)
    known = _read(settings.critical_contacts)
    for name in sorted(set(named) - {contact.name for contact in known}):
        raise SettingError(
            "A route tells {name} of critical results, who is no contact; correct notify in {file}, or "
            "critical_contacts.",
            name=name,
            file=settings.integrations,
        )
    missing = {
        Channel.SMS: not settings.sms_url,
        Channel.PAGER: not settings.pager_url,
        Channel.EMAIL: not (settings.smtp_host and settings.smtp_from),
    }
    for contact in known:
        if missing[contact.channel]:
            raise SettingError(
                "The contact {name} is told by {channel}, for which there is no server; set sms_url, "
                "pager_url, or smtp_host and smtp_from.",
                name=contact.name,
                channel=contact.channel.value,
            )


def _read(file: Path | None) -> tuple[Contact, ...]:
    if file is None:
        return ()
    try:
        return _File.model_validate(tomllib.loads(file.read_text("utf-8"))).contact
    except (OSError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        fault = ".".join(map(str, first["loc"])) if first is not None else error
        raise SettingError(
            "The contacts of critical results in {file} cannot be read ({fault}); correct the file.",
            file=file,
            fault=fault,
        ) from None
