"""The model card (`README.md` of a bundle, in the layout of the Hugging Face hub), filled by the training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from tetkik.bundle.manifest import Manifest, Task
from tetkik.bundle.reference import (
    AnyReference,
    ComplaintReference,
    Histogram,
    ImageReference,
    Reference,
    write_reference,
)
from tetkik.bundle.store import Bundle, open_bundle, staged_folder, write_manifest
from tetkik.errors import UsageError
from tetkik.values import DISCLAIMER

_PIPELINES = {
    Task.TRIAGE: "text-classification",
    Task.URGENCY: "text-classification",
    Task.FINDINGS: "image-classification",
    Task.GATE: "image-classification",
}


@dataclass(frozen=True, slots=True)
class CardSection:
    title: str
    text: str


def render_card(manifest: Manifest, summary: str, sections: Sequence[CardSection]) -> str:
    """The card as Markdown; `sections` is what only the training knows (data, limits, epochs), in order."""
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
    return resources.files(__package__).joinpath(f"{name}.md").read_text("utf-8").format(**values)


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


def with_section(card: str, section: CardSection) -> str:
    """The card with this section at its end; one of the same title goes."""
    head, mark, rest = card.partition(f"\n## {section.title}\n")
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
        return "No figure was measured."
    rows = ["| figure | value | 95% interval | n | data | split |", "|---|---|---|---|---|---|"]
    for metric in manifest.metrics:
        interval = f"{metric.low:.3f} to {metric.high:.3f}" if metric.low is not None else "not computed"
        cells = (metric.name, f"{metric.value:.3f}", interval, metric.n, metric.data, metric.split)
        rows.append(f"| {' | '.join(map(table_cell, cells))} |")
    return "\n".join(rows)


def reference_section(reference: AnyReference) -> CardSection:
    """What the bundle keeps so that a hospital can tell whether its own inputs and scores are like these."""
    text = _of_images(reference) if isinstance(reference, ImageReference) else _of_complaints(reference)
    return CardSection("Reference for drift", text)


def _of_images(reference: ImageReference) -> str:
    routes = [
        f"{route or 'no route'} {seen.images} ({seen.refused} refused as unsuitable)"
        for route, seen in reference.inputs.items()
    ]
    table = _labels_table(reference, score="score", positive="above the threshold")
    return _filled("reference_images", reference=reference, routes="; ".join(routes), table=table).rstrip()


def _of_complaints(reference: ComplaintReference) -> str:
    return _filled(
        "reference_complaints",
        reference=reference,
        urgency="; ".join(f"{level} {n}" for level, n in reference.urgency.items()),
        read=reference.complaints - reference.refused,
        table=_labels_table(reference, score="probability", positive="first"),
    ).rstrip()


def _labels_table(reference: Reference, *, score: str, positive: str) -> str:
    rows = [
        f"| label | n | prevalence | {score}: 5%, median, 95% | {positive} |",
        "|---|---|---|---|---|",
    ]
    for label, one in reference.labels.items():
        known = "unknown" if one.prevalence is None else f"{one.prevalence:.3f}"
        total = one.scores.total
        share = f"{one.positive / total:.3f}"
        rows.append(f"| {table_cell(label)} | {total} | {known} | {_spread(one.scores)} | {share} |")
    return "\n".join(rows)


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
        card.write_text(with_section(text, reference_section(reference)), encoding="utf-8")
        write_manifest(stage, manifest)
    return open_bundle(folder, bundle.manifest.task)
