"""`tetkik findings evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.text import Text

from tetkik.cli.console import language, note, out, progress, t
from tetkik.cli.findings.inputs import Thresholds, Workers, parse_thresholds
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
from tetkik.errors import UsageError
from tetkik.lab.engine.options import LearnedTreatment

if TYPE_CHECKING:
    from rich.table import Table

    from tetkik.lab.findings.data import LabelledImages
    from tetkik.lab.findings.figures import Evaluation
    from tetkik.lab.findings.predictions import Predictions

Images = Annotated[
    Path | None, option("The folder of the images; without it, the table's own.", "--images", metavar="DIR")
]
Known = Annotated[
    list[str] | None,
    option(
        "What rows know beside what they list, as COLUMN~REGEX=LABEL,LABEL; may be repeated.",
        "--known",
        metavar="RULE",
    ),
]
Labels = Annotated[
    str | None, option("Judge these labels alone: names, or nih14, brain.", "--labels", metavar="A,B")
]
Sources = Annotated[
    list[str] | None,
    option(
        "A data set instead of a table, as KIND:PATH, such as nih:PATH; may be repeated.",
        "--source",
        metavar="KIND:PATH",
    ),
]
Seed = Annotated[int, option("Of the bootstrap.", "--seed", min=0)]
NoGate = Annotated[bool, option("Score the images that the quality gate would refuse, too.", "--no-gate")]


def evaluate(
    data: Annotated[Path | None, argument("A table of images and their labels.", "[LABELS.csv]")] = None,
    *,
    images: Images = None,
    sources: Sources = None,
    model: Model = None,
    predictions: Annotated[
        Path | None,
        option(
            "What `findings predict --json` printed, or scores as CSV, instead of a model.",
            metavar="FILE",
        ),
    ] = None,
    thresholds: Thresholds = None,
    folder: EvaluationFolder = None,
    as_json: TableAsJson = False,
    task: Annotated[
        str | None, option("Labels of which exactly one is true, for accuracy too.", metavar="A,B,C")
    ] = None,
    labels: Labels = None,
    known: Known = None,
    no_gate: NoGate = False,
    learned_rows: LearnedRowsOption = LearnedTreatment.SEPARATE,
    bootstrap: Replicates = 1000,
    seed: Seed = 0,
    workers: Workers = None,
    device: OnDevice = None,
) -> None:
    """Figures with intervals, what they say in words, and with --out pictures and a page."""
    from tetkik.lab.engine.evaluation_page import check_target
    from tetkik.lab.findings.evaluate import evaluate as judge
    from tetkik.lab.findings.evaluation_page import write_evaluation
    from tetkik.lab.findings.predictions import predict_all, read_predictions

    if predictions is not None and (model is not None or no_gate):
        raise UsageError("--predictions takes the place of a model; leave out --model and --no-gate.")
    given = parse_thresholds(thresholds)
    if folder is not None:
        check_target(folder)
    labelled = read_images(data, sources or [], images, known or [], check_files=predictions is None)
    answers: Predictions
    learned = None  # stored answers do not tell what the model learned
    if predictions is not None:
        answers = read_predictions(predictions).with_thresholds(given)
    else:
        from tetkik.findings.predict import load_findings
        from tetkik.lab.findings.learned import match_learned

        findings = load_findings(model, gate=not no_gate, thresholds=given, device=device)
        with progress(t("evaluate")) as report:
            learned = match_learned(model, labelled.files, report)
            answers = predict_all(findings, labelled.files, workers, report)
    evaluation = judge(
        answers,
        labelled,
        learned=learned,
        treatment=learned_rows,
        labels=names(labels),
        task=names(task),
        bootstrap=bootstrap,
        seed=seed,
    )
    deliver(evaluation, as_json=as_json, folder=folder, show=_show, write=write_evaluation)


def read_images(
    data: Path | None,
    sources: Sequence[str],
    images: Path | None,
    known: Sequence[str],
    *,
    check_files: bool,
) -> LabelledImages:
    """The labelled images of a table or of data sets; says which rows are not used."""
    from tetkik.lab.findings.data import read_labels, read_sources
    from tetkik.lab.findings.sources import Reading, parse_rule

    if (data is None) == (not sources):
        raise UsageError("Give a table of labels, or data sets with --source, one of the two.")
    rules = tuple(parse_rule(rule) for rule in known)
    if data is not None:
        found = read_labels(data, images, known=rules, keep_others=True, check_files=check_files)
    else:
        found = read_sources(sources, Reading(check_files=check_files, keep_others=True, known=rules))
    for reason, count in found.left_out.items():
        note("Rows of the table left out ({reason}): {count}.", count=count, reason=t(reason))
    return found


def names(given: str | None) -> tuple[str, ...]:
    """Labels separated by commas; a set's name stands for its labels."""
    from tetkik.lab.findings.evaluate import LABEL_SETS

    parts = [part.strip() for part in (given or "").split(",") if part.strip()]
    return tuple(dict.fromkeys(label for part in parts for label in LABEL_SETS.get(part, (part,))))


def _show(evaluation: Evaluation) -> None:
    out.print(
        Text(evaluation.model, style="bold"),
        Text(t("{n} images", n=len(evaluation.judged)), style="dim"),
        Text(t("{n} patients or groups", n=evaluation.groups), style="dim"),
    )
    parts = (_headline, _labels, _parts)
    show_parts((part(evaluation) for part in parts), evaluation.interpretation, evaluation.not_computed)


def _headline(evaluation: Evaluation) -> Table:
    from tetkik.lab.findings.interpretation import ROUTES
    from tetkik.values import Route

    made = table(t("figure"), t("value"), t("95%"))
    add_row(made, t("Mean AUROC"), evaluation.mean_auroc, evaluation.mean_auroc_ci)
    add_row(made, t("Mean average precision"), evaluation.mean_average_precision, "")
    add_row(made, t("Calibration error (ECE)"), evaluation.mean_ece, "")
    add_row(made, t("Brier skill"), signed(evaluation.mean_brier_skill), "")
    for part in evaluation.screening:
        title = f"{t('Anything abnormal')}, {ROUTES[Route(part.route)].in_language(language())}"
        add_row(made, title, part.auroc, part.ci)
    if evaluation.task is not None:
        add_row(made, t("Accuracy on the task"), evaluation.task.accuracy, evaluation.task.ci)
    return made


def _labels(evaluation: Evaluation) -> Table | None:
    from tetkik.values import label_name

    if not evaluation.measured:
        return None
    figures = (t("sensitivity"), t("specificity"), "F1", t("source alone"))
    made = table(t("finding"), "n+", "n", "AUROC", t("95%"), *figures)
    for item in sorted(evaluation.measured, key=lambda figures: -(figures.auroc or 0.0)):
        rates = (item.sensitivity, item.specificity, item.f1, item.source_shortcut)
        name = label_name(item.label, language())
        add_row(made, name, item.n_positive, item.n, item.auroc, short(item.ci), *map(short, rates))
    return made


def _parts(evaluation: Evaluation) -> Table | None:
    if not evaluation.subgroups:
        return None
    made = table(t("part"), "n", t("labels"), t("mean AUROC"), t("95%"))
    add_subgroups(
        made,
        evaluation.subgroups,
        lambda part: (part.n, len(part.aurocs or {}), part.mean_auroc, part.ci),
    )
    return made
