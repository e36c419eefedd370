"""Decoders that outlive a hospital, so that not every hospital has to start a process of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tetkik.imaging.subprocess_worker import ReaderPool
from tetkik.service.kit.background import image_decoder
from tetkik.service.kit.background.image_decoder import FilePool
from tetkik.workflow import pixel_reader


class Lasting(ReaderPool):
    """As the hospital has them, but they stay when it closes."""

    def close(self) -> None:
        """Stay."""

    def end(self) -> None:
        """Go."""
        super().close()


class LastingFiles(FilePool):
    """The same for what is asked of files beside their pixels."""

    def close(self) -> None:
        """Stay."""

    def end(self) -> None:
        """Go."""
        super().close()


@pytest.fixture(scope="session", autouse=True)
def lasting_decoders() -> Iterator[None]:
    """One pool of each for each process of tests, which every hospital that it serves reads with."""
    found, files = Lasting(), LastingFiles()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixel_reader, "ReaderPool", lambda _count: found)
        patch.setattr(image_decoder, "FilePool", lambda: files)
        yield
    found.end()
    files.end()
