"""Names of labels, views and sexes as tables write them, and public images known again by their names."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

from tetkik.values import BRAIN_LABELS, FINDING_LABELS, NIH_LABELS, Sex, View

LABEL_SETS: Mapping[str, tuple[str, ...]] = {
    "nih": (*NIH_LABELS, "Normal"),
    "brain": BRAIN_LABELS,
    "all": FINDING_LABELS,
}
"""Names under which whole sets of labels can be asked for."""


def folded(name: str) -> str:
    """A label's name in lower case, words joined by one space whatever joined them."""
    return " ".join(re.split(r"[\s_\-]+", name.strip().lower()))


_ALIASES = tomllib.loads(resources.files(__package__).joinpath("label_aliases.toml").read_text("utf-8"))
_SHARED = {folded(label): label for label in FINDING_LABELS} | {
    alias: label for label, aliases in _ALIASES.items() for alias in aliases
}


@cache
def shared_label(name: str) -> str | None:
    """The shared label that `name` stands for, or None."""
    return _SHARED.get(folded(name))


def to_shared(names: Sequence[str]) -> tuple[str, ...]:
    """`names` with each that means a shared label replaced by it, and the rest kept as they are.

    Where two names mean the same label, the first gets it and the other keeps its own name.
    """
    found: list[str] = []
    for name in names:
        label = shared_label(name)
        found.append(label if label is not None and label not in found else name)
    return tuple(found)


_VIEWS = {
    "PA": View.PA,
    **dict.fromkeys(("AP", "AP SUPINE", "AP ERECT", "AP SEMI ERECT"), View.AP),
    **dict.fromkeys(("L", "LL", "RL", "LAT", "LATERAL"), View.LATERAL),
}
_SEXES = {
    **dict.fromkeys(("M", "MALE"), Sex.MALE),
    **dict.fromkeys(("F", "FEMALE"), Sex.FEMALE),
    **dict.fromkeys(("O", "OTHER"), Sex.OTHER),
}


def view_named(name: str) -> View | None:
    """A View Position in any of the usual spellings; None where it says nothing."""
    spelled = name.strip().upper()
    return _VIEWS.get(spelled, View.OTHER) if spelled else None


def sex_named(name: str) -> Sex | None:
    """`M`, `Male`, `F`, `Female`, `O`, in any case; None otherwise."""
    return _SEXES.get(name.strip().upper())


_AGE = re.compile(r"(\d{1,3}(?:\.\d+)?)([YMWD]?)")
_YEARS = {"": 1.0, "Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
_OLDEST = 120.0


@cache
def age_years(text: str) -> float | None:
    """An age as DICOM (`058Y`, `003M`) or as plain years; None where it is none or beyond 120.

    The first release of NIH's table has ages such as 414.
    """
    found = _AGE.fullmatch(text.strip().upper())
    if found is None:
        return None
    years = float(found[1]) * _YEARS[found[2]]
    return years if years <= _OLDEST else None


_NIH = re.compile(r"(\d{8})_\d{3}\.png")
_CHEXPERT = re.compile(r"(patient\d{5,6})/study\d+/view\d+_(?:frontal|lateral)")
_MIMIC = re.compile(r"(?:p(\d{8})/s\d{8}/)?((?:[0-9a-f]{8}-){4}[0-9a-f]{8})")


def public_image(name: str) -> tuple[str | None, str | None]:
    """(image, patient) where `name`, a file name or path, is that of a public data set, else (None, None).

    An NIH image copied into another collection keeps its name, so that its patient is known there too.
    """
    if found := _NIH.fullmatch(name.rpartition("/")[2]):
        return f"nih:{found[0]}", f"nih:{int(found[1])}"
    if found := _CHEXPERT.search(name):
        return f"chexpert:{found[0]}", f"chexpert:{found[1]}"
    if found := _MIMIC.search(name):
        return f"mimic:{found[2]}", f"mimic:{found[1]}" if found[1] else None
    return None, None
