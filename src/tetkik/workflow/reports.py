"""From an image, or from what was found in it, to a draft report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np

from tetkik.errors import InputError, TetkikError
from tetkik.imaging.burned_in import text_if_looked
from tetkik.imaging.key_picture import key_picture
from tetkik.language import Language, Sentence
from tetkik.privacy.rules import is_tckn
from tetkik.settings import Settings
from tetkik.settings import settings as configured
from tetkik.values.access import Actor
from tetkik.values.document import Hospital, ReportDocument, ReportState
from tetkik.values.finding import FindingsResult
from tetkik.values.finding_labels import NORMAL_LABELS
from tetkik.values.radiograph import Identity, ImageTags, Radiograph
from tetkik.values.report import ReportContent, ReportInput
from tetkik.workflow.images import caption_image, load_findings_model, png_of

if TYPE_CHECKING:
    from tetkik.findings.heatmaps.method import Heatmaps
    from tetkik.findings.heatmaps.overlay import Heat
    from tetkik.findings.predict import Findings
    from tetkik.records.database import Records
    from tetkik.records.images.images import StoredImage
    from tetkik.report.draft import Drafted
    from tetkik.report.llm.interface import LanguageModel


# The image as a language model gets it: pixels alone, bounded in size, text in it blackened.


BeforeSending = Callable[[str], None]
"""Called with the host that gets the image, before it does: for the audit trail."""


def audit_sending(records: Records, actor: Actor, image: StoredImage, host: str) -> None:
    """Note in the trail, before it happens, that a language model gets an image."""
    from tetkik.records.audit_chain import Action

    with records.write(actor) as tx:
        tx.audit_about(Action.IMAGE_SENT, image, host=host)


def picture_for(
    writer: LanguageModel | None,
    image: Radiograph | None,
    *,
    suitable: bool,
    before_sending: BeforeSending | None = None,
) -> tuple[bytes | None, Sentence | None]:
    """What `writer` gets of an image, as a PNG, and why it gets none although it may.

    Args:
        suitable: whether the quality gate took the image: what is no radiograph may be a letter.
    """
    host = None if writer is None else writer.image_host
    if host is None or image is None or not suitable:
        return None, None
    picture = picture_without_text(image)
    if picture is None:
        return None, Sentence(
            "The language model did not get the image: there may be text in it that was not found."
        )
    if before_sending is not None:
        before_sending(host)
    return picture, None


def picture_without_text(image: Radiograph) -> bytes | None:
    """The image as a PNG of 8 bits and at most 1,200 pixels a side; None where text may be left in it.

    A photograph of a film often has a name that somebody wrote by hand, which nothing here finds.
    """
    if image.degraded or image.tags.burned_in:
        return None
    pixels = image.pixels.copy()
    for _ in range(2):  # the second time nothing may be found
        written = False
        for turns in range(4):
            turned = np.rot90(pixels, turns)
            lines = text_if_looked(replace(image, pixels=turned.copy()))
            if lines is None:
                return None
            for top, _, bottom, _ in lines:
                # Short names, which are not found, stand beside a line, above it and under it.
                high = bottom - top
                turned[max(0, top - 2 * high) : bottom + 2 * high] = 0
                written = True
        if not written:
            return key_picture(replace(image, pixels=pixels))
    return None


_KEY_IMAGE = 1200


@dataclass(frozen=True, slots=True)
class Reported:
    """A draft about an image, with everything that its documents need.

    `prior` is what it was compared with; `pictures` are the heatmaps, by finding, where they were to be kept.
    """

    drafted: Drafted
    result: FindingsResult
    document: ReportDocument
    prior: FindingsResult | None = None
    pictures: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class ImageAnalysis:
    """An image with what a model says of it, and where it looked; `sha256` is of its bundle's manifest, or
    empty.
    """

    image: Radiograph
    result: FindingsResult
    heats: tuple[Heat, ...]
    findings: Findings
    heatmaps: Heatmaps
    sha256: str


def analyse_image(image: Radiograph, name: str = "", *, model: str, language: Language) -> ImageAnalysis:
    """Have a model look at an image that has been read."""
    from tetkik.findings.heatmaps import HeatmapWriter, heats_of

    kept = load_findings_model(model)
    findings = replace(kept.model.findings, language=language)
    heatmaps = kept.model.heatmaps
    study = findings.study_image(image, name, picture=HeatmapWriter.side)
    heats = heats_of(findings, heatmaps, study)
    return ImageAnalysis(image, study.result, heats, findings, heatmaps, kept.sha256)


def report_image(
    path: Path | str,
    settings: Settings | None = None,
    *,
    history: str = "",
    caption: str = "",
    prior: FindingsResult | None = None,
    language: Language | None = None,
    writer: LanguageModel | None = None,
    model: str | None = None,
    heatmaps: Path | None = None,
    on_text: Callable[[str], None] | None = None,
    before_sending: BeforeSending | None = None,
) -> Reported:
    """Read one image, find, draft: everything up to a radiologist's desk.

    Args:
        settings: None takes those of the environment and the settings file.
        caption: of a captioner; empty asks the configured one, if there is one.
        prior: the findings of an earlier image of the same patient.
        language: of the draft; None takes the setting `report_language`.
        writer: a language model; None is the composer.
        model: of findings; None takes the setting `findings_model`.
        heatmaps: a folder in which the heatmaps are kept; None keeps only that of the document.
        before_sending: called with the host of a language model before it gets the image.

    Raises:
        InputError: the file cannot be read as an image.
        BundleError: no such model, damaged, or not for findings.
    """
    from tetkik.imaging.read import one_file, read_image

    with one_file(str(path)):
        image = read_image(path)
    settings = settings or configured()
    language = language or settings.report_language
    analysis = analyse_image(image, str(path), model=model or settings.findings_model, language=language)
    pictures: Mapping[str, Path] = {}
    if heatmaps is not None:
        from tetkik.findings.heatmaps import HeatmapWriter

        pictures = HeatmapWriter.open(analysis.findings, heatmaps, analysis.heatmaps).draw(
            image.sha256, analysis.heats
        )
    reported = draft_from_analysis(
        analysis,
        settings,
        history=history,
        caption=caption,
        captioned=path,
        prior=prior,
        language=language,
        writer=writer,
        on_text=on_text,
        before_sending=before_sending,
    )
    return replace(reported, pictures=pictures)


def draft_from_analysis(
    analysis: ImageAnalysis,
    settings: Settings,
    *,
    history: str = "",
    caption: str = "",
    captioned: Path | str | None = None,
    prior: FindingsResult | None = None,
    language: Language | None = None,
    technique: str | None = None,
    writer: LanguageModel | None = None,
    on_text: Callable[[str], None] | None = None,
    with_image: bool = True,
    before_sending: BeforeSending | None = None,
) -> Reported:
    """Draft from an image that a model has looked at.

    No side is passed on: the heatmaps' localisation was measured (docs/benchmarks.md) and does not pass.

    Args:
        analysis: of `analyse_image`.
        caption: of a captioner; empty asks the configured one, if there is one, about the file `captioned`.
        captioned: the image's file; None for none, and then no captioner is asked.
        prior: the findings of an earlier image of the same patient.
        language: of the draft; None takes the setting `report_language`.
        technique: the projections of all images of a study; None takes that of the image.
        writer: a language model; None is the composer.
        with_image: whether the document gets its picture of the image.
        before_sending: called with the host of a language model before it gets the image.
    """
    image, result, notice = analysis.image, analysis.result, None
    captioner = settings.caption_model
    if not caption and captioned is not None and captioner is not None and result.suitable:
        caption, notice = _captioned(captioned, captioner)
    if technique is None and image.view is not None:
        technique = image.view.value
    looked = _most_probable(result, analysis.heats)
    shared, withheld = picture_for(writer, image, suitable=result.suitable, before_sending=before_sending)
    reported = report_findings(
        result,
        ReportInput(history=history, caption=caption, technique=technique),
        settings,
        prior=prior,
        language=language,
        writer=writer,
        image=image,
        heatmap=_panel(looked) if looked is not None else None,
        heatmap_label=looked.finding.label if looked is not None else None,
        on_text=on_text,
        with_image=with_image,
        shared=shared,
    )
    for reason in (notice, withheld):
        reported = reported if reason is None else _with_notice(reported, reason)
    return reported


def _most_probable(result: FindingsResult, heats: Sequence[Heat]) -> Heat | None:
    """The finding whose heatmap a report shows; none where it states none."""
    found = [item for item in result.findings if item.asserted and item.label not in NORMAL_LABELS]
    found.sort(key=lambda item: item.score or 0.0 if item.probability is None else item.probability)
    return next((heat for heat in heats if found and heat.finding.label == found[-1].label), None)


def _panel(heat: Heat) -> bytes:
    """The image with the heat over it, without a legend: a report has its own words."""
    from tetkik.findings.heatmaps import panel

    return png_of(panel(heat.picture, heat.values))


def _captioned(path: Path | str, captioner: str) -> tuple[str, Sentence | None]:
    """The words of the captioner; where it fails, none, and why: a report does without."""
    try:
        return caption_image(path, captioner).caption, None
    except InputError:
        return "", Sentence("The image got no automatic caption.")  # the error would name the file
    except TetkikError as fault:
        reason = Sentence(fault.template, fault.values)
        return "", Sentence("The image got no automatic caption: {reason}", {"reason": reason})


def _with_notice(reported: Reported, notice: Sentence) -> Reported:
    draft = reported.drafted.draft
    draft = replace(draft, notices=(*draft.notices, notice))
    drafted = replace(reported.drafted, draft=draft)
    return replace(
        reported, drafted=drafted, document=replace(reported.document, content=ReportContent(draft))
    )


def report_findings(
    result: FindingsResult,
    inputs: ReportInput,
    settings: Settings,
    *,
    prior: FindingsResult | None = None,
    language: Language | None = None,
    writer: LanguageModel | None = None,
    image: Radiograph | None = None,
    identity: Identity | None = None,
    heatmap: bytes | None = None,
    heatmap_label: str | None = None,
    on_text: Callable[[str], None] | None = None,
    with_image: bool = True,
    shared: bytes | None = None,
) -> Reported:
    """Draft from findings that are known already.

    Args:
        prior: the findings of an earlier image of the same patient.
        language: of the draft; None takes the setting `report_language`.
        writer: a language model; None is the composer.
        image: for identity, tags and the picture; None for findings without their image.
        identity: of the patient, where it is known better than the image says; None takes the image's.
        heatmap: the image with a heatmap over it, as a PNG.
        with_image: whether the document gets its picture of `image`.
        shared: the image as the language model gets it, of `picture_for`.
    """
    from tetkik.report.draft import draft_report

    if identity is None:
        identity = image.identity if image is not None else Identity()
    number = identity.patient_id or ""
    if number.isascii() and is_tckn(number):  # as many devices in Turkey write it
        identity = replace(identity, patient_id=None, national_id=number)
    objection = None if prior is None else _incomparable(result, prior)
    prior = None if objection is not None else prior
    drafted = draft_report(
        result,
        inputs,
        prior=prior,
        language=language or settings.report_language,
        model=writer,
        identity=identity,
        image=shared,
        on_text=on_text,
    )
    document = ReportDocument(
        id=str(uuid4()),
        content=ReportContent(drafted.draft),
        result=result,
        identity=identity,
        tags=image.tags if image is not None else ImageTags(),
        hospital=hospital_of(settings),
        state=ReportState.DRAFT,
        created=hospital_of(settings).local(datetime.now().astimezone()),
        image=key_image(image) if image is not None and with_image else None,
        heatmap=heatmap,
        heatmap_label=heatmap_label,
    )
    reported = Reported(drafted, result, document, prior)
    return reported if objection is None else _with_notice(reported, objection)


def hospital_of(settings: Settings) -> Hospital:
    """The hospital as its documents name it."""
    return Hospital(
        settings.hospital_name,
        settings.hospital_department,
        settings.hospital_address,
        time_zone=settings.hospital_time_zone,
        authority=settings.hospital_authority or settings.hospital_name,
        oid=settings.hospital_oid,
    )


def _incomparable(result: FindingsResult, prior: FindingsResult) -> Sentence | None:
    """Why two images cannot be compared, if so; a mistaken file must not become a sentence about a course."""
    from tetkik.report.facts import comparable

    if not result.suitable:
        return None  # Its report has no findings that could be compared.
    if result.route is prior.route and prior.suitable and result.model != prior.model:
        return Sentence("Nothing was compared: another model, or another version, read the earlier image.")
    if not comparable(result, prior):
        return Sentence("Nothing was compared: the earlier image is of another kind, or was not suitable.")
    if prior.sha256 and prior.sha256 == result.sha256:
        return Sentence("Nothing was compared: the earlier image is this very image.")
    return None


def key_image(image: Radiograph, side: int = _KEY_IMAGE) -> bytes:
    """The image as an 8-bit PNG of at most `side` pixels a side, for a page."""
    from PIL import Image

    grey = (image.pixels.astype("float32") * (255 / image.white)).round().astype("uint8")
    picture = Image.fromarray(grey)
    # As sharp as Pillow's bicubic where an image shrinks, in half of its time.
    picture.thumbnail((side, side), Image.Resampling.HAMMING)
    return png_of(picture)
