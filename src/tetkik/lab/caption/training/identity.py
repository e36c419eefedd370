"""The identity of a training for a resume, and what its card says of data and model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from tetkik.caption.adapters import trainable_parameters
from tetkik.caption.network import CaptionNetwork
from tetkik.lab.caption.data import Reason, Split
from tetkik.lab.caption.training.card import DataDescription, ModelDescription
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


def describe_data(prepared: Prepared, options: CaptionTraining) -> DataDescription:
    """What the card says of the data. The rows of the test are counted by the folder's own list."""
    licences: Counter[str] = Counter()
    for split in SPLITS:
        licences.update(prepared.details["splits"].get(split.value, {}).get("licences", {}))
    left_out = prepared.details.get("report", {}).get("left_out", {})
    return DataDescription(
        options.data_name,
        prepared.source,
        {split.value: prepared.rows(split) for split in Split},
        licences,
        {str(Reason[name.upper()]): count for name, count in left_out.items()},
    )


def describe_model(network: CaptionNetwork, accelerator: Any, options: CaptionTraining) -> ModelDescription:
    """What the card says of the model; asked before its frozen part is dropped."""
    learned, weights = trainable_parameters(network)
    cuda = accelerator.device.type == "cuda"
    return ModelDescription(
        network.family,
        network.base,
        network.revision,
        learned,
        weights,
        network.cut.value,
        options.precision.value,
        accelerator.num_processes,
        torch.cuda.get_device_name(accelerator.device) if cuda else accelerator.device.type.upper(),
    )
