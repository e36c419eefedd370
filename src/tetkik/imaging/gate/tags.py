"""What a DICOM file's tags say of the kind of image, before anyone looks at its pixels.

Modality and SOP Class are written by machines and are believed. Body part and descriptions are chosen by
people in a hurry, often from a list that opens at CHEST: they lean one way, and the pixels may overrule them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from importlib import resources

from tetkik import turkish
from tetkik.values import Radiograph, View


class ModalityGroup(Enum):
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
class TagClaims:
    """What the tags say, taken together: `mixed_views` where view and description disagree."""

    modality_group: ModalityGroup
    modality: str
    part: Part
    lateral: bool
    mixed_views: bool


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    modality_groups: dict[str, ModalityGroup]
    sop_classes: dict[str, str]
    parts: dict[Part, re.Pattern[str]]
    frontal: re.Pattern[str]
    lateral: re.Pattern[str]


def _pattern(words: Iterable[str]) -> re.Pattern[str]:
    """Of any of the words; one that ends with `*` stands for all that begin so."""
    return re.compile("|".join(re.escape(word).replace(r"\*", ".*") for word in words))


def _any_in(pattern: re.Pattern[str], tokens: Iterable[str]) -> bool:
    return any(map(pattern.fullmatch, tokens))


def read_tag_claims(image: Radiograph) -> TagClaims:
    """What the tags of `image` say; everything unknown for a raster file."""
    words, tags = _vocabulary(), image.tags
    modality = (tags.modality or words.sop_classes.get(tags.sop_class or "", "")).strip().upper()
    by_class = words.sop_classes.get(tags.sop_class or "", "")
    modality_group = _modality_group(modality)
    if _modality_group(by_class) is ModalityGroup.OTHER:
        # A CT cannot be stored as anything else by mistake, whatever was typed into the modality.
        modality_group, modality = ModalityGroup.OTHER, by_class
    described = turkish.fold(tags.description or "").split()
    lateral = _any_in(words.lateral, described) and not _any_in(words.frontal, described)
    return TagClaims(
        modality_group=modality_group,
        modality=modality,
        part=_part(turkish.fold(tags.body_part or "").split(), described),
        lateral=image.view is View.LATERAL or (lateral and image.view is None),
        mixed_views=lateral and image.view in (View.PA, View.AP),
    )


def _modality_group(modality: str) -> ModalityGroup:
    if not modality:
        return ModalityGroup.UNKNOWN
    return _vocabulary().modality_groups.get(modality, ModalityGroup.OTHER)


def _part(body_part: list[str], described: list[str]) -> Part:
    """The one part that is named; a body part and a description that disagree say nothing."""
    parts = _vocabulary().parts.items()
    named = {part for tokens in (body_part, described) for part, words in parts if _any_in(words, tokens)}
    return named.pop() if len(named) == 1 else Part.UNKNOWN


@cache
def _vocabulary() -> _Vocabulary:
    table = tomllib.loads(resources.files(__package__).joinpath("words.toml").read_text("utf-8"))
    groups = (ModalityGroup.PROJECTION, ModalityGroup.MAGNETIC, ModalityGroup.UNKNOWN)
    return _Vocabulary(
        modality_groups={code: group for group in groups for code in table["modality"][group.name.lower()]},
        sop_classes=table["sop_class"],
        parts={
            part: _pattern(table["part"][part.name.lower()]) for part in (Part.CHEST, Part.HEAD, Part.OTHER)
        },
        frontal=_pattern(table["view"]["frontal"]),
        lateral=_pattern(table["view"]["lateral"]),
    )
