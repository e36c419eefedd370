"""What each action of the audit trail is called on a page."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib import resources

from tetkik.language import Language, Sentence, translate
from tetkik.records.audit_chain import Action
from tetkik.service.kit.rendering.templates import exact
from tetkik.values import FINDING_LABELS, label_name

_YES = {True: Sentence("Yes"), False: Sentence("No")}
_AS_IT_IS = frozenset({"typed", "reference", "department", "bundle", "model"})
"""What somebody or something is called: no codes."""
_MOMENTS = frozenset({"made_at", "kept_until", "since", "until"})


@cache
def _words(table: str) -> dict[str, str]:
    text = resources.files("tetkik.service.audit").joinpath("words.toml").read_text("utf-8")
    words: dict[str, str] = tomllib.loads(text)[table]
    return words


def action_word(action: str, language: Language) -> str:
    """An action in words; one that this version does not know stays a code."""
    return translate(_words("actions").get(action, action), language)


def detail_words(
    detail: Mapping[str, object], language: Language, people: Mapping[str, str] | None = None
) -> list[tuple[str, object]]:
    """The details of an entry, in words; a name or a code that this version does not know stays as it is.

    Empty values, and `by_glass` that is false, are left out. `people` names users by their ids.
    """
    of_priority = detail.get("field") == "priority"
    return [
        (
            translate(_words("details").get(name, name), language),
            _value("priority" if of_priority and name == "before" else name, value, language, people or {}),
        )
        for name, value in detail.items()
        if value is not None and (name, value) != ("by_glass", False)
    ]


def _value(name: str, value: object, language: Language, people: Mapping[str, str]) -> object:
    if isinstance(value, bool):
        return _YES[value].in_language(language)
    if name == "size" and isinstance(value, int):
        return f"{value / 1_000_000:.1f} MB" if value >= 100_000 else f"{max(1, value // 1000)} kB"
    if name == "priority":
        return _code(name, str(value), language)
    if not isinstance(value, str) or name in _AS_IT_IS:
        return value
    if name in _MOMENTS:
        return _moment(value)
    if name == "taken_from":
        return people.get(value, value)
    if name == "label":
        return label_name(value, language) if value in FINDING_LABELS else value
    return ", ".join(_code(name, part, language) for part in value.split(","))


def _code(name: str, code: str, language: Language) -> str:
    words = _words("values")
    return translate(words.get(f"{name} {code}") or words.get(code, code), language)


def _moment(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return exact(moment) if "T" in text else f"{moment:%d.%m.%Y}"


def actions_named(language: Language) -> list[tuple[str, str]]:
    """Every action with its words, in the order of the words."""
    return sorted(
        ((action.value, action_word(action, language)) for action in Action), key=lambda pair: pair[1]
    )
