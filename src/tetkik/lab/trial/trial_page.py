"""The page, pictures and tables of a trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from tetkik.lab.engine.charts import Bar, bar_chart, csv_text
from tetkik.lab.engine.figure_tables import Cell, Columns, EvaluationView, FigureTable, LabelName, Plot, short
from tetkik.lab.engine.results import listed
from tetkik.lab.findings.evaluation_page import FLAWS
from tetkik.lab.findings.summaries import LabelFigures
from tetkik.lab.trial.checklists import CLAIM, DECIDE_AI
from tetkik.lab.trial.interpretation import DECISIONS, DIMENSION_NAMES, check_name, patients_sentence
from tetkik.lab.trial.results import Check, TrialPart, TrialResult
from tetkik.language import Language, Sentence, translate
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


_LIMITS: Columns[Check] = {
    "limit of": check_name,
    "limit": lambda check: short(check.limit),
    "value": lambda check: short(check.value, check.ci),
    "n": lambda check: check.n,
    "decision": lambda check: DECISIONS[check.decision],
}
_RATES: Mapping[str, Callable[[LabelFigures], Cell]] = {
    "sensitivity": lambda one: short(one.sensitivity, one.sensitivity_ci),
    "specificity": lambda one: short(one.specificity, one.specificity_ci),
    "AUROC": lambda one: Cell(one.auroc, one.ci),
}
_FINDINGS: Columns[LabelFigures] = {
    "finding": lambda one: LabelName(one.label),
    "with it / studies": lambda one: f"{one.n_positive} / {one.n}",
    **_RATES,
}
_TITLES = {
    "sensitivity": "Sensitivity by finding",
    "specificity": "Specificity by finding",
    "AUROC": "AUROC by finding",
}
"""Of the pictures of `_RATES`."""
_PART_COLUMNS: Columns[TrialPart] = {
    "findings present": lambda part: part.positives,
    "sensitivity": lambda part: short(part.sensitivity, part.ci),
}


def view(result: TrialResult) -> EvaluationView:
    """What page and console show of it."""
    answered = result.checks[0]
    return EvaluationView(
        evaluation=result,
        counts=(Sentence("{n} studies", {"n": len(result.judged)}), patients_sentence(result)),
        headline=(
            (Sentence("Decision by the limits fixed beforehand"), DECISIONS[result.decision]),
            (Sentence("Studies answered"), short(answered.value, answered.ci)),
        ),
        tables=(
            FigureTable.of(
                Sentence("Limits"),
                _LIMITS,
                result.checks,
                Sentence(
                    "Fixed before the first image; SHA-256 of the file {digest}. Go: the whole interval is "
                    "at or above the limit. No go: the whole interval is below it.",
                    {"digest": result.fixed["limits_sha256"]},
                ),
            ),
            FigureTable.of(Sentence("Finding by finding"), _FINDINGS, shown_labels(result), console=()),
            FigureTable.of_subgroups(
                Sentence("Parts of the studies"),
                _PART_COLUMNS,
                result.parts,
                DIMENSION_NAMES,
                Sentence("Sensitivity of the limited findings together; parts.csv has every finding."),
                console=(),
            ),
            _not_in_the_figures(result),
        ),
        more_tables=(
            _checklist("CLAIM 2024", CLAIM, result.claim or {}),
            _checklist("DECIDE-AI", DECIDE_AI, result.decide_ai or {}),
        ),
        plots=pictures(result),
        files={
            "labels.csv": lambda _: labels_csv(result),
            "checks.csv": lambda _: checks_csv(result),
            "parts.csv": lambda _: parts_csv(result),
            "cases.csv": lambda _: cases_csv(result),
            "claim.csv": partial(checklist_csv, CLAIM, result.claim or {}),
            "decide-ai.csv": partial(checklist_csv, DECIDE_AI, result.decide_ai or {}),
        },
        method=Sentence(
            "The images of a study are one: the highest score counts, of the normal labels the lowest. The "
            "signed report, read by the rules of the report labeler, is the reference. Intervals of "
            "sensitivity and specificity are Wilson's, with the studies of a patient counted as fewer; those "
            "of AUROC follow DeLong, with Obuchowski's variance where patients repeat. A part of fewer than "
            "30 studies gets no figure. No name, number or date of a patient is in this folder."
        ),
        kind=Sentence("Silent trial"),
    )


def _not_in_the_figures(result: TrialResult) -> FigureTable:
    counts, refused = result.counts, Sentence("images refused by the quality gate")
    rows: list[tuple[Sentence, object]] = []
    if counts.reports is not None:
        missing = max(counts.reports - counts.studies, 0)
        rows.append((Sentence("studies with a report, without an image"), missing))
    rows += [(listed((refused, FLAWS[flaw]), ": "), count) for flaw, count in counts.refused.items()]
    rows += [
        (
            Sentence("studies of patients of whom the model learned an image"),
            counts.learned if result.tells_learned else Sentence("not known"),
        ),
        (Sentence("images that could not be read"), counts.failed),
        (Sentence("images without a report"), counts.unmatched),
        (Sentence("images of another patient than their report"), counts.other_patient),
        *((LEFT_OUT[reason], count) for reason, count in counts.left_out.items()),
    ]
    return FigureTable(Sentence("What is not in the figures"), ("", ""), rows, console=())


def _checklist(name: str, items: Mapping[str, str], answers: Mapping[str, Sentence]) -> FigureTable:
    rows = [
        (listed((Sentence("{name}", {"name": item}), Sentence(text)), " · "), answers[item])
        for item, text in items.items()
    ]
    return FigureTable(Sentence("{name}", {"name": name}), ("item", "what is known of it"), rows, console=())


def shown_labels(result: TrialResult) -> list[LabelFigures]:
    """The labels with a limit first, then those that some report has."""
    limited = [item for label, item in result.per_label.items() if label in result.limits.limits]
    return limited + [item for item in result.per_label.values() if item.n_positive and item not in limited]


def _numbers(cell: Cell) -> list[str]:
    """Value, low and high end for a table; empty where there is none."""
    interval = cell.interval
    ends = (interval.low, interval.high) if interval else (None, None)
    return ["" if value is None else f"{value:.6f}" for value in (cell.value, *ends)]


_ENDS = ("low", "high")
_COLUMNS = ("n", "n_positive", "sensitivity", *_ENDS, "specificity", *_ENDS, "auroc", *_ENDS)


def _cells(item: LabelFigures) -> list[object]:
    figures = (number for rate in _RATES.values() for number in _numbers(rate(item)))
    return [item.n, item.n_positive, *figures]


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
        (
            *(check.figure, check.label, check.part, check.limit),
            *(*_numbers(Cell(check.value, check.ci)), check.n, check.decision.value),
        )
        for check in result.checks
    )
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


def pictures(result: TrialResult) -> list[Plot]:
    """Every picture that the trial allows."""
    labels = [(partial(_label_name, one), one) for one in shown_labels(result)]
    wanted = [
        (f"{name.lower()}.png", _TITLES[name], [(label, rate(one)) for label, one in labels])
        for name, rate in _RATES.items()
    ]
    known = [part for part in result.parts if part.sensitivity is not None][:_MOST_BARS]
    parts = [(partial(_part_name, part), Cell(part.sensitivity, part.ci)) for part in known]
    return [
        *(
            (name, title, partial(_bars, cells))
            for name, title, cells in wanted
            if any(cell.value is not None for _, cell in cells)
        ),
        *(
            [("parts.png", "Sensitivity of the limited findings by part", partial(_bars, parts))]
            if parts
            else []
        ),
    ]


def _label_name(item: LabelFigures, language: Language) -> str:
    return f"{label_name(item.label, language)} ({item.n_positive})"


def _part_name(part: TrialPart, language: Language) -> str:
    dimension = DIMENSION_NAMES[part.dimension].in_language(language)
    return f"{dimension}: {part.title.in_language(language)[:40]} ({part.positives})"


def _bars(cells: Sequence[tuple[Callable[[Language], str], Cell]], language: Language) -> Figure:
    bars = [
        Bar(name(language), cell.value, cell.interval)
        for name, cell in reversed(cells)
        if isinstance(cell.value, float)
    ]
    return bar_chart(bars, axis=translate("with 95% intervals", language))
