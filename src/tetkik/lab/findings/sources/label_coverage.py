r"""Which absences a row of a table of positives can vouch for.

A table that lists what is present says nothing of what is absent: a label that a row does not list is 0 only
where the row *knows* it, else unknown. What a row knows is what it lists, what its own column `known` names,
and what every rule that fits it names. A rule fits where a column's whole cell matches a regular expression:

    [[known]]                          # in TOML, beside the table as NAME.known.toml or named by an option
    column = "original"
    matches = '\d{8}_\d{3}\.png'
    labels = ["nih"]

or in one line, as on the command line: `original~\d{8}_\d{3}\.png=nih`. Labels are names of shared
labels or of sets (`nih`: the 14 and Normal; `brain`: the four; `all`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tetkik.errors import DataError, UsageError
from tetkik.findings.label_names import LABEL_SETS, shared_label
from tetkik.lab.engine.tables import Table


@dataclass(frozen=True, slots=True)
class KnownRule:
    """Rows whose cell in `column` matches `pattern` as a whole know `labels`."""

    column: str
    pattern: re.Pattern[str]
    labels: tuple[str, ...]


def label_names(names: Iterable[str]) -> tuple[str, ...]:
    """Names of labels and of sets, spread out, in order; the ValueError of one that is neither holds it."""
    spread: dict[str, None] = {}
    for name in names:
        label = shared_label(name)
        found = LABEL_SETS.get(name.strip().lower(), (label,) if label else ())
        if not found:
            raise ValueError(name)
        spread.update(dict.fromkeys(found))
    return tuple(spread)


def parse_rule(text: str) -> KnownRule:
    """Read a rule of the form `COLUMN~REGEX=LABEL,LABEL`; the labels follow the last `=`."""
    column, tilde, rest = text.partition("~")
    expression, equals, labels = rest.rpartition("=")
    if not (column.strip() and tilde and equals and expression and labels.strip()):
        raise UsageError(
            "{rule} is not a rule of what rows know; write it as COLUMN~REGEX=LABEL,LABEL.", rule=text
        )
    try:
        return KnownRule(column.strip(), re.compile(expression), label_names(labels.split(",")))
    except re.error as error:
        raise UsageError(
            "{rule} has a regular expression that cannot be read ({fault}); correct it.",
            rule=text,
            fault=error.msg,
        ) from None
    except ValueError as error:
        raise UsageError(
            "{rule} names the unknown label {label}; use shared labels or {sets}.",
            rule=text,
            label=error.args[0],
            sets=", ".join(LABEL_SETS),
        ) from None


def read_rules(path: Path) -> tuple[KnownRule, ...]:
    """Read rules from a TOML file."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise DataError(
            "{path} cannot be read as TOML ({fault}); correct it.", path=path, fault=str(error)[:200]
        ) from None
    entries = content.get("known")
    if set(content) != {"known"} or not isinstance(entries, list):
        raise DataError("{path} holds no list of [[known]] rules, or more than that; correct it.", path=path)
    return tuple(_rule(path, number, entry) for number, entry in enumerate(entries, 1))


def _rule(path: Path, number: int, entry: Any) -> KnownRule:
    try:
        if set(entry) != {"column", "matches", "labels"}:
            raise ValueError("column, matches, labels")
        labels = entry["labels"]
        if not isinstance(labels, list) or not isinstance(entry["column"], str):
            raise TypeError("labels")
        return KnownRule(entry["column"], re.compile(entry["matches"]), label_names(labels))
    except (TypeError, ValueError, AttributeError, re.error) as error:
        raise DataError(
            "{path} has a wrong rule, number {number} ({fault}); give column, matches and labels.",
            path=path,
            number=number,
            fault=error,
        ) from None


def known_labels(table: Table, rules: Sequence[KnownRule]) -> list[frozenset[str]]:
    """What each row of a table knows by rules and by its column `known`, beside what it lists."""
    by_row: list[frozenset[str]] = [frozenset()] * table.rows
    for rule in rules:
        if rule.column not in table.columns:
            raise DataError(
                "{path} has no column {column}, which a rule of what rows know asks for; correct the rule.",
                path=table.path,
                column=rule.column,
            )
        cells = table[rule.column]
        fits = {cell for cell in set(cells) if rule.pattern.fullmatch(cell)}
        more = frozenset(rule.labels)
        by_row = [known | more if cell in fits else known for known, cell in zip(by_row, cells, strict=True)]
    if "known" in table.columns:
        parsed = {cell: _cell(table.path, cell) for cell in set(table["known"])}
        by_row = [known | parsed[cell] for known, cell in zip(by_row, table["known"], strict=True)]
    return by_row


def _cell(path: Path, cell: str) -> frozenset[str]:
    try:
        return frozenset(label_names(name for name in re.split(r"[;|]", cell) if name.strip()))
    except ValueError as error:
        raise DataError(
            "{path} names the unknown label {label} in its column known; use shared labels or {sets}.",
            path=path,
            label=error.args[0],
            sets=", ".join(LABEL_SETS),
        ) from None
