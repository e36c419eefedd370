"""One image in, its caption out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tetkik.bundle.manifest import Task
from tetkik.bundle.store import Bundle, resolve
from tetkik.caption.families.staged import StagedNetwork
from tetkik.caption.network import DecodingOptions, Generated
from tetkik.caption.options import Quantisation
from tetkik.errors import BundleCorrupt, BundleNotFound, InputError, MissingExtra, TetkikError, UsageError
from tetkik.imaging.image_source import ImageInput, Source, load_content, name_of, source_of, sources_of
from tetkik.imaging.limits import check_bytes, suppress_library_warnings
from tetkik.imaging.raster import COLOUR_OF_JPEG, decode_raster, raster_format
from tetkik.imaging.read import one_file, read_bytes
from tetkik.language import Language, Sentence
from tetkik.settings import settings
from tetkik.values.finding import CaptionResult

if TYPE_CHECKING:
    import torch


# A file becomes a picture in colour, safely: for the shards and for `caption predict` alike.
#
# `tetkik.imaging` reads radiographs and makes them grey. What illustrates an article may be a colour
# Doppler or a fused PET, so PNG, JPEG and TIFF keep their colours here.


_GREYED = Sentence("The colours of this DICOM file are read as grey.")


@dataclass(frozen=True, slots=True, eq=False)
class DecodedPicture:
    """A decoded picture in RGB, what was transparent in black, and nothing of what it says of its patient.

    `mode` is Pillow's name of how the file stores it; notes are what a reader must know.
    """

    image: Image.Image
    mode: str
    notes: tuple[Sentence, ...] = ()


def open_picture(data: bytes, file: str) -> DecodedPicture:
    """The picture in `data`: PNG, JPEG, TIFF or DICOM.

    A raster file of 8 bits keeps its colours, as Pillow decodes them. One of more bits, and every DICOM file,
    becomes what a screen would show of it (PS3.4 N.2.1), in grey: with its window, or the range that it uses.
    """
    if (kind := raster_format(data)) is None:
        read = read_bytes(data, file)
        greyed = (_GREYED,) if read.colour > COLOUR_OF_JPEG else ()
        mode = "L" if read.white <= 0xFF else "I;16"
        return DecodedPicture(_grey(read.pixels, read.white), mode, (*read.notes, *greyed))
    check_bytes(len(data), file)
    try:
        with suppress_library_warnings():
            decoded = decode_raster(data, kind, file)
    except MemoryError:
        raise InputError(
            "{file} needs more memory than there is; free some, or export it smaller.", file=file
        ) from None
    if decoded.white == 0xFF:
        return DecodedPicture(Image.fromarray(decoded.in_colour()), decoded.mode, decoded.notes)
    return DecodedPicture(_grey(decoded.pixels, decoded.white), decoded.mode, decoded.notes)


def _grey(pixels: NDArray[np.uint8] | NDArray[np.uint16], white: int) -> Image.Image:
    shades = np.rint(pixels.astype(np.float32) * (np.float32(0xFF) / np.float32(white)))
    return Image.fromarray(shades.astype(np.uint8)).convert("RGB")


BATCH = 8
"""Images that are captioned together where nothing else is asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A file that was read: its square, (size, size, 3), uint8, and what is to be said of it."""

    square: NDArray[np.uint8]
    notes: tuple[Sentence, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Captioner:
    """A captioner with everything around it; `language` is that of notes, a caption's is English."""

    network: StagedNetwork
    name: str
    language: Language = Language.TR

    def predict(self, image: ImageInput, decoding: DecodingOptions | None = None) -> CaptionResult:
        """The caption of one image.

        Args:
            image: a path, the bytes of a file, a Pillow image, or an array: (rows, columns) in 8 or 16 bits
                or (rows, columns, 3) in 8, or either in floats from 0 to 1.
            decoding: how words are chosen; None is beam search.

        Raises:
            InputError: it cannot be read as an image.
        """
        (item,) = self.predict_many([source_of(image)], decoding, 1)
        if isinstance(item, TetkikError):
            raise item
        return item

    def predict_many(
        self,
        images: Iterable[ImageInput],
        decoding: DecodingOptions | None = None,
        batch_size: int = BATCH,
    ) -> Iterator[CaptionResult | TetkikError]:
        """The captions of many images, in order; an error in the place of one that cannot be read.

        Args:
            images: as for `predict`; taken as they are needed, so there may be any number.
            decoding: how words are chosen; None is beam search.
            batch_size: images that are captioned together. Where memory is short they go in halves.

        Raises:
            BundleCorrupt: the model itself is at fault.
            UsageError: one image alone is too much for the memory.
        """
        decoding = decoding or DecodingOptions()
        sources, done = sources_of(images), 0
        while batch := list(islice(sources, max(1, batch_size))):
            seen = [self._look_at(source) for source in batch]
            squares = [item.square for item in seen if isinstance(item, _Seen)]
            # Another seed for each batch, or the first images of all batches would share their luck.
            made = iter(self._captions(squares, replace(decoding, seed=decoding.seed + done)))
            for source, item in zip(batch, seen, strict=True):
                if isinstance(item, TetkikError):
                    yield item
                    continue
                generated = next(made)
                notes = tuple(note.in_language(self.language) for note in item.notes)
                # Rounding may take a mean of probabilities a little beyond 1.
                sure = None if generated.confidence is None else min(1.0, generated.confidence)
                yield CaptionResult(name_of(source), _plain(generated.text), sure, self.name, notes)
            done += len(batch)

    def _look_at(self, source: Source) -> _Seen | TetkikError:
        try:
            with one_file(name_of(source)):
                picture = open_picture(load_content(source), name_of(source))
                return _Seen(self.network.image.square(picture.image), picture.notes)
        except TetkikError as fault:
            return fault

    def _captions(self, squares: Sequence[NDArray[np.uint8]], decoding: DecodingOptions) -> list[Generated]:
        if not squares:
            return []
        import torch

        try:
            with torch.inference_mode():
                pixels = torch.from_numpy(self.network.image.normalised(np.stack(squares)))
                features = self.network.frozen_features(pixels)
                sound = features.isfinite().all()
                made = self.network.generate(features, decoding) if sound else None
        except torch.cuda.OutOfMemoryError:
            if len(squares) == 1:
                raise UsageError(
                    "One image is too much for the memory of this GPU; use fewer --beams, or --quantisation "
                    "nf4."
                ) from None
        else:
            if made is None or not all(isfinite(item.confidence or 0) for item in made):
                raise BundleCorrupt(
                    "The model {model} gives no finite numbers; its weights are damaged, train or import it "
                    "again.",
                    model=self.name,
                )
            return made
        # Outside of the handler, which would keep what the failed run had reserved.
        torch.cuda.empty_cache()
        half = len(squares) // 2
        return [*self._captions(squares[:half], decoding), *self._captions(squares[half:], decoding)]


def _plain(text: str) -> str:
    """Without what commands a terminal or hides in a text; spaces joined."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def load_caption(
    model: str | Bundle | None = None,
    *,
    base: str | None = None,
    language: Language | None = None,
    quantisation: Quantisation | None = None,
    device: torch.device | None = None,
) -> Captioner:
    """Load a captioner for use: on `device`, or on a GPU where there is one.

    Args:
        model: an id, a path or an opened bundle; None takes the setting `caption_model`.
        base: the weights that an adapter was trained on, as a path or a Hugging Face id; None takes those
            that the bundle names, or the setting `caption_base`.
        language: of notes; None takes the setting `language`.
        quantisation: of the frozen weights; None takes that of the training.

    Raises:
        BundleError: no such model, damaged, or not for captions.
        MissingExtra: torch, transformers or peft is not installed.
    """
    bundle = captioner_bundle(model)
    try:
        import peft  # noqa: F401 - a missing package is reported in one sentence
        import torch
        import transformers  # noqa: F401

        from tetkik.caption.storage import load_captioner
    except ImportError:
        raise MissingExtra(
            "Captions need torch, transformers and peft; `{extra}`.", extra="caption"
        ) from None
    place = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    base = base or settings().caption_base
    network = load_captioner(bundle, base=base, quantisation=quantisation, device=place)
    language = language or settings().language
    return Captioner(network, bundle.manifest.name, language)


def captioner_bundle(model: str | Bundle | None = None) -> Bundle:
    """The bundle of a captioner, as for `load_caption`, verified; no weights are loaded."""
    if isinstance(model, Bundle):
        return model
    model = settings().caption_model if model is None else model
    if not model:
        raise BundleNotFound(
            "There is no captioner, and none ships with Tetkik: train one (`tetkik caption train`) or take "
            "one in (`tetkik models import`), and name it with --model or the setting caption_model."
        )
    return resolve(model, Task.CAPTION)
