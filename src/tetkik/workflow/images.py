"""From an image to what it shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tetkik.bundle import CachedModel, ModelCache
from tetkik.language import Language
from tetkik.settings import settings
from tetkik.values import CaptionResult, FindingsResult

if TYPE_CHECKING:
    from tetkik.caption.predict import Captioner
    from tetkik.findings.heatmaps import Heatmaps
    from tetkik.findings.predict import Findings


@dataclass(frozen=True, eq=False)
class FindingsInUse:
    """A model of findings as it is loaded.

    Attributes:
        findings: the model with everything around it.
    """

    findings: Findings

    @cached_property
    def heatmaps(self) -> Heatmaps:
        """The best way to say where it looked: found out once, for that takes a run of the network."""
        from tetkik.findings.heatmaps import heatmaps_for

        return heatmaps_for(self.findings.model)


def _load_findings(model: str) -> FindingsInUse:
    # Reading images takes libraries that triage does without.
    from tetkik.findings.predict import load_findings

    return FindingsInUse(load_findings(model))


_FINDINGS: ModelCache[FindingsInUse] = ModelCache(_load_findings)


def findings_in_use(model: str | None = None) -> CachedModel[FindingsInUse]:
    """A model of findings as it is on the disk now, loaded once and kept; whoever has it goes on with it.

    Args:
        model: an id or a path; None takes the setting `findings_model`.

    Raises:
        BundleError: no such model, damaged, or not for findings.
    """
    return _FINDINGS.get(model or settings().findings_model)


def read_radiograph(path: Path | str, model: str | None = None) -> FindingsResult:
    """Answer one image: what kind it is, whether it may be read, what it shows.

    Args:
        path: a DICOM, PNG, JPEG or TIFF file.
        model: an id or a path; None takes the setting `findings_model`.

    Raises:
        InputError: the file cannot be read as an image.
        BundleError: no such model, damaged, or not for findings.
    """
    return findings_in_use(model).model.findings.predict(path)


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

    in_use = findings_in_use(model).model
    chosen = in_use.findings
    if language is not None:
        chosen = replace(chosen, language=language)
    writer = HeatmapWriter.open(chosen, folder, in_use.heatmaps)
    study = chosen.study(path, picture=writer.side)
    return study.result, writer.write(study)


def _load_caption(model: str) -> Captioner:
    # Captioners run on torch, which nothing else here needs.
    from tetkik.caption.predict import load_caption

    return load_caption(model)


_CAPTIONERS: ModelCache[Captioner] = ModelCache(_load_caption)


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
    return _CAPTIONERS.get(chosen).model.predict(path) if chosen else None
