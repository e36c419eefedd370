"""The run of a trial: image by image, in bounded memory, each answer on the disk before the next batch."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter, deque
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tetkik.errors import DataError, TetkikError, UsageError
from tetkik.findings.predict import BATCH, Findings, Study
from tetkik.findings.preprocess import ImageOrigin
from tetkik.imaging.dicom import is_dicom, parse_dicom
from tetkik.imaging.image_source import Source
from tetkik.imaging.limits import read_file
from tetkik.imaging.read import one_file
from tetkik.imaging.tags import equipment_of, identity_of
from tetkik.lab.engine.learned_rows import LearnedRows, Pictures
from tetkik.lab.trial.evaluate import ReportTable, TrialReference, parts_of
from tetkik.lab.trial.journal import Beginning, FixedLimits, Journal
from tetkik.values.common import ProgressCallback

if TYPE_CHECKING:
    from tetkik.values.finding import FindingsResult


# Where a trial's images and reports come from, and what an archive on the disk makes of it.


_NO_IMAGES = frozenset({".csv", ".tsv", ".gz", ".txt", ".json", ".xml", ".md", ".html", ".pdf", ".yaml"})


@dataclass(frozen=True, slots=True)
class TrialImage:
    """One image: its pseudonym, its content, and its report where that is known before it is read."""

    key: str
    content: Source = field(repr=False)
    reference: TrialReference | None = field(default=None, repr=False)


def header_of(content: Source) -> ImageOrigin | None:
    """Whose image a file is that could not be read as one; None where its header is damaged, too."""
    if not isinstance(content, Path):
        return None
    try:
        with one_file(str(content)):
            data = read_file(content)
            if not is_dicom(data):
                return None
            dataset, _ = parse_dicom(data, str(content))
            return ImageOrigin(identity_of(dataset), equipment_of(dataset), None)
    except TetkikError:
        return None


class TrialSource(Protocol):
    """What a trial runs on."""

    kind: str
    """`archive` or `records`."""

    @property
    def reports(self) -> int:
        """Studies with a report, known when all images were taken."""

    @property
    def left_out(self) -> Mapping[str, int]:
        """Studies or reports that were not compared, by reason; known when all images were taken."""

    def images(self, done: Container[str]) -> Iterator[TrialImage]:
        """Every image but those `done`, as they are needed."""

    def reference(self, image: TrialImage, origin: ImageOrigin | None) -> TrialReference | None:
        """The report about an image; None where there is none."""

    def pseudonym(self, patient: str) -> str:
        """What a patient is called in the trial."""


class Archive:
    """A folder of images, and the table of their reports.

    Args:
        pseudonym: of a kind of thing and its name, keyed; only so is it kept.
    """

    kind = "archive"

    def __init__(self, folder: Path, table: ReportTable, pseudonym: Callable[[str, str], str]) -> None:
        self._folder = folder
        self._table = table
        self._pseudonym = pseudonym

    @property
    def reports(self) -> int:
        return len(self._table.by_study)

    @property
    def left_out(self) -> Mapping[str, int]:
        return +Counter(empty=self._table.empty, broken=self._table.broken)

    def images(self, done: Container[str]) -> Iterator[TrialImage]:
        for folder, folders, files in os.walk(self._folder):
            folders.sort()
            for name in sorted(files):
                path = Path(folder, name)
                if name.startswith(".") or name == "DICOMDIR" or path.suffix.lower() in _NO_IMAGES:
                    continue
                key = self._pseudonym("image", path.relative_to(self._folder).as_posix())
                if key not in done:
                    yield TrialImage(key, path)

    def reference(self, image: TrialImage, origin: ImageOrigin | None) -> TrialReference | None:
        """By what the file says of its study; where it says nothing, by its path, name or folder."""
        assert isinstance(image.content, Path)
        path = image.content.relative_to(self._folder)
        identity = origin.identity if origin is not None else None
        names = [path.as_posix()]
        if identity is not None and (identity.accession or identity.study_uid):
            names += [name for name in (identity.accession, identity.study_uid) if name]
        else:
            names += [path.name, path.stem, path.parent.name]
        return next((self._table.by_study[name] for name in names if name in self._table.by_study), None)

    def pseudonym(self, patient: str) -> str:
        return self._pseudonym("patient", patient)


ANSWERED = "images answered"


def model_sha256(findings: Findings) -> str:
    """Of the manifest, which holds the hash of every file of the model."""
    return hashlib.sha256(findings.model.manifest.model_dump_json().encode()).hexdigest()


def begin(
    folder: Path,
    findings: Findings,
    limits: FixedLimits,
    source: str,
    *,
    reports_sha256: str = "",
    tells_learned: bool = False,
    period: str = "",
) -> Journal:
    """Fix a trial of this model, or go on with the one in `folder`.

    Raises:
        UsageError: the model is no bundle, or the folder holds another trial.
    """
    if not findings.model.manifest.files:
        raise UsageError(
            "{model} is no bundle, so its weights could change during the trial; make a bundle of it with "
            "tetkik findings import.",
            model=findings.name,
        )
    thresholds = {label: (point.threshold, point.on.value) for label, point in findings.points.points.items()}
    model = (findings.name, model_sha256(findings))
    beginning = Beginning(limits.sha256, *model, source, thresholds, reports_sha256, tells_learned, period)
    return Journal.begin(folder, beginning, limits)


def check_model(findings: Findings, journal_model: str) -> None:
    if findings.name != journal_model:
        raise UsageError(
            "The limits were fixed for {fixed}, and this is {model}; name that one with --model, or fix "
            "limits for this one.",
            fixed=journal_model,
            model=findings.name,
        )


def run_trial(
    findings: Findings,
    source: TrialSource,
    journal: Journal,
    *,
    learned: LearnedRows | None = None,
    workers: int | None = None,
    progress: ProgressCallback | None = None,
) -> None:
    """Answer every image that was not answered yet, and keep each answer beside its report.

    Args:
        learned: what the model learned; None where it does not tell.

    Raises:
        DataError: there is no image at all.
    """
    waiting: deque[TrialImage] = deque()

    def contents() -> Iterator[Source]:
        for image in source.images(done):
            waiting.append(image)
            yield image.content

    journal.resume()
    done = journal.done()
    count = len(done)
    answers = findings.study_many(contents(), workers, origin=True)
    with journal.appending() as file:
        while batch := list(islice(answers, BATCH)):
            for answer, is_learned in zip(batch, _learned(batch, learned), strict=True):
                entry = _entry(source, waiting.popleft(), answer)
                if is_learned:
                    entry["learned"] = True
                file.write(json.dumps(entry, ensure_ascii=False, separators=(",", ":")) + "\n")
                # An interrupted run loses nothing that it has shown as done.
                file.flush()
                count += 1
                if progress is not None:
                    progress(ANSWERED, count, None)
    if not count:
        raise DataError("There is no image to run the trial on; check the folder, or the period.")
    journal.finish(source.reports, source.left_out)


def _entry(source: TrialSource, image: TrialImage, answer: Study | TetkikError) -> dict[str, Any]:
    origin = answer.prepared.origin if isinstance(answer, Study) else header_of(image.content)
    reference = image.reference or source.reference(image, origin)
    entry: dict[str, Any] = {"image": image.key}
    if reference is None:
        # Of a file that names its study it is known that the study has no report, though it cannot be read.
        named = origin is not None and (origin.identity.accession or origin.identity.study_uid)
        return entry | {"outcome": "unmatched" if isinstance(answer, Study) or named else "failed"}
    own = origin.identity.patient_id if origin is not None else None
    if image.reference is None and own and reference.patient and own != reference.patient:
        return entry | {"outcome": "other_patient", "study": reference.study}
    entry["study"] = reference.study
    # A study of which no patient is known is a patient of its own.
    if patient := reference.patient or own:
        entry["patient"] = source.pseudonym(patient)
    entry["parts"] = {**_parts(origin), **reference.parts}
    entry["truth"] = _chosen(reference, answer)
    if not isinstance(answer, Study):
        return entry | {"outcome": "failed"}
    if not answer.result.suitable:
        return entry | {"outcome": "refused", "flaw": answer.result.flaws[0].value}
    return entry | {"outcome": "scored", "screen": answer.result.screen, "findings": _findings(answer.result)}


def _learned(answers: Sequence[Study | TetkikError], learned: LearnedRows | None) -> list[bool]:
    """Of which the model learned the image, or a copy."""
    found = [False] * len(answers)
    squares = {
        at: np.rint(answer.prepared.square * 255).astype(np.uint8)
        for at, answer in enumerate(answers)
        if isinstance(answer, Study) and answer.prepared.square is not None
    }
    if learned is not None and squares:
        match = learned.match_pictures(Pictures.of([np.stack([*squares.values()])]))
        for at, same in zip(squares, match.either.tolist(), strict=True):
            found[at] = same
    return found


def _parts(origin: ImageOrigin | None) -> dict[str, str]:
    """What the file says of the parts."""
    if origin is None:
        return {}
    identity = origin.identity
    return parts_of(
        site=origin.equipment.institution,
        device=origin.equipment.device,
        sex=identity.sex,
        age=None if identity.age_years is None else str(int(identity.age_years)),
        date=identity.study_date,
    )


def _chosen(reference: TrialReference, answer: Study | TetkikError) -> dict[str, int]:
    """What the report says of the labels that the model assesses; nothing where it did not answer."""
    if not isinstance(answer, Study) or not answer.result.suitable:
        return {}
    assessed = {finding.label for finding in answer.result.findings if finding.assessed}
    return {label: value for label, value in reference.truth.items() if label in assessed}


def _findings(result: FindingsResult) -> dict[str, list[float | int | None]]:
    """By label: score, probability, whether it is called."""
    return {
        finding.label: [finding.score, finding.probability, int(finding.positive)]
        for finding in result.findings
        if finding.assessed
    }
