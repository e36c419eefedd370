"""What several tests of reports share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tetkik.settings import settings


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Sets settings for one test."""

    def choose(**values: object) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"TETKIK_{name.upper()}", str(value))
        settings.cache_clear()

    yield choose
    monkeypatch.undo()
    settings.cache_clear()
