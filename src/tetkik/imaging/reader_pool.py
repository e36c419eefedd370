"""Processes that read images for a service: a file that crashes its decoder costs itself alone."""

from __future__ import annotations

from queue import LifoQueue

from tetkik.errors import TetkikError
from tetkik.imaging.read import one_file, read_bytes
from tetkik.imaging.subprocess_worker import SECONDS, SubprocessWorker
from tetkik.values import Radiograph


def read_one(request: tuple[bytes, str, int | None]) -> Radiograph:
    """The image in a file's content, with the name that an error gives it, and which of its frames."""
    content, name, frame = request
    with one_file(name):
        return read_bytes(content, name, frame=frame)


class ReaderPool:
    """A few processes that read images; for any number of threads. Each starts when it is first needed."""

    def __init__(self, count: int = 2, seconds: float = SECONDS) -> None:
        self._everyone = [SubprocessWorker(read_one, seconds) for _ in range(count)]
        # The one that was busy last goes first: a process is started only when all those before it are busy.
        self._idle: LifoQueue[SubprocessWorker[Radiograph]] = LifoQueue()
        for reader in self._everyone:
            self._idle.put(reader)

    def read(self, content: bytes, name: str, frame: int | None = None) -> Radiograph:
        """The image in a file's content; waits where every process is busy.

        Args:
            frame: which of several, as for `read_image`; no other is decoded.

        Raises:
            WorkerClosed: the processes were ended meanwhile.
            InputError: it cannot be read as an image.
        """
        reader = self._idle.get()
        try:
            answer = reader.call((content, name, frame), name)
        finally:
            self._idle.put(reader)
        if isinstance(answer, TetkikError):
            raise answer
        answer.pixels.setflags(write=False)  # what a pickle forgets
        return answer

    def start(self) -> None:
        """Start one process now, so that the first image need not wait."""
        reader = self._idle.get()
        try:
            reader.start()
        finally:
            self._idle.put(reader)

    def close(self) -> None:
        """End the processes for good, whatever they are reading."""
        for reader in self._everyone:
            reader.close()
