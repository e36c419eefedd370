"""`tetkik keys rotate` beside a served hospital: who works goes on, and nobody has to start it again."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.records.kit import made_case
from tests.service.kit import make_context, served, sign_in
from tetkik.values import Role

API = "/api/v1"


def test_a_served_hospital_goes_on_under_the_next_master_key(tmp_path):
    app_context = make_context(tmp_path)
    with served(app_context) as client:
        case_id = made_case(app_context.records, sign_in(client, app_context, Role.RECEPTION))
        before = app_context.records.vault.held.fingerprint
        subprocess.run(
            [sys.executable, "-m", "tetkik", "keys", "rotate"],
            env={**os.environ, "TETKIK_DATA_DIR": str(tmp_path)},
            check=True,
            capture_output=True,
        )
        assert client.get(f"{API}/cases/{case_id}").json()["patient"]["name"] == "Gülçin ŞAHİN"
        made = client.post(f"{API}/cases", json={"patient": {"name": "Ömer Işık"}})
        assert made.status_code == 201
        assert client.get(f"{API}/cases/{made.json()['id']}").json()["patient"]["name"] == "Ömer Işık"
        assert app_context.records.vault.held.fingerprint != before
    app_context.records.close()
