"""Every operation of the API keeps to its own schema, one by one and linked to each other."""

from __future__ import annotations

import httpx

from tests.patience import PATIENCE
from tests.records.kit import made_case, made_user
from tests.service.browser import serving
from tests.service.kit import make_context, opened_session
from tests.service.schema_runs import OWN_END, STREAMS, run_schemathesis, write_schema
from tetkik.service.app import PREFIX
from tetkik.values import Role


def test_the_whole_schema(tmp_path):
    """With the examples, at the edges of every parameter, at random, and along the links."""
    app_context = make_context(tmp_path, requests_per_minute=10**6, sign_ins_per_minute=10**6)
    person = made_user(app_context.records, *Role)
    made_case(app_context.records, person)
    cookie, csrf = opened_session(app_context, person)
    session = {"Cookie": f"tetkik={cookie}", "X-CSRF-Token": csrf}
    with serving(app_context) as address:
        write_schema(tmp_path, address)
        found = run_schemathesis(tmp_path, address, session, f"--exclude-path-regex={STREAMS}|{OWN_END}")
        assert not found, found
        still = httpx.get(f"{address}{PREFIX}/account", headers=session, timeout=PATIENCE)
        assert still.status_code == httpx.codes.OK  # or nothing after the end of the session was tested
        found = run_schemathesis(tmp_path, address, session, f"--include-path-regex={OWN_END}")
        assert not found, found
