"""The disclaimer, the callback of long work, text on one line, and values as JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from tetkik.language import Sentence

ProgressCallback = Callable[[str, int, int | None], None]
"""Called by long work with its progress: (name of the step, done, total or None where unknown)."""


class StepName(str):
    """The name of a step with what else is known of it now, such as its loss; progress shows both."""

    __slots__ = ("note",)
    note: Sentence | None

    def __new__(cls, name: str, note: Sentence | None = None) -> StepName:
        made = super().__new__(cls, name)
        made.note = note
        return made


def step_like(step: str, name: str) -> StepName:
    """Another name for a step, with the same note."""
    return StepName(name, step.note if isinstance(step, StepName) else None)


ADDED = MappingProxyType({"added": True})
"""Metadata of a field that is stored, and written as JSON, only where it differs from its default."""

DESCRIBED = {"use_attribute_docstrings": True}
"""As `__pydantic_config__` of a value that the API answers with: its docstrings describe it there."""

DISCLAIMER = {
    "en": "Research and education software: not a medical device, no substitute for a clinician's judgement.",
    "tr": "Araştırma ve eğitim yazılımıdır: tıbbi cihaz değildir, hekimin kararının yerini tutmaz.",
}


def one_line(text: str) -> str:
    """Printable characters on one line: terminals, pages and documents quote what people and files say."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def fields_as_json(value: Any) -> dict[str, Any]:
    """The fields of a dataclass as JSON holds them, in their order; figures rounded to 6 decimals."""
    return {
        item.name: _as_json(getattr(value, item.name))
        for item in fields(value)
        if not item.metadata.get("added") or getattr(value, item.name) != item.default
    }


def _as_json(value: Any) -> Any:
    if hasattr(value, "as_json"):
        return value.as_json()
    if isinstance(value, tuple):
        return [_as_json(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value
