"""Options that several trainings have, and what cannot be, refused before any work begins."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, get_args, get_origin, get_type_hints

from pydantic import Field
from pydantic.fields import FieldInfo

from tetkik.errors import UsageError

ModelId = Annotated[str | None, Field(description="Name of the model; without it the folder's name.")]
Licence = Annotated[str, Field(description="Licence of the weights, for the card.")]
DataName = Annotated[str, Field(description="What the card calls the data.")]
Resume = Annotated[bool, Field(description="Go on with an interrupted training of the same data.")]


def bounds_of(field: FieldInfo) -> tuple[float | None, float | None]:
    """The least and the most that a `Field(ge=…, le=…)` allows; None for no such bound."""
    ends = {name: getattr(one, name) for one in field.metadata for name in ("ge", "le") if hasattr(one, name)}
    return ends.get("ge"), ends.get("le")


def check_options(options: object) -> None:
    """Hold the fields of an options class to their annotations, such as `Annotated[int, Field(ge=1)]`.

    A text becomes the member of the enumeration that it names.

    Raises:
        UsageError: a number lies outside its bounds.
    """
    for name, kind in get_type_hints(type(options), include_extras=True).items():
        if get_origin(kind) is not Annotated:
            continue
        base, field = get_args(kind)[:2]
        value, (lowest, highest) = getattr(options, name), bounds_of(field)
        if isinstance(base, type) and issubclass(base, StrEnum):
            object.__setattr__(options, name, base(value))
        elif value is None or lowest is None:
            continue
        elif highest is not None and not lowest <= value <= highest:
            raise UsageError(
                "The training option {name} cannot be {value}; it lies between {lowest} and {highest}.",
                name=name,
                value=value,
                lowest=lowest,
                highest=highest,
            )
        elif value < lowest:
            raise UsageError(
                "The training option {name} cannot be {value}; the least is {lowest}.",
                name=name,
                value=value,
                lowest=lowest,
            )


def check_rate(rate: float) -> None:
    """Whether `rate` can be a learning rate.

    Raises:
        UsageError: it is not between 0 and 1.
    """
    if not 0 < rate < 1:
        raise UsageError(
            "The learning rate {value} cannot be used; give one between 0 and 1, such as 3e-5.", value=rate
        )
