"""Complaints into token numbers: the same code for training and for answering, without torch."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle.manifest import Manifest
from tetkik.bundle.store import Bundle
from tetkik.choices import Device
from tetkik.errors import BundleCorrupt, MissingExtra, UsageError
from tetkik.networks.onnx_session import gpu_failed, onnx_session
from tetkik.settings import settings
from tetkik.statistics.intervals import Floats
from tetkik.triage.calibration import softmax
from tetkik.values.complaint import Evidence, Span

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
                "A transformer model needs the package tokenizers; `{extra}`.", extra="onnx"
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


# A fine-tuned encoder on ONNX Runtime: no torch, no transformers.


_WORD = re.compile(r"\w+(?:['’]\w+)*")
FP32 = "model-fp32.onnx"
_STRETCHES = 48
"""Most stretches of a text that are left out one by one to find the evidence."""
_BATCH = 16
_SHORT = 512
"""Tokens up to which so many texts are run together."""


class OnnxNetwork:
    """An exported encoder, from `input_ids` and `attention_mask` to `logits`; else `BundleCorrupt`."""

    def __init__(self, folder: Path, network: Path, reader: TextReader, device: Device = Device.CPU) -> None:
        try:
            self._session: Any = onnx_session(network, settings().threads, device)
        except ImportError:
            raise MissingExtra(
                "A transformer model needs the package onnxruntime; `{extra}`.", extra="onnx"
            ) from None
        except UsageError:
            raise
        # ONNX Runtime's own exceptions have no common root but this one.
        except Exception as error:
            if device is Device.CPU:
                raise _corrupt(folder, network, error) from None
            # Perhaps without memory; what the processor cannot run either is damaged.
            self._session = OnnxNetwork(folder, network, reader)._session
            if device is Device.CUDA:
                raise gpu_failed(folder, error) from None
        found = {node.name for node in self._session.get_inputs()}
        if found != {"input_ids", "attention_mask"}:
            raise _corrupt(folder, network, ValueError("inputs"))
        self.reader = reader

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts, labels), float32.

        Each text is run by itself: dynamic int8 takes its scale from the whole batch, so that in a batch the
        answer to one complaint would depend on the others.
        """
        return np.concatenate([self.logits_together([row]) for row in self.reader.read(texts)])

    def logits_together(self, rows: Sequence[Ints]) -> NDArray[np.float32]:
        """The logits of rows of token numbers in one batch, (rows, labels), float32."""
        ids, mask = padded(rows, self.reader.pad_id)
        output: NDArray[np.float32] = self._session.run(
            ["logits"], {"input_ids": ids, "attention_mask": mask}
        )[0]
        return output


def _corrupt(folder: Path, network: Path, error: Exception) -> BundleCorrupt:
    return BundleCorrupt(
        "{path}: {name} is not a text network that ONNX Runtime can run ({fault}); train or export it again.",
        path=folder,
        name=network.name,
        fault=type(error).__name__,
    )


class OnnxTransformer:
    """A triage model of the kind `transformer`."""

    def __init__(self, manifest: Manifest, network: OnnxNetwork, temperature: float) -> None:
        self._manifest = manifest
        self._network = network
        self._temperature = temperature

    @classmethod
    def load(cls, bundle: Bundle, device: Device = Device.CPU) -> OnnxTransformer:
        """From an opened bundle; `BundleCorrupt` where its settings or its network cannot be used.

        Where CUDA is asked for by name, its network in fp32 is taken if it has one beside that in int8.
        """
        manifest = bundle.manifest
        try:
            max_length = int(manifest.preprocessing["max_length"])
            pad_id = int(manifest.preprocessing["pad_id"])
            temperature = float(manifest.calibration["temperature"])
        except (KeyError, TypeError, ValueError) as error:
            raise BundleCorrupt(
                "The manifest of {path} lacks what a transformer needs ({fault}); train or export it again.",
                path=bundle.path,
                fault=error,
            ) from None
        tokenizer = bundle.file("tokenizer.json")
        try:
            reader = TextReader.from_json(tokenizer.read_text("utf-8"), max_length, pad_id)
        except MissingExtra:
            raise
        # The tokenizers package raises bare Exceptions.
        except Exception:
            raise BundleCorrupt(
                "{path}: tokenizer.json is not a tokenizer that can be used; train or export it again.",
                path=bundle.path,
            ) from None
        exact = device is Device.CUDA and FP32 in manifest.files
        network = OnnxNetwork(bundle.path, bundle.file(FP32 if exact else "model.onnx"), reader, device)
        model = cls(manifest, network, temperature)
        labels = network.logits([""]).shape[1]
        if labels != len(manifest.labels):
            raise BundleCorrupt(
                "{path}: the network has {found} outputs and the manifest {named} labels; train or "
                "export it again.",
                path=bundle.path,
                found=labels,
                named=len(manifest.labels),
            )
        return model

    @property
    def manifest(self) -> Manifest:
        return self._manifest

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As in the protocol; each text by itself."""
        if not texts:
            return np.zeros((0, len(self._manifest.labels)), dtype=np.float32)
        return softmax(self._network.logits(texts), self._temperature).astype(np.float32)

    def unknown(self, texts: Sequence[str]) -> Floats:
        """The share of each text's words that are no piece of the vocabulary whole, (texts,), float64."""
        return self._network.reader.broken(texts)

    def evidence(self, text: str, label: int) -> tuple[Evidence, ...]:
        """The stretches whose absence lowers the label's log-odds, strongest first; the weight in nats.

        Occlusion: Li et al., "Understanding neural networks through representation erasure", 2016. A
        stretch is a word, or a few words in a long text.
        """
        stretches = _stretches(text)
        if not stretches:
            return ()
        without = [f"{text[: span.start]} {text[span.end :]}" for span in stretches]
        log_odds = self._log_odds([text, *without], label)
        found = [
            Evidence(span, text[span.start : span.end], float(log_odds[0] - odds))
            for span, odds in zip(stretches, log_odds[1:], strict=True)
            if odds < log_odds[0]
        ]
        return tuple(sorted(found, key=lambda item: (-item.weight, item.span.start)))

    def _log_odds(self, texts: Sequence[str], label: int) -> Floats:
        rows = self._network.reader.read(texts)
        # Attention takes memory by the square of the length, which may be thousands of tokens.
        batch = max(1, min(_BATCH, _BATCH * _SHORT**2 // max(map(len, rows)) ** 2))
        parts = [self._network.logits_together(rows[i : i + batch]) for i in range(0, len(rows), batch)]
        scaled = np.concatenate(parts).astype(np.float64) / self._temperature
        others = np.delete(scaled, label, axis=1)
        highest = others.max(axis=1)
        rest = highest + np.log(np.exp(others - highest[:, None]).sum(axis=1))
        result: Floats = scaled[:, label] - rest
        return result


def _stretches(text: str) -> list[Span]:
    """The words of a text, or as many even runs of words as are looked at."""
    words = [match.span() for match in _WORD.finditer(text)]
    runs = np.array_split(np.arange(len(words)), min(len(words), _STRETCHES)) if words else []
    return [Span(words[int(run[0])][0], words[int(run[-1])][1]) for run in runs]
