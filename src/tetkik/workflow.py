"""The only path from a complaint or an image to an answer, for the demo and for a service alike."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tetkik.settings import settings
from tetkik.triage.predict import Triage, load_triage
from tetkik.values import FindingsResult, TriageResult

if TYPE_CHECKING:
    from tetkik.findings.predict import Findings


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
    path: Path | str, folder: Path, model: str | None = None
) -> tuple[FindingsResult, dict[str, Path]]:
    """Answer one image and draw where the model looked.

    Args:
        path: a DICOM, PNG, JPEG or TIFF file.
        folder: for the pictures, whose names say nothing about the patient.
        model: an id or a path; None takes the setting `findings_model`.

    Returns:
        The answer, and the picture of each finding that a reader will want to see.

    Raises:
        InputError: the file cannot be read as an image.
        BundleError: no such model, damaged, or not for findings.
    """
    from tetkik.findings.heatmaps import HeatmapWriter

    chosen = _findings(model or settings().findings_model)
    writer = HeatmapWriter.open(chosen, folder)
    study = chosen.study(path, picture=writer.side)
    return study.result, writer.write(study)
