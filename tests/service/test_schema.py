"""Every operation of the API keeps to its own schema, one by one and linked to each other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.patience import PATIENCE
from tests.records.kit import made_case, made_user
from tests.service.browser import serving
from tests.service.kit import make_context, opened_session
from tetkik.service.app import PREFIX
from tetkik.values import Role

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


def test_the_whole_schema(tmp_path):
    """With the examples, at the edges of every parameter, at random, and along the links."""
    app_context = make_context(tmp_path, requests_per_minute=10**6, sign_ins_per_minute=10**6)
    person = made_user(app_context.records, *Role)
    made_case(app_context.records, person)
    cookie, csrf = opened_session(app_context, person)
    session = {"Cookie": f"tetkik={cookie}", "X-CSRF-Token": csrf}
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    with serving(app_context) as address:
        schema = httpx.get(f"{address}{PREFIX}/openapi.json", timeout=PATIENCE).json()
        (tmp_path / "openapi.json").write_text(json.dumps(_without_security(schema)), "utf-8")
        run_schemathesis(tmp_path, address, session, f"--exclude-path-regex={STREAMS}|{OWN_END}")
        still = httpx.get(f"{address}{PREFIX}/account", headers=session, timeout=PATIENCE)
        assert still.status_code == httpx.codes.OK  # or nothing after the end of the session was tested
        run_schemathesis(tmp_path, address, session, f"--include-path-regex={OWN_END}")


def _without_security(schema: dict[str, Any]) -> dict[str, Any]:
    """Else schemathesis invents cookies and tokens, and every answer is 401."""
    del schema["components"]["securitySchemes"]
    for item in schema["paths"].values():
        for operation in item.values():
            operation.pop("security", None)
    return schema


def run_schemathesis(folder: Path, address: str, headers: dict[str, str], chosen: str) -> None:
    ran = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            "run",
            "openapi.json",
            f"--url={address}",
            f"--request-timeout={PATIENCE}",
            *(part for name, value in headers.items() for part in ("--header", f"{name}: {value}")),
            "--max-examples=2",
            "--generation-deterministic",
            "--continue-on-failure",
            "--no-color",
            "--warnings=off",
            chosen,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-100_000:] + ran.stderr[-2_000:]
