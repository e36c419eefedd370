"""A small BLIP-2 is written in the layout of Hugging Face, so that `caption train --base` opens it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from small_blip2.options import SmallBase
from small_blip2.tokenizer import END, IMAGE, PAD, train_tokenizer
from tetkik.bundle import staged_folder
from tetkik.caption.families.loading import require
from tetkik.caption.image_spec import ImageSpec
from tetkik.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from tetkik.values import ProgressCallback

DETAILS = "tetkik_base.json"
"""What the base was made from."""
_PATCH = 16


@dataclass(frozen=True, slots=True)
class WrittenBase:
    """A base that was written.

    Attributes:
        folder: where.
        weights: how many.
        vision: of them in the vision tower.
        vocabulary: tokens.
        texts: how many the language model has read; 0 where its weights are random.
        text_loss: of the last pass over them, nats a token; None where there were none.
    """

    folder: Path
    weights: int
    vision: int
    vocabulary: int
    texts: int
    text_loss: float | None


def write_base(
    out: Path,
    *,
    captions: Sequence[str],
    backbone: Path | None = None,
    texts: Sequence[str] = (),
    options: SmallBase | None = None,
    progress: ProgressCallback,
) -> WrittenBase:
    """Write a small BLIP-2 at `out`: a vision tower, a Q-Former and an OPT of a few layers.

    The tokenizer is learned from `captions` and `texts`. Where there are texts, the language model reads them
    before it is written; the Q-Former's weights are random.

    Args:
        out: the folder; an earlier base there is replaced.
        captions: of the training split, no others.
        backbone: a MobileNetV2 with folded batch norm, for the vision tower; None takes a vision transformer
            with random weights.
        texts: captions without images.
        options: the sizes.
        progress: called with how far it is.

    Raises:
        DataError: no caption.
        InputError: a backbone that cannot be used.
        OutputError: `out` holds something else.
        MissingExtra: torch or transformers is not installed.
    """
    require("torch", "transformers")
    import torch

    from tetkik.networks.huggingface import quiet_transformers

    options = options or SmallBase()
    if not any(caption.strip() for caption in captions):
        raise DataError("There is no training caption from which a tokenizer could be learned; prepare some.")
    with staged_folder(out, _is_base) as folder, quiet_transformers():
        tokenizer = train_tokenizer([*captions, *texts], options.vocabulary)
        torch.manual_seed(options.seed)
        model = _model(options, len(tokenizer), backbone)
        loss = None
        if texts:
            from small_blip2.language import warm_up

            # Not the captions: a model that knows them by heart has no need to look at their images.
            rows = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
            loss = warm_up(model.language_model, rows, options, progress)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        _write_processor(folder, options)
        written = WrittenBase(
            out, _count(model), _count(model.vision_model), len(tokenizer), len(texts), loss
        )
        _write_details(folder, written, options, backbone)
    return written


def _model(options: SmallBase, vocabulary: int, backbone: Path | None) -> Any:
    from transformers import Blip2ForConditionalGeneration

    config = _config(options, vocabulary, with_backbone=backbone is not None)
    if backbone is None:
        model = Blip2ForConditionalGeneration(config)
    else:
        from tetkik.caption.families.blip2 import SmallBlip2

        weights = read_backbone(backbone)
        model = SmallBlip2(config)
        model.vision_model.load_state_dict(weights)
    # Queries that are all alike would stay alike.
    model.query_tokens.data.normal_(std=0.02)
    return model.eval()


def _config(options: SmallBase, vocabulary: int, *, with_backbone: bool) -> Any:
    from transformers import Blip2Config

    config = Blip2Config(
        vision_config=_tower(options) if with_backbone else _transformer(options),
        qformer_config={
            "vocab_size": 1,
            "hidden_size": options.width,
            "num_hidden_layers": options.qformer_layers,
            "num_attention_heads": options.heads,
            "intermediate_size": 4 * options.width,
            "cross_attention_frequency": 1,
            "max_position_embeddings": options.queries,
            "hidden_dropout_prob": options.dropout,
            "attention_probs_dropout_prob": options.dropout,
        },
        text_config={
            "model_type": "opt",
            "vocab_size": vocabulary,
            "hidden_size": options.width,
            "word_embed_proj_dim": options.width,
            "ffn_dim": 4 * options.width,
            "num_hidden_layers": options.layers,
            "num_attention_heads": options.heads,
            "max_position_embeddings": options.longest + options.queries,
            "dropout": options.dropout,
            "bos_token_id": END,
            "eos_token_id": END,
            "pad_token_id": PAD,
        },
        num_query_tokens=options.queries,
        image_token_index=IMAGE,
    )
    if with_backbone:
        config.tetkik_vision = "mobilenet_v2"
    return config


def _transformer(options: SmallBase) -> dict[str, Any]:
    return {
        "hidden_size": options.vision_width,
        "intermediate_size": 4 * options.vision_width,
        "num_hidden_layers": options.vision_layers,
        "num_attention_heads": options.heads,
        "image_size": options.size,
        "patch_size": _PATCH,
        "initializer_range": 0.02,
    }


def _tower(options: SmallBase) -> dict[str, Any]:
    from tetkik.caption.families.blip2 import STRIDE, WIDTH

    # No layers: the transformer that these describe is replaced before it is used.
    return {
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_hidden_layers": 0,
        "num_attention_heads": 1,
        "image_size": options.size,
        "patch_size": STRIDE,
        "tetkik_tokens": (options.size // STRIDE) ** 2,
    }


def _write_processor(folder: Path, options: SmallBase) -> None:
    """What `Blip2Processor.from_pretrained` reads: an image is prepared as for any BLIP-2."""
    usual = ImageSpec()
    image = {
        "image_processor_type": "BlipImageProcessor",
        "processor_class": "Blip2Processor",
        "do_convert_rgb": True,
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "rescale_factor": 1 / 255,
        "resample": usual.resample,
        "size": {"height": options.size, "width": options.size},
        "image_mean": list(usual.mean),
        "image_std": list(usual.std),
    }
    processor = {"processor_class": "Blip2Processor", "num_query_tokens": options.queries}
    _write_json(folder / "preprocessor_config.json", image)
    _write_json(folder / "processor_config.json", processor)


def _write_details(folder: Path, written: WrittenBase, options: SmallBase, backbone: Path | None) -> None:
    details = asdict(written) | {
        "folder": None,
        "backbone": None if backbone is None else backbone.name,
        "options": asdict(options),
    }
    del details["folder"]
    _write_json(folder / DETAILS, details)


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _count(model: Any) -> int:
    return sum(weight.numel() for weight in model.parameters())


def _is_base(folder: Path) -> bool:
    return (folder / DETAILS).is_file()


def read_backbone(file: Path) -> dict[str, Tensor]:
    """The convolutions of a MobileNetV2 with folded batch norm, float32, as `MobileNetTower` calls them.

    A pickle is read by torch's restricted unpickler (`weights_only=True`), which runs nothing.
    """
    from tetkik.networks.mobilenet import mobilenet_v2
    from tetkik.networks.state import check_weights, read_tensors, take_apart

    network = mobilenet_v2(1)
    parts = take_apart(file, read_tensors(file), "mobilenet_v2", network, head=False)
    wanted = network.features.state_dict(prefix="features.")
    check_weights(file, "mobilenet_v2", wanted, parts.features)
    return parts.features
