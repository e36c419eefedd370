"""What a training says of itself in the model card. No image and no caption of the data stands in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tetkik.bundle import CardSection
from tetkik.caption.network import Cut
from tetkik.caption.options import Learning, Quantisation
from tetkik.lab.caption.training.options import CaptionTraining, OptimizerKind, ScheduleKind
from tetkik.lab.caption.training.progress import Progress
from tetkik.lab.caption.training.tune import Trial, trials_table

LIBRARIES = (
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "bitsandbytes",
    "tokenizers",
    "safetensors",
    "numpy",
    "pillow",
)

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
class DataStory:
    """What the card says of the data.

    Attributes:
        name: what the card calls it.
        source: kind of the source that was prepared.
        counts: rows of each split, the test's as its table of contents says.
        licences: rows of training and validation by licence.
        left_out: rows that could not be used, by reason.
    """

    name: str
    source: str
    counts: Mapping[str, int]
    licences: Mapping[str, int]
    left_out: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ModelStory:
    """What the card says of the model.

    Attributes:
        family: of the base.
        base: its public name.
        revision: commit of the hub's repository; None for a folder.
        learned: weights that learned.
        weights: all.
        cut: the last frozen stage.
        precision: that was computed in.
        processes: that trained together.
        device: in words.
    """

    family: str
    base: str
    revision: str | None
    learned: int
    weights: int
    cut: str
    precision: str
    processes: int
    device: str


def summary(model: ModelStory, data: DataStory) -> str:
    """What the model does, in one paragraph."""
    return (
        f"Describes a radiology image in one English caption. {model.base} taught on {data.name}. Its "
        "caption is an input of low authority: it may name what is not there and leave out what is, and in "
        "a report it never adds a finding."
    )


def card_sections(
    data: DataStory,
    model: ModelStory,
    options: CaptionTraining,
    story: Progress,
    trials: Sequence[Trial],
) -> list[CardSection]:
    """The sections that only the training knows."""
    sections = [
        CardSection("What it is for, and what not", _purpose()),
        CardSection("Data", _data(data)),
        CardSection("Base and recipe", _recipe(model, options)),
        CardSection("Epochs", _epochs(options, story)),
        CardSection("Citations", _citations(data, model, options)),
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
    rows = [f"| {title} | rows |", "|---|---|"]
    return "\n".join([*rows, *(f"| {name} | {count:,} |" for name, count in counts.items())])


def _data(data: DataStory) -> str:
    parts = [
        f"{data.name}, prepared from `{data.source}`. The test split was not opened.",
        _table("split", data.counts),
    ]
    if data.licences:
        ordered = dict(sorted(data.licences.items(), key=lambda item: -item[1]))
        parts.append(_table("licence of the training and validation rows", ordered))
    if data.left_out:
        parts.append(_table("left out", data.left_out))
    return "\n\n".join(parts)


def _recipe(model: ModelStory, options: CaptionTraining) -> str:
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


def _frozen(model: ModelStory, options: CaptionTraining) -> str:
    cut = Cut(model.cut)
    if cut is Cut.NOTHING:
        return "- Nothing between the image and the caption was frozen as a whole."
    last = {Cut.VISION: "vision tower", Cut.BRIDGE: "Q-Former", Cut.PROJECTION: "projection"}[cut]
    how = "computed once and kept on disk" if options.cache_features else "computed again in each epoch"
    return f"- Frozen up to the {last}, whose output for each image was {how}."


def _epochs(options: CaptionTraining, story: Progress) -> str:
    def cell(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    rows = [
        "| epoch | training loss | validation loss | CIDEr | ROUGE-L | captions a second |",
        "|---|---|---|---|---|---|",
    ]
    for row in story.epochs:
        mark = " (kept)" if row.epoch == story.best_epoch else ""
        rows.append(
            f"| {row.epoch}{mark} | {row.training_loss:.4f} | {cell(row.validation_loss, '.4f')} "
            f"| {cell(row.cider, '.4f')} | {cell(row.rouge_l, '.4f')} | {row.captions_per_second:.1f} |"
        )
    kept = (
        f"Losses are in nats a token. The epoch was chosen by `{options.stop_by.value}` on validation."
        if story.best_epoch
        else "Losses are in nats a token. There was no validation split, so the last epoch was kept."
    )
    skipped = (
        f" Loss scaling left {story.skipped} steps out, whose gradients were too large for fp16."
        if story.skipped
        else ""
    )
    return "\n".join(rows) + f"\n\n{kept}{skipped}\n\n![Curves of the training](curves.png)"


def _citations(data: DataStory, model: ModelStory, options: CaptionTraining) -> str:
    about = f"{data.name} {data.source}".lower()
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
