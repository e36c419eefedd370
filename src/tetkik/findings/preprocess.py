"""A file is read, judged by the quality gate and resized; only what prediction needs is kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tetkik.imaging.examples import example
from tetkik.imaging.gate import judge
from tetkik.imaging.gate.judge import Classifier, built_in
from tetkik.imaging.image_source import Source, load_content, name_of
from tetkik.imaging.prepare import Preprocessing, to_square
from tetkik.imaging.read import load_readers, one_file, read_bytes
from tetkik.language import Sentence
from tetkik.values import Equipment, GateResult, Identity, Measured, Radiograph, View

_SAMPLE = 1 << 16


@dataclass(frozen=True, slots=True)
class PreprocessRequest:
    """What to prepare of an image."""

    preprocessing: Preprocessing
    gate: bool = True
    """Whether the quality gate judges it; where not, nothing is refused."""
    ages: tuple[float, float] | None = None
    """Youngest and oldest patient that the network was trained on, in years, where that is known."""
    picture: int = 0
    """The longer side of a picture for display, in pixels; 0 for none."""
    origin: bool = False
    """Whether to tell whose image it is, and where it was made."""


@dataclass(frozen=True, slots=True)
class ImageOrigin:
    """What a file says of its patient and of its making; empty for a raster file."""

    identity: Identity
    equipment: Equipment
    view: View | None


@dataclass(frozen=True, slots=True, eq=False)
class PreparedImage:
    """What prediction needs of an image: small, however large the file was."""

    gate_result: GateResult
    """Of the quality gate; without a route and a reason where it did not judge."""
    square: NDArray[np.float32] | None
    """(size, size), float32, 0 to 1, as `tetkik.imaging.prepare.to_square` gives it; None where the image is
    refused."""
    sha256: str
    notes: tuple[Sentence, ...] = ()
    degraded: bool = False
    picture: NDArray[np.uint8] | None = None
    """(rows, columns), uint8, the image for display, where it was requested."""
    measured: Measured | None = None
    origin: ImageOrigin | None = None


def preprocess(
    image: Radiograph, request: PreprocessRequest, classifier: Classifier | None = None
) -> PreparedImage:
    gate_result = judge(image, request.ages, classifier) if request.gate else GateResult(None)
    read = gate_result.suitable or not request.gate
    return PreparedImage(
        gate_result=gate_result,
        square=to_square(image, request.preprocessing) if read else None,
        sha256=image.sha256,
        notes=image.notes,
        degraded=image.degraded,
        picture=picture_of(image, request.picture) if read and request.picture else None,
        measured=measured(image),
        origin=ImageOrigin(image.identity, image.equipment, image.view) if request.origin else None,
    )


def measured(image: Radiograph) -> Measured:
    """Brightness, contrast and size of an image, and what its file says of its making."""
    # Some tens of thousands of pixels say as much as ten million.
    pixels = image.pixels.ravel()[:: max(1, image.pixels.size // _SAMPLE)]
    mean, deviation = (float(figure) / image.white for figure in (pixels.mean(), pixels.std()))
    return Measured(
        brightness=round(mean, 6),
        contrast=round(deviation, 6),
        side=min(image.rows, image.columns),
        spacing=image.spacing is not None,
        modality=image.tags.modality,
    )


def preprocess_file(source: Source, request: PreprocessRequest) -> PreparedImage:
    """Read a file, judge and prepare it."""
    with one_file(name_of(source)):
        return preprocess(read_bytes(load_content(source), name_of(source)), request)


def preprocess_content(file: tuple[bytes, str, PreprocessRequest]) -> PreparedImage:
    """The same of a file's content, with the name that an error gives it."""
    content, name, request = file
    with one_file(name):
        return preprocess(read_bytes(content, name), request, _gate() if request.gate else None)


def load_all() -> None:
    """Load what preparing an image needs, the model of the gate too."""
    load_readers()
    preprocess_content((example("chest"), "", PreprocessRequest(Preprocessing())))


@cache
def _gate() -> Classifier:
    """Opened once: its files cannot be looked at again from within the sandbox."""
    return built_in()


def picture_of(image: Radiograph, side: int) -> NDArray[np.uint8]:
    """The image in 8 bits, its longer side at most `side` pixels: (rows, columns), uint8."""
    grey = Image.fromarray(image.pixels.astype(np.float32))
    scale = min(1.0, side / max(grey.size))
    width, height = (max(1, round(length * scale)) for length in grey.size)
    small = np.asarray(grey.resize((width, height), Image.Resampling.BILINEAR), np.float32)
    return np.rint(np.clip(small / image.white, 0, 1) * 255).astype(np.uint8)
