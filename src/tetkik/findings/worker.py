"""A process that looks at files for another: a decoder that crashes there takes nothing else with it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tetkik.errors import TetkikError
from tetkik.findings.look import Look, Wish, look_at
from tetkik.imaging.apart import SECONDS, Apart


class Worker(Apart[Look]):
    """The parent's end of one process; for one thread at a time.

    Args:
        wish: what each look is to bring back.
        seconds: longest time for one file.
    """

    def __init__(self, wish: Wish, seconds: float = SECONDS) -> None:
        super().__init__(partial(look_at, wish=wish), seconds)

    def look_at(self, path: Path | str) -> Look | TetkikError:
        """Have one file looked at; a process that dies over it is replaced for the next."""
        return self.ask(str(path), str(path))
