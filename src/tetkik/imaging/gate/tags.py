"""What a DICOM file's tags say of the kind of image, before anyone looks at its pixels.

Modality and SOP Class are written by machines and are believed. Body part and descriptions are chosen by
people in a hurry, often from a list that opens at CHEST: they lean one way, and the pixels may overrule them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from importlib import resources

from tetkik import turkish
from tetkik.values import Radiograph, View


class Machine(Enum):
    """What made the image."""

    PROJECTION = auto()
    """A radiograph: computed, digital or film that was scanned."""
    MAGNETIC = auto()
    """Magnetic resonance."""
    OTHER = auto()
    """Anything else: CT, ultrasound, mammography, a camera, a document."""
    UNKNOWN = auto()
    """No tag, or one that stands for several kinds, such as a secondary capture."""


class Part(Enum):
    """Which part of the body."""

    CHEST = auto()
    HEAD = auto()
    OTHER = auto()
    UNKNOWN = auto()
    """Nothing is said, or several parts are named."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What the tags say, taken together.

    Attributes:
        machine: what made the image.
        modality: the code that says so, for the reason given; empty where there is none.
        part: which part of the body.
        lateral: whether it is a side view.
        mixed_views: whether view and description disagree on that.
    """

    machine: Machine
    modality: str
    part: Part
    lateral: bool
    mixed_views: bool


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    machines: dict[str, Machine]
    sop_classes: dict[str, str]
    parts: dict[Part, _Words]
    frontal: _Words
    lateral: _Words


@dataclass(frozen=True, slots=True)
class _Words:
    whole: frozenset[str]
    beginnings: tuple[str, ...]

    @classmethod
    def of(cls, patterns: Iterable[str]) -> _Words:
        every = list(patterns)
        return cls(
            frozenset(word for word in every if not word.endswith("*")),
            tuple(word[:-1] for word in every if word.endswith("*")),
        )

    def any_in(self, tokens: Iterable[str]) -> bool:
        return any(token in self.whole or token.startswith(self.beginnings) for token in tokens)


def claims_of(image: Radiograph) -> Claims:
    """What the tags of `image` say; everything unknown for a raster file."""
    words, tags = _vocabulary(), image.tags
    modality = (tags.modality or words.sop_classes.get(tags.sop_class or "", "")).strip().upper()
    by_class = words.sop_classes.get(tags.sop_class or "", "")
    machine = _machine(modality)
    if _machine(by_class) is Machine.OTHER:
        # A CT cannot be stored as anything else by mistake, whatever was typed into the modality.
        machine, modality = Machine.OTHER, by_class
    described = turkish.fold(tags.description or "").split()
    lateral = words.lateral.any_in(described) and not words.frontal.any_in(described)
    return Claims(
        machine=machine,
        modality=modality,
        part=_part(turkish.fold(tags.body_part or "").split(), described),
        lateral=image.view is View.LATERAL or (lateral and image.view is None),
        mixed_views=lateral and image.view in (View.PA, View.AP),
    )


def _machine(modality: str) -> Machine:
    if not modality:
        return Machine.UNKNOWN
    return _vocabulary().machines.get(modality, Machine.OTHER)


def _part(body_part: list[str], described: list[str]) -> Part:
    """The one part that is named; a body part and a description that disagree say nothing."""
    named = _named(body_part) | _named(described)
    return named.pop() if len(named) == 1 else Part.UNKNOWN


def _named(tokens: list[str]) -> set[Part]:
    return {part for part, words in _vocabulary().parts.items() if words.any_in(tokens)}


@cache
def _vocabulary() -> _Vocabulary:
    table = tomllib.loads(resources.files(__package__).joinpath("words.toml").read_text("utf-8"))
    kinds = {"projection": Machine.PROJECTION, "magnetic": Machine.MAGNETIC, "unknown": Machine.UNKNOWN}
    return _Vocabulary(
        machines={code: kinds[kind] for kind, codes in table["modality"].items() for code in codes},
        sop_classes=table["sop_class"],
        parts={
            part: _Words.of(table["part"][part.name.lower()]) for part in (Part.CHEST, Part.HEAD, Part.OTHER)
        },
        frontal=_Words.of(table["view"]["frontal"]),
        lateral=_Words.of(table["view"]["lateral"]),
    )
