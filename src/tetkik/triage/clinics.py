"""Which clinic a department is booked as, and whether another clinic has to refer first."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from tetkik.errors import SettingError
from tetkik.language import Language, translate
from tetkik.settings import settings


@dataclass(frozen=True, slots=True)
class Clinic:
    """A clinic of the appointment system; of `first` one has to refer, empty where it is booked directly."""

    name: str
    first: tuple[str, ...]

    def referral(self, language: Language) -> str | None:
        """The referral rule as a sentence, or None where no referral is needed."""
        if not self.first:
            return None
        return translate("Needs a referral; book first: {clinics}.", language, clinics=" / ".join(self.first))


@dataclass(frozen=True, slots=True)
class Clinics:
    """A list of clinics, and for each department its clinic, and the one for children where it has one."""

    clinics: Mapping[str, Clinic]
    departments: Mapping[str, tuple[str, str | None]]


@cache
def load_clinics(path: Path | None = None) -> Clinics:
    """A hospital's own list, in the format of `clinics.toml`, or the built-in one; `SettingError` if
    unusable.
    """
    file = path or resources.files("tetkik.triage").joinpath("clinics.toml")
    try:
        table = tomllib.loads(file.read_text("utf-8"))
        clinics = {
            item["name"]: Clinic(item["name"], tuple(item.get("first", ()))) for item in table["clinic"]
        }
        departments = {item["name"]: (item["clinic"], item.get("child")) for item in table["department"]}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingError(
            "The list of clinics {path} cannot be used ({fault}); compare it with the built-in clinics.toml.",
            path=file,
            fault=error if isinstance(error, ValueError) else f"{type(error).__name__}: {error}",
        ) from None
    named = {name for pair in departments.values() for name in pair if name} | {
        name for clinic in clinics.values() for name in clinic.first
    }
    if unknown := sorted(named - clinics.keys()):
        raise SettingError(
            "The list of clinics {path} names {unknown}, which it does not have; add a [[clinic]] for each.",
            path=file,
            unknown=", ".join(unknown),
        )
    return Clinics(clinics, departments)


def clinic_of(department: str, *, child: bool) -> Clinic | None:
    """The clinic that a department (or a clinic itself, in a hospital's own list) is booked as; None for
    none.
    """
    found = load_clinics(settings().triage_clinics)
    if department in found.departments:
        adult, own = found.departments[department]
        return found.clinics[own if child and own else adult]
    return found.clinics.get(department)
