"""Complaints into token numbers: the same code for training and for answering, without torch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.errors import MissingExtra
from tetkik.statistics import Floats

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TextReader:
    """A `tokenizers.Tokenizer` that cuts complaints at a length, and the number that fills up rows."""

    tokenizer: Any
    pad_id: int

    @classmethod
    def from_json(cls, text: str, max_length: int, pad_id: int) -> TextReader:
        """From the text of a `tokenizer.json`."""
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise MissingExtra(
                "A transformer model needs the package tokenizers; `pip install 'tetkik[onnx]'`."
            ) from None
        tokenizer = Tokenizer.from_str(text)
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length)
        return cls(tokenizer, pad_id)

    def read(self, texts: Sequence[str]) -> list[Ints]:
        """The token numbers of each text, special tokens included, (tokens,), int64."""
        return [np.array(row.ids, dtype=np.int64) for row in self.tokenizer.encode_batch(list(texts))]

    def broken(self, texts: Sequence[str]) -> Floats:
        """The share of each text's words that are no piece of the vocabulary whole, (texts,), float64."""
        unknown = getattr(self.tokenizer.model, "unk_token", None)
        rows = self.tokenizer.encode_batch(list(texts))
        return np.array([_broken(row.word_ids, row.tokens, unknown) for row in rows], np.float64)


def _broken(words: Sequence[int | None], pieces: Sequence[str], unknown: str | None) -> float:
    """The share of words of several pieces, or of the piece `unknown`; a special token's word is None."""
    counts = Counter(word for word in words if word is not None)
    lost = {word for word, piece in zip(words, pieces, strict=True) if piece == unknown}
    return sum(n > 1 or word in lost for word, n in counts.items()) / len(counts) if counts else 0.0


def padded(rows: Sequence[Ints], pad_id: int) -> tuple[Ints, Ints]:
    """Token numbers and their mask, each (rows, longest), int64."""
    ids = np.full((len(rows), max(map(len, rows))), pad_id, dtype=np.int64)
    mask = np.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = 1
    return ids, mask


@dataclass(frozen=True, slots=True)
class Casing:
    """How a tokenizer treats capitals and accents, and what was done about it."""

    cased: bool
    changed: bool


def turkish_tokenizer(specification: str) -> tuple[str, Casing]:
    """A `tokenizer.json` whose normaliser does not ruin Turkish: its new text, and what was found.

    A BERT vocabulary without a tokenizer configuration (BioBERTurk is published so) gets lower-casing and
    accent stripping by default, which turn most Turkish words of a cased vocabulary into unknown tokens; and
    the usual lower-casing of an uncased one makes "KIRIK" to "kirik". The vocabulary itself tells which it
    is: with capitals in it, nothing is lowered; with Turkish letters but no capitals, text is lowered by the
    Turkish rule (as `tetkik.turkish.lower` does) and accents stay. Other vocabularies are left as they are.
    """
    tokenizer = json.loads(specification)
    steps = _steps(tokenizer.get("normalizer"))
    if not any(_ruins(step) for step in steps):
        return specification, Casing(cased=True, changed=False)
    letters = set("".join(_vocabulary(tokenizer)))
    cased = bool(letters & set(ascii_uppercase))
    if not cased and not letters & set("ğış"):
        return specification, Casing(cased=False, changed=False)
    kept = [
        _harmless(step) for step in steps if step["type"] not in {"Lowercase", "StripAccents", "NFD", "NFKD"}
    ]
    lowering = [] if cased else [_replace("I", "ı"), _replace("İ", "i"), {"type": "Lowercase"}]
    tokenizer["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFC"}, *lowering, *kept]}
    return json.dumps(tokenizer, ensure_ascii=False), Casing(cased=cased, changed=True)


def _steps(normalizer: dict[str, Any] | None) -> list[dict[str, Any]]:
    if normalizer is None:
        return []
    if normalizer["type"] == "Sequence":
        return [step for inner in normalizer["normalizers"] for step in _steps(inner)]
    return [normalizer]


def _ruins(step: dict[str, Any]) -> bool:
    if step["type"] == "BertNormalizer":
        return bool(step["lowercase"] or step["strip_accents"])
    return step["type"] in {"Lowercase", "StripAccents"}


def _harmless(step: dict[str, Any]) -> dict[str, Any]:
    if step["type"] == "BertNormalizer":
        return {**step, "lowercase": False, "strip_accents": False}
    return step


def _replace(old: str, new: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": old}, "content": new}


def _vocabulary(tokenizer: dict[str, Any]) -> list[str]:
    """The pieces of the vocabulary, without the special tokens."""
    special = {token["content"] for token in tokenizer.get("added_tokens", ()) if token.get("special")}
    pieces = tokenizer["model"].get("vocab", ())
    names = pieces if isinstance(pieces, dict) else (piece[0] for piece in pieces)
    unused = ("[unused", "[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]")
    return [name for name in names if name not in special and not name.startswith(unused)]
