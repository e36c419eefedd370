"""The two languages of every message: English in the code, Turkish in the gettext catalogue `messages/tr.po`.

A message is an English template and its values. The code writes the English sentence where it is needed;
`translate` gives it in the language asked for. A test walks the source and fails when a template has no
Turkish translation or when the two name different values.

The template is the key (`msgid`), also of sentences that were stored, so it never changes for the sake of
grammar. It is written for many; how English says one is in `messages/en.po`, for gettext's plurals know one
count in a sentence, and some have three. Turkish needs no such forms: a noun after a number stays singular.
"""

from __future__ import annotations

import locale
import os
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, lru_cache
from gettext import GNUTranslations
from importlib import resources

_ONE = frozenset({"1", "1.0"})
_PARTS = string.Formatter()
_LEAST_LITERAL = 20
"""Characters beside its values by which a stored sentence is known for a message."""


class Language(StrEnum):
    """A language of the interface."""

    TR = "tr"
    EN = "en"


def system_language() -> Language:
    """The language of the system's locale: Turkish or, for any other, English."""
    name = os.environ.get("LC_ALL") or os.environ.get("LANG") or locale.getlocale()[0] or ""
    return Language.TR if name.lower().startswith("tr") else Language.EN


@cache
def _catalogue(language: Language) -> GNUTranslations:
    with resources.files("tetkik").joinpath("messages", f"{language}.mo").open("rb") as file:
        return GNUTranslations(file)


def is_message(template: str) -> bool:
    """Whether it is a sentence of the catalogue, which holds every one of ours."""
    # What gettext does not know it gives back itself.
    return _catalogue(Language.TR).gettext(template) is not template


class _Counted(string.Formatter):
    """`str.format` in which `{n:image|images}` is the first form where n is 1, and else the second."""

    def format_field(self, value: object, format_spec: str) -> str:
        one, several, many = format_spec.partition("|")
        if several:
            return one if str(value) in _ONE else many
        return str(super().format_field(value, format_spec))


def translate(template: str, language: Language, **values: object) -> str:
    """Fill `template` (English, `str.format` fields) with `values`, in `language`.

    A template without a Turkish translation stays English: an untranslated sentence is better than none. A
    value that is a `Sentence`, or a member of an enumeration of words, is translated as well.
    """
    values = {name: _translated(value, language) for name, value in values.items()}
    if template and (language is Language.TR or any(str(value) in _ONE for value in values.values())):
        template = _catalogue(language).gettext(template)
    return _Counted().format(template, **values) if values else template


@lru_cache(1000)
def restated(text: str, language: Language) -> str:
    """A sentence that was stored in words, in `language`; as it stands where it is no message."""
    known_messages: dict[str, str] = _catalogue(Language.TR)._catalog  # type: ignore[attr-defined]
    for english, turkish in known_messages.items():
        known, wanted = (turkish, english) if language is Language.EN else (english, turkish)
        if known == text:
            return wanted
        parts = list(_PARTS.parse(known))
        literal = "".join(part[0] for part in parts)
        if len(literal) < _LEAST_LITERAL or len(literal) == len(known) or not text.startswith(parts[0][0]):
            continue
        pattern = "".join(re.escape(part[0]) + ("(.+)" if part[1] else "") for part in parts)
        found = re.fullmatch(pattern, text)
        if found is not None:
            values = dict(zip((part[1] for part in parts if part[1]), found.groups(), strict=True))
            return "".join(part[0] + values.get(part[1] or "", "") for part in _PARTS.parse(wanted))
    return text


def _translated(value: object, language: Language) -> object:
    if isinstance(value, Sentence):
        return value.in_language(language)
    return translate(value.value, language) if isinstance(value, StrEnum) else value


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence in English with its values, which can be said in either language.

    A value may be a sentence itself (the name of a slice, say): it is said in the same language.
    """

    template: str
    values: Mapping[str, object] = field(default_factory=dict, hash=False)

    def in_language(self, language: Language) -> str:
        return translate(self.template, language, **self.values)
