"""What is fixed before a trial: the model, how reports are read, and the limits of go and no-go."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from tetkik.errors import DataError
from tetkik.lab.engine.yaml_file import load_yaml, read_yaml
from tetkik.language import Language, Sentence
from tetkik.settings import validation_fault

Share = Annotated[float, Field(ge=0, le=1)]
Statements = dict[Annotated[str, StringConstraints(max_length=10)], str]


class _Part(BaseModel):
    # A mistyped key must not pass for a limit that is kept.
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class LabelLimit(_Part):
    """What the lower end of each 95% interval has to reach; None where nothing is asked of a figure."""

    sensitivity: Share | None = None
    specificity: Share | None = None
    auroc: Share | None = None
    positives: Annotated[int, Field(ge=1)] = 30
    """Studies with the finding, below which nothing is decided."""


class PartLimit(_Part):
    """What the interval of no part may lie below, all limited labels together."""

    sensitivity: Share | None = None


class StatementLimits(_Part):
    """What only the hospital can say, by the number of the item."""

    claim: Statements = {}
    decide_ai: Statements = {}


class Limits(_Part):
    """The content of `limits.yaml`."""

    model: str
    """Id and version, as `tetkik findings predict` prints them."""
    limits: Annotated[dict[str, LabelLimit], Field(min_length=1)]
    answered: Share = 0.9
    """Share of the studies with images that the model has to answer."""
    unmentioned: Literal["absent", "unknown"] = "absent"
    uncertain: Literal["unknown", "present", "absent"] = "unknown"
    """`unmentioned`, `uncertain`: what a finding is that a report does not name, or neither asserts nor
    denies."""
    parts: PartLimit = PartLimit()
    statements: StatementLimits = StatementLimits()


@dataclass(frozen=True, slots=True)
class FixedLimits:
    """Limits with the bytes that they were read from."""

    limits: Limits
    content: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def read_limits(path: Path) -> FixedLimits:
    """Read `limits.yaml`.

    Raises:
        DataError: it is no YAML, or a key or value of it cannot be.
        OSError: the file cannot be opened.
    """
    found, content = read_yaml(path)
    try:
        limits = Limits.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(
            "{path}, {key}: {fault}; correct it.",
            path=path,
            key=".".join(map(str, first["loc"])) or "-",
            fault=_fault(first),
        ) from None
    for label, limit in limits.limits.items():
        if (limit.sensitivity, limit.specificity, limit.auroc) == (None, None, None):
            raise DataError(
                "{path}, limits.{label} asks for no figure; give sensitivity, specificity or auroc.",
                path=path,
                label=label,
            )
    return FixedLimits(limits, content)


def _fault(error: Any) -> Sentence | str:
    match error["type"]:
        case "extra_forbidden":
            return Sentence("there is no such key")
        case "missing":
            return Sentence("it is missing")
        case _:
            return validation_fault(error)


def limits_yaml(model: str, limits: Mapping[str, LabelLimit], language: Language) -> str:
    """The text of a `limits.yaml` to begin with."""
    words = _COMMENT.in_language(language)
    content = {
        "model": model,
        "unmentioned": "absent",
        "uncertain": "unknown",
        "answered": 0.9,
        "limits": {label: one.model_dump(exclude_none=True) for label, one in limits.items()},
        "parts": {},
        "statements": {"claim": {}, "decide_ai": {}},
    }
    comment = "".join(f"# {line}\n" for line in words.splitlines())
    text: str = load_yaml().safe_dump(content, allow_unicode=True, sort_keys=False)
    return comment + text


_COMMENT = Sentence(
    "Limits of a silent trial. Fix them before `tetkik trial run`, which keeps their SHA-256 and goes on "
    "with no others.\nThe lower end of each 95% interval has to reach its limit; `positives` is how many "
    "studies with the finding it takes.\n`unmentioned`: absent or unknown; `uncertain`: unknown, present or "
    "absent.\n`parts: {{sensitivity: 0.7}}`: no site, device, sex, age, quarter, language or reader may lie "
    "below it.\n"
    "`statements`: what only you can say for CLAIM 2024 and DECIDE-AI, by item: `claim: {{34: no "
    "registration}}`."
)
