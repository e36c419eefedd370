"""schemathesis against a served hospital, as one person."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.patience import PATIENCE
from tetkik.service.app import PREFIX

STREAMS = "/(events|stream)$"
"""Answers that do not end; they have tests of their own."""

CONFIG = """
[phases.coverage]
# That a method which an address lacks gets 405 is tested once, in test_worklist_api.py.
unexpected-methods = []

[checks.positive_data_acceptance]
# 412, 428: a change names the state that it was made for; 422: what no schema can say (a checksum).
expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 412, 422, 428, 429]
"""


OWN_END = "/users/.*/(disable|demand-change|reset|unlock|confirm-keys)$|/account/"
"""Operations that may end the session that asks: they come last."""


def write_schema(folder: Path, address: str) -> None:
    """What `run_schemathesis` reads: the schema that is served, and its configuration."""
    (folder / "schemathesis.toml").write_text(CONFIG)
    schema = httpx.get(f"{address}{PREFIX}/openapi.json", timeout=PATIENCE).json()
    (folder / "openapi.json").write_text(json.dumps(_without_security(schema)), "utf-8")


def _without_security(schema: dict[str, Any]) -> dict[str, Any]:
    """Else schemathesis invents cookies and tokens, and every answer is 401."""
    del schema["components"]["securitySchemes"]
    for item in schema["paths"].values():
        for operation in item.values():
            operation.pop("security", None)
    return schema


ONCE = ("--max-examples=2", "--generation-deterministic")


def run_schemathesis(
    folder: Path, address: str, headers: dict[str, str], *chosen: str, how: tuple[str, ...] = ONCE
) -> str:
    """What it found fault with, in its words; empty for nothing."""
    ran = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            "run",
            "openapi.json",
            f"--url={address}",
            f"--request-timeout={PATIENCE}",
            *(part for name, value in headers.items() for part in ("--header", f"{name}: {value}")),
            *how,
            "--continue-on-failure",
            "--no-color",
            "--warnings=off",
            *chosen,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if ran.returncode == 0 else ran.stdout[-100_000:] + ran.stderr[-2_000:]
