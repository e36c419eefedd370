"""Prints the test files of what was changed since the main branch, or a core set where nothing was.

Run by `make check`. A file of `src` has the tests that are named after it or import it, else those of its
folder.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST = 16
"""Test files that are run at most, the nearest ones first: two minutes on two cores."""
CORE = (
    "test_layout.py",
    "test_language.py",
    "test_turkish.py",
    "test_settings.py",
    "test_store.py",
    "test_urgency_rules.py",
    "test_dicom_grey.py",
    "test_predict.py",
    "test_composer.py",
    "test_fhir.py",
    "test_verify.py",
    "test_signing.py",
    "test_sign_in.py",
    "test_authorization.py",
)
"""Names of test files, wherever they lie."""


def _git(*arguments: str) -> list[str]:
    git = shutil.which("git")
    if git is None:
        return []
    done = subprocess.run([git, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return [] if done.returncode else done.stdout.splitlines()


def changed_files() -> list[str]:
    """What differs from the commit where the main branch was left, with what git does not know yet."""
    bases = (_git("merge-base", "HEAD", branch) for branch in ("origin/main", "main"))
    base = next(filter(None, bases), ["HEAD"])
    tracked = _git("diff", "--name-only", "--no-renames", base[0])
    return [*tracked, *_git("ls-files", "--others", "--exclude-standard")]


def nearest_tests(changed: Iterable[str]) -> list[Path]:
    """The test files for these paths, the nearest ones first; the core set where there are none."""
    every = {path: path.read_text("utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py"))}
    paths = [ROOT / name for name in changed]
    found: dict[Path, None] = {path: None for path in paths if path in every}
    for near in (_named_after, _importing, _beside):
        for path in paths:
            found |= dict.fromkeys(near(path, every))
    return [*found] or [path for path in every if path.name in CORE]


def _parts(path: Path) -> tuple[str, ...]:
    """The dotted name of a module of the package or of the tests; empty for any other file."""
    for source in (ROOT / "src", ROOT):
        if path.suffix == ".py" and path.is_relative_to(source):
            parts = path.relative_to(source).with_suffix("").parts
            return parts[:-1] if parts[-1] == "__init__" else parts
    return ()


def _named_after(path: Path, every: dict[Path, str]) -> Iterator[Path]:
    parts = _parts(path)
    if parts[:1] != ("tetkik",):
        return
    folder = ROOT.joinpath("tests", *parts[1:-1])
    for test in every:
        if test.is_relative_to(folder) and re.match(rf"test_{parts[-1]}(_|\.)", test.name):
            yield test


def _importing(path: Path, every: dict[Path, str]) -> Iterator[Path]:
    parts = _parts(path)
    if len(parts) < 2:
        return
    package, name = r"\.".join(parts[:-1]), parts[-1]
    imports = re.compile(
        rf"^(?:from|import) {package}\.{name}\b|^from {package} import (?:\([^)]*|.*)\b{name}\b", re.MULTILINE
    )
    yield from (test for test, text in every.items() if imports.search(text))


def _beside(path: Path, every: dict[Path, str]) -> Iterator[Path]:
    """The tests of the folder of what no test names or imports: templates, data, inner modules."""
    parts = path.relative_to(ROOT).parts
    if parts[:2] == ("src", "tetkik") and not any(_named_after(path, every)):
        if any(_importing(path, every)):
            return
        folder = ROOT.joinpath("tests", *parts[2:-1])
        while not folder.is_dir():
            folder = folder.parent
        if folder != ROOT / "tests":
            yield from (test for test in every if test.is_relative_to(folder))


if __name__ == "__main__":
    found = nearest_tests(changed_files())
    if len(found) > MOST:
        sys.stderr.write(f"The nearest {MOST} of {len(found)} test files; `make test` runs all.\n")
    sys.stdout.writelines(f"{path.relative_to(ROOT)}\n" for path in found[:MOST])
