"""Drafts against the reports that people signed: which findings both state, and radeval's metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tetkik.errors import DataError
from tetkik.lab.engine.results import to_json
from tetkik.lab.engine.tables import read_table
from tetkik.lab.report.external_metrics import METRICS, radeval_rows
from tetkik.language import Language, Sentence
from tetkik.report.labeler import Polarity, read_report
from tetkik.report.labeler.read import stated_polarities
from tetkik.report.passages.documents import language_of
from tetkik.statistics import ClusterBootstrap, Floats, Interval, percentile_interval
from tetkik.values import FINDING_LABELS, NORMAL_LABELS

LABELS = tuple(label for label in FINDING_LABELS if label not in NORMAL_LABELS)
NO_ENVIRONMENT = Sentence("No environment with radeval was named; give its Python with --radeval.")
NO_ENGLISH = Sentence("It reads English alone, and no pair is English.")


@dataclass(frozen=True, slots=True)
class Pair:
    """A draft and the report that it is judged against; a `group` is a patient."""

    reference: str = field(repr=False)
    draft: str = field(repr=False)
    language: Language
    group: str


@dataclass(frozen=True, slots=True)
class ReportFigure:
    value: float
    ci: Interval | None
    n: int

    def as_json(self) -> dict[str, Any]:
        return {"value": self.value, "ci": to_json(self.ci), "n": self.n}


@dataclass(frozen=True, slots=True)
class ReportEvaluation:
    """Figures by name, such as `labeler_f1_tr`; F1 of each label, None where neither side states it."""

    n: int
    figures: Mapping[str, ReportFigure]
    per_label: Mapping[str, float | None]
    not_computed: Mapping[str, Sentence]

    def as_json(self, language: Language) -> dict[str, Any]:
        names = (*_ours(), *METRICS)
        shown = {name: self.figures[name].as_json() if name in self.figures else None for name in names}
        reasons = to_json(self.not_computed, language)
        return {"n": self.n, **shown, "per_label": dict(self.per_label), "not_computed": reasons}


def read_pairs(path: Path, language: Language | None = None) -> list[Pair]:
    """The pairs of a table with the columns `reference` and `draft`, and maybe `language` and `group`.

    Without a column or an argument the language is that of the reference.

    Raises:
        DataError: no such columns, no pair, or a language that is none.
    """
    table = read_table(path, need=("reference", "draft"), wanted=("reference", "draft", "language", "group"))
    if table.broken or not table.rows:
        raise DataError("{path} has no pair of reports, or rows that are broken; write it anew.", path=path)
    found = []
    rows = zip(table["reference"], table["draft"], table.get("language"), table.get("group"), strict=True)
    for place, (reference, draft, spoken, group) in enumerate(rows):
        try:
            chosen = Language(spoken.lower()) if spoken else language or language_of(reference, Language.EN)
        except ValueError:
            raise DataError(
                "{path}, row {row}: {word} is no language of reports; write tr or en.",
                path=path,
                row=table.places[place],
                word=spoken[:20],
            ) from None
        found.append(Pair(reference, draft, chosen, group or f"row {place}"))
    return found


def stated_labels(text: str, language: Language) -> frozenset[str]:
    """The findings that a report asserts or leaves open; implied ones where nothing is stated outright."""
    found = stated_polarities(read_report(text, language))
    return frozenset(label for label in LABELS if found.get(label, Polarity.ABSENT) is not Polarity.ABSENT)


def evaluate_reports(
    pairs: Sequence[Pair],
    *,
    radeval: Path | None = None,
    offline: bool = True,
    replicates: int = 1000,
    seed: int = 0,
) -> ReportEvaluation:
    """Micro and macro F1 of the labels that draft and reference state, by language, and radeval's metrics."""
    counts = np.zeros((len(pairs), 3, len(LABELS)))
    for row, pair in enumerate(pairs):
        referred, drafted = (stated_labels(text, pair.language) for text in (pair.reference, pair.draft))
        for column, label in enumerate(LABELS):
            counts[row, :, column] = (
                label in referred and label in drafted,
                label in drafted,
                label in referred,
            )
    figures: dict[str, ReportFigure] = {}
    without: dict[str, Sentence] = {}
    for name, spoken in _ours().items():
        rows = [row for row, pair in enumerate(pairs) if spoken in (None, pair.language)]
        if not counts[rows, 1:].any():
            without[name] = Sentence("No report of this language states a finding.")
            continue
        draws = _draws(pairs, rows, replicates, seed)
        macro = name.startswith("labeler_macro")
        flat = counts[rows].reshape(len(rows), -1)
        sums = draws.sums(flat).reshape(-1, *counts.shape[1:]) if draws.possible else None
        value = _f1(flat.sum(axis=0).reshape(1, *counts.shape[1:]), macro=macro)[0]
        ci = None if sums is None else percentile_interval(_f1(sums, macro=macro))
        figures[name] = ReportFigure(float(value), ci, len(rows))
    total = counts.sum(axis=0)
    per_label = {
        label: float(2 * total[0, column] / total[1:, column].sum()) if total[1:, column].any() else None
        for column, label in enumerate(LABELS)
    }
    english = [row for row, pair in enumerate(pairs) if pair.language is Language.EN]
    if radeval is None or not english:
        return ReportEvaluation(
            len(pairs),
            figures,
            per_label,
            without | dict.fromkeys(METRICS, NO_ENGLISH if radeval else NO_ENVIRONMENT),
        )
    texts = [pairs[row].reference for row in english], [pairs[row].draft for row in english]
    for name, scored in radeval_rows(*texts, radeval, offline=offline).items():
        if isinstance(scored, Sentence):
            without[name] = scored
            continue
        draws = _draws(pairs, english, replicates, seed)
        sums = draws.sums(np.stack([scored, np.ones(len(scored))], axis=1)) if draws.possible else None
        ci = None if sums is None else percentile_interval(sums[:, 0] / sums[:, 1])
        figures[name] = ReportFigure(float(np.mean(scored)), ci, len(scored))
    return ReportEvaluation(len(pairs), figures, per_label, without)


def _ours() -> dict[str, Language | None]:
    kinds = ("labeler_f1", "labeler_macro_f1")
    return {
        f"{kind}{f'_{spoken}' if spoken else ''}": spoken for kind in kinds for spoken in (None, *Language)
    }


def _draws(pairs: Sequence[Pair], rows: Sequence[int], replicates: int, seed: int) -> ClusterBootstrap:
    groups = np.unique([pairs[row].group for row in rows], return_inverse=True)[1]
    return ClusterBootstrap(groups.astype(np.int64), replicates, seed)


def _f1(sums: Floats, *, macro: bool) -> Floats:
    """F1 of (draws, hits and drafted and wanted, labels); the macro mean is over labels that a draw has."""
    if not macro:
        sums = sums.sum(axis=2, keepdims=True)
    hits, drafted, wanted = (sums[:, part] for part in range(3))
    known = drafted + wanted > 0
    shares = np.where(known, 2 * hits / np.maximum(drafted + wanted, 1), 0)
    found: Floats = shares.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return found
