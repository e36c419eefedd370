"""One application for many hospitals: making one takes longer than most tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from tests.service.kit import make_context, serve, served
from tetkik.service.kit.context import AppContext


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client whose application serves whichever hospital it is moved to."""
    app_context = make_context(tmp_path_factory.mktemp("first"))
    with served(app_context) as client:
        yield client
    app_context.records.close()


def moved(client: TestClient, app_context: AppContext) -> TestClient:
    """The client, signed out, before another hospital; the counters begin anew."""
    serve(client.app, app_context)  # type: ignore[arg-type]
    client.cookies.clear()
    client.headers.pop("X-CSRF-Token", None)
    return client
