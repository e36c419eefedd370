"""`tetkik findings evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.text import Text

from tetkik.bundle.card import REFERENCE_IMAGES, ImageReference, refuse_same_folder, with_reference
from tetkik.bundle.manifest import Task
from tetkik.bundle.store import resolve
from tetkik.cli.console import language, note, out, print_line, progress, t, warn, writing
from tetkik.cli.findings.inputs import Thresholds, Workers, image_files, parse_thresholds
from tetkik.cli.options import (
    BundleFolder,
    CopyName,
    EvaluationFolder,
    FiguresAsJson,
    LearnedRowsOption,
    Model,
    ModelName,
    NeededModel,
    OnDevice,
    Replicates,
    TableAsJson,
    argument,
    check_output_folder,
    option,
)
from tetkik.cli.tables import (
    add_row,
    deliver,
    echo_json,
    reference_table,
    say_below,
    say_list,
    show_figures,
    table,
)
from tetkik.errors import UsageError
from tetkik.lab.engine.figure_tables import Columns, FigureTable, LabelName, short, signed
from tetkik.lab.engine.options import LearnedTreatment
from tetkik.lab.findings.thresholds import ThresholdRule
from tetkik.language import Sentence

if TYPE_CHECKING:
    from rich.table import Table

    from tetkik.lab.engine.learned_rows import LearnedMatch
    from tetkik.lab.findings.calibration import CalibrationResult
    from tetkik.lab.findings.comparison import ComparedLabel, ComparedSet, FindingsComparison
    from tetkik.lab.findings.data import LabelledImages
    from tetkik.lab.findings.predictions import Predictions
    from tetkik.lab.findings.reference import ReferenceImages

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
    from tetkik.lab.engine.charts import check_target
    from tetkik.lab.findings.evaluate import evaluate as judge
    from tetkik.lab.findings.evaluation_page import view
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
        from tetkik.lab.findings.data import match_learned

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
    deliver(view(evaluation), as_json=as_json, folder=folder)


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


# `tetkik findings reference`.


def reference(
    data: Annotated[Path | None, argument("A table of images and their labels.", "[LABELS.csv]")] = None,
    *,
    model: NeededModel,
    folder: BundleFolder,
    images: Images = None,
    log: Annotated[
        Path | None,
        option(
            "What a training left beside its bundle: scores of networks that had not learned the image.",
            metavar="DIR",
        ),
    ] = None,
    data_name: Annotated[str | None, option("What the card calls the data; else the folder.")] = None,
    split: Annotated[
        str, option("Which part of the data these images are, for the card.")
    ] = "all images given",
    limit: Annotated[int, option("Most images that are read, drawn by chance.", min=1)] = REFERENCE_IMAGES,
    name: CopyName = None,
    known: Known = None,
    workers: Workers = None,
) -> None:
    """A copy of the model with the reference that its drift is measured against; the model stays as it is."""
    from tetkik.findings.predict import load_findings
    from tetkik.lab.findings.reference import make_reference

    check_output_folder(folder, name)
    bundle = resolve(model, Task.FINDINGS)
    refuse_same_folder(bundle, folder)
    given = _given(data, images, log, known or [])
    taken = given.some(limit)
    called = data_name or (data or images or Path()).resolve().name
    with progress(t("reference")) as report, writing(folder):
        found = make_reference(
            load_findings(bundle), taken, called, (Sentence(split),), workers=workers, progress=report
        )
        written = with_reference(bundle, found, folder, name)
    _show_of_reference(found)
    print_line("The model is in {path}.", path=written.path)


def _given(data: Path | None, images: Path | None, log: Path | None, known: list[str]) -> ReferenceImages:
    from tetkik.lab.findings.reference import ReferenceImages, read_log

    if log is not None:
        if data is not None or images is None:
            raise UsageError("--log needs --images, the folder that its names start from, and no table.")
        return read_log(log, images)
    if data is not None:
        labelled = read_images(data, [], images, known, check_files=True)
        return ReferenceImages(labelled.files, labelled.labels, labelled.truth)
    if images is None:
        raise UsageError("There is nothing to look at; name a table of labels, or a folder with --images.")
    found = (file for file in image_files([str(images)], None) if isinstance(file, str))
    return ReferenceImages.unlabelled(tuple(Path(file) for file in found))


def _show_of_reference(found: ImageReference) -> None:
    out.print(Text(t("{n} images", n=found.images), style="bold"))
    if found.unreadable:
        note("Images that cannot be read: {count}; they count nowhere.", count=found.unreadable)
    if found.labels:
        titles = t("label"), "n", t("prevalence"), t("score, median"), t("above the threshold")
        out.print(reference_table(found.labels, *titles))
    else:
        note("No image was suitable, so no score could be described.")


# `tetkik findings calibrate`.


def calibrate(
    data: Annotated[Path | None, argument("A table of images and their labels.", "[LABELS.csv]")] = None,
    *,
    model: NeededModel,
    folder: BundleFolder,
    images: Images = None,
    sources: Sources = None,
    known: Known = None,
    rule: Annotated[
        ThresholdRule, option("What makes a label's threshold the best.", "--threshold")
    ] = ThresholdRule.YOUDEN,
    min_positives: Annotated[
        int,
        option("Patients or groups known each way below which a label keeps what it had.", min=1),
    ] = 30,
    data_name: Annotated[str | None, option("What the card calls the data; else the folder.")] = None,
    no_gate: NoGate = False,
    seed: Annotated[int, option("Of the division into folds.", min=0)] = 0,
    name: ModelName = None,
    workers: Workers = None,
    as_json: FiguresAsJson = False,
) -> None:
    """A bundle with the same weights; calibration and all points come from these images."""
    from tetkik.lab.findings.calibration import CalibrationOptions
    from tetkik.lab.findings.calibration import calibrate as fit

    check_output_folder(folder, name)
    bundle = resolve(model, Task.FINDINGS)
    refuse_same_folder(bundle, folder)
    labelled = read_images(data, sources or [], images, known or [], check_files=True)
    called = data_name or (data or images or Path(", ".join(sources or []))).name
    options = CalibrationOptions(called, rule, min_positives, not no_gate, seed, name)
    with progress(t("calibrate")) as report, writing(folder):
        done = fit(bundle, labelled, folder, options, workers, report)
    if as_json:
        echo_json(done.as_json())
    else:
        _show_of_calibrate(done)
        print_line("The model is in {path}.", path=done.bundle.path)


def _show_of_calibrate(done: CalibrationResult) -> None:
    from tetkik.lab.engine.results import around
    from tetkik.lab.findings.calibration import CalibrationChange

    out.print(
        Text(done.bundle.manifest.name, style="bold"),
        Text(t("{n} images", n=done.images), style="dim"),
        Text(t("{n} patients or groups", n=done.groups), style="dim"),
    )
    out.print(_labels_of_calibrate(done))
    say_list(around((), [done.learned], [done.source]))
    if done.same_patient:
        note("Other images of the same patients left out: {count}.", count=done.same_patient)
    if kept := done.of(CalibrationChange.KEPT):
        note("Too few cases; they keep what they had: {labels}.", labels=", ".join(kept))
    if lost := done.of(CalibrationChange.NOT_ASSESSED):
        warn(
            "The scores of these labels do not tell the images apart, so they are no longer assessed: "
            "{labels}.",
            labels=", ".join(lost),
        )


def _labels_of_calibrate(done: CalibrationResult) -> Table:
    from tetkik.lab.findings.calibration import CalibrationChange
    from tetkik.values import label_name

    titles = ("n+", "n−", t("threshold before"), t("threshold"), t("sensitivity"), t("specificity"))
    made = table(t("finding"), *titles, t("stated from"), t("ruled out"))
    for item in done.labels:
        if item.change is CalibrationChange.CALIBRATED:
            after = item.after
            assert after is not None
            found = map(item.figures.get, ("sensitivity", "specificity"))
            shares = (short(figure and figure.value) for figure in found)
            counts = (item.counts.present, item.counts.absent)
            thresholds = (short(item.before.threshold), short(after.threshold))
            drafts = (short(after.asserts), t("yes") if after.rules_out else t("no"))
            add_row(made, label_name(item.label, language()), *counts, *thresholds, *shares, *drafts)
    return made


# `tetkik findings compare`.


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
        _show_of_compare(comparison)


def _set_names(tables: list[Path]) -> list[str]:
    """Short names that tell the tables apart."""
    short = [path.stem for path in tables]
    return short if len(set(short)) == len(short) else [str(path) for path in tables]


def _answerer(model: str, workers: int | None, *, gate: bool) -> _Answerer:
    """What gives a model's answers to a set, and which images it learned, where it tells.

    That is a file of answers, which does not, or the model itself, loaded once.
    """
    from tetkik.lab.findings.data import match_learned
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


_COMPARED: Columns[ComparedLabel] = {
    "finding": lambda one: LabelName(one.label),
    "n+": lambda one: one.n_positive,
    "n": lambda one: one.n,
    "A": lambda one: one.areas.first,
    "B": lambda one: one.areas.second,
    "B minus A": lambda one: signed(one.areas.difference, one.areas.interval),
    "p": lambda one: _p(one.areas.p),
    "p (Holm)": lambda one: _p(one.p_adjusted),
}


def _show_of_compare(comparison: FindingsComparison) -> None:
    def title(part: ComparedSet) -> Sentence:
        pooled = part is comparison.pooled
        return Sentence("all sets, pooled") if pooled else Sentence("{name}", {"name": part.name})

    means: Columns[ComparedSet] = {
        "set": title,
        "n": lambda part: part.n,
        "labels": lambda part: len(part.mean_labels),
        "A": lambda part: part.first,
        "B": lambda part: part.second,
        "B minus A": lambda part: signed(part.difference, part.ci),
    }
    whole = [*comparison.sets, *([comparison.pooled] if comparison.pooled else [])]
    out.print(Text(f"A  {comparison.first}"))
    out.print(Text(f"B  {comparison.second}"))
    show_figures(FigureTable.of(Sentence("Mean AUROC"), means, whole))
    for part in whole:
        labels = sorted(part.labels, key=lambda one: -one.areas.difference)
        show_figures(FigureTable.of(title(part), _COMPARED, labels))
    say_below(comparison.conclusion)


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
