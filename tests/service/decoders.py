"""Decoders that outlive a house, so that not every test has to start a process of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tetkik.imaging.readers import Readers
from tetkik.service.running import machine


class Lasting(Readers):
    """As the house has them, but they stay when it closes."""

    def close(self) -> None:
        """Stay."""

    def end(self) -> None:
        """Go."""
        super().close()


@pytest.fixture(scope="session")
def lasting() -> Iterator[Lasting]:
    """One pool for each process of tests."""
    found = Lasting()
    yield found
    found.end()


@pytest.fixture
def same_decoders(lasting: Lasting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every house of this test reads with them."""
    monkeypatch.setattr(machine, "Readers", lambda: lasting)
