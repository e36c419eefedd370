"""`triage train --kind urgency`: from complaints with a level to the model that judges beside the rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from tetkik.bundle import Bundle, Manifest, Metric, Task, finish_bundle, open_bundle, staged_folder
from tetkik.bundle.card import card_words, in_own_language
from tetkik.csv_rows import read_columns
from tetkik.errors import DataError
from tetkik.lab.engine.card import made_today, markdown_table, read_card
from tetkik.lab.engine.duplicate_texts import duplicate_texts
from tetkik.lab.engine.results import confusion, ends
from tetkik.lab.triage.data import Complaints, fingerprint, folds, numbered
from tetkik.lab.triage.linear.fit import Loss, learn_features, solve
from tetkik.language import Sentence
from tetkik.statistics import Floats, Ints, wilson_interval
from tetkik.triage.calibration import softmax
from tetkik.triage.linear.features import Featuriser, prepare
from tetkik.triage.linear.model import LinearModel
from tetkik.triage.urgency import assess
from tetkik.triage.urgency.assess import LEVELS, UrgencyThresholds, level_of, standing_text
from tetkik.triage.urgency.rules import load_rules
from tetkik.values import ProgressCallback, UrgencyLevel

FOLDS = 5
REGULARISATION = 2.0
_LEAST = 20
"""Of each level, at least so many complaints."""


@dataclass(frozen=True, slots=True)
class UrgencyOptions:
    """Settings of one training."""

    id: str = "urgency-linear"
    licence: str = "unknown"
    data_name: str = "training table"
    assess: bool = True  # whether to measure the card's figures by cross-validation
    thresholds: UrgencyThresholds = field(default_factory=UrgencyThresholds)


@dataclass(frozen=True, slots=True)
class UrgencyFigures:
    """How often the levels were right; each with what they are of.

    Attributes:
        red_recall: of the true kırmızı.
        green_as_red: of the true yeşil, the share called kırmızı.
        macro_f1: the mean F1 of the three levels.
    """

    red_recall: float
    green_as_red: float
    macro_f1: float

    @classmethod
    def of(cls, truth: Ints, predicted: Ints) -> UrgencyFigures:
        """Both (rows,), indexes of `LEVELS`; NaN for the share of a level that has no row."""
        counts = confusion(truth, predicted, len(LEVELS)).astype(float)
        right, true, chosen = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
        with np.errstate(invalid="ignore"):
            return cls(
                float(right[0] / true[0]),
                float(counts[2, 0] / true[2]),
                float(np.mean(2 * right / np.maximum(true + chosen, 1))),
            )


def read_levels(path: Path) -> tuple[Complaints, Sequence[str] | None]:
    """Complaints with their levels, and the column `group` (who wrote each) where the table has one.

    The level stands in the column `urgency`, as `triage export-feedback` writes it, else in `label`.

    Raises:
        DataError: a column is missing, or a label is no level.
    """
    rows = _read_rows(path)
    for row in rows:
        if row[1] not in LEVELS:
            raise DataError("The urgency {level} is unknown; use kirmizi, sari or yesil.", level=row[1])
    kept = [row for row in rows if row[0].strip()]
    texts, labels = [row[0] for row in kept], [row[1] for row in kept]
    groups = [row[2] for row in kept] if kept and len(kept[0]) > 2 else None
    left_out = {"empty text": len(rows) - len(kept)} if len(kept) < len(rows) else {}
    return Complaints(tuple(texts), tuple(labels), left_out), groups


def _read_rows(path: Path) -> list[tuple[str, ...]]:
    for level in ("urgency", "label"):
        for columns in (("text", level, "group"), ("text", level)):
            try:
                return read_columns(path, columns)
            except DataError as error:
                fault = error
    raise fault


def train_urgency(
    complaints: Complaints,
    writers: Sequence[str] | None,
    out: Path,
    options: UrgencyOptions,
    progress: ProgressCallback,
) -> Bundle:
    """Train, measure beside the rules and write the bundle `out`.

    Args:
        writers: who wrote each complaint, (complaints,), empty where unknown: no writer stands on both sides
            of a fold, nor does a group of duplicates of unknown writers.

    Raises:
        DataError: a level has fewer than 20 complaints.
        OutputError: `out` is taken.
    """
    truth = numbered(complaints.labels, [level.value for level in LEVELS])
    counts = np.bincount(truth, minlength=len(LEVELS))
    if counts.min() < _LEAST:
        raise DataError(
            "The table has too few complaints of the level {level} ({count}); add some, for {least} are "
            "needed.",
            count=int(counts.min()),
            level=LEVELS[int(counts.argmin())].value,
            least=_LEAST,
        )
    texts = read_texts(complaints.texts)
    duplicates = duplicate_texts(complaints.texts)
    parts = FOLDS + 1 if options.assess else 1
    with staged_folder(out) as stage:
        metrics: tuple[Metric, ...] = ()
        if options.assess:
            fold = folds(complaints.texts, _groups(writers, duplicates))
            probabilities = np.zeros((len(texts), len(LEVELS)))
            for number in range(FOLDS):
                held = np.flatnonzero(fold == number)
                others = np.flatnonzero(fold != number)
                model = fit_reader([texts[i] for i in others], truth[others], duplicates[others], options)
                logits = model.featuriser.scores([texts[i] for i in held], model.weights)
                probabilities[held] = softmax(logits[:, : len(LEVELS)])
                progress("train", number + 1, parts)
            levels = judged(complaints.texts, probabilities, options.thresholds)
            metrics = _metrics(truth, levels, options.data_name)
        model = fit_reader(texts, truth, duplicates, options, metrics, fingerprint(complaints))
        progress("train", parts, parts)
        model.save(stage)
        table = markdown_table(card_words("level", "complaints"), zip(LEVELS, counts.tolist(), strict=True))
        split = in_own_language(metrics[0].split) if metrics else card_words("none were measured")[0]
        card = read_card("tetkik.lab.triage.urgency", rows=len(texts), table=table, judged=split)
        finish_bundle(stage, model.manifest, *card)
    return open_bundle(out, Task.URGENCY)


def judged(texts: Sequence[str], probabilities: Floats, thresholds: UrgencyThresholds) -> Ints:
    """The levels of rules and model together, (texts,), indexes of `LEVELS`."""
    found = [
        level_of(
            max((flag.level.severity for flag in assess(text).flags), default=0), red, yellow, thresholds
        )
        for text, (red, yellow, _) in zip(texts, probabilities.tolist(), strict=True)
    ]
    return np.array([LEVELS.index(level) for level in found])


def read_texts(texts: Sequence[str]) -> list[bytes]:
    """What the model reads of each complaint, prepared (`features.prepare`)."""
    recogniser = load_rules().recogniser
    return [prepare(standing_text(recogniser.read(text))) for text in texts]


def fit_reader(
    texts: Sequence[bytes],
    truth: Ints,
    groups: Ints,
    options: UrgencyOptions,
    metrics: tuple[Metric, ...] = (),
    data: str = "",
) -> LinearModel:
    """Fit one model.

    Args:
        texts: as `read_texts` gives them.
        truth: (texts,), int64, indexes of `LEVELS`.
        groups: (texts,), int64, the group of duplicates of each.
    """
    featuriser: Featuriser = learn_features(texts, groups)
    weights = solve(
        [featuriser.rows(list(texts))],
        [truth.astype(np.int32)],
        columns=featuriser.columns,
        costs=[np.ones(len(LEVELS), np.float32)],
        regularisation=REGULARISATION,
        loss=Loss.SOFTMAX,
    )
    counts = np.bincount(truth, minlength=len(LEVELS)).tolist()
    manifest = Manifest(
        **made_today(options.id, options.licence, ("numpy", "scipy")),
        task=Task.URGENCY,
        kind="linear",
        labels=tuple(level.value for level in LEVELS),
        preprocessing={"text": "the folded words that the grammar of urgency leaves standing"},
        thresholds=asdict(options.thresholds),
        metrics=metrics,
        training={
            "rows": len(texts),
            "rows_by_label": dict(zip([level.value for level in LEVELS], counts, strict=True)),
            "regularisation": REGULARISATION,
            "data_sha256": data,
        },
    )
    return LinearModel(manifest, featuriser, weights)


def _groups(writers: Sequence[str] | None, duplicates: Ints) -> Ints:
    """The group of each row, (rows,), int64: its writer, where none is told its duplicates."""
    if writers is None:
        return duplicates
    first = int(duplicates.max()) + 1
    number = {name: first + place for place, name in enumerate(sorted(set(writers)))}
    return np.array(
        [number[name] if name else own for name, own in zip(writers, duplicates.tolist(), strict=True)]
    )


def _metrics(truth: Ints, levels: Ints, data: str) -> tuple[Metric, ...]:
    split = (
        Sentence(
            "{folds}-fold cross-validation by writer or duplicate group, with the rules", {"folds": FOLDS}
        ),
    )
    found = UrgencyFigures.of(truth, levels)
    shares = (
        ("red_recall", found.red_recall, UrgencyLevel.KIRMIZI),
        ("green_as_red", found.green_as_red, UrgencyLevel.YESIL),
    )
    metrics = []
    for name, value, level in shares:
        called = levels[truth == LEVELS.index(level)] == 0
        interval = wilson_interval(int(called.sum()), len(called))
        metrics.append(
            Metric(name=name, value=value, **ends(interval), n=len(called), data=data, split=split)
        )
    return (*metrics, Metric(name="macro_f1", value=found.macro_f1, n=len(truth), data=data, split=split))
