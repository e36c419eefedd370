"""`tetkik triage evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.text import Text

from tetkik.bundle.card import REFERENCE_COMPLAINTS, refuse_same_folder, with_reference
from tetkik.bundle.manifest import Task
from tetkik.bundle.store import resolve
from tetkik.cli.console import language, note, out, print_line, progress, t, writing
from tetkik.cli.options import (
    BundleFolder,
    CopyName,
    EvaluationFolder,
    LearnedRowsOption,
    Model,
    NeededModel,
    OnDevice,
    Replicates,
    TableAsJson,
    argument,
    check_output_folder,
    option,
)
from tetkik.cli.tables import (
    deliver,
    echo_json,
    reference_table,
    say_below,
    show_figures,
    table,
)
from tetkik.lab.engine.figure_tables import Cell, FigureTable, signed
from tetkik.lab.engine.options import LearnedTreatment
from tetkik.language import Sentence
from tetkik.settings import settings

if TYPE_CHECKING:
    from tetkik.lab.triage.comparison import TriageComparison

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
    from tetkik.lab.engine.charts import check_target
    from tetkik.lab.engine.learned_rows import learned_of
    from tetkik.lab.triage.data import read_complaints
    from tetkik.lab.triage.evaluate import evaluate as judge
    from tetkik.lab.triage.evaluation_page import view
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
    deliver(view(evaluation), as_json=as_json, folder=folder)


def say_left_out(left_out: Mapping[str, int]) -> None:
    """One line for each reason for which rows of a file are not used."""
    for reason, count in left_out.items():
        note("Rows of the file left out ({reason}): {count}.", count=count, reason=t(reason))


# `tetkik triage reference`.


def reference(
    data: Annotated[Path, argument("A CSV file with the columns text and label.", "DATA.csv")],
    *,
    model: NeededModel,
    folder: BundleFolder,
    data_name: Annotated[str | None, option("What the card calls the data; else the file.")] = None,
    split: Annotated[
        str, option("Which part of the data these complaints are, for the card.")
    ] = "all complaints given",
    limit: Annotated[
        int, option("Most complaints that are read, drawn by chance.", min=1)
    ] = REFERENCE_COMPLAINTS,
    name: CopyName = None,
    invented: Invented = None,
) -> None:
    """A copy of the model with the reference that its drift is measured against; the model stays as it is.

    Of complaints that the model learned, models are asked that are trained here without them.
    """
    from tetkik.lab.triage.data import read_complaints, read_invented
    from tetkik.lab.triage.linear.train import unlearned
    from tetkik.lab.triage.reference import make_reference
    from tetkik.triage.predict import load_triage

    check_output_folder(folder, name)
    bundle = resolve(model, Task.TRIAGE)
    refuse_same_folder(bundle, folder)
    complaints = read_complaints(data, labels=bundle.manifest.labels)
    say_left_out(complaints.left_out)
    with progress(t("reference")) as report, writing(folder):
        tell = report
        more = read_invented(invented, labels=bundle.manifest.labels) if invented else None
        given = unlearned(
            bundle, complaints, (Sentence(split),), lambda done, total: tell("train", done, total), more
        )
        found = make_reference(load_triage(bundle), given.some(limit), data_name or data.stem, tell)
        written = with_reference(bundle, found, folder, name)
    out.print(Text(t("{n} complaints", n=found.complaints), style="bold"))
    out.print(t("Not read by a model: {n}. No department named: {m}.", n=found.refused, m=found.abstained))
    titles = t("department"), "n", t("prevalence"), t("probability, median"), t("first")
    out.print(reference_table(found.labels, *titles))
    print_line("The model is in {path}.", path=written.path)


# `tetkik triage compare`.


def compare(
    first: Annotated[str, argument("One model: an id or a path.", "A")],
    second: Annotated[str, argument("The other model.", "B")],
    data: Data,
    *,
    as_json: TableAsJson = False,
    learned_rows: LearnedRowsOption = LearnedTreatment.SEPARATE,
    bootstrap: Replicates = 1000,
    seed: Seed = 0,
) -> None:
    """Who is right where, and whether the difference is more than chance."""
    from tetkik.lab.engine.learned_rows import learned_of
    from tetkik.lab.triage.comparison import compare as judge
    from tetkik.lab.triage.data import read_complaints
    from tetkik.triage.predict import load_triage

    complaints = read_complaints(data)
    say_left_out(complaints.left_out)
    scorers = load_triage(first), load_triage(second)
    with progress(t("compare")) as report:
        comparison = judge(
            *scorers,
            complaints,
            learned=(learned_of(first, Task.TRIAGE), learned_of(second, Task.TRIAGE)),
            treatment=learned_rows,
            bootstrap=bootstrap,
            seed=seed,
            progress=report,
        )
    if as_json:
        echo_json(comparison.as_json(language()))
    else:
        _show_of_compare(comparison)


def _show_of_compare(comparison: TriageComparison) -> None:
    out.print(Text(t("{n} complaints", n=comparison.n), style="dim"))
    sides = [
        [one.model, *(Cell(getattr(one, name), one.ci[name]) for name in ("accuracy", "macro_f1"))]
        for one in (comparison.first, comparison.second)
    ]
    accuracy = signed(comparison.accuracy_difference, comparison.ci["accuracy_difference"])
    macro_f1 = signed(comparison.macro_f1_difference, comparison.ci["macro_f1_difference"])
    difference = [Sentence("difference (B minus A)"), accuracy, macro_f1]
    titles = ("model", "accuracy", "Macro-F1")
    show_figures(FigureTable(Sentence("Figures"), titles, [*sides, difference]))
    out.print()
    pairs = table("", t("B right"), t("B wrong"))
    pairs.add_row(t("A right"), str(comparison.both_right), str(comparison.mcnemar.b))
    pairs.add_row(t("A wrong"), str(comparison.mcnemar.c), str(comparison.both_wrong))
    out.print(pairs)
    out.print()
    out.print(f"McNemar  p {comparison.mcnemar.p:.4g} · mid-p {comparison.mcnemar.mid_p:.4g}")
    say_below(comparison.conclusion)
