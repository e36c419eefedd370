"""The heat of single findings over the picture of their image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tetkik.findings.heatmaps.method import Heatmaps, Method, onto_image, scaled
from tetkik.findings.heatmaps.overlay import blurred, panel
from tetkik.findings.interface import FindingsModel
from tetkik.findings.preprocess import PreparedImage
from tetkik.values import Finding, Flaw


@dataclass(frozen=True, slots=True, eq=False)
class Heat:
    """Where the network looked for one finding: not where the disease is."""

    finding: Finding
    picture: NDArray[np.uint8]
    """(rows, columns), uint8, the image as it should be looked at."""
    values: NDArray[np.float32]
    """(rows, columns), float32, 0 to 1, over the picture."""
    blurred: bool = False
    """Whether the picture is, because text in it may name the patient."""

    def overlay(self) -> Image.Image:
        """The picture with the heat over it, in RGB."""
        return panel(self.picture, self.values)


def find_heat(
    model: FindingsModel,
    heatmaps: Heatmaps,
    prepared: PreparedImage,
    shown: Sequence[Finding],
    known: NDArray[np.float32] | None = None,
) -> tuple[Heat, ...]:
    """The heat of these findings; none of an image that was refused, or prepared without its picture.

    `known` are the network's own maps (labels, h, w), from the run that gave the findings.
    """
    picture, square = prepared.picture, prepared.square
    if not shown or picture is None or square is None:
        return ()
    hidden = any(reason.flaw is Flaw.BURNED_IN_TEXT for reason in prepared.gate_result.reasons)
    if hidden:
        picture = blurred(picture)
    columns = [model.manifest.labels.index(finding.label) for finding in shown]
    seen = model.preprocessing
    rows, width = picture.shape
    if known is not None and heatmaps.method is Method.CAM:
        maps = scaled(known[columns])
    else:
        maps = heatmaps.maps(square, columns)
    return tuple(
        Heat(finding, picture, onto_image(values, rows, width, seen.fit, seen.kept), hidden)
        for finding, values in zip(shown, maps, strict=True)
    )
