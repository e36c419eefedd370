"""A byte-level tokenizer learned from captions (BPE: Sennrich et al., 2016), with OPT's special tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<image>")
PAD, END, UNKNOWN, IMAGE = 1, 2, 3, 4
"""Their numbers; the end of a text is its beginning too."""


def train_tokenizer(texts: Iterable[str], size: int) -> Any:
    """A `PreTrainedTokenizerFast` with at most `size` tokens, learned from `texts`.

    Captions begin with a space to it, so that a word is the same token wherever it stands.

    Args:
        texts: captions for training, no others.
        size: tokens at most, the 256 bytes and 5 special ones among them.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token=_SPECIAL[UNKNOWN]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[AddedToken(token, special=True) for token in _SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=_SPECIAL[END],
        eos_token=_SPECIAL[END],
        pad_token=_SPECIAL[PAD],
        unk_token=_SPECIAL[UNKNOWN],
        extra_special_tokens={"image_token": _SPECIAL[IMAGE]},
    )
