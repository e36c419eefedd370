"""Which clinic a department is booked as, and whether another clinic has to refer first."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from tetkik.language import Language, translate


@dataclass(frozen=True, slots=True)
class Clinic:
    """A clinic of the appointment system.

    Attributes:
        name: as it is booked.
        first: the clinics of which one has to refer; empty where it is booked directly.
    """

    name: str
    first: tuple[str, ...]

    def referral(self, language: Language) -> str | None:
        """The referral rule as a sentence, or None where no referral is needed."""
        if not self.first:
            return None
        return translate("Needs a referral; book first: {clinics}.", language, clinics=" / ".join(self.first))


@cache
def _tables() -> tuple[dict[str, Clinic], dict[str, tuple[str, str | None]]]:
    table = tomllib.loads(resources.files("tetkik.triage").joinpath("clinics.toml").read_text("utf-8"))
    clinics = {
        entry["name"]: Clinic(entry["name"], tuple(entry.get("first", ()))) for entry in table["clinic"]
    }
    departments = {entry["name"]: (entry["clinic"], entry.get("child")) for entry in table["department"]}
    return clinics, departments


def clinic_of(department: str, *, child: bool) -> Clinic | None:
    """The clinic that a department is booked as.

    Args:
        department: one of the 15, or the name of a clinic itself (a hospital's own list).
        child: whether the patient is under 18.

    Returns:
        The clinic, or None where the list has none.
    """
    clinics, departments = _tables()
    if department in departments:
        adult, own = departments[department]
        return clinics[own if child and own else adult]
    return clinics.get(department)
