"""Where a network looked: class activation maps, Grad-CAM, occlusion; on the image, as a picture."""

from tetkik.findings.heatmaps.choice import ActivationMaps, Occlusion, heatmaps_for
from tetkik.findings.heatmaps.method import Heatmaps, Method, onto_image, scaled
from tetkik.findings.heatmaps.overlay import Legend, blended, coloured, draw, panel, veil
from tetkik.findings.heatmaps.writer import Heat, HeatmapWriter, heats_of, worth_showing

__all__ = [
    "ActivationMaps",
    "Heat",
    "HeatmapWriter",
    "Heatmaps",
    "Legend",
    "Method",
    "Occlusion",
    "blended",
    "coloured",
    "draw",
    "heatmaps_for",
    "heats_of",
    "onto_image",
    "panel",
    "scaled",
    "veil",
    "worth_showing",
]
