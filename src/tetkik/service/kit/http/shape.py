"""The base of what the API answers with."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """Takes its fields from a value of the records: the attributes of the same names, or `given`."""

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def from_value(cls, value: object, /, **given: Any) -> Self:
        names = cls.model_fields.keys() - given.keys()
        return cls(**given, **{name: getattr(value, name) for name in names if hasattr(value, name)})
