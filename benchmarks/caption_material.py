"""What the benchmarks of captioners train: models of chosen proportions, and invented data."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Proportions:
    """Sizes of a small BLIP-2 that relate as those of a published one.

    Vision tower : Q-Former : language model are 1.0 : 0.1 : 6.7 billion weights in BLIP-2 OPT-6.7B. The share
    of the vocabulary (its size over width times depth of the language model) is kept too, or a small model
    would spend most of its time on words: 50,304 / (4096 * 32) = 0.38. An image is 257 tokens, then 32
    queries, as in the real one.
    """

    name: str
    width: int
    layers: int
    vocabulary: int
    vision_width: int = 160
    vision_layers: int = 13
    bridge_width: int = 96
    bridge_layers: int = 3
    heads: int = 8
    image: int = 224
    patch: int = 14
    queries: int = 32


SIZES = {
    item.name: item
    for item in (
        Proportions("opt-6.7b", 384, 16, 2304),
        Proportions("opt-2.7b", 256, 14, 2200),
        # The same proportions at three times the size: the ratio is not one of smallness.
        Proportions("opt-6.7b-larger", 640, 17, 4130, vision_width=256, vision_layers=15, bridge_width=160),
        Proportions("tiny", 32, 2, 320, 16, 2, 16, 2, 4, 28, 14, 4),
    )
}


def write_base(size: Proportions, folder: Path) -> None:
    """A BLIP-2 of these proportions with random weights, with tokenizer and processor."""
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import (
        Blip2Config,
        Blip2ForConditionalGeneration,
        Blip2Processor,
        BlipImageProcessor,
        PreTrainedTokenizerFast,
    )

    torch.manual_seed(0)
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    special = [AddedToken(token, special=True) for token in ("<s>", "<pad>", "</s>", "<image>")]
    trainer = trainers.BpeTrainer(
        vocab_size=size.vocabulary,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words.train_from_iterator((sentence(row) for row in range(4000)), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="</s>", eos_token="</s>", pad_token="<pad>"
    )
    tokenizer.image_token = "<image>"
    vocabulary = max(size.vocabulary, len(tokenizer))
    config = Blip2Config(
        vision_config={
            "hidden_size": size.vision_width,
            "intermediate_size": round(size.vision_width * 6144 / 1408),
            "num_hidden_layers": size.vision_layers,
            "num_attention_heads": size.heads,
            "image_size": size.image,
            "patch_size": size.patch,
            "initializer_range": 0.02,
        },
        qformer_config={
            "hidden_size": size.bridge_width,
            "num_hidden_layers": size.bridge_layers,
            "num_attention_heads": size.heads,
            "intermediate_size": 4 * size.bridge_width,
        },
        text_config={
            "model_type": "opt",
            "hidden_size": size.width,
            "word_embed_proj_dim": size.width,
            "ffn_dim": 4 * size.width,
            "num_hidden_layers": size.layers,
            "num_attention_heads": size.heads,
            "vocab_size": vocabulary,
            "max_position_embeddings": 512,
            "pad_token_id": 1,
            "bos_token_id": 2,
            "eos_token_id": 2,
        },
        num_query_tokens=size.queries,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    model = Blip2ForConditionalGeneration(config)
    torch.nn.init.normal_(model.query_tokens, std=0.02)
    model.save_pretrained(folder)
    square = {"height": size.image, "width": size.image}
    Blip2Processor(BlipImageProcessor(size=square), tokenizer, num_query_tokens=size.queries).save_pretrained(
        folder
    )


SYLLABLES = [a + b for a in "bcdfghlmnprstv" for b in ("a", "e", "i", "o", "u", "an", "er", "is")]
WORDS = 2000


def sentence(row: int) -> str:
    """Invented words; as many as captions of ROCO have (median 16, mean 20)."""
    random = np.random.default_rng((7, row))
    count = int(np.clip(np.exp(random.normal(np.log(16), 0.7)), 4, 80))
    # Common words are much more common than rare ones (Zipf), as in any text.
    numbers = np.minimum(random.zipf(1.3, count), WORDS)
    return " ".join(_word(int(number)) for number in numbers) + "."


def _word(number: int) -> str:
    random = np.random.default_rng((11, number))
    return "".join(random.choice(SYLLABLES, size=1 + number % 4))


def write_data(folder: Path, rows: int, valid: int) -> None:
    """Grey JPEG files of a usual size, stored as RGB, with captions: a table that `caption prepare` reads."""
    from PIL import Image

    pictures = folder / "images"
    pictures.mkdir(parents=True)
    with (folder / "captions.csv").open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["file", "caption", "case", "split"])
        for row in range(rows + valid):
            random = np.random.default_rng((3, row))
            coarse = random.integers(0, 256, (24, 28), np.uint8)
            image = Image.fromarray(coarse).resize((700, 600), Image.Resampling.BICUBIC)
            fine = np.clip(np.asarray(image, np.int16) + random.integers(-12, 13, (600, 700)), 0, 255)
            Image.fromarray(fine.astype(np.uint8)).convert("RGB").save(
                pictures / f"{row:05d}.jpg", quality=90
            )
            split = "train" if row < rows else "valid"
            table.writerow([f"images/{row:05d}.jpg", sentence(row), f"case-{row}", split])
