"""The npm packages of programs that tests run with Node.js, fetched once by their lock files."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from tempfile import mkdtemp

import pytest
from platformdirs import user_cache_path

from tests.programs import program


def modules(source: Path) -> Path:
    """The packages of the folder's `package-lock.json`, kept in the user's cache."""
    lock = source / "package-lock.json"
    version = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    folder = user_cache_path("tetkik") / "tests" / f"{source.name}-{version}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(mkdtemp(prefix=f".{source.name}-", dir=folder.parent))
        try:
            for name in ("package.json", lock.name):
                shutil.copy(source / name, stage / name)
            command = [program("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            if subprocess.run(command, cwd=stage, capture_output=True, check=False, timeout=300).returncode:
                pytest.fail(
                    f"npm could not fetch {source.name}: run `npm ci` in {source} to see why, and the "
                    "tests again once it can reach its registry."
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
