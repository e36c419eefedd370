"""What each action of the audit trail is called on a page."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources

from tetkik.language import Language, Sentence, translate
from tetkik.records.audit_chain import Action

_SO = {True: Sentence("it is so"), False: Sentence("it is not so")}


@cache
def _words(table: str) -> dict[str, str]:
    text = resources.files("tetkik.service.audit").joinpath("words.toml").read_text("utf-8")
    words: dict[str, str] = tomllib.loads(text)[table]
    return words


def action_word(action: str, language: Language) -> str:
    """An action in words; one that this version does not know stays a code."""
    return translate(_words("actions").get(action, action), language)


def detail_words(detail: Mapping[str, object], language: Language) -> list[tuple[str, object]]:
    """The details of an entry, in words; a name that this version does not know stays a code.

    Empty values, and `by_glass` that is false, are left out.
    """
    return [
        (
            translate(_words("details").get(name, name), language),
            _SO[value].in_language(language) if isinstance(value, bool) else value,
        )
        for name, value in detail.items()
        if value is not None and (name, value) != ("by_glass", False)
    ]


def actions_named(language: Language) -> list[tuple[str, str]]:
    """Every action with its words, in the order of the words."""
    return sorted(
        ((action.value, action_word(action, language)) for action in Action), key=lambda pair: pair[1]
    )
