"""A model of findings with its weights shuffled must know nothing: every AUROC near 0.5.

    python benchmarks/findings_shuffled.py --data DIR [--model findings-mobilenet-cxr] [--shuffles 5]

`--data` is a folder with `labels.csv` and `images/`. Each kernel and matrix of `model.onnx` keeps its numbers
and loses their order. A wrong join of answers and labels, or a label that leaks into the images, would show.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from figures import record
from findings_embedded import UNSELECTED, rows_of
from tetkik.bundle import Task, resolve
from tetkik.imaging.prepare import Preprocessing, prepare
from tetkik.imaging.read import read_image
from tetkik.statistics import auroc
from tetkik.values import NIH_LABELS


def shuffled(file: Path, seed: int) -> bytes:
    """The network with every kernel and matrix in another order."""
    model = onnx.load(file)
    random = np.random.default_rng(seed)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype in (np.float16, np.float32) and values.ndim >= 2:
            mixed = random.permutation(values.ravel()).reshape(values.shape)
            tensor.CopyFrom(numpy_helper.from_array(mixed, tensor.name))
    content: bytes = model.SerializeToString()
    return content


def main(data: Path, name: str, shuffles: int) -> None:
    """Write the table."""
    bundle = resolve(name, Task.FINDINGS)
    preprocessing = Preprocessing.from_json(bundle.manifest.preprocessing)
    rows = [row for row in rows_of(data) if row["source"] == UNSELECTED]
    images = np.stack([prepare(read_image(data / row["file"]), preprocessing) for row in rows])
    areas = np.full((shuffles, len(NIH_LABELS)), np.nan)
    for seed in range(shuffles):
        content = shuffled(bundle.path / "model.onnx", seed)
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        parts = [
            session.run(["scores"], {"image": images[start : start + 16]})[0]
            for start in range(0, len(images), 16)
        ]
        scores = np.concatenate(parts).astype(np.float64)
        for column, label in enumerate(NIH_LABELS):
            positive = np.array([label in row["labels"].split(";") for row in rows])
            areas[seed, column] = auroc(scores[:, bundle.manifest.labels.index(label)], positive)
    print(f"{len(rows)} images, {shuffles} shuffles of {bundle.manifest.id}.\n")
    print("| label | mean AUROC | lowest | highest |\n|---|---|---|---|")
    for column, label in enumerate(NIH_LABELS):
        part = areas[:, column]
        print(f"| {label} | {part.mean():.3f} | {part.min():.3f} | {part.max():.3f} |")
    cells = {"reached": f"{areas.mean():.3f}", "n": f"{len(rows)}"}
    record("findings-quality/shuffled", cells)
    print(
        f"| mean of the labels | {areas.mean():.3f} | {areas.mean(1).min():.3f} | {areas.mean(1).max():.3f} |"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="findings-mobilenet-cxr")
    parser.add_argument("--shuffles", type=int, default=5)
    arguments = parser.parse_args()
    main(arguments.data, arguments.model, arguments.shuffles)
