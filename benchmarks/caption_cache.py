"""Bytes on the disk of a captioner's image features, written as training writes them, in true shapes.

    python benchmarks/caption_cache.py [--base Salesforce/blip2-opt-6.7b] [--images 100]

The network is built from its sizes alone, and its features are random numbers: what they are does not change
their bytes. The cut is the one that training chooses with an adapter in the language model.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from figures import judged, record
from tetkik.lab.caption.training.features import (
    cache_place,
    feature_numbers,
    split_store,
    write_features,
)
from tetkik.lab.caption.training.options import CaptionTraining
from tetkik.lab.caption.training.plan import (
    ROCOV2_ROWS,
    ROCOV2_VALID,
    config_of,
    plan_training,
    planned_network,
)
from tetkik.lab.engine.precision import Precision
from tetkik.language import Language

ROCOV2_IMAGES = 79_789
"""Of all three splits (Rückert et al., 2024)."""
ASKED = 4.0
"""GB."""


def measured(network: Any, images: int) -> float:
    """Bytes of one image, from the files of so many."""
    network.frozen_features = lambda pixels: torch.randn(len(pixels), *network.feature_shape())
    size = network.image.size
    part = SimpleNamespace(
        ids=[str(row) for row in range(images)],
        squares=lambda rows: np.zeros((len(rows), size, size, 3), np.uint8),
    )
    alone = SimpleNamespace(process_index=0, num_processes=1, device=torch.device("cpu"))
    # No weights are there to be hashed.
    key = {"shape": network.feature_shape(), "dtype": feature_numbers(Precision.FP16).name}
    with tempfile.TemporaryDirectory() as folder:
        store = split_store(Path(folder), key, "train", "0" * 64)
        write_features(
            alone,
            network,
            part,  # type: ignore[arg-type]
            store,
            batch=8,
            precision=Precision.FP16,
            progress=lambda *_: None,
        )
        return sum(file.stat().st_size for file in store.folder.iterdir()) / images


def main() -> None:
    """Print the bytes and record them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default=CaptionTraining().base)
    parser.add_argument("--images", type=int, default=100)
    arguments = parser.parse_args()
    options = CaptionTraining(base=arguments.base, precision=Precision.FP16)
    network = planned_network(options, config_of(options.base), torch.float16)
    print(cache_place(network).in_language(Language.EN))
    each = measured(network, arguments.images)
    every, trained = (count * each / 1e9 for count in (ROCOV2_IMAGES, ROCOV2_ROWS + ROCOV2_VALID))
    cache = plan_training(options, None, "16GB").cache
    assert cache is not None
    print(
        f"{each:,.0f} bytes an image ({arguments.images} written); ROCOv2: {every:.2f} GB, training and "
        f"validation {trained:.2f} GB, planned {cache.size / 1e9:.2f} GB."
    )
    if arguments.base == CaptionTraining().base:
        cell = judged(f"{every:.2f} ({trained:.2f}; {cache.size / 1e9:.2f})", met=every < ASKED)
        record("caption-training/feature-cache", {"reached": cell})


if __name__ == "__main__":
    main()
