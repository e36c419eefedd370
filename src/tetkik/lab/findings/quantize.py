"""A network of findings in int8: a quarter of the bytes, and faster where the processor multiplies int8 well.

What that means, by processor (`lscpu` names the flags):

- `avx512_vnni` or `avx_vnni`: one instruction multiplies and adds four int8 pairs a lane, four times what
  fp32 does in it; `amx_int8` multiplies whole tiles, and is faster again.
- `avx2` alone: it takes three instructions, so that int8 arithmetic is at most a third faster than fp32, and
  the rest of the gain comes from moving fewer bytes.

Weights use all 8 bits. With AVX2 alone ONNX Runtime adds two products in 16 bits, which extreme values
overflow. 7 bits would rule that out, as
https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html advises, and cost more than it
does where it was tried; `tetkik findings compare` says what int8 costs a model of yours.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle import (
    Bundle,
    CardSection,
    Task,
    bundle_id,
    finish_bundle,
    open_bundle,
    staged_folder,
)
from tetkik.errors import InputError, MissingExtra, TrainingError
from tetkik.findings.onnx_model import OnnxFindings, OrtSession, preprocessing_of
from tetkik.imaging.prepare import prepare
from tetkik.imaging.read import read_image
from tetkik.lab.engine.card import today
from tetkik.lab.engine.learned_rows import LEARNED
from tetkik.language import translate
from tetkik.settings import settings
from tetkik.values import ProgressCallback

LEAST_IMAGES = 16
_BATCH = 8
_HELD_OUT = 4
"""Each fourth image is not calibrated on: the difference is measured on these."""
_WEIGHTED = ("Conv", "Gemm", "MatMul")
_QUANTISED = (*_WEIGHTED, "Add", "AveragePool", "Clip", "GlobalAveragePool", "MaxPool", "Mul", "Relu")


@dataclass(frozen=True, slots=True)
class Quantised:
    """An int8 ONNX file, and its differences from fp32 on images not calibrated on."""

    file: Path
    difference: float
    """The largest of a score."""
    mean_difference: float
    calibrated: int
    compared: int


def to_int8(source: Path, images: NDArray[np.float32], target: Path) -> Quantised:
    """Write `source` with int8 weights (a scale a channel) and int8 activations with fixed ranges.

    The range of an activation is the mean, over batches of eight of three quarters of `images`, of the least
    and of the greatest value: one odd image does not widen it. The classifier and what follows it stay fp32,
    and so does the joining of maps, whose parts differ too much in range for one scale.

    Args:
        source: fp32 ONNX with the input `image` and the output `scores`.
        images: (images, channels, size, size), float32, of the kind that the network will see.

    Raises:
        MissingExtra: the package onnx is not installed.
        TrainingError: ONNX Runtime cannot quantise this network.
    """
    held_out = np.arange(len(images)) % _HELD_OUT == _HELD_OUT - 1
    try:
        _quantise(source, images[~held_out], target)
    except ImportError:
        raise MissingExtra("Quantising needs the package onnx; `{extra}`.", extra="torch") from None
    # The quantiser's own exceptions have no common root but this one.
    except Exception as error:
        raise TrainingError(
            "This network cannot be made int8 ({fault}); use it in fp32.", fault=type(error).__name__
        ) from None
    before, after = (_scores(file, images[held_out]) for file in (source, target))
    differences = np.abs(before - after)
    calibrated, compared = int((~held_out).sum()), int(held_out.sum())
    return Quantised(target, float(differences.max()), float(differences.mean()), calibrated, compared)


def _quantise(source: Path, images: NDArray[np.float32], target: Path) -> None:
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from tetkik.lab.engine.exporters import quiet_exporter

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """The images in batches, once, in an order that mixes their sources."""

        def __init__(self) -> None:
            order = np.random.default_rng(0).permutation(len(images))
            self._batches = iter(np.array_split(order, -(-len(order) // _BATCH)))

        def get_next(self) -> dict[str, Any] | None:
            rows = next(self._batches, None)
            return None if rows is None else {"image": images[rows]}

    with quiet_exporter(), TemporaryDirectory(prefix=".int8-", dir=target.parent) as folder:
        folded = Path(folder) / "folded.onnx"
        # Batch norm goes into convolutions and half-precision weights become fp32, or nothing would match.
        quant_pre_process(str(source), str(folded), skip_symbolic_shape=True)
        quantize_static(
            str(folded),
            str(target),
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_QUANTISED),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"CalibMovingAverage": True},
            nodes_to_exclude=_tail(folded),
        )


def _tail(file: Path) -> list[str]:
    """The nodes from the outputs back to the last layer with weights, that layer included."""
    import onnx

    graph = onnx.load(file).graph
    maker = {name: node for node in graph.node for name in node.output}
    found: dict[str, Any] = {}
    waiting = [output.name for output in graph.output]
    while waiting:
        node = maker.get(waiting.pop())
        if node is not None and node.name not in found:
            found[node.name] = node
            if node.op_type not in _WEIGHTED:
                waiting.extend(node.input)
    return list(found)


def _scores(file: Path, images: NDArray[np.float32]) -> NDArray[np.float32]:
    session = OrtSession(file)
    parts = [
        session.run(("scores",), images[start : start + _BATCH])[0] for start in range(0, len(images), _BATCH)
    ]
    return np.concatenate(parts)


def quantise_bundle(
    bundle: Bundle, files: Sequence[Path], folder: Path, progress: ProgressCallback, name: str | None = None
) -> Bundle:
    """Write `bundle` with its network in int8.

    Labels, preprocessing, thresholds and calibration are those of `bundle`. Its measured figures are left
    out, for they are another network's: until it is evaluated itself, the int8 model rules nothing out.

    Args:
        bundle: with `model.onnx`.
        files: images of the kind that it will see; a hundred are plenty. Those that cannot be read are left
            out.
        name: id of the bundle; None takes that of `bundle` with `-int8`.

    Raises:
        InputError: too few images that can be read.
        BundleCorrupt: `bundle` has no ONNX network that can be used.
        MissingExtra, TrainingError: as `to_int8`.
        OutputError: `folder` holds something else.
    """
    source = bundle.file("model.onnx")
    OnnxFindings.load(bundle)
    images = _read(bundle, files, progress)
    with staged_folder(folder) as stage:
        done = to_int8(source, images, stage / "model.onnx")
        manifest = bundle.manifest.model_copy(
            update={
                "id": name or bundle_id(f"{bundle.manifest.id}-int8"),
                "metrics": (),
                "created": today(),
                "training": {
                    **bundle.manifest.training,
                    "int8": {
                        "from": bundle.manifest.name,
                        "calibration_images": done.calibrated,
                        "largest_score_difference": done.difference,
                        "mean_score_difference": done.mean_difference,
                        "compared_images": done.compared,
                    },
                },
            }
        )
        language = settings().language
        section = CardSection(
            "int8",
            translate(
                "Made from {model}, whose card says what it learned from. Ranges come from {calibrated} "
                "images; on {compared} others the scores differ from fp32 by {mean:.4f} on average and "
                "{most:.4f} at most. Thresholds and calibration are those of the fp32 network. Nothing was "
                "measured with this one: evaluate it before use.",
                language,
                model=bundle.manifest.name,
                calibrated=done.calibrated,
                compared=done.compared,
                mean=done.mean_difference,
                most=done.difference,
            ),
        )
        summary = translate("{model} with its network in int8.", language, model=bundle.manifest.name)
        if LEARNED in bundle.manifest.files:
            shutil.copyfile(bundle.file(LEARNED), stage / LEARNED)
        finish_bundle(stage, manifest, summary, [section])
    return open_bundle(folder, Task.FINDINGS)


def _read(bundle: Bundle, files: Sequence[Path], progress: ProgressCallback) -> NDArray[np.float32]:
    preprocessing = preprocessing_of(bundle)
    images = []
    for number, file in enumerate(files, 1):
        with suppress(InputError):
            images.append(prepare(read_image(file), preprocessing))
        progress("images", number, len(files))
    if len(images) < LEAST_IMAGES:
        raise InputError(
            "Only {count} of the images can be read, and int8 needs at least {least} to take its ranges "
            "from; give more.",
            count=len(images),
            least=LEAST_IMAGES,
        )
    return np.stack(images)
