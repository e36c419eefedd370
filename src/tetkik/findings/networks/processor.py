"""The image processor of a model of transformers as our one preprocessing path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tetkik.errors import BundleCorrupt
from tetkik.imaging.prepare import IMAGENET_MEAN, IMAGENET_STD, Fit, Preprocessing
from tetkik.networks.huggingface import read_config

_DEFAULT_SIZE = 224


def read_preprocessing(folder: Path) -> Preprocessing:
    """What `preprocessor_config.json` in `folder` asks for; without one, ImageNet's at the model's own size.

    A processor that resizes both sides squashes; one that resizes the shorter side and crops keeps the
    middle. The margin that some cut off on all sides after that (256 to 224) is kept here, and resampling is
    always bilinear with a widened kernel: scores may differ from transformers' own by a little.
    """
    config = read_config(folder)
    processor = read_config(folder, "preprocessor_config.json")
    if not processor:
        processor = read_config(folder, "processor_config.json").get("image_processor", {})
    try:
        mean, std = _scaling(processor)
        if config.get("num_channels") == 1:
            mean, std = mean[:1], std[:1]
        size, fit = _square(processor, config)
        return Preprocessing(size=size, mean=mean, std=std, fit=fit)
    except (ArithmeticError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleCorrupt(
            "The image processor of {path} asks for what Tetkik cannot do ({fault}); correct its "
            "preprocessor_config.json.",
            path=folder,
            fault=error,
        ) from None


def _scaling(processor: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation for values of 0 to 1, which is how our images come.

    transformers computes (255 v · factor - offset - mean) / std.
    """
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    if processor.get("do_normalize", True):
        mean = _three(processor.get("image_mean", IMAGENET_MEAN))
        std = _three(processor.get("image_std", IMAGENET_STD))
    factor = (
        255 * float(processor.get("rescale_factor", 1 / 255)) if processor.get("do_rescale", True) else 255
    )
    offset = 1.0 if processor.get("rescale_offset") or processor.get("offset") else 0.0
    # 255 · (1 / 255) is 1 only to the last digit; the manifest should say 0.485.
    return (
        tuple(round((value + offset) / factor, 9) for value in mean),
        tuple(round(value / factor, 9) for value in std),
    )


def _three(values: Any) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in (values if isinstance(values, list | tuple) else [values]))
    return numbers * 3 if len(numbers) == 1 else numbers


def _square(processor: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[int, Fit]:
    own = config.get("image_size", _DEFAULT_SIZE)
    own = own[0] if isinstance(own, list) else own
    size = processor.get("size") or processor.get("crop_size") or own
    crop = processor.get("crop_size")
    if isinstance(size, int):
        size = {"height": size, "width": size}
    if isinstance(crop, int):
        crop = {"height": crop, "width": crop}
    if crop and processor.get("do_center_crop"):
        return _side(crop), Fit.SQUASH if "height" in size and size == crop else Fit.CROP
    if "shortest_edge" in size:
        return int(size["shortest_edge"]), Fit.CROP
    return _side(size), Fit.SQUASH


def _side(size: Mapping[str, Any]) -> int:
    if "shortest_edge" in size:
        return int(size["shortest_edge"])
    if size["height"] != size["width"]:
        raise ValueError(f"an input of {size['height']} x {size['width']}")
    return int(size["height"])
