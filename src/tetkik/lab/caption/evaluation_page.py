"""The page, pictures and captions of an evaluation of a captioner."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tetkik.lab.caption.figures import NEAREST, SYSTEM_NAMES, CaptionEvaluation, ExampleKind
from tetkik.lab.caption.interpretation import METRIC_NAMES
from tetkik.lab.caption.metrics import METRICS
from tetkik.lab.caption.plots import pictures
from tetkik.lab.engine import evaluation_page as engine
from tetkik.lab.engine.evaluation_page import check_target
from tetkik.language import Language, Sentence

if TYPE_CHECKING:
    from tetkik.lab.caption.figures import Example

_QUALITY = 82
_KINDS = {
    ExampleKind.BEST: Sentence("Best"),
    ExampleKind.WORST: Sentence("Worst"),
    ExampleKind.RANDOM: Sentence("Drawn at random"),
}


@dataclass(frozen=True, slots=True)
class Card:
    """What the page shows of one image: its JPEG in base64, its captions; `near` None without baselines."""

    id: str
    jpeg: str
    true: str
    made: str
    near: str | None
    figures: tuple[tuple[str, float], ...]


def write_evaluation(evaluation: CaptionEvaluation, folder: Path, language: Language) -> tuple[Path, ...]:
    """Write everything about `evaluation` into `folder`; the files, sorted. Needs Pillow."""
    check_target(folder)
    return engine.write_evaluation(
        evaluation,
        folder,
        language,
        template="caption/caption.html.jinja",
        pictures=pictures(evaluation, language),
        table=("captions.csv", captions_csv(evaluation)),
        metrics=[
            (METRIC_NAMES[name], name)
            for name in METRICS
            if any(name in system.figures for system in evaluation.systems)
        ],
        systems=[(SYSTEM_NAMES[system.name], system) for system in evaluation.systems],
        sections=[
            (title, [_card(evaluation, example) for example in evaluation.examples if example.kind is kind])
            for kind, title in _KINDS.items()
        ],
    )


def captions_csv(evaluation: CaptionEvaluation) -> str:
    """Row by row: id, the true caption, the model's and its confidence, the neighbour's, each metric."""
    near = next((system.captions for system in evaluation.systems if system.name == NEAREST), None)
    measures = evaluation.judged.scores.measures.values()
    head = ["id", "true_caption", "caption", "confidence", *(["nearest_caption"] if near else [])]
    rows = [
        [
            name,
            evaluation.references[row],
            evaluation.judged.captions[row],
            engine.decimals(float(evaluation.confidence[row])),
            *([near[row]] if near else []),
            *(engine.decimals(float(measure.rows[row])) for measure in measures),
        ]
        for row, name in enumerate(evaluation.ids)
    ]
    return engine.csv_text([*head, *(measure.name for measure in measures)], rows)


def _card(evaluation: CaptionEvaluation, example: Example) -> Card:
    near = next((system for system in evaluation.systems if system.name == NEAREST), None)
    measures = evaluation.judged.scores.measures
    return Card(
        id=evaluation.ids[example.row],
        jpeg=base64.b64encode(_jpeg(example.square)).decode("ascii"),
        true=evaluation.references[example.row],
        made=evaluation.judged.captions[example.row],
        near=near.captions[example.row] if near else None,
        figures=tuple(
            (METRIC_NAMES[name], float(measures[name].rows[example.row]))
            for name in ("cider", "rouge_l")
            if name in measures
        ),
    )


def _jpeg(square: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(square).save(buffer, format="JPEG", quality=_QUALITY)
    return buffer.getvalue()
