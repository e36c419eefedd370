"""Ctrl-C and the end of a machine: the step ends, the state is saved, then training stops."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import ClassVar

from tetkik.errors import TrainingError


class Stopped(TrainingError):
    """Ctrl-C, or a request to terminate; the state was saved."""

    exit_status: ClassVar[int] = 130


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or a termination came, so that a step can end first; a second Ctrl-C acts at once."""
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested.is_set
        return

    def note(number: int, _: FrameType | None) -> None:
        requested.set()
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, note)
    try:
        yield requested.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
