"""The families that are known, by what a configuration of transformers calls them (`model_type`)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tetkik.errors import UsageError

if TYPE_CHECKING:
    from tetkik.caption.families.staged import StagedNetwork

FAMILIES = {
    "blip-2": "tetkik.caption.families.blip2:Blip2Network",
    "paligemma": "tetkik.caption.families.paligemma:PaliGemmaNetwork",
}
"""Where the class of each is; imported when it is needed, since each imports torch."""
VISION_TOWERS = {"mobilenet_v2": "tetkik.caption.families.small_blip2:SmallBlip2"}
"""Models of transformers with another vision tower, by `tetkik_vision` in their configuration."""


def family_of(name: str, config: dict[str, Any]) -> type[StagedNetwork]:
    """The class for the model `name`, from the contents of its `config.json`."""
    kind = config.get("model_type")
    if kind not in FAMILIES:
        raise UsageError(
            "{name} is a model of the type {kind}, which no captioner is made from; choose one of: {known}.",
            name=name,
            kind=kind or "?",
            known=", ".join(sorted(FAMILIES)),
        )
    found: type[StagedNetwork] = _imported(FAMILIES[str(kind)])
    return found


def model_class(config: dict[str, Any], usual: type) -> Any:
    """The class of transformers to load: `usual`, or that of the vision tower the configuration names."""
    tower = config.get("tetkik_vision")
    if tower is None:
        return usual
    if tower not in VISION_TOWERS:
        raise UsageError(
            "The model has a vision tower called {tower}, which this Tetkik does not know; choose one of: "
            "{known}, or update Tetkik.",
            tower=tower,
            known=", ".join(sorted(VISION_TOWERS)),
        )
    return _imported(VISION_TOWERS[tower])


def _imported(place: str) -> Any:
    module, name = place.split(":")
    return getattr(import_module(module), name)
