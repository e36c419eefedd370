"""Many spellings of a department onto one name: the 15 built-in ones or a hospital's own list."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from tetkik import turkish
from tetkik.errors import DataError
from tetkik.lab.triage.clean.text import readable, without_markup
from tetkik.values import DEPARTMENTS

# What a table adds to a department's name. "hastalıkları" is not here: it is part of names.
_ADDED = re.compile(
    r"\b(?:poliklinigi?|poliklinik|pol|bolumu?|servisi?|klinigi?|klinik|birimi?|ana ?bilim dali|abd"
    r"|bilim dali|uzmani?|uzm|uzmanligi?|doktoru?|hekimi|dr|department|clinic|yetiskin|eriskin)\b"
)
_NOTHING = frozenset(
    {"", "nan", "none", "null", "na", "n a", "yok", "bos", "belirsiz", "bilinmiyor", "unknown"}
)


@dataclass(frozen=True, slots=True)
class Departments:
    """The departments a table is brought to."""

    names: tuple[str, ...]
    spellings: Mapping[str, str]

    def match(self, label: str) -> str | None:
        """The department that goes by `label`, or None."""
        plain = _folded(label)
        return self.spellings.get(plain) or self.spellings.get(" ".join(_ADDED.sub(" ", plain).split()))


def is_no_label(label: str) -> bool:
    """Whether the cell stands for "no label": empty, `nan`, `null`, "belirsiz"."""
    return _folded(label) in _NOTHING


def tidy(label: str) -> str:
    """A label as it is reported: letters restored, markup out, single spaces."""
    return " ".join(without_markup(readable(label)).split())


def departments(path: Path | None = None, *, sub_specialities: bool = False) -> Departments:
    """The built-in list, or a hospital's own: TOML with `[[department]]` tables (`name`, `aliases`,
    `sub_specialities`).

    A department of the hospital's list that has a built-in name keeps the built-in aliases, except those that
    the list gives to another department.
    """
    if path is None:
        return Departments(DEPARTMENTS, _spellings(_built_in(), sub_specialities, "aliases.toml"))
    try:
        table = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
        entries = [(entry["name"], entry) for entry in table["department"]]
        own = {str(name): _checked(entry) for name, entry in entries}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise DataError(
            "{path} is not a list of departments ({fault}); write a [[department]] table with a name and its "
            "aliases for each.",
            path=path,
            fault=f"no {error}" if isinstance(error, KeyError) else error,
        ) from None
    if len(own) < 2 or len(own) != len(entries):
        raise DataError("{path} must name at least two departments, each once; correct the list.", path=path)
    spellings = _spellings(own, sub_specialities, str(path))
    built_in = {name: entry for name, entry in _built_in().items() if _folded(name) in spellings}
    for spelling, name in _spellings(built_in, sub_specialities, "aliases.toml").items():
        spellings.setdefault(spelling, spellings[_folded(name)])
    return Departments(tuple(own), spellings)


_Entry = dict[str, list[str]]


def _checked(entry: dict[str, Any]) -> _Entry:
    unknown = set(entry) - {"name", "aliases", "sub_specialities"}
    if unknown:
        raise TypeError(f"unknown key {sorted(unknown)[0]}")
    found = {key: entry.get(key, []) for key in ("aliases", "sub_specialities")}
    if not all(
        isinstance(value, list) and all(isinstance(v, str) for v in value) for value in found.values()
    ):
        raise TypeError("aliases must be a list of strings")
    return found


@cache
def _built_in() -> dict[str, _Entry]:
    table = tomllib.loads(resources.files(__package__).joinpath("aliases.toml").read_text("utf-8"))
    return {entry["name"]: _checked(entry) for entry in table["department"]}


def _spellings(entries: Mapping[str, _Entry], sub_specialities: bool, source: str) -> dict[str, str]:
    spellings: dict[str, str] = {}
    for name, entry in entries.items():
        for alias in (name, *entry["aliases"], *(entry["sub_specialities"] if sub_specialities else ())):
            if spellings.setdefault(_folded(alias), name) != name:
                raise DataError(
                    "{path} gives the alias {alias} to {first} and to {second}; leave it with one of them.",
                    path=source,
                    alias=alias,
                    first=spellings[_folded(alias)],
                    second=name,
                )
    return spellings


def _folded(label: str) -> str:
    return " ".join(turkish.fold(tidy(label)).split())
