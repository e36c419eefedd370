"""A thread that does something again and again until it is stopped."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod


class PeriodicThread(ABC):
    """Calls `run_once` after `first` seconds, and then every `interval` seconds."""

    def __init__(self, name: str, interval: float, first: float | None = None) -> None:
        self._interval = interval
        self._first = interval if first is None else first
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Let it end what it is doing, and begin nothing more."""
        self._stop.set()

    def stop(self) -> None:
        """The same, and wait for that."""
        self.end()
        self._thread.join()

    @property
    def stopping(self) -> bool:
        """Whether it is to end; asked between the pieces of long work."""
        return self._stop.is_set()

    @abstractmethod
    def run_once(self) -> None:
        """What it does; whatever may fail is caught here, for nothing would start the thread again."""

    def _run(self) -> None:
        wait = self._first
        while not self._stop.wait(wait):
            self.run_once()
            wait = self._interval
