"""Makers of tiny bundles: a real ONNX network whose few weights are set by hand to answer bright blobs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tetkik.bundle import Bundle, Manifest, Metric, Task, open_bundle, write_manifest
from tetkik.imaging.prepare import Preprocessing
from tetkik.language import Sentence
from tetkik.values import FINDING_LABELS, FileFormat, Fit, Radiograph

SIZE = 64
TAUGHT = ("Nodule", "Effusion", "Normal", "Glioma", "Meningioma", "Pituitary", "No_Tumor")
"""Labels that the tiny network answers: a bright blob speaks for the ills and against the normal ones."""
PREPROCESSING = Preprocessing(size=SIZE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def blob_filter(side: int = 11) -> NDArray[np.float32]:
    """(side, side): bright in the middle and dark around it, with sum 0; a flat image gives nothing."""
    place = np.arange(side) - side // 2
    square = place[:, None] ** 2 + place**2
    narrow, wide = np.exp(-square / 8), np.exp(-square / 32)
    kernel: NDArray[np.float32] = (narrow / narrow.sum() - wide / wide.sum()).astype(np.float32)
    return kernel


def blob_network(
    signs: Sequence[float], *, gain: float = 4000.0, channels: int = 3, size: int = SIZE, maps: bool = True
) -> onnx.ModelProto:
    """A network: blob filter, ReLU, mean over the image, one weight and one bias a label.

    Args:
        signs: for each label, the weight of the blob's answer over `gain`.
        gain: how strongly the logit answers.
        channels: of the image.
        size: side of the image.
        maps: whether the maps before the mean are a second output.
    """
    kernel = np.broadcast_to(blob_filter() / channels, (1, channels, 11, 11)).astype(np.float32)
    weights = np.asarray(signs, np.float32)[:, None, None, None] * gain
    bias = np.where(np.asarray(signs) > 0, -2.0, 2.0).astype(np.float32)
    constants = {
        "kernel": kernel,
        "floor": np.array([-0.05], np.float32),
        "weights": weights,
        "bias": bias,
        "plane": np.array([2, 3], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["image", "kernel", "floor"], ["answer"], pads=[5, 5, 5, 5], strides=[2, 2]),
        helper.make_node("Relu", ["answer"], ["blobs"]),
        helper.make_node("Conv", ["blobs", "weights"], ["maps"]),
        helper.make_node("ReduceMean", ["maps", "plane"], ["means"], keepdims=0),
        helper.make_node("Add", ["means", "bias"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["scores"]),
    ]
    count, half = len(signs), size // 2
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", count])]
    if maps:
        outputs.append(helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["n", count, half, half]))
    graph = helper.make_graph(
        nodes,
        "blobs",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", channels, size, size])],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def blob_image(row: float, column: float, *, rows: int = SIZE, columns: int = SIZE) -> Radiograph:
    """A dark image with one bright blob; `row` and `column` are shares of height and width."""
    y, x = np.mgrid[:rows, :columns]
    # A blob as wide as the filter expects it once the image is a square of `SIZE`.
    square = ((y / rows - row) ** 2 + (x / columns - column) ** 2) * SIZE**2
    pixels = np.rint(40 + 180 * np.exp(-square / 10)).astype(np.uint8)
    return Radiograph(pixels, 255, FileFormat.PNG, hashlib.sha256(pixels.tobytes()).hexdigest())


def make_findings_bundle(
    folder: Path,
    *,
    taught: Sequence[str] = TAUGHT,
    labels: Sequence[str] = FINDING_LABELS,
    calibration: Mapping[str, Any] | None = None,
    metrics: Sequence[Metric] = (),
    thresholds: Mapping[str, float] | None = None,
    fit: Fit = Fit.SQUASH,
    maps: bool = True,
    **changes: object,
) -> Bundle:
    """A sound bundle of findings with the blob network.

    Args:
        folder: where; made here.
        taught: labels with a threshold.
        labels: every output.
        calibration: as in a manifest; None gives Platt's with the identity for each taught label.
        metrics: measured figures.
        thresholds: None gives 0.5 for each taught label.
        fit: how an oblong image becomes a square.
        maps: whether the network hands out class activation maps.
        changes: other keys of the manifest.
    """
    folder.mkdir(parents=True)
    signs = [-1.0 if label in ("Normal", "No_Tumor") else 1.0 for label in labels]
    (folder / "model.onnx").write_bytes(blob_network(signs, maps=maps).SerializeToString())
    (folder / "README.md").write_text("# Blobs\n", encoding="utf-8")
    if calibration is None:
        platt = {label: [1.0, 0.0] for label in taught}
        calibration = {"kind": "platt", "threshold_on": "probability", "labels": platt}
    preprocessing = Preprocessing(SIZE, PREPROCESSING.mean, PREPROCESSING.std, fit)
    fields: dict[str, object] = {
        "id": "findings-blobs",
        "version": "1.0",
        "task": Task.FINDINGS,
        "kind": "mobilenet_v2",
        "labels": tuple(labels),
        "preprocessing": preprocessing.as_json(),
        "thresholds": dict(thresholds) if thresholds is not None else dict.fromkeys(taught, 0.5),
        "calibration": dict(calibration),
        "metrics": tuple(metrics),
        "created": "2026-01-01",
    }
    write_manifest(folder, Manifest.model_validate({**fields, **changes}))
    return open_bundle(folder)


def sensitivity(label: str, low: float) -> Metric:
    """A measured sensitivity of a label with the lower end of its interval."""
    return Metric(
        name=f"sensitivity:{label}",
        value=(1 + low) / 2,
        low=low,
        high=1.0,
        n=200,
        data="blobs",
        split=(Sentence("test"),),
    )
