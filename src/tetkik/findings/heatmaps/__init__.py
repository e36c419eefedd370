"""Where a network looked: class activation maps, Grad-CAM, occlusion; on the image, as a picture."""

from tetkik.findings.heatmaps.choice import Occlusion, heatmaps_for
from tetkik.findings.heatmaps.method import Heatmaps, Method, onto_image
from tetkik.findings.heatmaps.overlay import Heat, panel, veil
from tetkik.findings.heatmaps.writer import HeatmapWriter, heats_of

__all__ = [
    "Heat",
    "HeatmapWriter",
    "Heatmaps",
    "Method",
    "Occlusion",
    "heatmaps_for",
    "heats_of",
    "onto_image",
    "panel",
    "veil",
]
