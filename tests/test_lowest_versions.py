"""The lowest versions that the extra `service` allows; `benchmarks/lowest_versions.py` runs it on them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
SAFE = {
    "cryptography": "48.0.1",  # GHSA-537c-gmf6-5ccf
    "fastapi": "0.133.1",  # before it, none goes with a Starlette that is safe
    "h11": "0.16",  # CVE-2025-43859: chunked bodies read leniently
    "jinja2": "3.1.6",  # CVE-2025-27516
    "joserfc": "1.7.4",  # CVE-2026-75509: the issuer of a list; CVE-2026-102946
    "python-multipart": "0.0.26",  # CVE-2026-40347: forms that take quadratic time
    "starlette": "1.3.1",  # CVE-2026-48710 and PYSEC-2026-248: paths and hosts of the Host header
}


@pytest.mark.attack
def test_the_lowest_versions_are_safe():
    lowest = {}
    for one in map(Requirement, PROJECT["optional-dependencies"]["service"]):
        (floor,) = (part.version for part in one.specifier if part.operator == ">=")  # each has one
        lowest[one.name] = Version(floor)
    for name, safe in SAFE.items():
        assert lowest[name] >= Version(safe), f"{name} {lowest[name]} has a known fault"
