"""`kill -9` of worker and PostgreSQL, cut connections, a full disk: nothing lost, nothing doubled."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from tests.fleet.fleet import Fleet
from tests.records.kit import made_records
from tests.service.chaos import chaos
from tetkik.cli.app import app

ROUNDS = 4
"""One of each kind; `benchmarks/fleet_chaos.py` does as many as it is told, and kills the service, too."""


@pytest.mark.program("postgresql")
def test_a_fleet_in_trouble_reads_each_film_once(tmp_path):
    with Fleet(tmp_path, 1) as fleet:
        made_records(tmp_path, fleet.url).close()
        fleet.start()
        faults = fleet.faults()[:ROUNDS]
        outcome = chaos(
            tmp_path, ROUNDS, seed=19, people=1, url=fleet.url, settings=fleet.settings, faults=faults
        )
        assert outcome.faults == []
        assert {kind: len(seconds) for kind, seconds in outcome.recoveries.items()} == dict.fromkeys(
            ("worker", "postgresql", "connections", "disk"), 1
        )
        check = ["worker", "--check", "--health-file", str(tmp_path / "worker-0")]
        assert CliRunner().invoke(app, check).exit_code == 0
        assert fleet.end() == 0
