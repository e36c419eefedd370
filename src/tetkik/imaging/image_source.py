"""Where an image comes from: a file, its content, or an image in memory; all are read in the one way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tetkik.errors import InputError, TetkikError
from tetkik.imaging.limits import check_pixels, read_file
from tetkik.imaging.raster import wide_pixels
from tetkik.imaging.read import one_file

_AS_PNG = ("1", "L", "LA", "P", "RGB", "RGBA")
"""Pillow's modes that a PNG keeps as they are."""


@dataclass(frozen=True, slots=True)
class StoredContent:
    """A file that is no path: what errors call it, and what loads its bytes, in any thread."""

    name: str
    load: Callable[[], bytes] = field(repr=False)


Source = Path | str | StoredContent
ImageInput = Source | bytes | Image.Image | NDArray[Any]
"""A path, the bytes of a file, a Pillow image, or an array: grey as (rows, columns), uint8, uint16 or floats
from 0 to 1, or RGB as (rows, columns, 3), uint8 or floats."""


def source_of(image: ImageInput, name: str = "image") -> Source:
    """`image` as what is read; an error calls it `name` where it has no name of its own.

    One in memory becomes a PNG at once, so that it is limited and judged as a file is, and may be changed or
    closed afterwards; what is wrong with it is raised where it is loaded. Of 16 bits, as in a file, the
    fewest of 8, 10, 12, 14 and 16 that hold the brightest pixel are its range; floats are kept to 8.
    """
    if isinstance(image, Path | str | StoredContent):
        return image
    if isinstance(image, bytes):
        content = image
        return StoredContent(name, lambda: content)
    name = str(getattr(image, "filename", "") or name)
    try:
        with one_file(name):
            png = _as_png(image, name)
    except TetkikError as fault:
        return StoredContent(name, partial(_fail, fault))
    return StoredContent(name, lambda: png)


def _fail(fault: TetkikError) -> bytes:
    raise fault


def sources_of(images: Iterable[ImageInput]) -> Iterator[Source]:
    """The same of many; what has no name of its own is called by its number."""
    for number, image in enumerate(images, 1):
        yield source_of(image, f"image {number}")


def name_of(source: Source) -> str:
    return source.name if isinstance(source, StoredContent) else str(source)


def load_content(source: Source) -> bytes:
    """Every byte; `InputError` where it cannot be read."""
    with one_file(name_of(source)):
        return source.load() if isinstance(source, StoredContent) else read_file(Path(source))


def _as_png(image: Image.Image | NDArray[Any], name: str) -> bytes:
    if isinstance(image, Image.Image):
        check_pixels(image.height, image.width, name)
        exif = image.getexif()  # how it is turned, and whether a camera made it
        if image.mode == "F" or image.mode.startswith("I"):
            found = None if image.mode == "F" else wide_pixels(image)
            image = _from_array(np.asarray(image) if found is None else found[0], name)
        elif image.mode not in _AS_PNG:
            image = image.convert("RGB")
    else:
        image, exif = _from_array(image, name), None
    file = BytesIO()
    image.save(file, "PNG", compress_level=1, **({"exif": exif} if exif else {}))
    return file.getvalue()


def _from_array(array: Any, name: str) -> Image.Image:
    if not isinstance(array, np.ndarray) or not array.size:
        raise InputError(
            "{file} is no image (it is of the type {kind}); give a path, bytes, a Pillow image or an array.",
            file=name,
            kind=type(array).__name__,
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    floats, colour = array.dtype.kind == "f", array.ndim == 3 and array.shape[2] == 3
    wide = array.dtype.kind in "ui" and array.dtype.itemsize > 1 and not colour
    if (array.ndim == 2 or colour) and (floats or wide or array.dtype == np.uint8):
        check_pixels(array.shape[0], array.shape[1], name)
        if floats and 0 <= array.min() <= array.max() <= 1:  # no NaN is
            return Image.fromarray(np.rint(array * 255).astype(np.uint8))
        if wide and 0 <= array.min() <= array.max() <= 0xFFFF:
            return Image.fromarray(array.astype(np.uint16))
        if array.dtype == np.uint8:
            return Image.fromarray(array)
    raise InputError(
        "{file} cannot be read as an image ({kind} {shape}); give grey as (rows, columns) in 8 or 16 bits or "
        "floats from 0 to 1, or RGB as (rows, columns, 3) in 8 bits or such floats.",
        file=name,
        kind=str(array.dtype),
        shape=str(array.shape),
    )
