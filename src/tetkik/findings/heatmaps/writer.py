"""Heatmaps of an answer as picture files, whose names say nothing about the patient."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tetkik.bundle import bundle_id
from tetkik.errors import as_fault_of
from tetkik.files import written_whole
from tetkik.findings.heatmaps.choice import heatmaps_for
from tetkik.findings.heatmaps.method import Heatmaps
from tetkik.findings.heatmaps.overlay import SIDE, Heat, Legend, draw, find_heat
from tetkik.values import NORMAL_LABELS, Finding, FindingsResult

if TYPE_CHECKING:
    from tetkik.findings.predict import Findings, Study

_DIGITS = 16


@dataclass(frozen=True, slots=True)
class HeatmapWriter:
    """Writes a picture for each finding of an answer that a reader will want to see."""

    findings: Findings
    heatmaps: Heatmaps
    folder: Path
    side: ClassVar[int] = SIDE
    """Longer side of the picture that a study must bring along, in pixels."""

    @classmethod
    def open(cls, findings: Findings, folder: Path, heatmaps: Heatmaps | None = None) -> HeatmapWriter:
        """Make `folder` where it is not there; without `heatmaps`, take the best that the model allows."""
        folder.mkdir(parents=True, exist_ok=True)
        return cls(findings, heatmaps or heatmaps_for(findings.model), folder)

    def write(self, study: Study) -> dict[str, Path]:
        """Draw what `worth_showing` names of a study with a picture of `side`: the file of each label.

        A name is the first digits of the image's hash and the label.
        """
        return self.draw(study.result.sha256, heats_of(self.findings, self.heatmaps, study))

    def draw(self, sha256: str, heats: Iterable[Heat]) -> dict[str, Path]:
        """As `write`, of heat that has been found."""
        return {heat.finding.label: self._write(sha256, heat) for heat in heats}

    def _write(self, sha256: str, heat: Heat) -> Path:
        findings = self.findings
        legend = Legend(
            heat.finding, self.heatmaps.method, findings.name, findings.language, blurred=heat.blurred
        )
        path = self.folder / f"{sha256[:_DIGITS]}-{bundle_id(legend.finding.label)}.png"
        with as_fault_of(path), written_whole(path) as file:
            draw(heat.picture, heat.values, legend).save(file, format="PNG")
        return path


def heats_of(findings: Findings, heatmaps: Heatmaps, study: Study) -> tuple[Heat, ...]:
    """The heat of each finding of an answer that a reader will want to see."""
    return find_heat(findings.model, heatmaps, study.prepared, worth_showing(study.result), study.maps)


def worth_showing(result: FindingsResult) -> Sequence[Finding]:
    """What is found or uncertain; where there is none, the one that comes nearest to its threshold."""
    ills = [finding for finding in result.findings if finding.assessed and finding.label not in NORMAL_LABELS]
    notable = [finding for finding in ills if finding.positive or finding.uncertain]
    return notable or sorted(ills, key=_share_of_threshold)[-1:]


def _share_of_threshold(finding: Finding) -> float:
    value = finding.score if finding.threshold_on == "score" else finding.probability
    return (value or 0.0) / max(finding.threshold or 0.0, 1e-6)
