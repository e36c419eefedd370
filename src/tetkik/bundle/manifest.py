"""`manifest.json`: what a trained model says of itself."""

from __future__ import annotations

import re
from enum import StrEnum
from string import Formatter
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tetkik import turkish
from tetkik.language import Sentence

FORMAT_VERSION = 1


def bundle_id(name: str) -> str:
    """`name` as the id of a model: `"göz modeli"` gives `"goz-modeli"`; empty where nothing is left."""
    plain = "".join(turkish.fold(char) if not char.isascii() else char for char in name)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).lstrip("._-")[:100]


class Task(StrEnum):
    TRIAGE = "triage"
    URGENCY = "urgency"
    FINDINGS = "findings"
    CAPTION = "caption"
    GATE = "gate"


def _fillable(sentences: tuple[Sentence, ...]) -> tuple[Sentence, ...]:
    """A template of another's bundle reaches into no value: its fields are plain names."""
    for sentence in sentences:
        for _, name, form, _ in Formatter().parse(sentence.template) if sentence.values else ():
            if name is not None and (form or not name.isidentifier() or name not in sentence.values):
                raise ValueError("a field is the name of a value")
    return sentences


Sentences = Annotated[tuple[Sentence, ...], AfterValidator(_fillable)]
"""What a bundle says in words, for either language."""


class Metric(BaseModel):
    """One measured figure with the data and split that it was measured on."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(description="Name of the metric as `evaluate --json` spells it, such as `macro_f1`.")
    value: float = Field(description="The figure.")
    low: float | None = Field(default=None, description="Lower end of the 95% interval.")
    high: float | None = Field(default=None, description="Upper end of the 95% interval.")
    n: int = Field(description="Rows that it was measured on.")
    data: str = Field(description="The data set.")
    split: Sentences = Field(description="The part of it, and how it was cut: templates with values.")

    @model_validator(mode="after")
    def _interval_is_whole(self) -> Metric:
        if (self.low is None) is not (self.high is None):
            raise ValueError("an interval has both ends or none")
        return self


class Manifest(BaseModel):
    """The contents of `manifest.json`. Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format_version: int = Field(default=FORMAT_VERSION, ge=1, description="Version of the bundle format.")
    id: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="Name of the model, as `--model` takes it."
    )
    version: str = Field(description="Version of the model.")
    task: Task = Field(description="`triage`, `urgency`, `findings`, `caption` or `gate`.")
    kind: str = Field(description="Family of the model within its task, such as `linear` or `transformer`.")
    labels: tuple[str, ...] = Field(min_length=1, description="Labels in the order of the outputs.")
    preprocessing: dict[str, Any] = Field(
        default_factory=dict, description="What is done to an input before the model."
    )
    thresholds: dict[str, float] = Field(
        default_factory=dict, description="Decision thresholds by name; for triage `abstain`."
    )
    calibration: dict[str, Any] = Field(
        default_factory=dict, description="How scores become probabilities, with its parameters."
    )
    metrics: tuple[Metric, ...] = Field(
        default=(), description="Measured figures, each with its data and split."
    )
    training: dict[str, Any] = Field(
        default_factory=dict, description="Settings, seed and data counts of the training."
    )
    libraries: dict[str, str] = Field(
        default_factory=dict, description="Versions of the libraries that trained it."
    )
    licence: str = Field(default="unknown", description="Licence of the weights.")
    created: str = Field(description="Date of the training, ISO 8601.")
    files: dict[str, str] = Field(
        default_factory=dict, description="SHA-256 of each file of the bundle but this one."
    )

    @model_validator(mode="after")
    def _labels_are_distinct(self) -> Manifest:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels: a label stands twice")
        return self

    @model_validator(mode="after")
    def _words_are_printable(self) -> Manifest:
        # They are printed: no terminal escapes, no hidden direction marks.
        for name in ("version", "kind", "licence", "created"):
            if not getattr(self, name).isprintable():
                raise ValueError(f"{name}: a character that cannot be printed")
        if not all(label.strip() and label.isprintable() for label in self.labels):
            raise ValueError("labels: empty, or with a character that cannot be printed")
        return self

    @property
    def name(self) -> str:
        """Id and version, as results quote it: `triage-linear-tr 1.0`."""
        return f"{self.id} {self.version}"
