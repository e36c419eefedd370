"""The house of most tests of the service, who is signed in to it, and what lies in it.

A file that needs another has one of its own under the same name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.records.kit import made_case, made_user
from tests.records.whole import Whole, made_whole
from tests.service.kit import made_house, served, sign_in
from tetkik.service.kit.context import House
from tetkik.values import Role


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house as its settings are by default."""
    made = made_house(tmp_path)
    yield made
    made.records.close()


@pytest.fixture
def there(house: House) -> Whole:
    """A patient with everything that a house keeps of one."""
    return made_whole(house.records)


@pytest.fixture
def client(house: House) -> Iterator[TestClient]:
    """A technician's client."""
    with served(house) as found:
        sign_in(found, house, Role.TECHNICIAN)
        yield found


@pytest.fixture
def case(house: House) -> str:
    """A case in one department."""
    return made_case(house.records, made_user(house.records, Role.RECEPTION), department="Dahiliye")
