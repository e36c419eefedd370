"""Other words for what a passage is about, as data."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

from tetkik.language import Language
from tetkik.turkish import fold
from tetkik.values import Passage, finding_label, label_name

_SHORT = 4
"""Letters of a name that takes no ending."""


@cache
def _table(language: Language) -> dict[str, dict[str, list[str]]]:
    text = resources.files(__package__).joinpath(f"{language.value}.toml").read_text("utf-8")
    return tomllib.loads(text)


def names_of(label: str, language: Language) -> tuple[str, ...]:
    """The clinical name of a label, then its other names."""
    return (label_name(label, language), *finding_label(label).search_words.get(language, ()))


def other_names(passage: Passage) -> str:
    """Other names of what a passage is about: of its label, or of the topic of a passage without one."""
    if passage.label is not None:
        return ", ".join(finding_label(passage.label).search_words.get(passage.language, ()))
    return ", ".join(_table(passage.language)["topics"].get(passage.id.rpartition("-")[0], ()))


def asked_as(passage: Passage) -> str:
    """How people ask for a passage of its kind."""
    return ", ".join(_table(passage.language)["kinds"].get(passage.kind.value, ()))


def names_in(text: str, label: str, language: Language) -> bool:
    """Whether a text names a label: by its clinical name or another, with any ending but for short ones.

    `bül` must not be found in `bulgu`, nor `TB` in `tbl`.
    """
    plain = f" {' '.join(fold(text).split())} "
    folded = (" ".join(fold(name).split()) for name in names_of(label, language))
    return any(f" {name} " in plain or (len(name) > _SHORT and f" {name}" in plain) for name in folded)
