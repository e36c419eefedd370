"""Which method a model allows: the exact one before the approximate, the quick one before the slow."""

from __future__ import annotations

from tetkik.findings.heatmaps.activation import ActivationMaps, gives_maps
from tetkik.findings.heatmaps.method import Heatmaps
from tetkik.findings.heatmaps.occlusion import Occlusion
from tetkik.findings.interface import FindingsModel


def heatmaps_for(model: FindingsModel) -> Heatmaps:
    """The best way to say where `model` looked: its own maps, Grad-CAM for one on torch, or occlusion."""
    if gives_maps(model):
        return ActivationMaps(model)
    network = getattr(model, "network", None)
    if network is not None:
        from tetkik.findings.heatmaps.grad_cam import GradCam

        return GradCam(network, model.preprocessing)
    return Occlusion(model)
