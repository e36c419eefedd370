"""A model that sees blobs, and limits for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.findings.bundles import make_findings_bundle
from tetkik.findings.predict import Findings, load_findings
from tetkik.lab.trial.journal import FixedLimits, read_limits


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    return load_findings(make_findings_bundle(tmp_path_factory.mktemp("trial") / "blobs"), gate=False)


@pytest.fixture
def limits(blobs: Findings, tmp_path: Path) -> FixedLimits:
    path = tmp_path / "limits.yaml"
    path.write_text(
        f"model: {blobs.name}\nlimits:\n  Effusion: {{sensitivity: 0.5, specificity: 0.5, positives: 5}}\n"
        "answered: 0.5\nstatements: {claim: {34: NCT00000000}}\n"
    )
    return read_limits(path)
