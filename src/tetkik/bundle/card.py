"""The model card (`README.md` of a bundle, in the layout of the Hugging Face hub), filled by the training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tetkik.bundle.manifest import Manifest, Sentences, Task
from tetkik.bundle.store import Bundle, open_bundle, sha256_of, staged_folder, write_manifest
from tetkik.errors import BundleCorrupt, UsageError
from tetkik.language import Language, Sentence, translate
from tetkik.settings import settings
from tetkik.values.common import DISCLAIMER

# `reference.json`: how a model's scores and inputs were spread where it was made, for hospitals to compare.
#
# It names no image, no complaint and no patient: counts alone. A bundle without one is as sound as before.


REFERENCE = "reference.json"
REFERENCE_VERSION = 1
REFERENCE_IMAGES = 2000
"""Images that are looked at where nothing else is asked for: deciles are then known to 0.7 points (1 SD)."""
REFERENCE_COMPLAINTS = 5000
"""Complaints that are read where nothing else is asked for; a text is read sooner than an image."""
_LIMIT = 4 << 20


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Histogram(_Frozen):
    """How many values lie in each bin. Bin `i` reaches from edge `i-1` (included) to edge `i` (not)."""

    edges: tuple[float, ...] = Field(
        description="Inner edges, rising; the first bin and the last one are open outwards."
    )
    counts: tuple[int, ...] = Field(min_length=1, description="Values in each bin, one more than edges.")
    mean: float = Field(description="Mean of the values.")

    @model_validator(mode="after")
    def _fits(self) -> Histogram:
        if len(self.counts) != len(self.edges) + 1:
            raise ValueError("a histogram has one bin more than inner edges")
        if any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError("the edges of a histogram rise")
        if min(self.counts) < 0 or not sum(self.counts):
            raise ValueError("a histogram counts at least one value, and none less than 0 times")
        return self

    @property
    def total(self) -> int:
        return sum(self.counts)

    def quantile(self, share: float) -> float | None:
        """The edge up to which at least `share` (0 to 1) of the values lie; None beyond the last edge."""
        below = 0
        for edge, count in zip(self.edges, self.counts, strict=False):
            below += count
            if below >= share * self.total:
                return edge
        return None


class LabelReference(_Frozen):
    """The scores of one label on the images, or complaints, that the model was let to see."""

    scores: Histogram = Field(
        description="Of a finding: the network's sigmoid, in about a hundred bins of equal mass. Of a "
        "department: its probability, in the bins that a hospital counts in."
    )
    positive: int = Field(
        ge=0, description="Images at or above the threshold; complaints whose first department it is."
    )
    present: int | None = Field(default=None, ge=0, description="Known to have it.")
    absent: int | None = Field(default=None, ge=0, description="Known not to have it.")

    @property
    def prevalence(self) -> float | None:
        """Share present of those known; None where no absence is known, for then it says nothing."""
        if self.present is None or not self.absent:
            return None
        return self.present / (self.present + self.absent)


class InputReference(_Frozen):
    """What the quality gate and the reader saw of the images that take one route."""

    images: int = Field(ge=1, description="All of them, those refused as unsuitable included.")
    refused: int = Field(ge=0, description="Refused as unsuitable.")
    without_spacing: int = Field(ge=0, description="Whose file does not say how large a pixel is.")
    modalities: dict[str, int] = Field(
        default_factory=dict, description="Images by DICOM modality; an empty name where the file has none."
    )
    flaws: dict[str, int] = Field(
        default_factory=dict, description="Images by flaw that the quality gate names."
    )
    brightness: Histogram | None = Field(
        default=None, description="Of the mean of an image's pixels as a share of white."
    )
    contrast: Histogram | None = Field(
        default=None, description="Of the standard deviation of an image's pixels as a share of white."
    )
    side: Histogram | None = Field(default=None, description="Of the shorter side of an image, in pixels.")


class Reference(_Frozen):
    """What every `reference.json` says. Unknown keys are refused."""

    format_version: int = Field(default=REFERENCE_VERSION, ge=1, description="Version of this file.")
    data: str = Field(description="The data set.")
    split: Sentences = Field(
        description="The part of it, how it was cut, which network scored it: templates with values."
    )
    created: str = Field(description="Date, ISO 8601.")
    labels: dict[str, LabelReference] = Field(default_factory=dict, description="By label of the model.")


class ImageReference(Reference):
    """The contents of `reference.json` of findings."""

    images: int = Field(ge=1, description="Images that could be read.")
    unreadable: int = Field(default=0, ge=0, description="Images that could not, and count nowhere.")
    inputs: dict[str, InputReference] = Field(
        default_factory=dict,
        description="By route, `chest` or `brain_mri`; an empty name for images that took none.",
    )

    @property
    def total(self) -> int:
        return self.images


class ComplaintReference(Reference):
    """The contents of `reference.json` of triage."""

    complaints: int = Field(ge=1, description="All of them, those that no model reads included.")
    refused: int = Field(ge=0, description="That no model reads: not Turkish, or no complaint.")
    plain: int = Field(ge=0, description="Without a single Turkish letter.")
    words: Histogram = Field(description="Of the number of words.")
    unknown: Histogram | None = Field(
        default=None, description="Of the share of words that the model's vocabulary does not hold."
    )
    probability: Histogram | None = Field(
        default=None, description="Of the probability of the first department."
    )
    abstained: int = Field(ge=0, description="Read, and no department named.")
    urgency: dict[str, int] = Field(default_factory=dict, description="Complaints by level of urgency.")

    @property
    def total(self) -> int:
        return self.complaints


AnyReference = ImageReference | ComplaintReference
_OF: dict[Task, type[ImageReference] | type[ComplaintReference]] = {
    Task.FINDINGS: ImageReference,
    Task.TRIAGE: ComplaintReference,
}


def write_reference(folder: Path, reference: AnyReference) -> None:
    """Write `reference.json` into the folder of a bundle; its manifest is written after it."""
    content = reference.model_dump(mode="json", exclude_none=True)
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    (folder / REFERENCE).write_text(text + "\n", encoding="utf-8")


def read_reference(bundle: Bundle) -> AnyReference | None:
    """The reference of a bundle, None where it has none; `BundleCorrupt` where it was altered."""
    kind = _OF.get(bundle.manifest.task)
    if kind is None or REFERENCE not in bundle.manifest.files:
        return None
    file = bundle.file(REFERENCE)
    try:
        if file.stat().st_size > _LIMIT or sha256_of(file) != bundle.manifest.files[REFERENCE]:
            raise ValueError("altered")
        # Strictly: "2" is no count.
        return kind.model_validate_json(file.read_bytes(), strict=True)
    except (OSError, ValidationError, ValueError):
        raise BundleCorrupt(
            "The reference distribution in {path} is damaged or of a newer Tetkik; fetch the bundle again.",
            path=bundle.path,
        ) from None


_PIPELINES = {
    Task.TRIAGE: "text-classification",
    Task.URGENCY: "text-classification",
    Task.FINDINGS: "image-classification",
    Task.GATE: "image-classification",
}
_REFERENCE = "Reference for drift"


@dataclass(frozen=True, slots=True)
class CardSection:
    title: str
    text: str


def render_card(manifest: Manifest, summary: str, sections: Sequence[CardSection]) -> str:
    """The card as Markdown, in the language of the settings.

    `sections` is what only the training knows (data, limits, epochs), in order.
    """
    head = {
        "library_name": "tetkik",
        "license": manifest.licence,
        "language": "en" if manifest.task is Task.CAPTION else "tr",
        "pipeline_tag": _PIPELINES.get(manifest.task, "image-to-text"),
        "tags": ["medical", manifest.task.value, manifest.kind],
    }
    return _filled(
        "card",
        front="\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()),
        manifest=manifest,
        summary=summary,
        disclaimer=DISCLAIMER,
        example=_example(manifest),
        labels=", ".join(manifest.labels),
        figures=metrics_table(manifest),
        sections="".join(f"## {section.title}\n\n{section.text}\n\n" for section in sections),
        settings=json.dumps(manifest.training, ensure_ascii=False, indent=2, default=str),
        libraries=", ".join(f"{name} {version}" for name, version in manifest.libraries.items()),
    )


def _filled(name: str, **values: object) -> str:
    ending = ".tr.md" if settings().language is Language.TR else ".md"
    return resources.files(__package__).joinpath(f"{name}{ending}").read_text("utf-8").format(**values)


def card_words(*words: str) -> tuple[str, ...]:
    """Words of a card, such as the titles of a table, in the language of the settings."""
    return tuple(translate(word, settings().language) for word in words)


def in_own_language(split: Iterable[Sentence]) -> str:
    """The split of a manifest in the language of the settings."""
    return "; ".join(part.in_language(settings().language) for part in split)


def _table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(map(table_cell, line))} |" for line in (card_words(*titles), *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(titles), *lines[1:]])


def finish_bundle(
    folder: Path,
    manifest: Manifest,
    summary: str,
    sections: Sequence[CardSection],
    reference: AnyReference | None = None,
) -> None:
    """Write what comes last into the folder of a bundle: its reference, the card, and all their hashes."""
    if reference is not None:
        write_reference(folder, reference)
        sections = [*sections, reference_section(reference)]
    (folder / "README.md").write_text(render_card(manifest, summary, sections), encoding="utf-8")
    write_manifest(folder, manifest)


def with_section(card: str, reference: AnyReference) -> str:
    """The card with the section of a reference at its end; one that it had, in either language, goes."""
    section = reference_section(reference)
    for language in Language:
        head, mark, rest = card.partition(f"\n## {translate(_REFERENCE, language)}\n")
        if mark:
            _, more, after = rest.partition("\n## ")
            card = f"{head}{more}{after}"
    return f"{card.rstrip()}\n\n## {section.title}\n\n{section.text}\n"


def table_cell(value: object) -> str:
    """What stands in one cell of a Markdown table, whatever signs it holds; empty for None."""
    text = "" if value is None else " ".join(str(value).split())
    return text.replace("|", "\\|")


def metrics_table(manifest: Manifest) -> str:
    """The manifest's metrics as a Markdown table, or a sentence that there are none."""
    if not manifest.metrics:
        return translate("No figure was measured.", settings().language)
    (nothing,) = card_words("not computed")
    rows = []
    for metric in manifest.metrics:
        ends = nothing
        if metric.low is not None:
            values = {"low": metric.low, "high": metric.high}
            ends = translate("{low:.3f} to {high:.3f}", settings().language, **values)
        split = in_own_language(metric.split)
        rows.append((metric.name, f"{metric.value:.3f}", ends, metric.n, metric.data, split))
    return _table(("figure", "value", "95% interval", "n", "data", "split"), rows)


def reference_section(reference: AnyReference) -> CardSection:
    """What the bundle keeps so that a hospital can tell whether its own inputs and scores are like these."""
    text = _of_images(reference) if isinstance(reference, ImageReference) else _of_complaints(reference)
    return CardSection(card_words(_REFERENCE)[0], text)


def _of_images(reference: ImageReference) -> str:
    routes = [
        translate(
            "{route} {images} ({refused} refused as unsuitable)",
            settings().language,
            route=route or card_words("no route")[0],
            images=seen.images,
            refused=seen.refused,
        )
        for route, seen in reference.inputs.items()
    ]
    table = _labels_table(reference, "score: 5%, median, 95%", "above the threshold")
    values = {"routes": "; ".join(routes), "split": in_own_language(reference.split), "table": table}
    return _filled("reference_images", reference=reference, **values).rstrip()


def _of_complaints(reference: ComplaintReference) -> str:
    return _filled(
        "reference_complaints",
        reference=reference,
        split=in_own_language(reference.split),
        urgency="; ".join(f"{level} {n}" for level, n in reference.urgency.items()),
        read=reference.complaints - reference.refused,
        table=_labels_table(reference, "probability: 5%, median, 95%", "first"),
    ).rstrip()


def _labels_table(reference: Reference, score: str, positive: str) -> str:
    (unknown,) = card_words("unknown")
    rows = []
    for label, one in reference.labels.items():
        known = unknown if one.prevalence is None else f"{one.prevalence:.3f}"
        total = one.scores.total
        rows.append((label, total, known, _spread(one.scores), f"{one.positive / total:.3f}"))
    return _table(("label", "n", "prevalence", score, positive), rows)


def _spread(scores: Histogram) -> str:
    found = (scores.quantile(share) for share in (0.05, 0.5, 0.95))
    return ", ".join("–" if edge is None else f"{edge:.3f}" for edge in found)


def _example(manifest: Manifest) -> str:
    if manifest.task is Task.TRIAGE:
        return f'tetkik triage predict "Üç gündür öksürüyorum, balgam var" --model {manifest.id}'
    if manifest.task is Task.URGENCY:
        return f'TETKIK_TRIAGE_URGENCY_MODEL={manifest.id} tetkik triage predict "Nefes alamıyorum"'
    if manifest.task is Task.GATE:
        return "tetkik findings predict IMAGE  # asks the gate first"
    return f"tetkik {manifest.task.value} predict IMAGE --model {manifest.id}"


def refuse_same_folder(bundle: Bundle, folder: Path) -> None:
    """A bundle is never changed in its place (`UsageError`): runs quote the hash of its manifest."""
    if folder.resolve() == bundle.path.resolve():
        raise UsageError(
            "--out {path} is the model itself, which stays as it is; give another folder.", path=folder
        )


def with_reference(bundle: Bundle, reference: AnyReference, folder: Path, name: str | None = None) -> Bundle:
    """Write a copy of a bundle, under the id `name` or its own, with this reference; one that it had goes."""
    refuse_same_folder(bundle, folder)
    manifest = bundle.manifest if name is None else bundle.manifest.model_copy(update={"id": name})
    with staged_folder(folder) as stage:
        for file in bundle.manifest.files:
            target = stage / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle.path / file, target)
        write_reference(stage, reference)
        card = stage / "README.md"
        text = card.read_text("utf-8") if card.is_file() else f"# {manifest.name}\n"
        text = text.replace(f"# {bundle.manifest.name}\n", f"# {manifest.name}\n", 1)
        text = text.replace(f"--model {bundle.manifest.id}\n", f"--model {manifest.id}\n")
        card.write_text(with_section(text, reference), encoding="utf-8")
        write_manifest(stage, manifest)
    return open_bundle(folder, bundle.manifest.task)
