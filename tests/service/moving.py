"""One application for many houses: making one takes longer than most tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from tests.service.kit import made_house, serve, served
from tetkik.service.kit.context import House


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client whose application serves whichever house it is moved to."""
    house = made_house(tmp_path_factory.mktemp("first"))
    with served(house) as client:
        yield client
    house.records.close()


def moved(client: TestClient, house: House) -> TestClient:
    """The client, signed out, before another house; what the doors remember begins anew."""
    serve(client.app, house)  # type: ignore[arg-type]
    client.cookies.clear()
    client.headers.pop("X-CSRF-Token", None)
    return client
