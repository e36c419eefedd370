"""Which labelled images a model of findings learned, told by the squares that it sees of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle import Task
from tetkik.findings.onnx_model import preprocessing_of
from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.engine.learned_rows import LearnedMatch, LearnedRows, Pictures, bundle_of, read_learned
from tetkik.lab.findings.training.decoded_images import decode_image
from tetkik.settings import cores, settings
from tetkik.statistics import Bools
from tetkik.values import ProgressCallback

COMPARING = "looking for learned images"
_BATCH = 256


def match_learned(
    model: str | None, files: Sequence[Path], progress: ProgressCallback
) -> LearnedMatch | None:
    """Which of the images `model` learned, None being the one of the settings; None where it does not tell.

    A file that cannot be read was not learned.
    """
    bundle = bundle_of(settings().findings_model if model is None else model, Task.FINDINGS)
    learned = None if bundle is None else read_learned(bundle)
    if bundle is None or learned is None:
        return None
    pictures, readable = read_pictures(files, preprocessing_of(bundle), progress)
    return learned_among(learned, pictures, readable)


def learned_among(learned: LearnedRows, pictures: Pictures, readable: Bools) -> LearnedMatch:
    """As `match_learned`, of `read_pictures`."""
    match = learned.match_pictures(pictures)
    same, near = np.zeros((2, len(readable)), bool)
    same[readable], near[readable] = match.same, match.near
    return LearnedMatch(same, near, match.complete)


def read_pictures(
    files: Sequence[Path], preprocessing: Preprocessing, progress: ProgressCallback
) -> tuple[Pictures, Bools]:
    """The images that can be read, as a model sees them, and which these are, (files,)."""
    readable = np.zeros(len(files), bool)
    decode = partial(decode_image, preprocessing=preprocessing)

    def batches() -> Iterator[NDArray[np.uint8]]:
        with ThreadPoolExecutor(cores()) as pool:
            for start in range(0, len(files), _BATCH):
                squares = [*pool.map(decode, files[start : start + _BATCH])]
                found = [square for square in squares if square is not None]
                readable[start : start + len(squares)] = [square is not None for square in squares]
                progress(COMPARING, start + len(squares), len(files))
                if found:
                    yield np.stack(found)

    return Pictures.of(batches()), readable
