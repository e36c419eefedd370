"""How radiologists judged the models' findings, as a table and images to train from, without identity.

A row is an image; a label is 1 where a radiologist accepted or added it, 0 where they rejected it or
confirmed its absence, and blank where nobody judged it. Images and patients are called by keyed pseudonyms:
the same in every export of a hospital, so that tables can be joined and patients kept out of two splits, and
traced back by nobody who has not its master key.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import select

from tetkik.errors import InputError, NotFound, RecordsError
from tetkik.language import Language
from tetkik.records.audit_chain import Action
from tetkik.records.database import Records, Transaction
from tetkik.records.images import images
from tetkik.records.images.images import StoredImage, list_study_images
from tetkik.records.reports.versions import version_of
from tetkik.records.reports.withdrawal_queries import standing
from tetkik.records.schema.base import within
from tetkik.records.schema.cases import Case, Image, Patient
from tetkik.records.schema.models import Run
from tetkik.records.schema.reports import FindingReview, Report, ReportVersion
from tetkik.records.serialization import to_csv
from tetkik.values.access import SYSTEM, Permission
from tetkik.values.finding_labels import FINDING_LABELS
from tetkik.values.radiograph import FileFormat
from tetkik.values.report import Section
from tetkik.values.states import Judgement

# Signed reports for a silent trial: read a page at a time, each noted in the trail, nothing written back.


_PAGE = 32
_DIGITS = 16
"""Hexadecimal digits of a pseudonym: 64 bits."""
_SECTIONS = (Section.FINDINGS, Section.IMPRESSION)


@dataclass(frozen=True, slots=True)
class SignedStudy:
    """A study with its signed report; patient and study are called by keyed pseudonyms."""

    study: str
    patient: str
    text: str = field(repr=False)
    language: Language
    signed_at: datetime
    model: str | None
    """Whose findings the radiologist was shown; None where no model had answered."""
    images: tuple[tuple[str, StoredImage], ...] = field(repr=False)
    """With the pseudonym of each."""


@dataclass(frozen=True, slots=True)
class SignedPage:
    studies: tuple[SignedStudy, ...]
    left_out: Counter[str]
    """Reports of restricted cases, of erased patients, altered ones, and studies without an image."""
    last: str
    """The id to go on after."""


def read_signed_page(
    records: Records,
    after: str,
    limits_sha256: str,
    since: datetime | None = None,
    until: datetime | None = None,
) -> SignedPage | None:
    """The next signed reports that stand; None after the last.

    Each is noted in the trail before it is handed on: what could not be noted was not read.
    """
    with records.write(SYSTEM) as tx:
        rows = tx.session.execute(
            select(Report, Case.restricted, Patient.key, ReportVersion.created_at)
            .join(Case, Case.id == Report.case_id)
            .join(Patient, Patient.id == Report.patient_id)
            .join(
                ReportVersion,
                (ReportVersion.report_id == Report.id) & (ReportVersion.number == Report.version),
            )
            .where(standing(), Report.id > after, *within(ReportVersion.created_at, since, until))
            .order_by(Report.id)
            .limit(_PAGE)
        ).all()
        if not rows:
            return None
        studies: list[SignedStudy] = []
        left_out: Counter[str] = Counter()
        for report, restricted, key, signed_at in rows:
            if restricted or key is None:
                left_out["restricted" if restricted else "erased"] += 1
                continue
            try:
                study = _study(tx, report, signed_at)
            except RecordsError:
                left_out["altered"] += 1
                continue
            if not study.images:
                left_out["without_image"] += 1
                continue
            tx.audit_about(Action.TRIAL_READ, report, images=len(study.images), limits_sha256=limits_sha256)
            studies.append(study)
        return SignedPage(tuple(studies), left_out, rows[-1][0].id)


def _study(tx: Transaction, report: Report, signed_at: datetime) -> SignedStudy:
    document = version_of(tx, report.id, pictures=False, by=Permission.FEEDBACK_EXPORT).document
    sentences = (item.text for part in _SECTIONS for item in document.draft.section(part))
    images = list_study_images(tx, report.study_id)
    return SignedStudy(
        study=_pseudonym(tx, "study", report.id),
        patient=_pseudonym(tx, "patient", report.patient_id),
        text="\n".join(sentences),
        language=document.draft.language,
        signed_at=signed_at,
        model=document.result.model if document.result is not None else None,
        images=tuple((_pseudonym(tx, "image", image.id), image) for image in images),
    )


def _pseudonym(tx: Transaction, what: str, row_id: str) -> str:
    return tx.vault.digest(f"trial {what}", row_id).hex()[:_DIGITS]


_PSEUDONYM = 16
"""Hexadecimal digits: 64 bits."""


@dataclass(frozen=True, slots=True)
class JudgedImage:
    image_id: str = field(repr=False)
    name: str
    patient: str
    route: str
    model: str
    truth: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Judged:
    """Every judgement, and what was left out."""

    images: tuple[JudgedImage, ...]
    verdicts: Mapping[Judgement, int]
    restricted: int
    erased: int

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label that was judged at least once, the shared ones in their order first."""
        found = {label for image in self.images for label in image.truth}
        shared = tuple(label for label in FINDING_LABELS if label in found)
        return shared + tuple(sorted(found.difference(FINDING_LABELS)))


@dataclass(frozen=True, slots=True)
class Written:
    rows: int
    pictures: int
    refused: Mapping[str, InputError]


def judged_images(tx: Transaction, since: datetime | None = None, until: datetime | None = None) -> Judged:
    """The judgements of each image."""
    found: dict[str, JudgedImage] = {}
    truth: dict[str, dict[str, int]] = {}
    verdicts = dict.fromkeys(Judgement, 0)
    hidden: set[str] = set()
    erased: set[str] = set()
    for review, report, restricted, key, run in _reviews(tx, since, until):
        image_id = run.image_id if run is not None else report.image_id
        if restricted:
            hidden.add(image_id)
        elif key is None:
            erased.add(image_id)
        else:
            verdicts[review.judgement] += 1
            truth.setdefault(image_id, {})[review.label] = _truth(review)
            found[image_id] = JudgedImage(
                image_id,
                _pseudonym_of_findings_feedback(tx, "image", image_id),
                _pseudonym_of_findings_feedback(tx, "patient", report.patient_id),
                (run.route if run is not None else None) or "",
                run.bundle if run is not None else "",
                truth[image_id],
            )
    return Judged(tuple(found.values()), verdicts, len(hidden), len(erased))


def write_feedback(tx: Transaction, judged: Judged, folder: Path, *, pictures: bool) -> Written:
    """Write `labels.csv`, and beside it `images/` with de-identified images; the trail notes the export.

    The table is one that `tetkik findings train labels.csv --images images` takes. Without the images its
    names are those that a later export with images will give them. An image with text in its pixels, or one
    that cannot be cleaned, is refused and keeps no row.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names: dict[str, str] = {}
    refused: dict[str, InputError] = {}
    for image in judged.images:
        if not pictures:
            names[image.name] = f"{image.name}.{_ending(images.load_image(tx, image.image_id))}"
            continue
        try:
            ending, content = _cleaned(tx, image)
        except InputError as error:
            refused[image.name] = error
            continue
        (folder / "images").mkdir(exist_ok=True)
        names[image.name] = f"{image.name}.{ending}"
        (folder / "images" / names[image.name]).write_bytes(content)
    (folder / "labels.csv").write_text(_table(judged, names), encoding="utf-8", newline="")
    tx.audit(
        Action.FEEDBACK_EXPORTED,
        what="findings",
        rows=len(names),
        pictures=len(names) if pictures else 0,
        refused=len(refused),
        restricted=judged.restricted,
        erased=judged.erased,
    )
    return Written(len(names), len(names) if pictures else 0, refused)


def _truth(review: FindingReview) -> int:
    """1 where the radiologist says that it is there."""
    if review.judgement is Judgement.ACCEPTED:
        return int(bool(review.model_positive))
    return int(review.judgement is Judgement.ADDED)


def _table(judged: Judged, names: Mapping[str, str]) -> str:
    labels = judged.labels
    rows = [("file", "patient_id", *labels)]
    for image in judged.images:
        if image.name in names:
            truth = (str(image.truth.get(label, "")) for label in labels)
            rows.append((names[image.name], image.patient, *truth))
    return to_csv(rows)


def _cleaned(tx: Transaction, judged: JudgedImage) -> tuple[str, bytes]:
    """The ending and the content of an image without what identifies."""
    from tetkik.imaging.deidentify import deidentify_bytes, new_secret

    image = images.load_image(tx, judged.image_id)
    ending = _ending(image)
    try:
        data = images.read_content(tx, image)
    except NotFound:
        raise InputError("{file} was erased; leave it out.", file=judged.name) from None
    if image.file_format is FileFormat.DICOM:
        return ending, deidentify_bytes(data, judged.name, new_secret())[0]
    return ending, _pixels_alone(data, judged.name)


def _ending(image: StoredImage) -> str:
    return "dcm" if image.file_format is FileFormat.DICOM else "png"


def _pixels_alone(data: bytes, name: str) -> bytes:
    """A picture's grey values as a PNG: no metadata of the file comes along."""
    from PIL import Image as Picture

    from tetkik.imaging.burned_in import text_if_looked
    from tetkik.imaging.read import read_bytes

    read = read_bytes(data, name)
    if text_if_looked(read) != ():
        raise InputError("{file} seems to have text in its pixels; look at it, and leave it out.", file=name)
    packed = io.BytesIO()
    Picture.fromarray(read.pixels).save(packed, "PNG")
    return packed.getvalue()


def _pseudonym_of_findings_feedback(tx: Transaction, what: str, row_id: str) -> str:
    return tx.vault.digest(f"feedback {what}", row_id).hex()[:_PSEUDONYM]


def _reviews(
    tx: Transaction, since: datetime | None, until: datetime | None
) -> Iterator[tuple[FindingReview, Report, bool, bytes | None, Run | None]]:
    wanted = (
        select(FindingReview, Report, Case.restricted, Patient.key, Run)
        .join(Report, Report.id == FindingReview.report_id)
        .join(Case, Case.id == Report.case_id)
        .join(Image, Image.id == Report.image_id)
        .join(Patient, Patient.id == Report.patient_id)
        .outerjoin(Run, Run.id == FindingReview.run_id)
        .where(*within(FindingReview.at, since, until))
        .order_by(Report.id, FindingReview.label)
    )
    yield from tx.session.execute(wanted)
