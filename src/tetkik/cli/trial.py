"""`tetkik trial`: a model beside the signed reports, unseen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tetkik.cli.console import language, note, out, progress, t
from tetkik.cli.findings.evaluate import Labels, names
from tetkik.cli.findings.inputs import Workers
from tetkik.cli.options import Model, Since, TableAsJson, Until, argument, option, parse_day
from tetkik.cli.records import open_configured_records
from tetkik.cli.tables import add_row, deliver, table
from tetkik.errors import UsageError

if TYPE_CHECKING:
    from tetkik.findings.predict import Findings
    from tetkik.lab.engine.learned_rows import LearnedRows
    from tetkik.lab.trial.journal import FixedLimits, Journal

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command("plan", help=t("Limits to fix beforehand, and how many studies they take."))
def plan(
    *,
    target: Annotated[Path, option("The file of limits to write.", "--out", metavar="FILE.yaml")],
    model: Model = None,
    labels: Labels = None,
    reports: Annotated[
        Path | None,
        option("Earlier reports, to count how often each finding is.", "--reports", metavar="FILE.csv"),
    ] = None,
    sensitivity: Annotated[float, option("The sensitivity that is expected.", min=0, max=1)] = 0.9,
    specificity: Annotated[float, option("The specificity that is expected.", min=0, max=1)] = 0.8,
    margin: Annotated[
        float, option("How far the limits lie below what is expected.", min=0.005, max=0.5)
    ] = 0.05,
    power: Annotated[
        float,
        option("The probability that a model as expected reaches a limit.", min=0.5, max=0.99),
    ] = 0.9,
) -> None:
    """Write limits to correct by hand, and print how many studies each label needs."""
    from tetkik.files import written_whole
    from tetkik.findings.predict import load_findings
    from tetkik.lab.trial.evaluate import read_reports
    from tetkik.lab.trial.journal import LabelLimit, Limits, limits_yaml
    from tetkik.lab.trial.journal import plan as plan_trial

    if target.exists():
        raise UsageError(
            "{path} exists, and limits are fixed once; choose another name for --out.", path=target
        )
    findings = load_findings(model)
    wanted = _chosen(findings, names(labels))
    truths = []
    if reports is not None:
        rules = Limits(model=findings.name, limits=dict.fromkeys(wanted, LabelLimit()))
        truths = [reference.truth for reference in read_reports(reports, rules).by_study.values()]
    needed, limits = plan_trial(wanted, sensitivity, specificity, margin, power, truths)
    with written_whole(target) as file:
        file.write(limits_yaml(findings.name, limits, language()).encode())
    made = table(t("finding"), t("prevalence"), t("with it"), t("without it"), t("studies"))
    for item in needed:
        add_row(made, item.label, item.prevalence, item.positives, item.negatives, item.studies)
    out.print(made)
    note(
        "A model that is as expected reaches each limit with a probability of {power}; all of them, and the "
        "share answered, less often.",
        power=power,
    )
    note("Correct the limits in {path}, then begin the trial: from then on they are fixed.", path=target)


@app.command("run", help=t("Answer every image unseen, and judge by the signed reports."))
def run(
    *,
    limits: Annotated[Path, option("The limits that were fixed beforehand.", metavar="FILE.yaml")],
    folder: Annotated[Path, option("The folder of the trial; the same one goes on with it.", "--out")],
    from_records: Annotated[
        bool,
        option("Run on the records that the settings name: signed reports and their images.", "--records"),
    ] = False,
    archive: Annotated[Path | None, option("A folder of images.", metavar="DIR")] = None,
    reports: Annotated[
        Path | None,
        option("The reports of the archive: columns study and report.", metavar="FILE.csv"),
    ] = None,
    model: Model = None,
    since: Since = None,
    until: Until = None,
    workers: Workers = None,
    as_json: TableAsJson = False,
) -> None:
    """Nobody is shown an answer, and nothing is written into the records but that they were read."""
    from tetkik.bundle import Task
    from tetkik.findings.predict import load_findings
    from tetkik.lab.engine.charts import check_target
    from tetkik.lab.engine.learned_rows import learned_of
    from tetkik.lab.trial.journal import read_limits
    from tetkik.lab.trial.run import check_model
    from tetkik.settings import settings

    if from_records == (archive is not None):
        raise UsageError("Give --records or --archive, one of the two.")
    if (archive is None) != (reports is None):
        raise UsageError("--archive and --reports belong together; give both, or --records.")
    if archive is not None and (since is not None or until is not None):
        raise UsageError("--from and --to choose reports of the records; leave them out with --archive.")
    check_target(folder)
    fixed = read_limits(limits)
    findings = load_findings(model)
    check_model(findings, fixed.limits.model)
    learned = learned_of(settings().findings_model if model is None else model, Task.FINDINGS)
    _chosen(findings, tuple(fixed.limits.limits))
    journal = (
        _on_archive(findings, fixed, learned, folder, archive, reports, workers)
        if archive is not None and reports is not None
        else _on_records(findings, fixed, learned, folder, since, until, workers)
    )
    _deliver(journal, as_json=as_json)


@app.command("report", help=t("Write the page of a trial again, of what was answered so far."))
def report(
    folder: Annotated[Path, argument("The folder of the trial.", "DIR")],
    *,
    as_json: TableAsJson = False,
) -> None:
    """The same figures from the same answers, in the language of the settings."""
    from tetkik.lab.trial.journal import Journal

    _deliver(Journal.open(folder), as_json=as_json)


def _on_archive(
    findings: Findings,
    fixed: FixedLimits,
    learned: LearnedRows | None,
    folder: Path,
    archive: Path,
    reports: Path,
    workers: int | None,
) -> Journal:
    from tetkik.lab.trial.evaluate import read_reports
    from tetkik.lab.trial.run import Archive, begin, run_trial

    if not archive.is_dir():
        raise UsageError("{folder} is no folder; give the folder of the images as --archive.", folder=archive)
    found = read_reports(reports, fixed.limits)
    tells = learned is not None and learned.complete
    journal = begin(folder, findings, fixed, Archive.kind, reports_sha256=found.sha256, tells_learned=tells)
    if journal.finished:
        note("Every image was answered before; the figures are those.")
        return journal
    source = Archive(archive, found, journal.pseudonym)
    with progress(t("trial"), speed=True) as tell:
        run_trial(findings, source, journal, learned=learned, workers=workers, progress=tell)
    return journal


def _on_records(
    findings: Findings,
    fixed: FixedLimits,
    learned: LearnedRows | None,
    folder: Path,
    since: str | None,
    until: str | None,
    workers: int | None,
) -> Journal:
    with open_configured_records() as records:
        from tetkik.lab.trial.recorded import RecordedStudies
        from tetkik.lab.trial.run import begin, run_trial

        start, end = parse_day(since), parse_day(until, end=True)
        period = f"{since or ''}/{until or ''}" if since or until else ""
        tells = learned is not None and learned.complete
        journal = begin(folder, findings, fixed, RecordedStudies.kind, tells_learned=tells, period=period)
        source = RecordedStudies(records, fixed, findings.name, start, end)
        with progress(t("trial"), speed=True) as tell:
            run_trial(findings, source, journal, learned=learned, workers=workers, progress=tell)
        return journal


def _chosen(findings: Findings, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Labels that the model assesses; all of them where none is named."""
    for label in wanted:
        if label not in findings.points.points:
            raise UsageError(
                "{model} does not assess {label}; choose among: {labels}.",
                model=findings.name,
                label=label,
                labels=", ".join(findings.points.points),
            )
    return wanted or tuple(findings.points.points)


def _deliver(journal: Journal, *, as_json: bool) -> None:
    from tetkik.lab.trial.evaluate import evaluate_trial
    from tetkik.lab.trial.trial_page import view

    result = evaluate_trial(journal)
    if len(result.evaluations) > len(journal.evaluations()):
        journal.add_evaluation(result.evaluations[-1])
    deliver(view(result), as_json=as_json, folder=journal.folder)
