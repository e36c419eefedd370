"""The base of what the API answers with."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict


def _refuse_number(given: object) -> object:
    try:
        float(str(given))
    except ValueError:
        return given
    raise ValueError("a number is no date; write it as 2026-03-01")


# Pydantic reads a number as seconds since 1970, which the API does not promise.
DateTime = Annotated[datetime, BeforeValidator(_refuse_number)]
Date = Annotated[date, BeforeValidator(_refuse_number)]


class Shape(BaseModel):
    """Takes its fields from a value of the records: the attributes of the same names, or `given`."""

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def from_value(cls, value: object, /, **given: Any) -> Self:
        names = cls.model_fields.keys() - given.keys()
        return cls(**given, **{name: getattr(value, name) for name in names if hasattr(value, name)})
