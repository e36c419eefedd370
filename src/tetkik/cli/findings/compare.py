"""`tetkik findings compare`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.text import Text

from tetkik.cli.console import language, out, progress, t
from tetkik.cli.findings.evaluate import Known, Labels, NoGate, Seed, names, read_images
from tetkik.cli.findings.inputs import Workers
from tetkik.cli.options import LearnedRowsOption, Replicates, TableAsJson, argument, option
from tetkik.cli.tables import add_row, echo_json, say_list, signed, table
from tetkik.errors import UsageError
from tetkik.lab.engine.options import LearnedTreatment

if TYPE_CHECKING:
    from rich.table import Table

    from tetkik.lab.engine.learned_rows import LearnedMatch
    from tetkik.lab.findings.comparison import ComparedSet, Comparison
    from tetkik.lab.findings.data import LabelledImages
    from tetkik.lab.findings.predictions import Predictions

_ANSWERS = {".jsonl", ".json"}
_Answerer = Callable[["LabelledImages"], "tuple[Predictions, LearnedMatch | None]"]


def compare(
    first: Annotated[str, argument("One model: an id, a path, or answers as FILE.jsonl.", "A")],
    second: Annotated[str, argument("The other model, or its answers.", "B")],
    tables: Annotated[list[Path], argument("Tables of images and labels.", "LABELS.csv...")],
    *,
    images: Annotated[
        list[Path] | None,
        option(
            "The folder of the images: one for all tables, or one for each, in their order.", metavar="DIR"
        ),
    ] = None,
    as_json: TableAsJson = False,
    labels: Labels = None,
    known: Known = None,
    no_gate: NoGate = False,
    learned_rows: LearnedRowsOption = LearnedTreatment.SEPARATE,
    bootstrap: Replicates = 1000,
    seed: Seed = 0,
    workers: Workers = None,
) -> None:
    """Paired differences of AUROC, set by set and pooled, and whether they are more than chance."""
    from tetkik.lab.findings.comparison import LabelledSet
    from tetkik.lab.findings.comparison import compare as judge

    folders: list[Path | None] = [*images] if images else [None]
    if len(folders) == 1:
        folders *= len(tables)
    if len(folders) != len(tables):
        raise UsageError("Give --images once for all tables, or once for each of them.")
    stored = all(Path(model).suffix in _ANSWERS for model in (first, second))
    answerers = [_answerer(model, workers, gate=not no_gate) for model in (first, second)]
    sets = []
    for name, path, folder in zip(_set_names(tables), tables, folders, strict=True):
        labelled = read_images(path, [], folder, known or [], check_files=not stored)
        (one, of_one), (other, of_other) = (answerer(labelled) for answerer in answerers)
        sets.append(LabelledSet(name, labelled, one, other, (of_one, of_other)))
    comparison = judge(sets, treatment=learned_rows, labels=names(labels), bootstrap=bootstrap, seed=seed)
    if as_json:
        echo_json(comparison.as_json(language()))
    else:
        _show(comparison)


def _set_names(tables: list[Path]) -> list[str]:
    """Short names that tell the tables apart."""
    short = [path.stem for path in tables]
    return short if len(set(short)) == len(short) else [str(path) for path in tables]


def _answerer(model: str, workers: int | None, *, gate: bool) -> _Answerer:
    """What gives a model's answers to a set, and which images it learned, where it tells.

    That is a file of answers, which does not, or the model itself, loaded once.
    """
    from tetkik.lab.findings.learned import match_learned
    from tetkik.lab.findings.predictions import predict_all, read_predictions

    if Path(model).suffix in _ANSWERS:
        answers = read_predictions(Path(model))
        return lambda labelled: (answers, None)
    from tetkik.findings.predict import load_findings

    findings = load_findings(model, gate=gate)

    def score(labelled: LabelledImages) -> tuple[Predictions, LearnedMatch | None]:
        with progress(t("compare")) as report:
            match = match_learned(model, labelled.files, report)
            return predict_all(findings, labelled.files, workers, report), match

    return score


def _show(comparison: Comparison) -> None:
    out.print(Text(f"A  {comparison.first}"))
    out.print(Text(f"B  {comparison.second}"))
    out.print()
    whole = [*comparison.sets, *([comparison.pooled] if comparison.pooled else [])]
    means = table(t("set"), "n", t("labels"), "A", "B", t("B minus A"), t("95%"))
    for part in whole:
        difference, interval = signed(part.difference), signed(part.ci)
        title = _title(part, comparison)
        add_row(means, title, part.n, len(part.mean_labels), part.first, part.second, difference, interval)
    out.print(Text(t("Mean AUROC"), style="bold"))
    out.print(means)
    for part in whole:
        out.print()
        out.print(Text(_title(part, comparison), style="bold"))
        out.print(_labels(part))
    out.print()
    say_list(comparison.conclusion)


def _title(part: ComparedSet, comparison: Comparison) -> str:
    return t("all sets, pooled") if part is comparison.pooled else part.name


def _labels(part: ComparedSet) -> Table:
    from tetkik.values import label_name

    made = table(t("finding"), "n+", "n", "A", "B", t("B minus A"), t("95%"), "p", t("p (Holm)"))
    for label in sorted(part.labels, key=lambda item: -item.areas.difference):
        areas = label.areas
        add_row(
            made,
            label_name(label.label, language()),
            *(label.n_positive, label.n, areas.first, areas.second),
            *(signed(areas.difference), signed(areas.interval), _p(areas.p), _p(label.p_adjusted)),
        )
    return made


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
