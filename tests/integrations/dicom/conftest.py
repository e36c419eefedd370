"""Databases for the tests of received studies."""

from __future__ import annotations

from tests.records.fixtures import make_url, postgres

__all__ = ["make_url", "postgres"]
