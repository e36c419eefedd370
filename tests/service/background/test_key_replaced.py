"""`tetkik keys rotate` beside a served house: who works goes on, and nobody has to start it again."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.records.kit import made_case
from tests.service.kit import made_house, served, sign_in
from tetkik.values import Role

API = "/api/v1"


def test_a_served_house_goes_on_under_the_next_master_key(tmp_path):
    house = made_house(tmp_path)
    with served(house) as client:
        case_id = made_case(house.records, sign_in(client, house, Role.RECEPTION))
        before = house.records.vault.held.fingerprint
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
        assert house.records.vault.held.fingerprint != before
    house.records.close()
