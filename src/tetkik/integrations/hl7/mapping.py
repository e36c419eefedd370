"""Where a hospital's system puts what, and what its codes mean: a file in TOML beside the built-in one."""

from __future__ import annotations

import tomllib
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from tetkik.errors import SettingError
from tetkik.integrations.hl7.message import Place
from tetkik.language import Sentence
from tetkik.settings import validation_fault

_MOST_BYTES = 2_000_000

Text = Annotated[str, Field(max_length=200)]


def _place(text: object) -> object:
    try:
        return Place.parse(text) if isinstance(text, str) else text
    except ValueError:
        raise PydanticCustomError("place", "no place") from None


Places = tuple[Annotated[Place, BeforeValidator(_place)], ...]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class PatientPlaces(_Part):
    number_types: tuple[str, ...]
    number_authorities: tuple[str, ...]
    tckn_types: tuple[str, ...]
    tckn: Places
    phone: Places


class VisitPlaces(_Part):
    number: Places
    department: Places


class OrderPlaces(_Part):
    accession: Places
    placer_number: Places
    filler_number: Places
    procedure_code: Places
    procedure: Places
    question: Places
    referrer: Places
    modality: Places
    body_part: Places
    department: Places
    scheduled_at: Places
    station_ae: Places


class Procedure(_Part):
    """What a hospital's code of a procedure means, and the codes under which its result goes out."""

    code: Annotated[str, Field(min_length=1, max_length=64)]
    name: Text = ""
    modality: Annotated[str, Field(pattern=r"^([A-Z]{2,4})?$")] = ""
    body_part: Annotated[str, Field(pattern=r"^[A-Z0-9 ]{0,16}$")] = ""
    loinc: Annotated[str, Field(pattern=r"^(\d{1,7}-\d)?$")] = ""
    sut: Annotated[str, Field(max_length=32)] = ""


class Results(_Part):
    code_system: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,20}$")]
    pdf: bool
    text: Literal["FT", "TX"]


class Mapping(_Part):
    """The whole file, over the built-in one."""

    patient: PatientPlaces
    visit: VisitPlaces
    order: OrderPlaces
    departments: dict[str, Text] = {}
    procedure: tuple[Procedure, ...] = ()
    results: Results

    @cached_property
    def procedures(self) -> dict[str, Procedure]:
        return {item.code: item for item in self.procedure}


def load_mapping(file: Path | None = None) -> Mapping:
    """The built-in mapping, with what a hospital's file says instead.

    Raises:
        SettingError: a file that is no such mapping; it names the key.
    """
    table = tomllib.loads(resources.files(__package__).joinpath("default.toml").read_text("utf-8"))
    if file is None:
        return Mapping.model_validate(table)
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES} bytes")
        for name, part in tomllib.loads(content.decode("utf-8")).items():
            known = table.get(name)
            both = isinstance(known, dict) and isinstance(part, dict)
            table[name] = (known or {}) | part if both else part
        return Mapping.model_validate(table)
    except (OSError, ValueError) as error:
        raise SettingError(
            "The HL7 mapping {file} cannot be used ({fault}); correct it.", file=file, fault=_fault(error)
        ) from None


def _fault(error: OSError | ValueError) -> object:
    if isinstance(error, OSError):
        return error.strerror
    if not isinstance(error, ValidationError):
        return error
    first = error.errors()[0]
    fault = validation_fault(first)
    if first["type"] == "place":
        fault = Sentence("a place such as PID-3 or OBR-4.1 is needed")
    return Sentence("{key}: {fault}", {"key": ".".join(map(str, first["loc"])), "fault": fault})
