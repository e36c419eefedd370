"""The registry of finding labels: everything that is said of one, read once from `finding_labels.toml`.

A new label is an entry there, its rules in both languages (`report/labeler/rules`) and its passages in both
languages (`report/passages/library`). Everything else reads this registry.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from tetkik.language import Language
from tetkik.values.radiograph import Route


@dataclass(frozen=True, slots=True)
class Code:
    """A concept of a terminology: its value, and its meaning as the scheme words it."""

    value: str
    meaning: str


@dataclass(frozen=True, slots=True)
class FindingLabel:
    """A label; the defaults are those of a label that only one model has.

    Attributes:
        search_words: other words by which clinicians and patients look for it.
        critical: whether it cannot wait (ACR practice parameter for communication of diagnostic imaging
            findings).
        reading_order: its region in the order in which an image is read, and its rank there.
        form: `seen` itself (a consolidation), or a diagnosis that an appearance is `compatible` with.
        snomed: of the International Edition; None where no concept is equal: a wrong code is worse than none.
    """

    id: str  # as manifests have it, such as `Pleural_Thickening`
    names: Mapping[Language, str]
    search_words: Mapping[Language, tuple[str, ...]]
    article: str = ""
    route: Route = Route.CHEST
    nih: bool = False  # whether it is one of the 14 findings of NIH ChestX-ray14 (Wang et al., CVPR 2017)
    normal: bool = False  # whether it says that nothing is wrong
    paired: bool = True  # whether it has a side
    critical: bool = False
    reading_order: tuple[int, int] = (99, 0)
    urgency: int = 2  # how soon somebody must act, 0 first: the order of an impression
    place: str = "other"  # where it lies: `lung`, `chest` or `other`
    form: str = "seen"
    wider: frozenset[str] = frozenset()  # labels and words that are true where it is, such as `Lung_Opacity`
    snomed: Code | None = None


def _entry(entry: Mapping[str, Any], regions: Collection[str]) -> FindingLabel:
    fields = dict(entry)
    names, words, region = fields.pop("name"), fields.pop("search_words"), fields.pop("region", None)
    if region is not None:
        fields["reading_order"] = ([*regions].index(region), fields["reading_order"])
    if "snomed" in fields:
        fields["snomed"] = Code(**fields["snomed"])
    return FindingLabel(
        **{
            **fields,
            "names": MappingProxyType({Language(key): name for key, name in names.items()}),
            "search_words": MappingProxyType({Language(key): tuple(item) for key, item in words.items()}),
            "route": Route(fields.get("route", Route.CHEST)),
            "wider": frozenset(fields.get("wider", ())),
        }
    )


_TABLE = tomllib.loads(resources.files(__package__).joinpath("finding_labels.toml").read_text("utf-8"))
REGISTRY: Mapping[str, FindingLabel] = MappingProxyType(
    {entry["id"]: _entry(entry, _TABLE["regions"]) for entry in _TABLE["label"]}
)
"""The shared labels by their id."""

FINDING_LABELS = tuple(REGISTRY)
"""The shared labels, in this order in every model that has them all."""

NIH_LABELS = tuple(label.id for label in REGISTRY.values() if label.nih)
BRAIN_LABELS = tuple(label.id for label in REGISTRY.values() if label.route is Route.BRAIN_MRI)
NORMAL_LABELS = tuple(label.id for label in REGISTRY.values() if label.normal)
CRITICAL_LABELS = tuple(label.id for label in REGISTRY.values() if label.critical)


def finding_label(label: str) -> FindingLabel:
    """What is known of `label`; one that is not shared belongs to the chest and has its name at most."""
    known = REGISTRY.get(label)
    if known is not None:
        return known
    spelled = label.replace("_", " ")
    names = _TABLE["others"].get(label.replace(" ", "_"), {})
    return FindingLabel(label, {key: names.get(key.value, spelled) for key in Language}, {})


def label_name(label: str, language: Language) -> str:
    """The clinical name of `label`; a label that is not known is shown as the model spells it."""
    known = REGISTRY.get(label) or REGISTRY.get(label.replace(" ", "_")) or finding_label(label)
    return known.names[language]


def route_of(label: str) -> Route:
    """The route on which `label` can be assessed."""
    return finding_label(label).route


@lru_cache(maxsize=256)
def narrower(label: str) -> frozenset[str]:
    """The labels that `label` is true of: it may be asserted with any of them, and denied only with all."""
    return frozenset(own.id for own in REGISTRY.values() if label in own.wider) | {label}
