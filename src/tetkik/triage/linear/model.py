"""The linear model: one matrix over the features, and a temperature."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle import Bundle, Manifest
from tetkik.errors import BundleCorrupt
from tetkik.statistics import Floats
from tetkik.triage.linear.features import Featuriser, Vocabulary, prepare, stride_of, words_of
from tetkik.triage.linear.lexicon import Lexicon
from tetkik.values import Evidence, Span

WEIGHTS = "model.npz"
_MOST_UNPACKED = 1 << 29
_LEAST_SHARE = 0.1
_MOST_EVIDENCE = 8


@dataclass(frozen=True)
class LinearModel:
    """A trained linear model; temperature and prior shift are in the weights, (columns, stride), float32."""

    manifest: Manifest
    featuriser: Featuriser
    weights: NDArray[np.float32]

    @classmethod
    def load(cls, bundle: Bundle) -> LinearModel:
        """Read the weights of an opened bundle; `BundleCorrupt` where they cannot be used."""
        path = bundle.file(WEIGHTS)
        labels = len(bundle.manifest.labels)
        try:
            _check_size(path)
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                featuriser = Featuriser(
                    Vocabulary(arrays["char_buckets"], arrays["char_idf"]),
                    Vocabulary(arrays["word_buckets"], arrays["word_idf"]),
                    Lexicon(arrays["levels"], arrays["keys"], arrays["children"], arrays["node_term"]),
                    arrays["term_idf"],
                )
                stored = arrays["weights"]
            if stored.dtype.kind != "f" or stored.shape != (featuriser.columns, labels):
                raise ValueError("weights of the wrong shape")
            _check(featuriser, stored)
        except (KeyError, ValueError, TypeError, OSError, EOFError, MemoryError, zipfile.BadZipFile) as error:
            raise BundleCorrupt(
                "{path} is not a readable linear model ({fault}); train it or fetch it again.",
                path=path,
                fault=type(error).__name__,
            ) from None
        weights = np.zeros((featuriser.columns, stride_of(labels)), dtype=np.float32)
        weights[:, :labels] = stored
        return cls(bundle.manifest, featuriser, weights)

    def save(self, folder: Path) -> None:
        """Write the weights into `folder` as `model.npz`: float16, no text, no pickle."""
        lexicon = self.featuriser.lexicon
        np.savez_compressed(
            folder / WEIGHTS,
            char_buckets=self.featuriser.characters.buckets,
            char_idf=self.featuriser.characters.idf,
            word_buckets=self.featuriser.words.buckets,
            word_idf=self.featuriser.words.idf,
            term_idf=self.featuriser.term_idf,
            levels=lexicon.levels,
            keys=lexicon.keys,
            children=lexicon.children,
            node_term=lexicon.node_term,
            weights=self.weights[:, : len(self.manifest.labels)].astype(np.float16),
        )

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Scores whose softmax are the probabilities, (texts, labels), float32."""
        found = self.featuriser.scores([prepare(text) for text in texts], self.weights)
        return found[:, : len(self.manifest.labels)]

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        found = self.logits(texts)
        found -= found.max(axis=1, keepdims=True)
        np.exp(found, out=found)
        found /= found.sum(axis=1, keepdims=True)
        return found

    def unknown(self, texts: Sequence[str]) -> Floats:
        """The share of each text's words whose first 5 letters are no feature, (texts,), float64."""
        return self.featuriser.unknown([prepare(text) for text in texts])

    def evidence(self, text: str, label: int) -> tuple[Evidence, ...]:
        """The words of `text` that speak for a label, strongest first, at most 8.

        A word's weight is what its characters add to the label's logit above the mean of the labels', each
        n-gram shared evenly among its characters. Words under a tenth of the strongest are left out.
        """
        words = words_of(text)
        if not words:
            return ()
        by_character = self.featuriser.attribute(prepare(text), self._gains[label])
        sums = np.add.reduceat(by_character, [place for word in words for place in word[:2]])[::2]
        best = [int(i) for i in np.argsort(-sums, kind="stable")[:_MOST_EVIDENCE]]
        least = max(_LEAST_SHARE * sums[best[0]], 1e-9)
        spans = {i: Span(words[i].first, words[i].last) for i in best if sums[i] >= least}
        return tuple(Evidence(span, text[span.start : span.end], float(sums[i])) for i, span in spans.items())

    @cached_property
    def _gains(self) -> NDArray[np.float32]:
        """(labels, columns), float32: what a column adds to a label above the mean of the labels."""
        weights = self.weights[:, : len(self.manifest.labels)]
        return np.ascontiguousarray((weights - weights.mean(axis=1, keepdims=True)).T)


def _check_size(path: Path) -> None:
    """Refuse a decompression bomb before any of it is in memory."""
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _MOST_UNPACKED:
            raise ValueError("it unpacks to too much")


def _check(featuriser: Featuriser, weights: NDArray[np.floating]) -> None:
    """Refuse numbers that no training writes: a damaged or hostile model must not answer."""
    idfs = featuriser.characters.idf, featuriser.words.idf, featuriser.term_idf
    if featuriser.term_idf.shape != (len(featuriser.lexicon.levels),):
        raise ValueError("a term without its weight")
    if any(array.ndim != 1 or array.dtype.kind != "f" for array in idfs):
        raise ValueError("a weight is no number")
    if not all(np.isfinite(array).all() for array in (*idfs, weights)):
        raise ValueError("a weight is not finite")
