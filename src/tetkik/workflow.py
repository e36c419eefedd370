"""The only path from a complaint or an image to an answer or a draft, for demo and service alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from uuid import uuid4

from tetkik.errors import InputError, TetkikError
from tetkik.language import Language, Sentence
from tetkik.settings import settings
from tetkik.triage.predict import Triage, load_triage
from tetkik.values import (
    NORMAL_LABELS,
    CaptionResult,
    FindingsResult,
    Hospital,
    Identity,
    ImageTags,
    Radiograph,
    ReportDocument,
    ReportInput,
    ReportState,
    TriageResult,
)

if TYPE_CHECKING:
    from tetkik.caption.predict import Captioner
    from tetkik.findings.predict import Findings
    from tetkik.report.draft import Drafted
    from tetkik.report.llm import LanguageModel

_KEY_IMAGE = 1200


@cache
def _triage(model: str) -> Triage:
    return load_triage(model)


def triage(complaint: str, model: str | None = None) -> TriageResult:
    """Answer one complaint; the model is loaded once and kept.

    Args:
        complaint: what the patient says, in their own words.
        model: an id or a path; None takes the setting `triage_model`.

    Raises:
        BundleError: no such model, damaged, or not for triage.
    """
    return _triage(model or settings().triage_model).predict(complaint)


@cache
def _findings(model: str) -> Findings:
    # Reading images takes libraries that triage does without.
    from tetkik.findings.predict import load_findings

    return load_findings(model)


def read_radiograph(path: Path | str, model: str | None = None) -> FindingsResult:
    """Answer one image: what kind it is, whether it may be read, what it shows.

    Args:
        path: a DICOM, PNG, JPEG or TIFF file.
        model: an id or a path; None takes the setting `findings_model`.

    Raises:
        InputError: the file cannot be read as an image.
        BundleError: no such model, damaged, or not for findings.
    """
    return _findings(model or settings().findings_model).predict(path)


def explain_radiograph(
    path: Path | str, folder: Path, model: str | None = None, language: Language | None = None
) -> tuple[FindingsResult, dict[str, Path]]:
    """Answer one image and draw where the model looked.

    Args:
        path: a DICOM, PNG, JPEG or TIFF file.
        folder: for the pictures, whose names say nothing about the patient.
        model: an id or a path; None takes the setting `findings_model`.
        language: of reasons and legends; None takes the setting `language`.

    Returns:
        The answer, and the picture of each finding that a reader will want to see.

    Raises:
        InputError: the file cannot be read as an image.
        BundleError: no such model, damaged, or not for findings.
    """
    from tetkik.findings.heatmaps import HeatmapWriter

    chosen = _findings(model or settings().findings_model)
    if language is not None:
        chosen = replace(chosen, language=language)
    writer = HeatmapWriter.open(chosen, folder)
    study = chosen.study(path, picture=writer.side)
    return study.result, writer.write(study)


@cache
def _caption(model: str) -> Captioner:
    # Captioners run on torch, which nothing else here needs.
    from tetkik.caption.predict import load_caption

    return load_caption(model)


def caption_image(path: Path | str, model: str | None = None) -> CaptionResult | None:
    """What a captioner says of one image: an input of low authority.

    A report may quote it, as what a machine has said; it never adds a finding, confirms one, or takes one
    away. No captioner ships with Tetkik, and a report does without.

    Args:
        path: a DICOM, PNG, JPEG or TIFF file.
        model: an id or a path; None takes the setting `caption_model`.

    Returns:
        The caption; None where neither names a captioner.

    Raises:
        InputError: the file cannot be read as an image.
        BundleError: no such model, damaged, or not for captions.
        MissingExtra: the packages of the extra `caption` are not installed.
    """
    chosen = model or settings().caption_model
    return _caption(chosen).predict(path) if chosen else None


@dataclass(frozen=True, slots=True)
class Reported:
    """A draft about an image, with everything that its documents need.

    Attributes:
        drafted: the draft, its facts, and what a language model took.
        result: what the model of findings says.
        document: the draft as documents are made of it, unsigned.
        pictures: the heatmap of each finding that a reader will want to see, where they were to be kept.
    """

    drafted: Drafted
    result: FindingsResult
    document: ReportDocument
    pictures: Mapping[str, Path] = field(default_factory=dict)


def report_image(
    path: Path | str,
    *,
    history: str = "",
    caption: str = "",
    prior: FindingsResult | None = None,
    language: Language | None = None,
    writer: LanguageModel | None = None,
    model: str | None = None,
    heatmaps: Path | None = None,
    heard: Callable[[str], None] | None = None,
) -> Reported:
    """Read one image, find, draft: everything up to a radiologist's desk.

    No side is passed on: the heatmaps' localisation was measured (docs/benchmarks.md) and does not pass.

    Args:
        path: a DICOM, PNG, JPEG or TIFF file.
        history: the clinical question.
        caption: of a captioner; empty asks the configured one, if there is one.
        prior: the findings of an earlier image of the same patient.
        language: of the draft; None takes the setting `report_language`.
        writer: a language model; None is the composer.
        model: of findings; None takes the setting `findings_model`.
        heatmaps: a folder in which the heatmaps are kept; None keeps only that of the document.
        heard: told a language model's text as it comes.

    Raises:
        InputError: the file cannot be read as an image.
        BundleError: no such model, damaged, or not for findings.
    """
    language = language or settings().report_language
    with TemporaryDirectory(prefix="tetkik-") as temporary:
        # First, for it bears whatever a broken or hostile file does to a decoder.
        result, pictures = explain_radiograph(path, heatmaps or Path(temporary), model, language)
        looked = _most_probable(result, pictures)
        sheet = pictures[looked].read_bytes() if looked is not None else None
    from tetkik.imaging.read import read_image

    image = read_image(path)
    caption, notice = (caption, None) if caption or not result.suitable else _captioned(path)
    technique = image.view.value if image.view is not None else None
    reported = report_findings(
        result,
        ReportInput(history=history, caption=caption, technique=technique),
        prior=prior,
        language=language,
        writer=writer,
        image=image,
        heatmap=_heatmap(sheet, image) if sheet is not None else None,
        heatmap_label=looked,
        heard=heard,
    )
    if notice is not None:
        reported = _with_notice(reported, notice)
    return replace(reported, pictures=pictures if heatmaps is not None else {})


def _most_probable(result: FindingsResult, pictures: Mapping[str, Path]) -> str | None:
    """The finding whose heatmap a report shows; none where nothing was found, for it would show nothing."""
    found = [item for item in result.findings if item.positive and item.label not in NORMAL_LABELS]
    found.sort(key=lambda item: item.score or 0.0 if item.probability is None else item.probability)
    return found[-1].label if found and found[-1].label in pictures else None


def _heatmap(sheet: bytes, image: Radiograph) -> bytes:
    """The image with the heat over it, without the legend of its sheet: a report has its own words."""
    from PIL import Image

    from tetkik.findings.heatmaps import panel

    packed = BytesIO()
    panel(Image.open(BytesIO(sheet)), image.rows, image.columns).save(packed, "PNG")
    return packed.getvalue()


def _captioned(path: Path | str) -> tuple[str, Sentence | None]:
    """The words of the configured captioner; where it fails, none, and why: a report does without."""
    try:
        captioned = caption_image(path)
    except InputError:
        return "", Sentence("The image got no automatic caption.")  # the error would name the file
    except TetkikError as fault:
        reason = Sentence(fault.template, fault.values)
        return "", Sentence("The image got no automatic caption: {reason}", {"reason": reason})
    return ("", None) if captioned is None else (captioned.caption, None)


def _with_notice(reported: Reported, notice: Sentence) -> Reported:
    draft = reported.drafted.draft
    draft = replace(draft, notices=(*draft.notices, notice))
    drafted = replace(reported.drafted, draft=draft)
    return replace(reported, drafted=drafted, document=replace(reported.document, draft=draft))


def report_findings(
    result: FindingsResult,
    inputs: ReportInput,
    *,
    prior: FindingsResult | None = None,
    language: Language | None = None,
    writer: LanguageModel | None = None,
    image: Radiograph | None = None,
    heatmap: bytes | None = None,
    heatmap_label: str | None = None,
    heard: Callable[[str], None] | None = None,
) -> Reported:
    """Draft from findings that are known already.

    Args:
        result: the findings.
        inputs: history, caption, sides, technique, warnings.
        prior: the findings of an earlier image of the same patient.
        language: of the draft; None takes the setting `report_language`.
        writer: a language model; None is the composer.
        image: for identity, tags and the picture; None for findings without their image.
        heatmap: the image with a heatmap over it, as a PNG.
        heatmap_label: the finding whose heatmap it is.
        heard: told a language model's text as it comes.
    """
    from tetkik.report.draft import draft_report

    chosen = settings()
    identity = image.identity if image is not None else Identity()
    objection = None if prior is None else _incomparable(result, prior)
    drafted = draft_report(
        result,
        inputs,
        prior=None if objection is not None else prior,
        language=language or chosen.report_language,
        model=writer,
        identity=identity,
        heard=heard,
    )
    document = ReportDocument(
        id=str(uuid4()),
        draft=drafted.draft,
        result=result,
        identity=identity,
        tags=image.tags if image is not None else ImageTags(),
        hospital=Hospital(chosen.hospital_name, chosen.hospital_department, chosen.hospital_address),
        state=ReportState.DRAFT,
        created=datetime.now().astimezone(),
        image=_key_image(image) if image is not None else None,
        heatmap=heatmap,
        heatmap_label=heatmap_label,
    )
    reported = Reported(drafted, result, document)
    return reported if objection is None else _with_notice(reported, objection)


def _incomparable(result: FindingsResult, prior: FindingsResult) -> Sentence | None:
    """Why two images cannot be compared, if so; a mistaken file must not become a sentence about a course."""
    from tetkik.report.facts import comparable

    if not result.suitable:
        return None  # Its report has no findings that could be compared.
    if not comparable(result, prior):
        return Sentence("Nothing was compared: the earlier image is of another kind, or was not suitable.")
    if prior.sha256 and prior.sha256 == result.sha256:
        return Sentence("Nothing was compared: the earlier image is this very image.")
    return None


def _key_image(image: Radiograph) -> bytes:
    """The image as an 8-bit PNG of at most 1,200 pixels a side, for a page."""
    from PIL import Image

    grey = (image.pixels.astype("float32") * (255 / image.white)).round().astype("uint8")
    picture = Image.fromarray(grey)
    picture.thumbnail((_KEY_IMAGE, _KEY_IMAGE))
    packed = BytesIO()
    picture.save(packed, "PNG")
    return packed.getvalue()
