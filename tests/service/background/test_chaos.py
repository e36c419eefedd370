"""`kill -9` while people upload, save and sign: nothing lost, nothing doubled, no half-signed report."""

from __future__ import annotations

from tests.service.chaos import chaos

KILLS = 4
"""One in each step of the work; `benchmarks/service_chaos.py` kills as often as it is told."""


def test_a_hospital_that_is_killed_again_and_again_keeps_its_word(tmp_path):
    outcome = chaos(tmp_path, KILLS, seed=4)
    assert outcome.faults == []
    assert outcome.kills == KILLS and len(outcome.courses) >= 2
