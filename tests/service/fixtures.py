"""The hospital of most tests of the service, who is signed in to it, and what lies in it.

A file that needs another has one of its own under the same name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.records.kit import made_case, made_user
from tests.records.whole import Whole, made_whole
from tests.service.kit import make_context, served, sign_in
from tetkik.service.kit.context import AppContext
from tetkik.values import Role


@pytest.fixture
def app_context(tmp_path: Path) -> Iterator[AppContext]:
    """A hospital as its settings are by default."""
    made = make_context(tmp_path)
    yield made
    made.records.close()


@pytest.fixture
def there(app_context: AppContext) -> Whole:
    """A patient with everything that a hospital keeps of one."""
    return made_whole(app_context.records)


@pytest.fixture
def client(app_context: AppContext) -> Iterator[TestClient]:
    """A technician's client."""
    with served(app_context) as found:
        sign_in(found, app_context, Role.TECHNICIAN)
        yield found


@pytest.fixture
def case(app_context: AppContext) -> str:
    """A case in one department."""
    return made_case(
        app_context.records, made_user(app_context.records, Role.RECEPTION), department="Dahiliye"
    )
