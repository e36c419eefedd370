"""Deny by default: a route without a guard does not start, and a guard lets through its role alone."""

from __future__ import annotations

import pytest
from fastapi import APIRouter

from tests.service.kit import make_context, served
from tetkik.service.kit.access.authorization import check_routes, public


def test_a_route_without_a_guard_does_not_start():
    router = APIRouter()
    router.add_api_route("/open", lambda: None)
    with pytest.raises(RuntimeError, match="/open"):
        check_routes(router)


def test_a_route_for_everybody_says_so():
    router = APIRouter(dependencies=[public()])
    router.add_api_route("/open", lambda: None)
    check_routes(router)


def test_health_without_signing_in(tmp_path):
    with served(make_context(tmp_path)) as client:
        assert client.get("/api/v1/health").json() == {"status": "ok"}
        assert client.get("/api/v1/ready").json() == {"status": "ok"}
