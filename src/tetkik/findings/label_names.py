"""Names of labels, views and sexes as tables write them, and public images known again by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from tetkik.values import BRAIN_LABELS, FINDING_LABELS, NIH_LABELS, Sex, View

ALIASES: dict[str, str] = {
    "atelectases": "Atelectasis",
    "enlarged heart": "Cardiomegaly",
    "pleural effusion": "Effusion",
    "pleural effusions": "Effusion",
    "infiltrate": "Infiltration",
    "infiltrates": "Infiltration",
    "lung infiltration": "Infiltration",
    "lung mass": "Mass",
    "pulmonary mass": "Mass",
    "lung nodule": "Nodule",
    "pulmonary nodule": "Nodule",
    "consolidations": "Consolidation",
    "lung consolidation": "Consolidation",
    "oedema": "Edema",
    "lung edema": "Edema",
    "pulmonary edema": "Edema",
    "pulmonary oedema": "Edema",
    "pulmonary emphysema": "Emphysema",
    "lung fibrosis": "Fibrosis",
    "pulmonary fibrosis": "Fibrosis",
    "hiatal hernia": "Hernia",
    "hiatus hernia": "Hernia",
    "diaphragmatic hernia": "Hernia",
    "covid": "COVID-19",
    "covid19": "COVID-19",
    "covid 19 pneumonia": "COVID-19",
    "viral": "Viral_Pneumonia",
    "tb": "Tuberculosis",
    "pulmonary tuberculosis": "Tuberculosis",
    "healthy": "Normal",
    "no finding": "Normal",
    "no findings": "Normal",
    "glioma tumor": "Glioma",
    "glioma tumour": "Glioma",
    "meningioma tumor": "Meningioma",
    "meningioma tumour": "Meningioma",
    "pituitary tumor": "Pituitary",
    "pituitary tumour": "Pituitary",
    "pituitary adenoma": "Pituitary",
    "notumor": "No_Tumor",
    "no tumour": "No_Tumor",
}
"""Other names of the shared labels, folded as `folded` does. Only names that mean the same: a wider or
narrower term is no alias."""

LABEL_SETS: Mapping[str, tuple[str, ...]] = {
    "nih": (*NIH_LABELS, "Normal"),
    "brain": BRAIN_LABELS,
    "all": FINDING_LABELS,
}
"""Names under which whole sets of labels can be asked for."""


def folded(name: str) -> str:
    """A label's name in lower case, words joined by one space whatever joined them."""
    return " ".join(re.split(r"[\s_\-]+", name.strip().lower()))


_SHARED = {folded(label): label for label in FINDING_LABELS} | ALIASES


@cache
def shared_label(name: str) -> str | None:
    """The shared label that `name` stands for, or None."""
    return _SHARED.get(folded(name))


@cache
def view_named(name: str) -> View | None:
    """A View Position in any of the usual spellings; None where it says nothing."""
    match name.strip().upper():
        case "PA":
            return View.PA
        case "AP" | "AP SUPINE" | "AP ERECT" | "AP SEMI ERECT":
            return View.AP
        case "L" | "LL" | "RL" | "LAT" | "LATERAL":
            return View.LATERAL
        case "":
            return None
        case _:
            return View.OTHER


@cache
def sex_named(name: str) -> Sex | None:
    """`M`, `Male`, `F`, `Female`, `O`, in any case; None otherwise."""
    match name.strip().upper():
        case "M" | "MALE":
            return Sex.MALE
        case "F" | "FEMALE":
            return Sex.FEMALE
        case "O" | "OTHER":
            return Sex.OTHER
        case _:
            return None


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
