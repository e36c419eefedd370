"""Decoders that outlive a hospital, so that not every hospital has to start a process of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tetkik.imaging.subprocess_worker import ReaderPool
from tetkik.service.kit.background import image_decoder


class Lasting(ReaderPool):
    """As the hospital has them, but they stay when it closes."""

    def close(self) -> None:
        """Stay."""

    def end(self) -> None:
        """Go."""
        super().close()


@pytest.fixture(scope="session", autouse=True)
def lasting_decoders() -> Iterator[None]:
    """One pool for each process of tests, which every hospital that it serves reads with."""
    found = Lasting()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_decoder, "ReaderPool", lambda: found)
        yield
    found.end()
