"""What a training is known by: its data and settings for a resume, its rows for a later evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tetkik.lab.caption.training.data import SPLITS
from tetkik.lab.caption.training.options import CaptionTraining

if TYPE_CHECKING:
    from tetkik.lab.caption.prepared import Prepared


def identity(prepared: Prepared, options: CaptionTraining) -> Mapping[str, Any]:
    """The data and the settings: these must be the same for a resume.

    How a step is cut to fit the memory may change, so that a training that ran out of it can go on.
    """
    files = {split: prepared.files[split].all() for split in SPLITS if split in prepared.files}
    settings = options.as_json()
    del settings["accumulation"], settings["checkpointing"]
    return {
        "data": {split.value: [file.sha256 for file in found] for split, found in files.items()},
        **settings,
    }


def seen_hashes(prepared: Prepared) -> NDArray[np.uint64]:
    """Hashes of every training and validation picture and caption, sorted, each once.

    With them the evaluation of a model tells a test row that the model has seen; a hash tells nothing of the
    picture. 0 stands for a caption too short to be known again, and is left out.
    """
    parts = [prepared.part(split) for split in SPLITS]
    every = [values for part in parts for values in (part.prints, part.caption_prints)]
    found: NDArray[np.uint64] = np.unique(np.concatenate(every))
    kept: NDArray[np.uint64] = found[found != 0]
    return kept
