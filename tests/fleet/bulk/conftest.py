"""Each test leaves the environment as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """A process that scores takes the settings of the run into its environment."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
