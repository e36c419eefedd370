"""A process that looks at files for another: a decoder that crashes there takes nothing else with it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tetkik.errors import TetkikError
from tetkik.findings.preprocess import PreparedImage, PreprocessRequest, preprocess_file
from tetkik.imaging.subprocess_worker import SECONDS, SubprocessWorker


class PreprocessWorker(SubprocessWorker[PreparedImage]):
    """The parent's end of one process; for one thread at a time."""

    def __init__(self, request: PreprocessRequest, seconds: float = SECONDS) -> None:
        super().__init__(partial(preprocess_file, request=request), seconds)

    def preprocess_file(self, path: Path | str) -> PreparedImage | TetkikError:
        """Have one file looked at; a process that dies over it is replaced for the next."""
        return self.call(str(path), str(path))
