"""The linear model: one matrix over the features, and a temperature."""

from __future__ import annotations

import re
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
from tetkik.triage.linear.features import Featuriser, Lexicon, Vocabulary, prepare, stride_of, words_of
from tetkik.values import Evidence, Span

_EMPTY = re.compile(
    r"\d+|.|(?:hocam|merhaba\w*|selam\w*|lutfen|tesekkur\w*|sayin|doktor\w*|iyi|gunler|aksamlar|kolay|gelsin"
    r"|rica|acaba|evet|hayir|tamam|yani|galiba|sanki|gibi|kadar|daha|hala|artik|yine|hep|her|hic|cok|az|biraz"
    r"|fazla|bazen|tam|simdi|bugun\w{0,2}|dun(?:den|ku)?|sabah\w*|aksam\w*|gece(?:si|leri|den)?|once|sonra|beri"
    r"|suan\w*|ara|arada|(?:gun|hafta|ay|yil|sene|saat|dakika)(?:d[iu]r|l?[iu]k|lar\w*|ler\w*|[iu]|[dt][ae]n?)?"
    r"|bi|bir|iki|uc|dort|bes|alti|yedi|sekiz|dokuz|on|yirmi|otuz|kirk|elli|ve|veya|ya|da|de|ki|mi|mu|ile|icin"
    r"|ama|fakat|ancak|cunku|diye|eger|hem|ne|neden|nasil|nicin|niye|nedir|hangi|ben(?:i|im|de|den)?|bana|sen"
    r"|siz(?:e|in|den|ce)?|biz(?:i|e|im|de|ce)?|onu?|ona|onun|bu|bunu?|buna|bunun|kendi\w*|sey\w{0,3}|boyle|oyle"
    r"|var(?:di|mis|mi|dir|sa)?|yok(?:tu|sa|mus)?|degil\w*|oldu(?:m|k|gu\w*)?|olu?r|olan|olarak|olabilir\w*|oluyo\w*"
    r"|olmus\w*|olsa|etti\w*|ediyo\w*|eder|geldi\w*|geliyo\w*|gelir|gitti\w*|gidiyo\w*|gecti|gecmiyo\w*|dedi\w*"
    r"|diyo\w*|aldi[mk]?|verdi(?:m|ler)?|yapti\w*|yapiyo\w*|yapmali\w*|basladi|basliyo\w*|istiyo\w*|bilmiyo\w*"
    r"|gerek\w*|lazim)"
)
"""Folded words that tell no department from another by themselves."""

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
        n-gram shared evenly among its characters. Words under a tenth of the strongest are left out, and
        those that mean nothing by themselves ("çok", "geldi").
        """
        words = words_of(text)
        if not words:
            return ()
        prepared = prepare(text)
        by_character = self.featuriser.attribute(prepared, self._gains[label])
        sums = np.add.reduceat(by_character, [place for word in words for place in word[:2]])[::2]
        order = np.argsort(-sums, kind="stable").tolist()
        least = max(_LEAST_SHARE * float(sums[order[0]]), 1e-9)
        folded = prepared.decode("ascii")
        found: list[Evidence] = []
        for word, weight in ((words[i], float(sums[i])) for i in order):
            if weight < least or len(found) == _MOST_EVIDENCE:
                break
            if not _EMPTY.fullmatch(folded, word.start, word.end):
                span = Span(word.first, word.last)
                found.append(Evidence(span, text[span.start : span.end], weight))
        return tuple(found)

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
