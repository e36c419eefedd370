"""Processes that read images for a service: a file that crashes its decoder costs itself alone."""

from __future__ import annotations

from tetkik.errors import TetkikError
from tetkik.imaging.read import one_file, read_bytes
from tetkik.imaging.subprocess_worker import SECONDS, WorkerPool
from tetkik.values import Radiograph


def read_one(request: tuple[bytes, str, int | None]) -> Radiograph:
    """The image in a file's content, with the name that an error gives it, and which of its frames."""
    content, name, frame = request
    with one_file(name):
        return read_bytes(content, name, frame=frame)


class ReaderPool(WorkerPool[Radiograph]):
    """A few processes that read images."""

    def __init__(self, count: int = 2, seconds: float = SECONDS) -> None:
        super().__init__(read_one, count, seconds)

    def read(self, content: bytes, name: str, frame: int | None = None) -> Radiograph:
        """The image in a file's content; waits where every process is busy.

        Args:
            frame: which of several, as for `read_image`; no other is decoded.

        Raises:
            WorkerClosed: the processes were ended meanwhile.
            InputError: it cannot be read as an image.
        """
        answer = self.call((content, name, frame), name)
        if isinstance(answer, TetkikError):
            raise answer
        answer.pixels.setflags(write=False)  # what a pickle forgets
        return answer
