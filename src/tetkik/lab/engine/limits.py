"""Settings that cannot be, refused before any work begins."""

from __future__ import annotations

from collections.abc import Mapping

from tetkik.errors import UsageError


def check_least(options: object, least: Mapping[str, int]) -> None:
    """Refuse `options` of which a named whole number is smaller than it must be."""
    for name, lowest in least.items():
        if getattr(options, name) < lowest:
            raise UsageError(
                "The training option {name} cannot be {value}; the least is {lowest}.",
                name=name,
                value=getattr(options, name),
                lowest=lowest,
            )


def check_rate(rate: float) -> None:
    """Refuse a learning rate that is not between 0 and 1."""
    if not 0 < rate < 1:
        raise UsageError(
            "The learning rate {value} cannot be used; give one between 0 and 1, such as 3e-5.", value=rate
        )
