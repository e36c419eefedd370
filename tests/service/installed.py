"""Plays the day against the built wheel in an empty environment: what a hospital installs is what was tested.

    python tests/service/installed.py [--keep DIR]

It builds the wheel, makes an environment that knows nothing of this source, installs `tetkik[service]` from
the wheel, and runs `test_day.py` with that installation as the server. `DAY_SHOTS=DIR` keeps a picture of
each page.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, **environment: str) -> None:
    subprocess.run([str(part) for part in command], cwd=ROOT, env={**os.environ, **environment}, check=True)


def built(folder: Path) -> Path:
    """The wheel of this source."""
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("tetkik-*.whl")
    return wheel


def installed(wheel: Path, folder: Path) -> Path:
    """The interpreter of an environment with the wheel and nothing else of ours."""
    python = folder / "bin" / "python"
    if shutil.which("uv"):
        run("uv", "venv", "--quiet", "--python", sys.executable, folder)
        run("uv", "pip", "install", "--quiet", "--python", python, f"tetkik[service] @ {wheel.as_uri()}")
    else:
        venv.create(folder, with_pip=True)
        run(python, "-m", "pip", "install", "--quiet", f"tetkik[service] @ {wheel.as_uri()}")
    return python


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--keep", type=Path, help="a folder for the wheel and the environment; else a temporary one"
    )
    keep = parser.parse_args().keep
    with tempfile.TemporaryDirectory() as temporary:
        folder = (keep or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        python = installed(built(folder), folder / "environment")
        run(sys.executable, "-m", "pytest", "-q", "tests/service/test_day.py", DAY_PYTHON=str(python))


if __name__ == "__main__":
    main()
