"""Search by meaning: a sentence-embedding model, the mean of its last layer, the cosine.

Reimers and Gurevych, "Sentence-BERT", EMNLP 2019. The vectors of passages are kept beside a hospital's
documents, so that only what is new is embedded again.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from tetkik.errors import MissingExtra, SettingError
from tetkik.networks.huggingface import quiet_transformers
from tetkik.report.passages.store import replace_file
from tetkik.settings import settings
from tetkik.values import Passage

_BATCH = 16
_LONGEST = 512
"""Tokens of a text that are looked at."""

Vectors = NDArray[np.float32]


class Embedder:
    """A transformers encoder as sentence embeddings."""

    def __init__(self, model: Any, tokenizer: Any, name: str) -> None:
        self.name = name
        self._model, self._tokenizer = model, tokenizer

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The vectors of texts, (n, width), float32, each of length 1."""
        import torch

        rows = []
        longest = min(_LONGEST, getattr(self._model.config, "max_position_embeddings", _LONGEST) - 2)
        for start in range(0, len(texts), _BATCH):
            batch = self._tokenizer(
                list(texts[start : start + _BATCH]),
                padding=True,
                truncation=True,
                max_length=longest,
                return_tensors="pt",
            )
            with torch.inference_mode():
                hidden = self._model(**batch).last_hidden_state.float()
            mask = batch["attention_mask"].unsqueeze(-1).float()
            rows.append(((hidden * mask).sum(1) / mask.sum(1).clamp(min=1)).numpy())
        vectors: Vectors = np.concatenate(rows).astype(np.float32)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors


def open_embedder(name: str) -> Embedder:
    """A model by its hub id or its path; code that comes with a model is never run, pickles are not read.

    Raises MissingExtra without transformers or torch, and SettingError where no such model can be opened.
    """
    try:
        from transformers import AutoModel, AutoTokenizer
    except ImportError:
        raise MissingExtra(
            "Searching passages by meaning needs transformers; `pip install 'tetkik[torch]'`."
        ) from None
    local = settings().offline
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=local, trust_remote_code=False)
            model = AutoModel.from_pretrained(
                name, use_safetensors=True, local_files_only=local, trust_remote_code=False
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise SettingError(
            "The embedding model {name} cannot be opened ({fault}); correct the setting passages_embedding.",
            name=name,
            fault=type(error).__name__,
        ) from error
    return Embedder(model.eval(), tokenizer, name)


class DenseIndex:
    """Passages that can be searched by meaning."""

    def __init__(self, passages: Sequence[Passage], embedder: Embedder) -> None:
        self._embedder = embedder
        self._vectors = _vectors(passages, embedder)

    def nearness(self, query: str) -> Sequence[float]:
        """The cosine of a query and each passage."""
        cosines: list[float] = (self._vectors @ self._embedder.embed([query])[0]).tolist()
        return cosines


def _vectors(passages: Sequence[Passage], embedder: Embedder) -> Vectors:
    texts = [f"{passage.title}. {passage.text}" for passage in passages]
    keys = [hashlib.sha256(text.encode()).hexdigest()[:32] for text in texts]
    model = hashlib.sha256(embedder.name.encode()).hexdigest()[:12]
    file = settings().passages_dir / f"vectors-{model}.npz"
    known = _kept(file)
    new = [place for place, key in enumerate(keys) if key not in known]
    if new:
        made = embedder.embed([texts[place] for place in new])
        known |= {keys[place]: vector for place, vector in zip(new, made, strict=True)}
        packed = io.BytesIO()
        np.savez(
            packed,
            keys=np.array([*dict.fromkeys(keys)]),
            vectors=np.stack([known[key] for key in dict.fromkeys(keys)]),
        )
        replace_file(file, packed.getvalue())
    return np.stack([known[key] for key in keys]) if keys else np.zeros((0, 1), np.float32)


def _kept(file: Path) -> dict[str, Vectors]:
    """Vectors of an earlier time; a file that cannot be read is made anew."""
    try:
        with np.load(file, allow_pickle=False) as table:
            return dict(zip(table["keys"].tolist(), table["vectors"].astype(np.float32), strict=True))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return {}
