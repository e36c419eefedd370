"""Programs from outside Python that read our documents as other people's software does."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from platformdirs import user_cache_path

VALIDATOR = Path(__file__).parent / "fhir_validator"


def program(name: str, package: str) -> str:
    """The path of a program; the test fails with one sentence where it is missing."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is missing: install the package {package} (`apt-get install {package}`).")
    return found


def said(name: str, package: str, file: Path, *options: str) -> tuple[int, str]:
    """What a checker of DICOM files says of one: its exit status and both of its outputs."""
    command = [program(name, package), *options, str(file)]
    result = subprocess.run(command, capture_output=True, check=False, timeout=60)
    return result.returncode, (result.stdout + result.stderr).decode("utf-8", "replace")


def validated(resources: list[Any]) -> list[dict[str, Any]]:
    """What the npm package `fhir` says of each resource: `valid` and `messages`."""
    result = subprocess.run(
        [program("node", "nodejs"), VALIDATOR / "validate.js"],
        input=json.dumps(resources).encode(),
        capture_output=True,
        check=True,
        timeout=120,
        env={**os.environ, "NODE_PATH": str(_modules())},
    )
    answers: list[dict[str, Any]] = json.loads(result.stdout)
    return answers


def _modules() -> Path:
    """The packages of `package-lock.json`, fetched once and kept in the user's cache."""
    lock = VALIDATOR / "package-lock.json"
    version = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    folder = user_cache_path("tetkik") / "tests" / f"fhir-validator-{version}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(mkdtemp(prefix=".fhir-validator-", dir=folder.parent))
        try:
            for name in ("package.json", lock.name):
                shutil.copy(VALIDATOR / name, stage / name)
            command = [program("npm", "npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            result = subprocess.run(command, cwd=stage, capture_output=True, check=False, timeout=300)
            if result.returncode:
                pytest.fail(
                    f"npm could not fetch the FHIR validator: run `npm ci` in {VALIDATOR} to see why, "
                    "and the tests again once it can reach its registry."
                )
            _take_place(stage, folder)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    return folder / "node_modules"


def _take_place(stage: Path, folder: Path) -> None:
    """Rename, unless another process of the same run was quicker."""
    try:
        stage.replace(folder)
    except OSError:
        if not folder.is_dir():
            raise
