"""`make check` finds the tests of what was changed."""

from __future__ import annotations

import pytest

from tests.changed import CORE, ROOT, nearest_tests
from tests.conftest import _ALWAYS, _DURATIONS


def names(*changed: str) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in nearest_tests(changed)]


def test_a_test_runs_itself_first():
    assert names("src/tetkik/turkish.py", "tests/test_errors.py")[0] == "tests/test_errors.py"


def test_a_module_runs_what_is_named_after_it_and_then_what_imports_it():
    found = names("src/tetkik/turkish.py")
    assert found[0] == "tests/test_turkish.py" and len(found) > 1


def test_a_helper_of_tests_runs_what_imports_it():
    assert "tests/test_changed.py" in names("tests/changed.py")


def test_a_file_that_nothing_imports_runs_its_folder():
    found = names("src/tetkik/triage/no_such_file.txt")
    assert found and all(name.startswith("tests/triage/") for name in found)


@pytest.mark.parametrize("changed", [(), ("README.md",)])
def test_without_a_change_of_code_the_core_runs(changed):
    assert {name.rpartition("/")[2] for name in names(*changed)} == set(CORE)


def test_what_is_slow_or_always_run_is_there():
    for name in (*_ALWAYS, *_DURATIONS):
        path, _, test = name.partition("::")
        assert f"def {test}(" in (ROOT / path).read_text("utf-8"), name
