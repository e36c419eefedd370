"""`tetkik triage evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.text import Text

from tetkik.cli.console import language, note, out, progress, t, warn
from tetkik.cli.options import EvaluationFolder, Model, Replicates, TableAsJson, argument, option
from tetkik.cli.tables import add_subgroups, brackets, deliver, figure, in_language, show_parts, table
from tetkik.settings import settings

if TYPE_CHECKING:
    from rich.table import Table

    from tetkik.lab.triage.data import Complaints
    from tetkik.lab.triage.evaluate import Scorer
    from tetkik.lab.triage.figures import Evaluation

Data = Annotated[Path, argument("A CSV file with the columns text and label.", "DATA.csv")]
Seed = Annotated[int, option("Of the bootstrap and of the typing errors.", "--seed", min=0)]


def evaluate(
    data: Data,
    *,
    model: Model = None,
    folder: EvaluationFolder = None,
    as_json: TableAsJson = False,
    bootstrap: Replicates = 1000,
    seed: Seed = 0,
    robustness: Annotated[bool, option("Score perturbed texts too, which is six times the work.")] = True,
) -> None:
    """Figures with intervals, what they say in words, and with --out pictures and a page."""
    from tetkik.lab.engine.evaluation_page import check_target
    from tetkik.lab.triage.data import read_complaints
    from tetkik.lab.triage.evaluate import evaluate as judge
    from tetkik.lab.triage.evaluation_page import write_evaluation
    from tetkik.triage.predict import load_triage

    if folder is not None:
        check_target(folder)
    complaints = read_complaints(data)
    say_left_out(complaints.left_out)
    scorer = load_triage(settings().triage_model if model is None else model)
    _warn_of_training_rows(scorer, complaints)
    with progress(t("evaluate")) as report:
        evaluation = judge(
            scorer,
            complaints,
            bootstrap=bootstrap,
            seed=seed,
            robustness=robustness,
            progress=in_language(report),
        )
    deliver(evaluation, as_json=as_json, folder=folder, show=_show, write=write_evaluation)


def _warn_of_training_rows(scorer: Scorer, complaints: Complaints) -> None:
    from tetkik.lab.triage.data import fingerprint
    from tetkik.lab.triage.evaluate import known_rows

    rows, _ = known_rows(complaints, scorer.labels)
    if scorer.trained_on == fingerprint(complaints.only(rows)):
        warn("The model was trained on these very rows: the figures are far too good. Use rows it never saw.")


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
        made.add_row(title, figure(value), brackets(evaluation.ci.get(name)) if name else "")
    return made


def _departments(evaluation: Evaluation) -> Table:
    made = table(t("department"), "n", "F1", t("95%"), t("precision"), t("recall"), "AUROC")
    present = [figures for figures in evaluation.per_label.values() if figures]
    for item in sorted(present, key=lambda figures: -figures.support):
        made.add_row(
            Text(item.label),
            str(item.support),
            figure(item.f1),
            brackets(item.ci["f1"], "{:.2f}"),
            figure(item.precision),
            figure(item.recall),
            figure(item.auroc),
        )
    return made


def _perturbed(evaluation: Evaluation) -> Table | None:
    if not evaluation.robustness:
        return None
    made = table(t("perturbation"), t("accuracy"), t("change"), t("95%"), t("Macro-F1"), t("change"))
    for item in evaluation.robustness:
        made.add_row(
            item.title.in_language(language()),
            figure(item.accuracy),
            figure(item.accuracy_change, "{:+.3f}"),
            brackets(item.ci["accuracy_change"], "{:+.3f}"),
            figure(item.macro_f1),
            figure(item.macro_f1_change, "{:+.3f}"),
        )
    return made


def _parts(evaluation: Evaluation) -> Table:
    made = table(t("part"), "n", t("accuracy"), t("95%"), t("Macro-F1"))
    add_subgroups(
        made,
        evaluation.subgroups,
        lambda part: (str(part.n), figure(part.accuracy), brackets(part.ci), figure(part.macro_f1)),
    )
    return made
