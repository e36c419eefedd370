"""Image-text models of the real classes with random weights, small enough for a test."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

# Matrices this small are done before a second thread has woken; on a busy computer many wait for each other.
torch.set_num_threads(1)

SENTENCES = (
    "Chest radiograph shows a small left pleural effusion.",
    "Axial CT of the abdomen with a cyst in the right kidney.",
    "Sagittal MRI of the lumbar spine shows disc degeneration.",
    "Ultrasound of the thyroid with a hypoechoic nodule.",
    "Panoramic radiograph of the jaw with an impacted molar.",
    "Coronal CT shows thickening of the maxillary sinus.",
    "Angiogram with narrowing of the left anterior descending artery.",
    "Transthoracic echocardiogram with a vegetation on the mitral valve.",
)
"""Invented captions."""
CLIP = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}


def tiny_tokenizer(language: str = "opt") -> PreTrainedTokenizerFast:
    """A byte-level tokenizer trained on `SENTENCES`, with the special tokens of a language model.

    `opt`: beginning and end are `</s>` (2), as in OPT; `t5`: `<pad>` 0, `</s>` 1; `gemma`: `<pad>` 0, `<eos>`
    1, `<bos>` 2.
    """
    special = {
        "opt": ["<s>", "<pad>", "</s>", "<unk>"],
        "t5": ["<pad>", "</s>", "<unk>"],
        "gemma": ["<pad>", "<eos>", "<bos>", "<unk>"],
    }[language]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        special_tokens=[AddedToken(token, special=True) for token in special],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    eos = "<eos>" if language == "gemma" else "</s>"
    bos = {"opt": "</s>", "t5": None, "gemma": "<bos>"}[language]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=bos, eos_token=eos, pad_token="<pad>", unk_token="<unk>"
    )


def tiny_blip2(
    folder: Path,
    language: str = "opt",
    seed: int = 0,
    *,
    placeholders: bool = True,
    size: int = 28,
    dtype: torch.dtype = torch.float32,
) -> Path:
    """A BLIP-2 of two layers, about 60 thousand weights, in the layout of Hugging Face.

    Args:
        folder: where to; made where it is not there.
        language: `opt`, or `t5` with an encoder.
        seed: of its weights.
        placeholders: as of transformers 4.46: a token `<image>` stands where the image goes. Without, as the
            first checkpoints were.
        size: side of its images in pixels; patches are 7 pixels.
        dtype: of the weights in the file.

    Returns:
        `folder`.
    """
    _without_blocks()
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer(language)
    if placeholders:
        tokenizer.add_tokens([AddedToken("<image>", normalized=False, special=True)], special_tokens=True)
    # A few rows more than there are tokens, as real vocabularies are rounded up.
    vocabulary = len(tokenizer) + (3 if placeholders else 0)
    text = {
        "opt": {
            "model_type": "opt",
            "vocab_size": vocabulary,
            "hidden_size": 32,
            "word_embed_proj_dim": 32,
            "ffn_dim": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 128,
            "pad_token_id": 1,
            "bos_token_id": 2,
            # As in the published checkpoints, whose captions end with a line break.
            "eos_token_id": tokenizer.convert_tokens_to_ids("Ċ"),
            "init_std": 0.2,
        },
        "t5": {
            "model_type": "t5",
            "vocab_size": vocabulary,
            "d_model": 32,
            "d_kv": 8,
            "d_ff": 64,
            "num_layers": 2,
            "num_decoder_layers": 2,
            "num_heads": 4,
            "feed_forward_proj": "gated-gelu",
            "tie_word_embeddings": False,
            "pad_token_id": 0,
            "eos_token_id": 1,
            "bos_token_id": 1,
            "decoder_start_token_id": 0,
        },
    }[language]
    config = Blip2Config(
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": size,
            "patch_size": 7,
            "initializer_range": 0.2,
        },
        qformer_config={
            "vocab_size": 16,
            "hidden_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 48,
            "max_position_embeddings": 16,
            "initializer_range": 0.2,
        },
        text_config=text,
        initializer_range=0.3,
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>") if placeholders else None,
    )
    model = Blip2ForConditionalGeneration(config)
    _unlike_zero(model, seed)
    if language == "t5":
        _say_something(model)
    _save(model, tokenizer, folder, dtype)
    return folder


def tiny_paligemma(folder: Path, seed: int = 0, *, size: int = 28) -> Path:
    """A PaliGemma of two layers in the layout of Hugging Face; returns `folder`."""
    _without_blocks()
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer("gemma")
    tokenizer.add_tokens([AddedToken("<image>", normalized=False, special=True)], special_tokens=True)
    config = PaliGemmaConfig(
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": size,
            "patch_size": 7,
            "vision_use_head": False,
        },
        text_config={
            "model_type": "gemma",
            "vocab_size": len(tokenizer),
            "initializer_range": 0.3,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "head_dim": 8,
            "pad_token_id": 0,
            "eos_token_id": 1,
            "bos_token_id": 2,
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        projection_dim=32,
        hidden_size=32,
    )
    model = PaliGemmaForConditionalGeneration(config)
    _unlike_zero(model, seed)
    _save(model, tokenizer, folder, torch.float32)
    return folder


def _without_blocks() -> None:
    """On a processor with AVX-512 BF16 bitsandbytes packs weights in blocks, which these layers do not fill.

    Its import takes seconds: not for processes that test no captions.
    """
    from bitsandbytes.nn import modules as quantised

    quantised.has_avx512bf16 = lambda: False


def _unlike_zero(model: torch.nn.Module, seed: int) -> None:
    """Biases, gains and query tokens that are no longer 0 or 1, so that a wrong one is seen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim < 2 or name == "query_tokens":
                weight.add_(0.2 * torch.randn(weight.shape, generator=generator))


def _say_something(model: Blip2ForConditionalGeneration) -> None:
    """Let T5's words depend on the image more than on the word before, and rarely be its end."""
    with torch.no_grad():
        model.language_model.decoder.embed_tokens.weight.mul_(0.1)
        for block in model.language_model.decoder.block:
            block.layer[1].EncDecAttention.o.weight.mul_(20)
        model.language_model.lm_head.weight[:2] = 0


def _save(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, folder: Path, dtype: torch.dtype
) -> None:
    import json

    from transformers.utils import logging

    folder.mkdir(parents=True, exist_ok=True)
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    model.to(dtype).save_pretrained(folder)  # type: ignore[operator]
    if shown:
        logging.enable_progress_bar()
    tokenizer.save_pretrained(folder)
    blip2 = model.config.model_type == "blip-2"  # type: ignore[union-attr]
    size = model.config.vision_config.image_size  # type: ignore[union-attr]
    half = [0.5, 0.5, 0.5]
    image = {
        "image_processor_type": "BlipImageProcessor" if blip2 else "SiglipImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "rescale_factor": 1 / 255,
        "resample": 3,
        "size": {"height": size, "width": size},
        "image_mean": CLIP["mean"] if blip2 else half,
        "image_std": CLIP["std"] if blip2 else half,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(image), encoding="utf-8")
    if blip2:
        processor: dict[str, object] = {"processor_class": "Blip2Processor"}
        if model.config.image_token_index is not None:  # type: ignore[union-attr]
            processor["num_query_tokens"] = model.config.num_query_tokens  # type: ignore[union-attr]
        (folder / "processor_config.json").write_text(json.dumps(processor), encoding="utf-8")
