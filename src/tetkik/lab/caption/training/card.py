"""The sections of the model card of a captioner. No image and no caption of the data stands in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tetkik.bundle import CardSection
from tetkik.caption.adapters import trainable_parameters
from tetkik.caption.families.staged import StagedNetwork
from tetkik.caption.network import Cut
from tetkik.caption.options import Learning, Quantisation
from tetkik.lab.caption.data import Reason, Split
from tetkik.lab.caption.prepared import Prepared
from tetkik.lab.caption.training.data import SPLITS
from tetkik.lab.caption.training.epoch import Epoch
from tetkik.lab.caption.training.options import CaptionTraining, OptimizerKind
from tetkik.lab.caption.training.tuning import Trial, trials_table
from tetkik.lab.engine.card import cell, markdown_table
from tetkik.lab.engine.schedule import ScheduleKind
from tetkik.lab.engine.trainer import TrainingState

_PLAIN = ["torch", "transformers", "peft", "accelerate", "bitsandbytes", "tokenizers", "safetensors", "numpy"]
LIBRARIES = {**{name: name for name in _PLAIN}, "pillow": "PIL"}
"""What a manifest gives the versions of: the package, and its module."""

_PAPERS = {
    "blip2": "Li et al., BLIP-2, ICML 2023.",
    "paligemma": "Beyer et al., PaliGemma, arXiv 2407.07726, 2024.",
    "lora": "Hu et al., LoRA, ICLR 2022.",
    "rslora": "Kalajdzievski, Rank stabilization of LoRA, arXiv 2312.03732, 2023.",
    "dora": "Liu et al., DoRA, ICML 2024.",
    "int8": "Dettmers et al., LLM.int8(), NeurIPS 2022.",
    "nf4": "Dettmers et al., QLoRA, NeurIPS 2023.",
    "rocov2": "Rückert et al., ROCOv2, Scientific Data 11 (2024) 688.",
    "roco": "Pelka et al., ROCO, LABELS workshop at MICCAI 2018.",
    "adamw": "Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019.",
    "adamw_8bit": "Dettmers et al., 8-bit optimizers via block-wise quantization, ICLR 2022.",
    "adafactor": "Shazeer and Stern, Adafactor, ICML 2018.",
    "cider": "Vedantam et al., CIDEr, CVPR 2015.",
    "rouge": "Lin, ROUGE, ACL workshop 2004.",
}


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
    return {str(Reason[name.upper()]): count for name, count in report.get("left_out", {}).items()}


def summary(model: ModelDescription, options: CaptionTraining) -> str:
    """What the model does, in one paragraph."""
    return (
        f"Describes a radiology image in one English caption. {model.base} taught on {options.data_name}. "
        "Its caption is an input of low authority: it may name what is not there and leave out what is, and "
        "in a report it never adds a finding."
    )


def card_sections(
    prepared: Prepared,
    model: ModelDescription,
    options: CaptionTraining,
    state: TrainingState[Epoch],
    trials: Sequence[Trial],
) -> list[CardSection]:
    """The sections that only the training knows."""
    sections = [
        CardSection("What it is for, and what not", _purpose()),
        CardSection("Data", _data(prepared, options)),
        CardSection("Base and recipe", _recipe(model, options)),
        CardSection("Epochs", _epochs(options, state)),
        CardSection("Citations", _citations(prepared, model, options)),
    ]
    if trials:
        sections.insert(4, CardSection("Settings tried", trials_table(trials)))
    return sections


def _purpose() -> str:
    return (
        "- For research and education: to draft, to search, to teach, and to compare captioners.\n"
        "- Not for a diagnosis, and not for any decision without a person. A caption sounds as sure where it "
        "is wrong as where it is right, and its figures count words in common with another caption, not "
        "truth.\n"
        "- Captions of published figures speak of what their article is about; they name rare findings more "
        "often than a clinic sees them, and mention arrows and earlier images that are not there.\n"
        "- The figures above are of validation rows, which chose the epoch, so they are too good; "
        "`tetkik caption evaluate` gives those of the test split, which the training did not open. It knows "
        "from `seen.npy`, hashes of every picture and caption seen here, whether a test row is one of them.\n"
        "- No example is shown: images and captions of the data may be those of patients."
    )


def _table(title: str, counts: Mapping[str, int]) -> str:
    return markdown_table((title, "rows"), ((name, f"{count:,}") for name, count in counts.items()))


def _data(prepared: Prepared, options: CaptionTraining) -> str:
    licences: Counter[str] = Counter()
    for split in SPLITS:
        licences.update(prepared.details["splits"].get(split.value, {}).get("licences", {}))
    parts = [
        f"{options.data_name}, prepared from `{prepared.source}`. The test split was not opened.",
        _table("split", counted(prepared)),
    ]
    if licences:
        parts.append(_table("licence of the training and validation rows", dict(licences.most_common())))
    if reasons := left_out(prepared):
        parts.append(_table("left out", reasons))
    return "\n\n".join(parts)


def _recipe(model: ModelDescription, options: CaptionTraining) -> str:
    at = f" at revision `{model.revision}`" if model.revision else ""
    adapter = options.adapter
    if options.learning is Learning.ADAPTER:
        kind = ("DoRA" if adapter.dora else "LoRA") + (", rank-stabilised" if adapter.rslora else "")
        where = ", ".join(f"`{name}`" for name in adapter.targets) or "query and value projections"
        what = (
            f"{kind}, rank {adapter.rank}, alpha {adapter.alpha:g}, dropout {adapter.dropout:g}, on the "
            f"{where} of the language model"
            + (", the attention of the Q-Former" if adapter.qformer else "")
            + (", and the whole projection" if adapter.projection else "")
        )
    else:
        what = "all weights after the vision tower"
    frozen = {Quantisation.NONE: "", Quantisation.INT8: " in 8 bits", Quantisation.NF4: " in 4 bits (NF4)"}
    falling = {
        ScheduleKind.COSINE: "falling as a cosine",
        ScheduleKind.LINEAR: "falling in a line",
        ScheduleKind.CONSTANT: "then constant",
    }
    parts = f"{options.accumulation} part{'s' * (options.accumulation > 1)}"
    lines = [
        f"- Base: `{model.base}`{at} ({model.family}), frozen weights{frozen[options.quantisation]}.",
        f"- What learned: {what}; {model.learned:,} of {model.weights:,} weights "
        f"({model.learned / model.weights:.3%}), in fp32.",
        _frozen(model, options),
        "- Loss: cross-entropy on the tokens of the caption and its end, mean over the tokens of a step"
        + (f", label smoothing {options.smoothing:g}." if options.smoothing else "."),
        f"- {options.optimizer.value}, {options.batch_size} captions a step in {parts}, "
        f"learning rate {options.learning_rate:g} after a rise over {options.warm_up:.0%} of the steps, "
        f"{falling[options.schedule]}; weight decay {options.weight_decay:g}, gradients clipped at 1.",
        f"- Computed in {model.precision} by {model.processes} process{'es' * (model.processes > 1)} on "
        f"{model.device}; captions cut after {options.max_tokens} tokens; seed {options.seed}.",
    ]
    return "\n".join(lines)


def _frozen(model: ModelDescription, options: CaptionTraining) -> str:
    cut = Cut(model.cut)
    if cut is Cut.NOTHING:
        return "- Nothing between the image and the caption was frozen as a whole."
    last = {Cut.VISION: "vision tower", Cut.BRIDGE: "Q-Former", Cut.PROJECTION: "projection"}[cut]
    how = "computed once and kept on disk" if options.cache_features else "computed again in each epoch"
    return f"- Frozen up to the {last}, whose output for each image was {how}."


def _epochs(options: CaptionTraining, state: TrainingState[Epoch]) -> str:
    table = markdown_table(
        ("epoch", "training loss", "validation loss", "CIDEr", "ROUGE-L", "captions a second"),
        (
            (
                f"{row.epoch} (kept)" if row.epoch == state.best_epoch else row.epoch,
                *map(cell, (row.training_loss, row.validation_loss, row.cider, row.rouge_l)),
                f"{row.captions_per_second:.1f}",
            )
            for row in state.epochs
        ),
    )
    kept = (
        f"Losses are in nats a token. The epoch was chosen by `{options.stop_by.value}` on validation."
        if state.best_epoch
        else "Losses are in nats a token. There was no validation split, so the last epoch was kept."
    )
    skipped = (
        f" Loss scaling left {state.skipped} steps out, whose gradients were too large for fp16."
        if state.skipped
        else ""
    )
    return f"{table}\n\n{kept}{skipped}\n\n![Curves of the training](curves.png)"


def _citations(prepared: Prepared, model: ModelDescription, options: CaptionTraining) -> str:
    about = f"{options.data_name} {prepared.source}".lower()
    keys = [model.family]
    if options.learning is Learning.ADAPTER:
        keys += ["lora"]
        keys += ["rslora"] if options.adapter.rslora else []
        keys += ["dora"] if options.adapter.dora else []
    keys += [options.quantisation.value]
    keys += ["rocov2"] if "rocov2" in about else ["roco"] if "roco" in about else []
    keys += ["adamw"] if options.optimizer is OptimizerKind.ADAMW_8BIT else []
    keys += [options.optimizer.value, "cider", "rouge"]
    return "\n".join(f"- {_PAPERS[key]}" for key in dict.fromkeys(keys) if key in _PAPERS)
