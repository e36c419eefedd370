"""The sections of the model card of a captioner. No image and no caption of the data stands in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tetkik.bundle import CardSection
from tetkik.bundle.card import card_words
from tetkik.caption.adapters import trainable_parameters
from tetkik.caption.families.staged import StagedNetwork
from tetkik.caption.options import Learning
from tetkik.lab.caption.prepared import LeftOutReason, Prepared, Split
from tetkik.lab.caption.training.data import SPLITS
from tetkik.lab.caption.training.options import CaptionTraining, OptimizerKind
from tetkik.lab.caption.training.tuning import CaptionTrial, Epoch
from tetkik.lab.engine.card import cell, markdown_table, read_card
from tetkik.lab.engine.trainer import TrainingState
from tetkik.lab.engine.tuning import trials_table

_PLAIN = ["torch", "transformers", "peft", "accelerate", "bitsandbytes", "tokenizers", "safetensors", "numpy"]
LIBRARIES = {**{name: name for name in _PLAIN}, "pillow": "PIL"}
"""What a manifest gives the versions of: the package, and its module."""


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What the card says of the model; the revision is a commit of the hub, None for a folder."""

    family: str
    base: str
    revision: str | None
    learned: int
    weights: int
    cut: str
    precision: str
    processes: int
    device: str


def describe_model(network: StagedNetwork, accelerator: Any, options: CaptionTraining) -> ModelDescription:
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


def counted(prepared: Prepared) -> dict[str, int]:
    """Rows of each split, the test's as its table of contents says."""
    return {split.value: prepared.rows(split) for split in Split}


def left_out(prepared: Prepared) -> dict[str, int]:
    """Rows that could not be used, by reason."""
    report = prepared.details.get("report", {})
    return {str(LeftOutReason[name.upper()]): count for name, count in report.get("left_out", {}).items()}


def make_card(
    prepared: Prepared,
    model: ModelDescription,
    options: CaptionTraining,
    state: TrainingState[Epoch],
    trials: Sequence[CaptionTrial],
) -> tuple[str, list[CardSection]]:
    """The summary and the sections that only the training knows."""
    licences: Counter[str] = Counter()
    for split in SPLITS:
        licences.update(prepared.details["splits"].get(split.value, {}).get("licences", {}))
    tables: dict[str, Mapping[str, int]] = {
        "split": counted(prepared),
        "licence of the training and validation rows": dict(licences.most_common()),
        "left out": left_out(prepared),
    }
    return read_card(
        "tetkik.lab.caption.training",
        options=options,
        adapter=options.adapter,
        source=prepared.source,
        model=model,
        state=state,
        tables=[
            (card_words(title)[0], [(*card_words(name), f"{count:,}") for name, count in counts.items()])
            for title, counts in tables.items()
        ],
        epochs=_epochs(state),
        trials=trials_table(trials),
        cited=_cited(prepared, model, options),
    )


def _epochs(state: TrainingState[Epoch]) -> str:
    return markdown_table(
        card_words("epoch", "training loss", "validation loss", "CIDEr", "ROUGE-L", "captions a second"),
        (
            (
                f"{row.epoch} ({card_words('best epoch')[0]})"
                if row.epoch == state.best_epoch
                else row.epoch,
                *map(cell, (row.training_loss, row.validation_loss, row.cider, row.rouge_l)),
                f"{row.captions_per_second:.1f}",
            )
            for row in state.epochs
        ),
    )


def _cited(prepared: Prepared, model: ModelDescription, options: CaptionTraining) -> list[str]:
    """Keys of papers in the template, each once."""
    about = f"{options.data_name} {prepared.source}".lower()
    keys = [model.family]
    if options.learning is Learning.ADAPTER:
        keys += ["lora"]
        keys += ["rslora"] if options.adapter.rslora else []
        keys += ["dora"] if options.adapter.dora else []
    keys += [options.quantisation.value]
    keys += ["rocov2"] if "rocov2" in about else ["roco"] if "roco" in about else []
    keys += ["adamw"] if options.optimizer is OptimizerKind.ADAMW_8BIT else []
    return list(dict.fromkeys([*keys, options.optimizer.value, "cider", "rouge"]))
