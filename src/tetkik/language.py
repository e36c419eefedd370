"""The two languages of every message: English in the code, Turkish in the files of `messages/`.

A message is an English template and its values. The code writes the English sentence where it is needed;
`translate` gives it in the language asked for. A test walks the source and fails when a template has no
Turkish twin or when the two name different values.
"""

from __future__ import annotations

import locale
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib import resources


class Language(StrEnum):
    """A language of the interface."""

    TR = "tr"
    EN = "en"


def system_language() -> Language:
    """The language of the system's locale: Turkish or, for any other, English."""
    name = os.environ.get("LC_ALL") or os.environ.get("LANG") or locale.getlocale()[0] or ""
    return Language.TR if name.lower().startswith("tr") else Language.EN


@cache
def _turkish() -> dict[str, str]:
    messages: dict[str, str] = {}
    for file in resources.files("tetkik").joinpath("messages").iterdir():
        if file.name.endswith(".toml"):
            table = tomllib.loads(file.read_text("utf-8"))
            messages.update({entry["en"]: entry["tr"] for entry in table["message"]})
    return messages


def translate(template: str, language: Language, **values: object) -> str:
    """Fill `template` (English, `str.format` fields) with `values`, in `language`.

    A template without a Turkish twin stays English: an untranslated sentence is better than none. A value
    that is a member of an enumeration of words, such as the reason for which a row is left out, is translated
    as well.
    """
    values = {
        name: translate(value.value, language) if isinstance(value, StrEnum) else value
        for name, value in values.items()
    }
    if language is Language.TR:
        template = _turkish().get(template, template)
    return template.format(**values) if values else template


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence in English with its values, which can be said in either language.

    A value may be a sentence itself (the name of a slice, say): it is said in the same language.
    """

    template: str
    values: Mapping[str, object] = field(default_factory=dict)

    def in_language(self, language: Language) -> str:
        """The sentence in `language`."""
        values = {
            name: value.in_language(language) if isinstance(value, Sentence) else value
            for name, value in self.values.items()
        }
        return translate(self.template, language, **values)
