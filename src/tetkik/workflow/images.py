"""From an image to what it shows."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tetkik.language import Language
from tetkik.settings import settings
from tetkik.values import CaptionResult, FindingsResult

if TYPE_CHECKING:
    from tetkik.caption.predict import Captioner
    from tetkik.findings.heatmaps import Heatmaps
    from tetkik.findings.predict import Findings


@cache
def findings_model(model: str) -> Findings:
    """A model of findings, loaded once and kept.

    Raises:
        BundleError: no such model, damaged, or not for findings.
    """
    # Reading images takes libraries that triage does without.
    from tetkik.findings.predict import load_findings

    return load_findings(model)


@cache
def heatmaps_of(model: str) -> Heatmaps:
    """The best way to say where a model looked: it is found out once, for that takes a run of the network."""
    from tetkik.findings.heatmaps import heatmaps_for

    return heatmaps_for(findings_model(model).model)


def read_radiograph(path: Path | str, model: str | None = None) -> FindingsResult:
    """Answer one image: what kind it is, whether it may be read, what it shows.

    Args:
        path: a DICOM, PNG, JPEG or TIFF file.
        model: an id or a path; None takes the setting `findings_model`.

    Raises:
        InputError: the file cannot be read as an image.
        BundleError: no such model, damaged, or not for findings.
    """
    return findings_model(model or settings().findings_model).predict(path)


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

    name = model or settings().findings_model
    chosen = findings_model(name)
    if language is not None:
        chosen = replace(chosen, language=language)
    writer = HeatmapWriter.open(chosen, folder, heatmaps_of(name))
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
