"""`tetkik report evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tetkik.cli.console import language, out, t
from tetkik.cli.options import Replicates, TableAsJson, argument, option
from tetkik.cli.tables import echo_json, listing, say_below, show_figures
from tetkik.lab.engine.figure_tables import Cell, FigureTable, LabelName
from tetkik.language import Language, Sentence
from tetkik.settings import settings


def evaluate(
    pairs: Annotated[Path, argument("A table with the columns reference and draft.", "PAIRS.csv")],
    *,
    spoken: Annotated[
        Language | None,
        option(
            "Language of the reports: tr or en. Default: the column language, or as it shows.", "--language"
        ),
    ] = None,
    radeval: Annotated[
        Path | None,
        option(
            "The Python of an environment with radeval, for RadGraph F1, RaTEScore and GREEN.",
            metavar="PYTHON",
        ),
    ] = None,
    bootstrap: Replicates = 1000,
    seed: Annotated[int, option("Of the bootstrap.", min=0)] = 0,
    as_json: TableAsJson = False,
) -> None:
    """Drafts against signed reports: F1 of the findings that both state, and radeval's metrics of English."""
    from tetkik.lab.report.evaluate import evaluate_reports, read_pairs

    found = evaluate_reports(
        read_pairs(pairs, spoken),
        radeval=radeval,
        offline=settings().offline,
        replicates=bootstrap,
        seed=seed,
    )
    if as_json:
        echo_json(found.as_json(language()))
        return
    figures = [(name, Cell(one.value, one.ci), one.n) for name, one in found.figures.items()]
    labels = [(LabelName(name), value) for name, value in found.per_label.items() if value is not None]
    show_figures(FigureTable(Sentence("Figures"), ("figure", "value", "n"), figures))
    show_figures(FigureTable(Sentence("Finding by finding"), ("finding", "F1"), labels))
    say_below(())
    if found.not_computed:
        out.print()
        reasons = listing(t("not computed"), t("why"))
        for name, reason in found.not_computed.items():
            reasons.add_row(name, reason.in_language(language()))
        out.print(reasons)
