"""Statements are compiled once for all databases of a process of tests, not once for each database.

SQLAlchemy keeps what it compiled by engine and dialect, and nearly every test has an engine of its own:
compiling was a quarter of the time of a test of the records.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Dialect, Engine, create_engine, event

_COMPILED: dict[str, tuple[Dialect, dict[Any, Any]]] = {}
"""By the name of a dialect: the one that all its engines share, and what was compiled for it."""


def create_sharing_engine(url: str, **options: Any) -> Engine:
    """`sqlalchemy.create_engine`, with the compiled statements of the engines before it."""
    engine = create_engine(url, **options)
    name = engine.dialect.name
    if name in _COMPILED:
        engine.dialect, compiled = _COMPILED[name]
    else:
        compiled = {}

        # A dialect knows its server once it is connected: one that never was is not to be shared.
        @event.listens_for(engine, "engine_connect", once=True)
        def share(_: Connection) -> None:
            _COMPILED.setdefault(name, (engine.dialect, compiled))

    engine.update_execution_options(compiled_cache=compiled)
    return engine
