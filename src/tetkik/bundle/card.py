"""The model card (`README.md` of a bundle, in the layout of the Hugging Face hub), filled by the training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
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
from tetkik.language import Language, Sentence, translate
from tetkik.settings import settings
from tetkik.values import DISCLAIMER

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
