"""What every route needs of the application."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from tetkik.records.database import Records
from tetkik.settings import Settings


@dataclass(frozen=True, slots=True)
class Demonstration:
    """That the patients are invented, and everybody may become any of the people: their names, by login."""

    password: str
    people: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AppContext:
    """The records and settings that the application serves; `secure` where browsers come over TLS."""

    records: Records
    settings: Settings
    secure: bool
    demonstration: Demonstration | None = None


def context_of(request: Request) -> AppContext:
    context: AppContext = request.app.state.context
    return context


ContextDep = Annotated[AppContext, Depends(context_of)]
"""A route's parameter for the context."""
