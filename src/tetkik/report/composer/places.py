"""Where findings lie, in which order they are spoken of, and how: read once from `findings.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any


def region_of(label: str) -> tuple[int, int]:
    """The place of `label` in reading order: its region, and its rank there; own labels of a model last."""
    return _index(_table()["regions"].values(), label)


def urgency_of(label: str) -> int:
    """How soon somebody must act, 0 first; a label that is not known stands in the middle."""
    ranks = _table()["urgency"]["ranks"]
    rank, _ = _index(ranks, label)
    return min(rank, len(ranks) - 2) if rank == len(ranks) else rank


def where_of(label: str) -> str:
    """The kind of its place: `lung`, `chest` or `other`."""
    return _key(_table()["where"], label, "other")


def form_of(label: str) -> str:
    """`seen`, or `compatible` for a diagnosis that an appearance only fits."""
    return _key(_table()["forms"], label, "seen")


def _key(groups: Mapping[str, Sequence[str]], label: str, otherwise: str) -> str:
    return next((name for name, labels in groups.items() if label in labels), otherwise)


def _index(groups: Any, label: str) -> tuple[int, int]:
    groups = list(groups)
    for place, labels in enumerate(groups):
        if label in labels:
            return place, labels.index(label)
    return len(groups), 0


@cache
def _table() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("findings.toml").read_text("utf-8")
    return tomllib.loads(text)
