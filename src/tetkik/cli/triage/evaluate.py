"""`tetkik triage evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.text import Text

from tetkik.bundle import Task
from tetkik.cli.console import language, note, out, progress, t
from tetkik.cli.options import (
    EvaluationFolder,
    LearnedRowsOption,
    Model,
    OnDevice,
    Replicates,
    TableAsJson,
    argument,
    option,
)
from tetkik.cli.tables import add_row, add_subgroups, deliver, short, show_parts, signed, table
from tetkik.lab.engine.options import LearnedTreatment
from tetkik.settings import settings

if TYPE_CHECKING:
    from rich.table import Table

    from tetkik.lab.triage.figures import Evaluation

Data = Annotated[Path, argument("A CSV file with the columns text and label.", "DATA.csv")]
Invented = Annotated[
    Path | None,
    option("Linear: invented complaints (text, departments, split) to learn as well, at a low weight."),
]
Seed = Annotated[int, option("Of the bootstrap and of the typing errors.", "--seed", min=0)]


def evaluate(
    data: Data,
    *,
    model: Model = None,
    folder: EvaluationFolder = None,
    as_json: TableAsJson = False,
    learned_rows: LearnedRowsOption = LearnedTreatment.SEPARATE,
    bootstrap: Replicates = 1000,
    seed: Seed = 0,
    robustness: Annotated[bool, option("Score perturbed texts too, which is six times the work.")] = True,
    device: OnDevice = None,
) -> None:
    """Figures with intervals, what they say in words, and with --out pictures and a page."""
    from tetkik.lab.engine.evaluation_page import check_target
    from tetkik.lab.engine.learned_rows import learned_of
    from tetkik.lab.triage.data import read_complaints
    from tetkik.lab.triage.evaluate import evaluate as judge
    from tetkik.lab.triage.evaluation_page import write_evaluation
    from tetkik.triage.predict import load_triage

    if folder is not None:
        check_target(folder)
    complaints = read_complaints(data)
    say_left_out(complaints.left_out)
    model = settings().triage_model if model is None else model
    scorer = load_triage(model, device=device)
    with progress(t("evaluate")) as report:
        evaluation = judge(
            scorer,
            complaints,
            learned=learned_of(model, Task.TRIAGE),
            treatment=learned_rows,
            bootstrap=bootstrap,
            seed=seed,
            robustness=robustness,
            progress=report,
        )
    deliver(evaluation, as_json=as_json, folder=folder, show=_show, write=write_evaluation)


def say_left_out(left_out: Mapping[str, int]) -> None:
    """One line for each reason for which rows of a file are not used."""
    for reason, count in left_out.items():
        note("Rows of the file left out ({reason}): {count}.", count=count, reason=t(reason))


def _show(evaluation: Evaluation) -> None:
    out.print(
        Text(evaluation.model, style="bold"), Text(t("{n} complaints", n=len(evaluation.judged)), style="dim")
    )
    parts = (_headline, _departments, _perturbed, _parts)
    show_parts((part(evaluation) for part in parts), evaluation.interpretation, evaluation.not_computed)


def _headline(evaluation: Evaluation) -> Table:
    made = table(t("figure"), t("value"), t("95%"))
    rows = (
        (t("Accuracy"), evaluation.accuracy, "accuracy"),
        (t("Macro-F1"), evaluation.macro_f1, "macro_f1"),
        (t("Macro precision"), evaluation.macro_precision, "macro_precision"),
        (t("Macro recall"), evaluation.macro_recall, "macro_recall"),
        (t("Among the first three"), evaluation.top3_accuracy, "top3_accuracy"),
        (t("Calibration error (ECE)"), evaluation.ece, ""),
        (t("Brier skill"), evaluation.brier_skill, ""),
    )
    for title, value, name in rows:
        add_row(made, title, value, evaluation.ci.get(name) if name else "")
    return made


def _departments(evaluation: Evaluation) -> Table:
    made = table(t("department"), "n", "F1", t("95%"), t("precision"), t("recall"), "AUROC")
    present = [figures for figures in evaluation.per_label.values() if figures]
    for item in sorted(present, key=lambda figures: -figures.support):
        rates = (item.precision, item.recall, item.auroc)
        add_row(made, item.label, item.support, item.f1, short(item.ci["f1"]), *rates)
    return made


def _perturbed(evaluation: Evaluation) -> Table | None:
    if not evaluation.robustness:
        return None
    made = table(t("perturbation"), t("accuracy"), t("change"), t("95%"), t("Macro-F1"), t("change"))
    for item in evaluation.robustness:
        changes = signed(item.accuracy_change), signed(item.ci["accuracy_change"])
        last = item.macro_f1, signed(item.macro_f1_change)
        add_row(made, item.title.in_language(language()), item.accuracy, *changes, *last)
    return made


def _parts(evaluation: Evaluation) -> Table:
    made = table(t("part"), "n", t("accuracy"), t("95%"), t("Macro-F1"))
    add_subgroups(made, evaluation.subgroups, lambda part: (part.n, part.accuracy, part.ci, part.macro_f1))
    return made
