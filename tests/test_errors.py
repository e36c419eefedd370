"""The tree of errors: drawn, exported and caught as it says."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from tetkik import errors
from tetkik.errors import BundleNotFound, MissingExtra, TetkikError, UsageError
from tetkik.language import Language

CLASSES = {
    name: member
    for name, member in vars(errors).items()
    if inspect.isclass(member) and issubclass(member, TetkikError)
}


def test_the_tree_in_the_docstring_is_the_tree_of_classes():
    parents: list[tuple[int, str]] = []
    drawn = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"([ │├└─]*)([A-Z]\w+)(?: {2,}|$)", line)
        if found is None or found[2] not in CLASSES:
            continue
        depth = len(found[1])
        while parents and parents[-1][0] >= depth:
            parents.pop()
        drawn[found[2]] = parents[-1][1] if parents else "Exception"
        parents.append((depth, found[2]))
    assert drawn == {name: error.__mro__[1].__name__ for name, error in CLASSES.items()}


def test_the_sentence_is_filled_and_translated():
    error = BundleNotFound("There is no file {file}; check the path.", file="göz.zip")
    assert str(error) == "There is no file göz.zip; check the path."
    assert error.in_language(Language.TR) == "göz.zip diye bir dosya yok; yolu denetleyin."
    assert error.in_language(Language.EN) == str(error)


def test_braces_in_a_value_are_left_alone():
    error = UsageError("There is no file {file}; check the path.", file="{curious}")
    assert "{curious}" in str(error)


def test_wrong_usage_ends_with_2():
    assert TetkikError.exit_status == 1
    assert {name for name, error in CLASSES.items() if error.exit_status == 2} == {
        "BundleNotFound",
        "MissingExtra",
        "PermissionNeeded",
        "SettingError",
        "UsageError",
    }
    assert issubclass(MissingExtra, UsageError)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_an_error_travels_between_processes(name):
    error = CLASSES[name]("There is no file {file}; check the path.", file="a")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert copy.in_language(Language.TR) == error.in_language(Language.TR)
