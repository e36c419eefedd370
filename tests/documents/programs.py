"""Programs from outside Python that read our documents as other people's software does."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.npm import modules
from tests.patience import PATIENCE
from tests.programs import program

VALIDATOR = Path(__file__).parent / "fhir_validator"


def said(name: str, file: Path, *options: str) -> tuple[int, str]:
    """What a checker of DICOM files says of one: its exit status and both of its outputs."""
    command = [program(name), *options, str(file)]
    result = subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE)
    return result.returncode, (result.stdout + result.stderr).decode("utf-8", "replace")


def validated(resources: list[Any]) -> list[dict[str, Any]]:
    """What the npm package `fhir` says of each resource: `valid` and `messages`."""
    result = subprocess.run(
        [program("node"), VALIDATOR / "validate.js"],
        input=json.dumps(resources).encode(),
        capture_output=True,
        check=True,
        timeout=PATIENCE,
        env={**os.environ, "NODE_PATH": str(modules(VALIDATOR))},
    )
    answers: list[dict[str, Any]] = json.loads(result.stdout)
    return answers
