"""Reading a text or drawing an image takes time: it is done between transactions, and no other writer waits.

Within `written` a transaction that needs it ends with nothing written; the work is done, and the transaction
begins again. Where the text or the image is another one by then, it is done once more.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from tetkik.records.database import Transaction

P = ParamSpec("P")
T = TypeVar("T")
_TRIES = 10
"""Transactions after which what is still needed is done within the next one."""
_known: ContextVar[list[tuple[Any, Any, Any]] | None] = ContextVar("_known", default=None)
"""Functions, what they were given, and what came of it; None outside of `written`."""


class _Needed(Exception):
    def __init__(self, function: Callable[..., Any], given: tuple[Any, ...]) -> None:
        super().__init__()
        self.function = function
        self.given = given


def computed(function: Callable[P, T], *given: P.args, **_: P.kwargs) -> T:
    """What a function gives that depends on its arguments alone."""
    known = _known.get()
    if known is None:
        return function(*given)  # type: ignore[call-arg]
    for other, before, found in known:
        if other == function and before == given:
            result: T = found
            return result
    raise _Needed(function, given)


def written(write: Callable[[], AbstractContextManager[Transaction]], work: Callable[[Transaction], T]) -> T:
    """What `work` gives, done in one transaction, without those that had to end for a reading."""
    known: list[tuple[Any, Any, Any]] = []
    for _ in range(_TRIES):
        token = _known.set(known)
        try:
            with write() as tx:
                return work(tx)
        except _Needed as needed:
            function, given = needed.function, needed.given
        finally:
            _known.reset(token)
        known.append((function, given, function(*given)))
    with write() as tx:
        return work(tx)
