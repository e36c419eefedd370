"""The page, pictures and tables of a trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tetkik.lab.engine import charts as engine
from tetkik.lab.engine.charts import Bar, ChartFile, Plot, bar_chart, check_target, csv_text, drawn
from tetkik.lab.findings.evaluation_page import FLAWS
from tetkik.lab.findings.summaries import LabelFigures
from tetkik.lab.trial.checklists import CLAIM, DECIDE_AI
from tetkik.lab.trial.interpretation import DECISIONS, DIMENSION_NAMES, check_name, patients_sentence
from tetkik.lab.trial.results import TrialPart, TrialResult
from tetkik.language import Language, Sentence, translate
from tetkik.statistics import Interval
from tetkik.values import label_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_BARS = 40
LEFT_OUT = {
    "broken": Sentence("rows of the table that are broken"),
    "empty": Sentence("reports that say nothing of any finding"),
    "restricted": Sentence("restricted cases"),
    "erased": Sentence("erased patients"),
    "altered": Sentence("reports that are not as they were signed"),
    "without_image": Sentence("studies without an image"),
    "same_model": Sentence("reports drafted from this model's findings"),
}


def write_trial(result: TrialResult, folder: Path, language: Language) -> tuple[Path, ...]:
    """Write page, pictures, tables and `metrics.json` into `folder`; the files, sorted."""
    check_target(folder)
    return engine.write_evaluation(
        result,
        folder,
        language,
        template="trial/trial.html.jinja",
        pictures=pictures(result, language),
        table=("labels.csv", labels_csv(result)),
        more_tables={
            "checks.csv": checks_csv(result),
            "parts.csv": parts_csv(result),
            "cases.csv": cases_csv(result),
            "claim.csv": checklist_csv(CLAIM, result.claim or {}, language),
            "decide-ai.csv": checklist_csv(DECIDE_AI, result.decide_ai or {}, language),
        },
        name_of=lambda label: label_name(label, language),
        check_name=check_name,
        decisions=DECISIONS,
        dimensions=DIMENSION_NAMES,
        patients=patients_sentence(result),
        flaw_names=FLAWS,
        left_out_names=LEFT_OUT,
        labels=shown_labels(result),
        checklists=(("CLAIM 2024", CLAIM, result.claim), ("DECIDE-AI", DECIDE_AI, result.decide_ai)),
    )


def shown_labels(result: TrialResult) -> list[LabelFigures]:
    """The labels with a limit first, then those that some report has."""
    limited = [item for label, item in result.per_label.items() if label in result.limits.limits]
    return limited + [item for item in result.per_label.values() if item.n_positive and item not in limited]


def _ends(interval: Interval | None) -> list[object]:
    return [f"{interval.low:.6f}", f"{interval.high:.6f}"] if interval else ["", ""]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


_ENDS = ("low", "high")
_COLUMNS = ("n", "n_positive", "sensitivity", *_ENDS, "specificity", *_ENDS, "auroc", *_ENDS)


def _cells(item: LabelFigures) -> list[object]:
    cells: list[object] = [item.n, item.n_positive]
    for _, figure in _PICTURES.values():
        value, interval = figure(item)
        cells += [_number(value), *_ends(interval)]
    return cells


def labels_csv(result: TrialResult) -> str:
    return csv_text(["label", *_COLUMNS], ([item.label, *_cells(item)] for item in result.per_label.values()))


def parts_csv(result: TrialResult) -> str:
    """A row for each label of each part that is large enough."""
    rows = (
        [part.dimension, part.id, label, *_cells(item)]
        for part in result.parts
        for label, item in (part.per_label or {}).items()
    )
    return csv_text(["dimension", "part", "label", *_COLUMNS], rows)


def checks_csv(result: TrialResult) -> str:
    rows = (
        [check.figure, check.label, check.part, check.limit, _number(check.value), *_ends(check.ci), check.n,
         check.decision.value]
        for check in result.checks
    )  # fmt: skip
    return csv_text(["figure", "label", "part", "limit", "value", "low", "high", "n", "decision"], rows)


def cases_csv(result: TrialResult) -> str:
    """Where model and report differ, study by study: for whoever holds the reports to read them by hand."""
    judged = result.judged
    differs = judged.usable & ((judged.truth == 1) != judged.decided)
    rows = (
        (
            result.studies[row],
            judged.labels[column],
            int(judged.truth[row, column]),
            int(judged.decided[row, column]),
            f"{judged.scores[row, column]:.6f}",
        )
        for row, column in zip(*(places.tolist() for places in differs.nonzero()), strict=True)
    )
    return csv_text(["study", "label", "report", "model", "score"], rows)


def checklist_csv(items: Mapping[str, str], answers: Mapping[str, Sentence], language: Language) -> str:
    rows = (
        [item, translate(text, language), answers[item].in_language(language)] for item, text in items.items()
    )
    return csv_text(["item", "what", "answer"], rows)


def pictures(result: TrialResult, language: Language) -> tuple[ChartFile, ...]:
    """Every picture that the trial allows. Needs matplotlib."""
    labels = [item for item in shown_labels(result) if item.n]
    wanted: list[Plot[TrialResult]] = []
    for name, (title, figure) in _PICTURES.items():
        if any(figure(item)[0] is not None for item in labels):
            wanted.append((f"{name}.png", title, partial(_labels, title, figure)))
    if any(part.sensitivity is not None for part in result.parts):
        wanted.append(("parts.png", _PARTS, _parts))
    return drawn(result, wanted, language)


_PARTS = "Sensitivity of the limited findings by part"
_Figure = Callable[[LabelFigures], tuple[float | None, Interval | None]]


def _sensitivity(item: LabelFigures) -> tuple[float | None, Interval | None]:
    return item.sensitivity, item.sensitivity_ci


def _specificity(item: LabelFigures) -> tuple[float | None, Interval | None]:
    return item.specificity, item.specificity_ci


def _auroc(item: LabelFigures) -> tuple[float | None, Interval | None]:
    return item.auroc, item.ci


_PICTURES: dict[str, tuple[str, _Figure]] = {
    "sensitivity": ("Sensitivity by finding", _sensitivity),
    "specificity": ("Specificity by finding", _specificity),
    "auroc": ("AUROC by finding", _auroc),
}


def _labels(title: str, figure: _Figure, result: TrialResult, language: Language) -> Figure:
    bars = [
        Bar(f"{label_name(item.label, language)} ({item.n_positive})", value, interval)
        for item in reversed(shown_labels(result))
        for value, interval in (figure(item),)
        if value is not None
    ]
    return bar_chart(bars, title=translate(title, language), axis=translate("with 95% intervals", language))


def _parts(result: TrialResult, language: Language) -> Figure:
    bars = [
        Bar(name, part.sensitivity, part.ci)
        for part, name in _part_names(result, language)
        if part.sensitivity is not None
    ]
    return bar_chart(
        bars[:_MOST_BARS][::-1],
        title=translate(_PARTS, language),
        axis=translate("with 95% intervals", language),
    )


def _part_names(result: TrialResult, language: Language) -> Iterator[tuple[TrialPart, str]]:
    for part in result.parts:
        dimension = DIMENSION_NAMES[part.dimension].in_language(language)
        yield part, f"{dimension}: {part.title.in_language(language)[:40]} ({part.positives})"
