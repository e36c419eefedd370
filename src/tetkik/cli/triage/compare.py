"""`tetkik triage compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from rich.text import Text

from tetkik.bundle import Task
from tetkik.cli.console import language, out, progress, t
from tetkik.cli.options import LearnedRowsOption, Replicates, TableAsJson, argument
from tetkik.cli.tables import add_row, echo_json, say_list, signed, table
from tetkik.cli.triage.evaluate import Data, Seed, say_left_out
from tetkik.lab.engine.options import LearnedTreatment

if TYPE_CHECKING:
    from tetkik.lab.triage.comparison import Comparison


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
        _show(comparison)


def _show(comparison: Comparison) -> None:
    out.print(Text(t("{n} complaints", n=comparison.n), style="dim"))
    out.print()
    figures = table(t("model"), t("accuracy"), t("95%"), t("Macro-F1"), t("95%"))
    for side in (comparison.first, comparison.second):
        add_row(figures, side.model, side.accuracy, side.ci["accuracy"], side.macro_f1, side.ci["macro_f1"])
    add_row(
        figures,
        t("difference (B minus A)"),
        *(signed(comparison.accuracy_difference), signed(comparison.ci["accuracy_difference"])),
        *(signed(comparison.macro_f1_difference), signed(comparison.ci["macro_f1_difference"])),
    )
    out.print(figures)
    out.print()
    pairs = table("", t("B right"), t("B wrong"))
    pairs.add_row(t("A right"), str(comparison.both_right), str(comparison.mcnemar.b))
    pairs.add_row(t("A wrong"), str(comparison.mcnemar.c), str(comparison.both_wrong))
    out.print(pairs)
    out.print()
    out.print(f"McNemar  p {comparison.mcnemar.p:.4g} · mid-p {comparison.mcnemar.mid_p:.4g}")
    out.print()
    say_list(comparison.conclusion)
