"""The linear model: one matrix over the features, and a temperature."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle import Bundle, Manifest
from tetkik.errors import BundleCorrupt
from tetkik.triage.calibration import softmax
from tetkik.triage.linear.features import Featuriser, Vocabulary, prepare, prepare_with_places
from tetkik.triage.linear.lexicon import Lexicon
from tetkik.triage.linear.solver import stride_of
from tetkik.values import Evidence, Span

WEIGHTS = "model.npz"
_CHUNK = 4_096
_LEAST_SHARE = 0.1
_MOST_EVIDENCE = 8


@dataclass(frozen=True, slots=True)
class LinearModel:
    """A trained linear model.

    Attributes:
        manifest: labels in the order of the columns, calibration, thresholds.
        featuriser: text to row.
        weights: (columns, stride), float32; temperature and prior shift are already in them.
    """

    manifest: Manifest
    featuriser: Featuriser
    weights: NDArray[np.float32]

    @classmethod
    def load(cls, bundle: Bundle) -> LinearModel:
        """Read the weights of an opened bundle.

        Raises:
            BundleCorrupt: an array is missing, of the wrong shape, or needs a pickle.
        """
        path = bundle.file(WEIGHTS)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                featuriser = Featuriser(
                    Vocabulary(arrays["char_buckets"], arrays["char_idf"]),
                    Vocabulary(arrays["word_buckets"], arrays["word_idf"]),
                    Lexicon(arrays["levels"], arrays["keys"], arrays["children"], arrays["node_term"]),
                    arrays["term_idf"],
                )
                stored = arrays["weights"]
            labels = len(bundle.manifest.labels)
            if stored.shape != (featuriser.columns, labels) or not np.isfinite(stored).all():
                raise ValueError("weights of the wrong shape")
        except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
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
        labels = len(self.manifest.labels)
        out = np.empty((len(texts), labels), dtype=np.float32)
        for start in range(0, len(texts), _CHUNK):
            rows = self.featuriser.rows([prepare(text) for text in texts[start : start + _CHUNK]])
            out[start : start + _CHUNK] = rows.times(self.weights)[:, :labels]
        return out

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Calibrated probabilities, (texts, labels), float32, rows sum to 1."""
        return softmax(self.logits(texts)).astype(np.float32)

    def evidence(self, text: str, label: int) -> tuple[Evidence, ...]:
        """The words of `text` that speak for a label, strongest first, at most 8.

        A word's weight is what its characters add to the label's logit above the mean of the labels', each
        n-gram shared evenly among its characters. Words under a tenth of the strongest are left out.
        """
        prepared, places = prepare_with_places(text)
        labels = len(self.manifest.labels)
        gain = self.weights[:, label] - self.weights[:, :labels].mean(axis=1)
        parts = self.featuriser.parts(prepared)
        if not parts:
            return ()
        column, start, end = (
            np.array([getattr(part, name) for part in parts]) for name in ("column", "start", "end")
        )
        slope = gain[column] * np.array([part.value for part in parts]) / (end - start)
        change = np.zeros(len(prepared) + 1)
        np.add.at(change, start, slope)
        np.add.at(change, end, -slope)
        by_character = np.cumsum(change)[:-1]
        found = [
            Evidence(span, text[span.start : span.end], float(by_character[first:last].sum()))
            for first, last in _words(prepared)
            for span in (Span(places[first], places[last - 1] + 1),)
        ]
        found = sorted((item for item in found if item.weight > 0), key=lambda item: -item.weight)
        return tuple(item for item in found[:_MOST_EVIDENCE] if item.weight >= _LEAST_SHARE * found[0].weight)


def _words(prepared: bytes) -> list[tuple[int, int]]:
    spaces = [index for index, byte in enumerate(prepared) if byte == 32]
    return [(a + 1, b) for a, b in pairwise(spaces) if b > a + 1]
