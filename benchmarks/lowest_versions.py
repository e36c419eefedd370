"""The service on the lowest versions that its extra allows: an environment of them, and the tests in it.

    python benchmarks/lowest_versions.py [--folder DIR] [TEST...]

`pip` installs this checkout with every requirement of the extra `service` at its lowest version, and the
newest of all others, into a virtual environment (some 700 MB; `--folder` keeps it for the next time). Then
pytest runs the tests: those of access, of sign-in and of the connections unless others are named. The exit
status is that of pytest.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
TESTS = ("tests/service/access", "tests/service/test_sign_in.py", "tests/cli/test_serve.py")
TOOLS = ("hypothesis", "playwright", "pytest", "pytest-xdist", "schemathesis")
"""What the tests import."""


def lowest(requirements: Iterable[str]) -> dict[str, str]:
    """The lowest version of each requirement that names one, by its name."""
    found = (re.match(r"([\w.-]+)(?:\[.*?\])?>=([\w.]+)", one) for one in requirements)
    return {one[1]: one[2] for one in found if one is not None}


def install(folder: Path) -> Path:
    """Make the environment; gives its Python."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    bounds = lowest(project["optional-dependencies"]["service"])
    venv.create(folder, with_pip=True, clear=False)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    constraints = folder / "lowest.txt"
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in bounds.items()))
    tested = [f"{ROOT}[onnx,postgres,service]", *TOOLS]
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-c", constraints, *tested], check=True)
    return python


def main() -> None:
    """Install and test."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="of the environment; else it is removed afterwards")
    parser.add_argument("tests", nargs="*", default=TESTS)
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="tetkik-lowest-") as temporary:
        python = install((arguments.folder or Path(temporary)).absolute())
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        # Old packages use what new ones will drop, and say so: warnings are no faults here.
        command = [
            str(python),
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-o",
            "filterwarnings=default",
        ]
        command += arguments.tests
        sys.exit(subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode)


if __name__ == "__main__":
    main()
