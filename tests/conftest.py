"""For every test: no setting of this machine, English messages, an empty folder for models, markers."""

from __future__ import annotations

import gc
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import typer.testing
from argon2 import PasswordHasher

# Before the first import of the command line, whose help pages are made as it is imported.
for _name in [name for name in os.environ if name.startswith("TETKIK_")]:
    del os.environ[_name]
os.environ["TETKIK_LANGUAGE"] = "en"
os.environ["TETKIK_ALLOW_ROOT"] = "true"  # the tests run in containers, too
# There is a process of tests for each core and more: threads of their own would wait for each other.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from tests.programs import (  # noqa: E402
    PROGRAMS,
    find_program,
    missing_programs,
    packages_of,
    why_skipped,
)
from tests.records.statements import create_sharing_engine  # noqa: E402
from tetkik.bundle import Bundle, Manifest, Task, open_bundle, write_manifest  # noqa: E402
from tetkik.cli import console  # noqa: E402
from tetkik.language import Language  # noqa: E402
from tetkik.records import database  # noqa: E402
from tetkik.records.people import passwords  # noqa: E402
from tetkik.settings import settings  # noqa: E402

database.create_engine = create_sharing_engine  # type: ignore[assignment, attr-defined]
# The hospital's own takes as long as it may, each time; `test_passwords.py` has it.
passwords._HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
build_command = typer.testing._get_command  # type: ignore[attr-defined]


@cache
def built_command(app: typer.Typer, language: Language) -> Any:
    """A command with all below it in one language, built once for the tests that run it in their process."""
    return build_command(app)


typer.testing._get_command = lambda app: built_command(app, console.language())  # type: ignore[attr-defined, assignment]

_ON_POSTGRESQL = pytest.mark.program("postgresql")
_DURATIONS: dict[str, float] = json.loads((Path(__file__).parent / "durations.json").read_text("utf-8"))
_FAST_SECONDS = 2.0
"""What a test function may take, with all its parameters, to be among those of `make test`."""
_ALWAYS = (
    "tests/lab/caption/test_train_cli.py::test_a_prepared_folder_becomes_a_bundle",
    "tests/lab/findings/test_train_cli.py::test_a_table_becomes_a_bundle",
    "tests/lab/triage/test_linear_train.py::test_it_learns_and_says_how_well",
    "tests/service/test_day.py::test_the_day",
)
"""Slow, and among those of `make test` all the same: a day in a browser, a training of each capability."""
_PROGRAMS_OF_FIXTURES = {
    "browser": ("chromium",),
    "issuer": ("node", "npm"),
    "object_storage": ("radosgw",),
    "postgres": ("postgresql",),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """`.ci/run` runs what takes records on PostgreSQL too."""
    parser.addoption("--both-databases", action="store_true", help="run every test of the records on both")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """One more than there are cores: a test often waits, for a browser, a server or a database."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return 1 + (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Records are on SQLite, and on PostgreSQL too where a test is marked `both_databases`."""
    if "make_url" in metafunc.fixturenames:
        databases: list[Any] = ["sqlite"]
        if metafunc.definition.get_closest_marker("both_databases") is not None:
            databases.append(pytest.param("postgresql", marks=_ON_POSTGRESQL))
        elif metafunc.config.getoption("both_databases"):
            databases.append(pytest.param("postgresql", marks=(_ON_POSTGRESQL, pytest.mark.slow)))
        metafunc.parametrize("make_url", databases, indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow or needs a program; skip what needs a program that is missing."""
    for item in items:
        function = item.nodeid.partition("[")[0]
        if _DURATIONS.get(function, 0.0) > _FAST_SECONDS and function not in _ALWAYS:
            item.add_marker("slow")
        for fixture in _PROGRAMS_OF_FIXTURES.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.program(*_PROGRAMS_OF_FIXTURES[fixture]))
        needed = dict.fromkeys(name for mark in item.iter_markers("program") for name in mark.args)
        for name in needed:
            item.add_marker(PROGRAMS[name].marker)
        if missing := [name for name in needed if find_program(name) is None]:
            item.add_marker(pytest.mark.skip(reason=why_skipped(*missing)))


def pytest_collection_finish() -> None:
    """Modules stay until the end: the garbage collector need not look through them again and again."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell which programs are missing, how many tests each one skipped, and how to install them all."""
    reasons = [str(report.longrepr) for report in terminalreporter.getreports("skipped")]
    skipped = Counter(name for reason in reasons for name in missing_programs(reason))
    if skipped:
        terminalreporter.section("missing programs", yellow=True)
        for name, count in sorted(skipped.items()):
            terminalreporter.line(f"{name}: {count} tests skipped")
        terminalreporter.line(f"To run them: apt-get install {' '.join(packages_of(skipped))}")


@pytest.fixture(scope="session")
def settings_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of its own for each test; `mktemp` would look through all that there are, each time."""
    folder = tmp_path_factory.mktemp("settings")
    return (folder / str(number) for number in count())


@pytest.fixture(autouse=True)
def own_settings(settings_folders: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of models of this test alone; settings are read afresh before and after."""
    folder = next(settings_folders)
    folder.mkdir()
    monkeypatch.setenv("TETKIK_MODELS_DIR", str(folder / "models"))
    monkeypatch.setenv("TETKIK_PASSAGES_DIR", str(folder / "passages"))
    monkeypatch.setenv("TETKIK_LANGUAGE", "en")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    settings.cache_clear()
    yield folder / "models"
    settings.cache_clear()


@pytest.fixture
def turkish_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages in Turkish."""
    monkeypatch.setenv("TETKIK_LANGUAGE", "tr")
    settings.cache_clear()


# How long an example takes says how busy the machine is, and nothing about the code.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, max_examples=50, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")

# What a shell starts in the background ignores Ctrl-C, and so would all that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


MakeBundle = Callable[..., Bundle]


@pytest.fixture
def make_bundle() -> MakeBundle:
    """A maker of small sound bundles: weights, a folder within, a card."""

    def make(folder: Path, **changes: object) -> Bundle:
        (folder / "tokens").mkdir(parents=True)
        np.savez(folder / "model.npz", weights=np.arange(500, dtype=np.float32))
        (folder / "tokens" / "vocab.txt").write_text("göz\nkulak\n", encoding="utf-8")
        (folder / "README.md").write_text("# Ölçü\n", encoding="utf-8")
        fields: dict[str, object] = {
            "id": "ornek",
            "version": "1.0",
            "task": Task.TRIAGE,
            "kind": "linear",
            "labels": ("Göz Hastalıkları", "Dahiliye"),
            "created": "2026-01-01",
        }
        write_manifest(folder, Manifest.model_validate({**fields, **changes}))
        return open_bundle(folder)

    return make


def edit_manifest(folder: Path, **changes: object) -> None:
    """Change keys of a bundle's manifest as a careless or hostile hand would."""
    file = folder / "manifest.json"
    content = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({**content, **changes}), encoding="utf-8")
