"""Heatmaps of an answer as picture files, whose names say nothing about the patient."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle import bundle_id
from tetkik.errors import as_fault_of
from tetkik.findings.heatmaps.choice import heatmaps_for
from tetkik.findings.heatmaps.method import Heatmaps, onto_image
from tetkik.findings.heatmaps.overlay import SIDE, Legend, blurred, draw
from tetkik.values import NORMAL_LABELS, Finding, FindingsResult, Flaw

if TYPE_CHECKING:
    from tetkik.findings.predict import Findings, Study

_DIGITS = 16


@dataclass(frozen=True, slots=True)
class HeatmapWriter:
    """Writes a picture for each finding of an answer that a reader will want to see.

    Attributes:
        findings: the model with everything around it.
        heatmaps: how its heatmaps are made.
        folder: where the pictures go.
    """

    findings: Findings
    heatmaps: Heatmaps
    folder: Path
    side: ClassVar[int] = SIDE
    """Longer side of the picture that a study must bring along, in pixels."""

    @classmethod
    def open(cls, findings: Findings, folder: Path) -> HeatmapWriter:
        """Make `folder` where it is not there, and take the best method that the model allows."""
        folder.mkdir(parents=True, exist_ok=True)
        return cls(findings, heatmaps_for(findings.model), folder)

    def write(self, study: Study) -> dict[str, Path]:
        """Draw what `worth_showing` names.

        Args:
            study: with a picture of `side`.

        Returns:
            The file of each label; the names are the first digits of the image's hash and the label.
        """
        shown = worth_showing(study.result)
        picture = study.look.picture
        if not shown or picture is None or study.look.square is None:
            return {}
        hidden = Flaw.BURNED_IN_TEXT in study.result.flaws
        if hidden:
            picture = blurred(picture)
        columns = [self.findings.model.manifest.labels.index(finding.label) for finding in shown]
        maps = self.heatmaps.maps(study.look.square, columns)
        return {
            finding.label: self._write(study.result.sha256, picture, heat, self._legend(finding, hidden))
            for finding, heat in zip(shown, maps, strict=True)
        }

    def _legend(self, finding: Finding, hidden: bool) -> Legend:
        findings = self.findings
        return Legend(finding, self.heatmaps.method, findings.name, findings.language, blurred=hidden)

    def _write(
        self, sha256: str, picture: NDArray[np.uint8], heat: NDArray[np.float32], legend: Legend
    ) -> Path:
        whole = onto_image(heat, picture.shape[0], picture.shape[1], self.findings.model.preprocessing.fit)
        path = self.folder / f"{sha256[:_DIGITS]}-{bundle_id(legend.finding.label)}.png"
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            with as_fault_of(path):
                draw(picture, whole, legend).save(partial, format="PNG")
                partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return path


def worth_showing(result: FindingsResult) -> Sequence[Finding]:
    """What is found or uncertain; where there is none, the one that comes nearest to its threshold."""
    ills = [finding for finding in result.findings if finding.assessed and finding.label not in NORMAL_LABELS]
    notable = [finding for finding in ills if finding.positive or finding.uncertain]
    return notable or sorted(ills, key=_share_of_threshold)[-1:]


def _share_of_threshold(finding: Finding) -> float:
    value = finding.score if finding.threshold_on == "score" else finding.probability
    return (value or 0.0) / max(finding.threshold or 0.0, 1e-6)
