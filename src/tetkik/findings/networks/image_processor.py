"""The image processor of a model of transformers, followed to the last digit or refused; and ours as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tetkik.errors import BundleCorrupt
from tetkik.imaging.prepare import Preprocessing, Resample, prepare
from tetkik.networks.huggingface import quiet_transformers, read_config
from tetkik.values import FileFormat, Fit, Radiograph

_FILES = ("preprocessor_config.json", "processor_config.json")
PROCESSOR = _FILES[0]
_TRIED = ((61, 90), (97, 64), (300, 257))
"""Rows and columns of the images on which a processor is tried: oblong both ways, smaller and larger."""
_TOLERANCE = 1e-5
"""Of the largest number that the processor gives."""


def has_processor(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _FILES)


def read_preprocessing(folder: Path) -> Preprocessing:
    """What the image processor in `folder` does to a grey image, by Pillow.

    What its settings seem to ask for is tried: unless it gives the processor's own numbers, it is refused.

    Raises:
        BundleCorrupt: there is no processor, or one that cannot be followed.
    """
    if not has_processor(folder):
        raise BundleCorrupt(
            "{path} has no preprocessor_config.json, which says how images are prepared; copy that of the "
            "model that it was fine-tuned from into the folder.",
            path=folder,
        )
    try:
        processor = _open(folder)
        one_channel = read_config(folder).get("num_channels") == 1
        images = [_noise(rows, columns) for rows, columns in _TRIED]
        theirs = [_processed(processor, image, one_channel=one_channel) for image in images]
        for candidate in _candidates(processor, one_channel=one_channel):
            if all(_same(prepare(image, candidate), own) for image, own in zip(images, theirs, strict=True)):
                return candidate
    # Whatever a foreign processor raises must end in one sentence.
    except Exception as error:
        raise BundleCorrupt(
            "{path}: its image processor cannot be used ({fault}); correct its preprocessor_config.json.",
            path=folder,
            fault=f"{type(error).__name__}: {error}".splitlines()[0],
        ) from None
    raise BundleCorrupt(
        "{path}: its image processor ({kind}) does what Tetkik cannot do, or gives no square of one size; "
        "write a preprocessor_config.json that resizes, crops the middle and scales.",
        path=folder,
        kind=type(processor).__name__,
    )


def _open(folder: Path) -> Any:
    import transformers

    # By Pillow, also where torchvision is installed: the two differ, and this is what serves.
    by_pillow = {"use_fast": False} if transformers.__version__.startswith("4.") else {"backend": "pil"}
    with quiet_transformers():
        return transformers.AutoImageProcessor.from_pretrained(folder, trust_remote_code=False, **by_pillow)


def _noise(rows: int, columns: int) -> Radiograph:
    pixels = np.random.default_rng(rows).integers(0, 256, (rows, columns), np.uint8)
    return Radiograph(pixels, 255, FileFormat.PNG, "")


def _processed(processor: Any, image: Radiograph, *, one_channel: bool) -> NDArray[np.float32]:
    picture = Image.fromarray(image.pixels)
    given = processor(picture if one_channel else picture.convert("RGB"), return_tensors="np")
    return np.asarray(given["pixel_values"][0], np.float32)


def _same(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> bool:
    if ours.shape != theirs.shape:
        return False
    return bool(np.abs(ours - theirs).max() <= _TOLERANCE * np.abs(theirs).max())


def _candidates(processor: Any, *, one_channel: bool) -> Iterator[Preprocessing]:
    """What the settings can mean; classes of processors differ in what they do with the same settings."""
    mean, std = _scaling(processor)
    if one_channel:
        mean, std = mean[:1], std[:1]
    number = getattr(processor, "resample", None)
    resample = Resample[Image.Resampling(Image.Resampling.BILINEAR if number is None else int(number)).name]
    for size, resized, fit in _shapes(processor):
        yield Preprocessing(
            size=size,
            mean=mean,
            std=std,
            fit=fit,
            resized=None if resized == size else resized,
            resample=resample,
            eight_bit=True,
        )


def _shapes(processor: Any) -> Iterator[tuple[int, int, Fit]]:
    """(size, side before the crop, how it is brought to that side)."""
    size, crop = (_sides(getattr(processor, name, None)) for name in ("size", "crop_size"))
    side = size.get("height") or size.get("shortest_edge")
    if side is None:
        return
    cut = crop.get("height") if getattr(processor, "do_center_crop", False) else None
    sides = {side}
    if share := getattr(processor, "crop_pct", None):
        sides.add(int(side / share))
    for resized in sorted(sides):
        for given in {cut or side, side}:
            if given <= resized:
                yield given, resized, Fit.SQUASH
                yield given, resized, Fit.CROP


def _sides(size: Any) -> dict[str, int]:
    if isinstance(size, int):
        return {"height": size}
    return {key: int(value) for key, value in dict(size or {}).items() if value is not None}


def _scaling(processor: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation for values of 0 to 1, which is how our images come.

    transformers computes (255 v · factor - offset - mean) / std.
    """
    mean, std = _three(0.0), _three(1.0)
    if getattr(processor, "do_normalize", False):
        mean, std = _three(processor.image_mean), _three(processor.image_std)
        if getattr(processor, "include_top", False):  # EfficientNet's divides by it once more
            std = tuple(value * value for value in std)
    factor = 255 * float(processor.rescale_factor) if getattr(processor, "do_rescale", False) else 255
    offset = (
        1.0 if getattr(processor, "rescale_offset", False) or getattr(processor, "offset", False) else 0.0
    )
    # 255 · (1 / 255) is 1 only to the last digit; the manifest should say 0.485.
    return (
        tuple(round((value + offset) / factor, 9) for value in mean),
        tuple(round(value / factor, 9) for value in std),
    )


def _three(values: Any) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in (values if isinstance(values, list | tuple) else [values]))
    return numbers * 3 if len(numbers) == 1 else numbers


def processor_settings(preprocessing: Preprocessing) -> Mapping[str, Any] | None:
    """`preprocessor_config.json` for transformers, which then does to an 8-bit image what we do.

    None where it has no processor for that: an image that is padded, or not resized by Pillow.
    """
    if preprocessing.fit is Fit.PAD or preprocessing.stretch or preprocessing.resample is Resample.GAUSSIAN:
        return None
    square = {"height": preprocessing.size, "width": preprocessing.size}
    resized = preprocessing.resized or preprocessing.size
    squash = preprocessing.fit is Fit.SQUASH
    kind = "BitImageProcessor"
    if squash:
        kind = "ViTImageProcessor" if resized == preprocessing.size else "DeiTImageProcessor"
    return {
        "image_processor_type": kind,
        "do_convert_rgb": preprocessing.channels == 3,
        "do_resize": True,
        "size": {"height": resized, "width": resized} if squash else {"shortest_edge": resized},
        "resample": Image.Resampling[preprocessing.resample.name].value,
        "do_center_crop": kind != "ViTImageProcessor",
        "crop_size": square,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(preprocessing.mean),
        "image_std": list(preprocessing.std),
    }
