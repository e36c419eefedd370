"""One graph for several threads: what they ask while it is busy goes through it together in its next run."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
Outputs = tuple[NDArray[np.float32], ...]
MOST = 16
"""Images of one run, beyond those of a single request."""


class Session(Protocol):
    """A loaded graph; for one thread at a time."""

    outputs: tuple[str, ...]

    def run(self, names: tuple[str, ...], batch: Images) -> Outputs:
        """Those of its `outputs` for (images, channels, size, size)."""


@dataclass(eq=False)
class _Request:
    names: tuple[str, ...]
    batch: Images
    answer: Outputs | None = None


class SharedSession:
    """A session for any number of threads. Nobody waits for others to come; who comes alone runs alone."""

    def __init__(self, session: Session) -> None:
        self.outputs = session.outputs
        self._session = session
        self._busy = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: list[_Request] = []

    def run(self, names: tuple[str, ...], batch: Images) -> Outputs:
        """As `Session.run`."""
        mine = _Request(names, batch)
        with self._lock:
            self._waiting.append(mine)
        with self._busy:
            if mine.answer is None:
                self._run_with(mine)
        assert mine.answer is not None
        return mine.answer

    def _run_with(self, mine: _Request) -> None:
        together = self._taken(mine)
        try:
            answers = self._session.run(mine.names, np.concatenate([one.batch for one in together]))
        except Exception:
            if len(together) == 1:
                raise
            together = [mine]  # the others run by themselves, when it is their turn
            answers = self._session.run(mine.names, mine.batch)
        ends = np.cumsum([len(one.batch) for one in together])[:-1]
        for one, answer in zip(
            together, zip(*(np.split(rows, ends) for rows in answers), strict=True), strict=True
        ):
            one.answer = answer

    def _taken(self, mine: _Request) -> list[_Request]:
        """A request and those that fit to it, in the order in which they came."""
        with self._lock:
            if mine in self._waiting:  # it is not where another's run failed with it
                self._waiting.remove(mine)
            together = [mine]
            for one in tuple(self._waiting):
                many = sum(len(other.batch) for other in together) + len(one.batch)
                if many <= MOST and one.names == mine.names and one.batch.shape[1:] == mine.batch.shape[1:]:
                    self._waiting.remove(one)
                    together.append(one)
            return together
