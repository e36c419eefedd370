"""Captions as token numbers and back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.errors import BundleCorrupt
from tetkik.networks.huggingface import quiet_transformers

TOKENIZER = "tokenizer.json"


class CaptionTokenizer:
    """The tokenizer of a language model, for captions; the SHA-256 of its file tells it from others."""

    def __init__(self, tokenizer: Any, fingerprint: str) -> None:
        self.tokenizer = tokenizer
        self.fingerprint = fingerprint
        # `<image>` is special without being one of the tokenizer's named ones.
        added = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
        special = (added | set(tokenizer.all_special_ids)) - {tokenizer.unk_token_id}
        self._special = np.array(sorted(special), np.int32)

    @classmethod
    def open(cls, folder: Path, name: str) -> CaptionTokenizer:
        from transformers import AutoTokenizer

        try:
            with quiet_transformers():
                tokenizer = AutoTokenizer.from_pretrained(
                    folder, local_files_only=True, trust_remote_code=False
                )
        # Whatever a foreign folder holds must end in one sentence.
        except Exception as error:
            raise BundleCorrupt(
                "{name} has no tokenizer that transformers can read ({fault}); give a folder with its "
                "tokenizer.json.",
                name=name,
                fault=type(error).__name__,
            ) from None
        file = folder / TOKENIZER
        content = file.read_bytes() if file.is_file() else tokenizer.backend_tokenizer.to_str().encode()
        return cls(tokenizer, hashlib.sha256(content).hexdigest())

    def encode(self, captions: Sequence[str]) -> list[NDArray[np.int32]]:
        """Token numbers of each caption, without special tokens, even where a caption spells one out."""
        if not captions:
            return []
        rows = self.tokenizer(
            list(captions), add_special_tokens=False, return_attention_mask=False, verbose=False
        )["input_ids"]
        return [self._plain(np.array(row, np.int32)) for row in rows]

    def decode(self, row: Iterable[int]) -> str:
        """The text of token numbers, without special tokens, runs of white space as one space."""
        numbers = self._plain(np.fromiter(row, np.int32)).tolist()
        text: str = self.tokenizer.decode(numbers, clean_up_tokenization_spaces=False)
        return " ".join(text.split())

    def _plain(self, row: NDArray[np.int32]) -> NDArray[np.int32]:
        return row[~np.isin(row, self._special)]
