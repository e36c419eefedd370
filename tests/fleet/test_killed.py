"""An image that ends the process that reads it is set aside, and takes no other with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tetkik.records.images.jobs import STARTS


def test_an_image_that_kills_each_worker_is_set_aside_alone(tmp_path, postgres):
    url = postgres.fresh()
    run = subprocess.run(
        [sys.executable, "-m", "tests.fleet.killed", url, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["kills"] == STARTS
    assert found["rows"][0] == ["failed", STARTS + 1] and "ended {count} times" in found["fault"]
    assert all(state == "done" and attempts <= 2 for state, attempts in found["rows"][1:])
    postgres.drop(url)
