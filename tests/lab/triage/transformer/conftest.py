"""A tiny random BERT and invented complaints of three departments, told apart by their words."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from tetkik.bundle import Bundle
from tetkik.lab.triage.data import Complaints
from tetkik.lab.triage.transformer.data import TransformerOptions
from tetkik.settings import settings

WORDS = {
    "Göz Hastalıkları": ["gözüm", "bulanık", "görüyorum", "kirpik", "yaşarıyor", "gözlük", "ışık", "kapağım"],
    "Dermatoloji": ["cildim", "kaşınıyor", "leke", "sivilce", "döküntü", "kızarık", "pullanıyor", "egzama"],
    "Ortopedi": ["dizim", "şişti", "kırık", "burktum", "omzum", "bileğim", "yürüyemiyorum", "menisküs"],
}
FILLER = [
    "Merhaba",
    "üç",
    "gündür",
    "çok",
    "hocam",
    "İyi",
    "günler",
    "acaba",
    "nedir",
    "sabah",
    "akşam",
    "bazen",
]


def sentences(count: int, seed: int = 0) -> Complaints:
    """`count` complaints, unlike one another."""
    draw = random.Random(seed)
    texts, labels = [], []
    for index in range(count):
        label = list(WORDS)[index % 3]
        words = draw.sample(WORDS[label], 4) + draw.sample(FILLER, 6)
        draw.shuffle(words)
        texts.append(" ".join(words))
        labels.append(label)
    return Complaints(tuple(texts), tuple(labels), {})


def write_base(folder: Path, *, dropout: float = 0.1, configured: bool = True) -> Path:
    """A BERT of 2 layers and 32 dimensions, random weights and a vocabulary of whole words and letters."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    words = sorted({*FILLER, *(word for part in WORDS.values() for word in part)})
    letters = sorted(set("".join(words)))
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    pieces += [piece for letter in letters for piece in (letter, f"##{letter}") if piece not in pieces]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    if configured:
        (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}', encoding="utf-8")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        initializer_range=0.1,
    )
    BertForMaskedLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model as BioBERTurk is published: a cased vocabulary without a tokenizer configuration."""
    return write_base(tmp_path_factory.mktemp("base") / "tiny", configured=False)


def silent(step: str, done: int, total: int | None) -> None:
    """Progress for nobody."""


@pytest.fixture(scope="session")
def options(base: Path) -> TransformerOptions:
    """Settings with which the tiny base learns the three departments in seconds."""
    return TransformerOptions(
        base=str(base),
        id="named-otherwise",
        licence="cc0-1.0",
        data_name="invented",
        epochs=4,
        batch_size=8,
        learning_rate=2e-3,
        max_length=32,
        threads=1,
        checkpoint_steps=4,
    )


@pytest.fixture(scope="session")
def complaints() -> Complaints:
    """240 invented complaints."""
    return sentences(240)


@pytest.fixture(scope="session")
def unseen() -> Complaints:
    """60 others."""
    return sentences(60, seed=1)


@pytest.fixture(scope="session")
def bundle(
    complaints: Complaints, options: TransformerOptions, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    """A whole training, not interrupted, under a setting that its int8 network cannot follow."""
    from tetkik.lab.triage.transformer.train import train_transformer

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TETKIK_DEVICE", "cuda")
        settings.cache_clear()
        trained = train_transformer(complaints, tmp_path_factory.mktemp("whole") / "tiny", options, silent)
    settings.cache_clear()
    return trained


@pytest.fixture(scope="session")
def calm(options: TransformerOptions, tmp_path_factory: pytest.TempPathFactory) -> TransformerOptions:
    """One epoch of a base without dropout, so that the loss does not depend on how a step is parted."""
    base = write_base(tmp_path_factory.mktemp("calm") / "tiny", dropout=0.0)
    return replace(options, base=str(base), epochs=1)
