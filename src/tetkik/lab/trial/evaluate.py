"""From the answers of a trial to its figures: studies instead of images, parts, and the limits."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tetkik.errors import DataError
from tetkik.lab.engine.results import SMALLEST
from tetkik.lab.engine.tables import read_table
from tetkik.lab.findings.predictions import OperatedAt
from tetkik.lab.findings.summaries import LEAST_KIND, Judged, LabelFigures, label_figures
from tetkik.lab.trial.checklists import claim_answers, decide_ai_answers
from tetkik.lab.trial.interpretation import DIMENSION_NAMES, interpret
from tetkik.lab.trial.journal import Journal, Limits
from tetkik.lab.trial.results import Check, Counts, TrialDecision, TrialPart, TrialResult
from tetkik.language import Language, Sentence
from tetkik.report.labeler.read import read_report, stated_polarities
from tetkik.report.labeler.rules import Context, Polarity
from tetkik.statistics.intervals import Bools, Interval, Ints, share_interval
from tetkik.values.finding import ThresholdOn
from tetkik.values.finding_labels import FINDING_LABELS, NORMAL_LABELS, route_of
from tetkik.values.radiograph import Sex

# What a signed report says of a study, as far as it is compared: labels, and which parts it belongs to.


_SEXES = {**{sex.value: sex.value for sex in Sex}, "K": Sex.FEMALE.value, "E": Sex.MALE.value}
"""Also as Turkish tables have them: kadın, erkek."""
_AGES = ((18, "under_18"), (40, "18_to_39"), (65, "40_to_64"), (200, "65_or_more"))
_DATE = re.compile(r"(\d{4})-?(\d{2})-?\d{2}")
_AGE = re.compile(r"0*(\d{1,3})(?:\.\d+)?([YMWD]?)", re.IGNORECASE)
_LONGEST = 64
DIMENSIONS = ("site", "device", "sex", "age", "quarter", "language", "reader")


@dataclass(frozen=True, slots=True)
class TrialReference:
    """A signed report.

    Attributes:
        study: which row of the table of reports it is, or the study's pseudonym in the records.
        truth: 1 or 0 by label; what is not known is left out.
        patient: whose it is; None where the image has to tell.
        parts: by the names of `DIMENSIONS`; what is not there the image may tell.
    """

    study: str
    truth: Mapping[str, int]
    patient: str | None = field(repr=False)
    parts: Mapping[str, str]


def read_truth(text: str, language: Language | None, limits: Limits) -> dict[str, int]:
    """What a report says of each shared label: 1, 0, or nothing where it is not known.

    Statements are weighed as in `stated_polarities`; a report without words says nothing at all.
    """
    readings = read_report(text, language)
    if not any(reading.text.strip() for reading in readings):
        return {}
    mentions = (mention for reading in readings for mention in reading.mentions)
    open_labels = {mention.label for mention in mentions if mention.context is Context.NOT_ASSESSED}
    strongest = stated_polarities(readings)
    values = {
        Polarity.PRESENT: 1,
        Polarity.ABSENT: 0,
        Polarity.UNCERTAIN: {"present": 1, "absent": 0}.get(limits.uncertain),
    }
    truth: dict[str, int] = {}
    for label in FINDING_LABELS:
        if label in NORMAL_LABELS:
            value = _normal(label, strongest)
        elif label in strongest:
            value = values[strongest[label]]
        else:
            value = None if label in open_labels or limits.unmentioned == "unknown" else 0
        if value is not None:
            truth[label] = value
    return truth


def _normal(label: str, stated: Mapping[str, Polarity]) -> int | None:
    """Whether the report calls the image normal; None where it says neither that nor a finding."""
    route = route_of(label)
    if any(
        polarity is Polarity.PRESENT and other in FINDING_LABELS and route_of(other) is route
        for other, polarity in stated.items()
        if other not in NORMAL_LABELS
    ):
        return 0
    return 1 if stated.get(label) is Polarity.PRESENT else None


def parts_of(**cells: str | None) -> dict[str, str]:
    """The parts that a study belongs to, of cells or tags: `site`, `device`, `sex`, `age`, `date`, ….

    A date becomes its quarter and an age its group: neither names a day that a patient could be found by.
    """
    found: dict[str, str] = {}
    for name, cell in cells.items():
        text = " ".join((cell or "").split())
        if name == "sex":
            text = _SEXES.get(text.upper(), "")
        elif name == "age":
            text = _age_group(text)
        elif name == "date":
            text = _quarter(text)
        text = "".join(char for char in text if char.isprintable())[:_LONGEST]
        if text:
            found["quarter" if name == "date" else name] = text
    return found


def _age_group(text: str) -> str:
    match = _AGE.fullmatch(text)
    if match is None:
        return ""
    years = int(match[1]) if match[2].upper() in ("", "Y") else 0
    return next((name for below, name in _AGES if years < below), "")


def _quarter(text: str) -> str:
    match = _DATE.match(text)
    if match is None or not 1 <= int(match[2]) <= 12:
        return ""
    return f"{match[1]}-Q{(int(match[2]) + 2) // 3}"


@dataclass(frozen=True, slots=True, eq=False)
class ReportTable:
    """The reports of an archive, by what their studies are called; their texts are not kept."""

    by_study: Mapping[str, TrialReference] = field(repr=False)
    empty: int
    """Reports that say nothing of any label."""
    broken: int
    """Rows that could not be read."""
    sha256: str


_OPTIONAL = ("language", "patient_id", "site", "device", "sex", "age", "date")


def read_reports(path: Path, limits: Limits) -> ReportTable:
    """Read a table of reports: `study` and `report`, and what else is known of the study.

    Rows of one study (an addendum) are one report. `study` is its accession number, its Study Instance UID,
    or the path or name of its file.

    Raises:
        DataError: a column is missing, a language is unknown, or no row has a report.
    """
    table = read_table(path, need=("study", "report"), wanted=("study", "report", *_OPTIONAL))
    columns = {name: table[name] for name in _OPTIONAL if name in table.columns}
    rows: dict[str, list[int]] = {}
    for row, study in enumerate(table["study"]):
        if study:
            rows.setdefault(study, []).append(row)
    found: dict[str, TrialReference] = {}
    empty = 0
    for study, own in rows.items():
        first = own[0]
        cells = {name: column[first] for name, column in columns.items()}
        cells["language"] = cells.get("language", "").lower()
        truth = read_truth("\n".join(table["report"][row] for row in own), _language(cells, path), limits)
        empty += not truth
        patient = cells.pop("patient_id", "") or None
        found[study] = TrialReference(str(table.places[first]), truth, patient, parts_of(**cells))
    if not found:
        raise DataError("{path} has no row with a study; fill its column study.", path=path)
    with path.open("rb") as file:
        return ReportTable(found, empty, table.broken, hashlib.file_digest(file, "sha256").hexdigest())


def _language(cells: Mapping[str, str], path: Path) -> Language | None:
    given = cells["language"]
    if not given:
        return None
    try:
        return Language(given)
    except ValueError:
        raise DataError(
            "{path} has the language {given}; write tr or en, or leave it empty.",
            path=path,
            given=given,
        ) from None


TITLES = {
    ("sex", "F"): Sentence("women and girls"),
    ("sex", "M"): Sentence("men and boys"),
    ("sex", "O"): Sentence("another sex"),
    ("age", "under_18"): Sentence("under 18 years"),
    ("age", "18_to_39"): Sentence("18 to 39 years"),
    ("age", "40_to_64"): Sentence("40 to 64 years"),
    ("age", "65_or_more"): Sentence("65 years or more"),
    ("language", "tr"): Sentence("report in Turkish"),
    ("language", "en"): Sentence("report in English"),
    ("reader", "alone"): Sentence("read without a model"),
    ("reader", "assisted"): Sentence("read with another model's findings"),
}
_UNKNOWN = Sentence("not known")


@dataclass(frozen=True, slots=True, eq=False)
class _Studies:
    """The studies that were answered, row by row, and which of all that the model did not learn were."""

    judged: Judged
    names: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]]
    counts: Counts
    answered: Bools
    """(studies,), of those with a report and an image, and of images that could not be read alone."""
    groups: Ints
    """(studies,), the patient of each."""
    patients: int
    without_patient: int


def evaluate_trial(journal: Journal) -> TrialResult:
    """Judge the answers of a trial, also of one that is still running.

    Raises:
        DataError: no study with a report was answered.
    """
    studies, limits = _studies(journal), journal.limits.limits
    judged = studies.judged
    per_label, without = label_figures(judged)
    parts = tuple(_parts(studies, [label for label in limits.limits if label in judged.labels]))
    checks = (
        _answered(studies, limits),
        *_label_checks(per_label, limits),
        *_part_checks(parts, limits),
    )
    about = journal.about
    result = TrialResult(
        model=about["model"],
        judged=judged,
        studies=studies.names,
        counts=studies.counts,
        limits=limits,
        fixed={name: about[name] for name in ("limits_sha256", "model_sha256", "source", "reports_sha256")},
        finished=journal.finished,
        tells_learned=bool(about.get("tells_learned")),
        per_label=per_label,
        parts=parts,
        checks=checks,
        decision=decide(checks, finished=journal.finished),
        not_computed=without,
        patients=studies.patients,
        without_patient=studies.without_patient,
        evaluations=(),
    )
    result = replace(result, evaluations=_evaluations(journal, result))
    result = replace(result, interpretation=interpret(result))
    return replace(result, claim=claim_answers(result), decide_ai=decide_ai_answers(result))


def _evaluations(journal: Journal, result: TrialResult) -> tuple[Mapping[str, Any], ...]:
    """Those before this one, and this one; the same figures again are not another one."""
    earlier = journal.evaluations()
    own = {
        "date": datetime.now(UTC).date().isoformat(),
        "images": result.counts.images,
        "studies": len(result.judged),
        "decision": result.decision.value,
    }
    if earlier and all(earlier[-1].get(name) == own[name] for name in ("images", "studies", "decision")):
        return earlier
    return (*earlier, own)


def decide(checks: Sequence[Check], *, finished: bool = True) -> TrialDecision:
    """No-go where one limit is missed; go where all are reached and every image was answered.

    A part decides only against: many small ones would keep every trial open.
    """
    found = {check.decision for check in checks if not check.part or check.decision is TrialDecision.NO_GO}
    if TrialDecision.NO_GO in found:
        return TrialDecision.NO_GO
    return TrialDecision.GO if found == {TrialDecision.GO} and finished else TrialDecision.OPEN


def judge_limit(limit: float, interval: Interval | None, *, enough: bool = True) -> TrialDecision:
    if interval is None or not enough:
        return TrialDecision.OPEN
    if interval.low >= limit:
        return TrialDecision.GO
    return TrialDecision.NO_GO if interval.high < limit else TrialDecision.OPEN


def _answered(studies: _Studies, limits: Limits) -> Check:
    interval = share_interval(studies.answered, studies.groups)
    n = len(studies.answered)
    decision = judge_limit(limits.answered, interval)
    return Check("answered", "", limits.answered, float(studies.answered.mean()), interval, n, decision)


def _label_checks(per_label: Mapping[str, LabelFigures], limits: Limits) -> Iterator[Check]:
    for label, limit in limits.limits.items():
        found = per_label.get(label) or LabelFigures(label, 0, 0)
        enough = found.n_positive >= limit.positives
        for name, asked, value, interval, n in (
            ("sensitivity", limit.sensitivity, found.sensitivity, found.sensitivity_ci, found.n_positive),
            (
                "specificity",
                limit.specificity,
                found.specificity,
                found.specificity_ci,
                found.n - found.n_positive,
            ),
            ("auroc", limit.auroc, found.auroc, found.ci, found.n),
        ):
            if asked is not None:
                decision = judge_limit(asked, interval, enough=enough)
                yield Check(name, label, asked, value, interval, n, decision)


def _part_checks(parts: Sequence[TrialPart], limits: Limits) -> Iterator[Check]:
    """Of every part; where it has too few studies it is open."""
    asked = limits.parts.sensitivity
    if asked is None:
        return
    for part in parts:
        decision = judge_limit(asked, part.ci, enough=part.positives >= LEAST_KIND)
        where = f"{part.dimension}/{part.id}"
        name = {"dimension": DIMENSION_NAMES[part.dimension], "title": part.title}
        title = Sentence("{dimension}: {title}", name)
        yield Check(
            "sensitivity", "", asked, part.sensitivity, part.ci, part.positives, decision, where, title
        )


def _parts(studies: _Studies, limited: Sequence[str]) -> Iterator[TrialPart]:
    judged = studies.judged
    columns = [judged.labels.index(label) for label in limited]
    for dimension in DIMENSIONS:
        column = np.array(studies.parts[dimension])
        names = sorted(set(column.tolist()))
        if len(names) < 2:
            continue
        for name in names:
            rows = column == name
            title = TITLES.get((dimension, name)) or (
                Sentence("{name}", {"name": name}) if name else _UNKNOWN
            )
            own = judged.only(rows)
            positive = (own.truth[:, columns] == 1) & own.usable[:, columns]
            part = TrialPart(dimension, name or "unknown", title, len(own), positives=int(positive.sum()))
            if part.n < SMALLEST:
                yield replace(part, reason=Sentence("Fewer than {least} studies.", {"least": SMALLEST}))
                continue
            called = own.decided[:, columns][positive]
            patients = np.broadcast_to(own.groups[:, None], positive.shape)[positive]
            figures, _ = label_figures(own)
            yield replace(
                part,
                ci=share_interval(called, patients),
                sensitivity=float(called.mean()) if len(called) else None,
                per_label={label: item for label, item in figures.items() if item.n},
            )


def _studies(journal: Journal) -> _Studies:
    """The images of each study as one row: the highest of its scores, called where any image is.

    It is normal as far as its least normal image is.
    """
    counted: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    names: set[str] = set()
    rows: dict[str, int] = {}
    patients: dict[int, str] = {}
    learned: list[int] = []
    unplaced = 0
    for line in journal.lines():
        counted[line["outcome"]] += 1
        if line["outcome"] == "refused":
            refused[line["flaw"]] += 1
        if "parts" not in line:
            unplaced += line["outcome"] == "failed"
            continue
        own = rows.setdefault(line["study"], len(rows))
        names.update(line.get("findings", ()))
        if patient := line.get("patient"):
            patients.setdefault(own, patient)
        if line.get("learned"):
            learned.append(own)
    labels = (*(label for label in FINDING_LABELS if label in names), *sorted(names - set(FINDING_LABELS)))
    scored = np.zeros(len(rows), bool)
    values = np.full((2, len(rows), len(labels)), np.nan)
    positive, truth = (np.full((len(rows), len(labels)), -1, np.int8) for _ in range(2))
    screen = np.full(len(rows), np.nan)
    parts: dict[str, list[str]] = {dimension: [""] * len(rows) for dimension in DIMENSIONS}
    numbers: dict[object, int] = {}
    # A study of which no patient is known is a group of its own.
    groups = [numbers.setdefault(patients.get(row, row), len(numbers)) for row in range(len(rows))]
    places = {label: column for column, label in enumerate(labels)}
    for line in journal.lines():
        row = rows.get(line.get("study", ""))
        if row is None or "parts" not in line:
            continue
        for dimension, name in line["parts"].items():
            if dimension in parts:
                parts[dimension][row] = name
        if line["outcome"] != "scored":
            continue
        scored[row] = True
        if line["screen"] is not None:
            screen[row] = np.fmax(screen[row], line["screen"])
        for label, answer in line["findings"].items():
            column = places[label]
            pair = [np.nan if value is None else value for value in answer[:2]]
            called = positive[row, column]
            if label in NORMAL_LABELS:
                values[:, row, column] = np.fmin(values[:, row, column], pair)
                positive[row, column] = answer[2] if called < 0 else min(called, answer[2])
            else:
                values[:, row, column] = np.fmax(values[:, row, column], pair)
                positive[row, column] = max(called, answer[2])
        for label, value in line["truth"].items():
            truth[row, places[label]] = value
    about = journal.about
    group = np.asarray(groups, np.int64)
    new = ~np.isin(group, group[learned])
    chosen = np.flatnonzero(scored & new)
    if scored.any() and not len(chosen):
        raise DataError(
            "Every study that was answered is of a patient of whom {model} learned an image, so figures on "
            "them would be recall; give others.",
            model=about["model"],
        )
    if not len(chosen):
        raise DataError(
            "No study of the trial has both a report and an answer of the model: of {images} images "
            "{unmatched} have no report, {refused} were refused and {failed} could not be read; check the "
            "column study of the reports, and the images.",
            images=counted.total(),
            unmatched=counted["unmatched"],
            refused=counted["refused"],
            failed=counted["failed"],
        )
    judged = Judged.bare(
        labels=labels,
        truth=truth[chosen],
        scores=values[0][chosen],
        probabilities=values[1][chosen],
        positive=positive[chosen],
        screen=screen[chosen],
        operated_at={
            label: OperatedAt(threshold, ThresholdOn(on))
            for label, (threshold, on) in about["thresholds"].items()
            if label in places
        },
        groups=group[chosen],
        source=tuple(parts["site"][row] for row in chosen),
    )
    counts = Counts(
        reports=about.get("reports"),
        images=counted.total(),
        answered_images=counted["scored"],
        studies=len(rows),
        answered=len(chosen),
        learned=int((~new).sum()),
        learned_images=len(learned),
        refused=dict(refused.most_common()),
        failed=counted["failed"],
        unplaced=unplaced,
        unmatched=counted["unmatched"],
        other_patient=counted["other_patient"],
        left_out=dict(about.get("left_out", {})),
    )
    of_chosen = {dimension: tuple(cells[row] for row in chosen) for dimension, cells in parts.items()}
    studies = list(rows)
    without = sum(row not in patients for row in chosen.tolist())
    return _Studies(
        judged,
        tuple(studies[row] for row in chosen),
        of_chosen,
        counts,
        answered=np.append(scored[new], np.zeros(unplaced, bool)),
        groups=np.append(group[new], len(numbers) + np.arange(unplaced)),
        patients=len(np.unique(judged.groups)) - without,
        without_patient=without,
    )
