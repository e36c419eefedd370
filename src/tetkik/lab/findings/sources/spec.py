"""How a source is named on a command line.

    KIND:PATH[?OPTION=VALUE[&OPTION=VALUE]...][=WEIGHT]

`nih:/data/nih`, `nih:/data/nih=2`, `chexpert:/data/chexpert?uncertain=zeros&views=all=0.5`. The weight is
what follows the last `=` where that is a number and is not the value of an option; a folder whose own name
ends so (`run=2`) is written with its weight (`run=2=1`). A path with `?` in it cannot be named so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tetkik.errors import UsageError
from tetkik.lab.findings.sources.label_coverage import KnownRule

_KIND = re.compile(r"[a-z]+")
_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+")
FORM = "KIND:PATH[?OPTION=VALUE&...][=WEIGHT]"


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A data set to read."""

    kind: str
    path: Path
    options: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0
    """How often a row of it is drawn, against 1; above 0."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How sources are read."""

    check_files: bool = True
    """Whether a row's image must exist; False reads tables that came without images."""
    keep_others: bool = False
    """Whether labels beyond the shared ones become columns as well."""
    known: tuple[KnownRule, ...] = ()
    """What rows of a hospital's own table know, beside its own rules."""


def parse_spec(text: str, kinds: Mapping[str, Mapping[str, tuple[str, ...]]]) -> SourceSpec:
    """Read one source as a user writes it.

    Args:
        kinds: for each kind its options and the values that each may have; no values means any. An option
            that ends in a dot stands for all that begin so.
    """
    kind, colon, rest = text.partition(":")
    if not colon or not _KIND.fullmatch(kind):
        raise UsageError("{spec} is not a source; write it as {form}.", spec=text, form=FORM)
    if kind not in kinds:
        raise UsageError(
            "{spec} names the unknown kind {kind}; use one of {kinds}.",
            spec=text,
            kind=kind,
            kinds=", ".join(sorted(kinds)),
        )
    place, question, tail = rest.partition("?")
    weight = None
    options: dict[str, str] = {}
    if question:
        *pieces, last = tail.split("&")
        if last.count("=") > 1:
            last, weight = _weight(last)
        for piece in (*pieces, last):
            name, value = _option(text, piece, kinds[kind])
            if name in options:
                raise UsageError("{spec} has the option {name} twice; give it once.", spec=text, name=name)
            options[name] = value
    else:
        place, weight = _weight(place)
    if not place:
        raise UsageError("{spec} names no path; write it as {form}.", spec=text, form=FORM)
    if weight is not None and not (math.isfinite(weight) and 0 < weight <= 1e6):
        raise UsageError("{spec} has the weight {weight}; give one above 0.", spec=text, weight=weight)
    return SourceSpec(kind, Path(place), options, 1.0 if weight is None else weight)


def _weight(text: str) -> tuple[str, float | None]:
    """`text` without a weight at its end, and that weight."""
    before, equals, after = text.rpartition("=")
    return (before, float(after)) if equals and _NUMBER.fullmatch(after) else (text, None)


def _option(spec: str, piece: str, known: Mapping[str, tuple[str, ...]]) -> tuple[str, str]:
    name, equals, value = piece.partition("=")
    family = next((key for key in known if key.endswith(".") and name.startswith(key)), name)
    if not equals or family not in known or name.endswith("."):
        raise UsageError(
            "{spec} has the unknown option {name}; this kind has {options}.",
            spec=spec,
            name=name or "?",
            options=", ".join(key + "LABEL" if key.endswith(".") else key for key in known) or "–",
        )
    if not value or (known[family] and value not in known[family]):
        raise UsageError(
            "{spec} has the value {value} for {name}; give {values}.",
            spec=spec,
            value=value or "–",
            name=name,
            values=" | ".join(known[family]) or "…",
        )
    return name, value
