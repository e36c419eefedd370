"""From a complaint to a row of weighted features, the same in NumPy and in C.

The text is folded (`tetkik.turkish.fold`), so that what a patient typed without Turkish letters or in
capitals gives the same row. Its columns, in order:

1. characters: n-grams of 2 to 5 characters inside a word with a space on either side;
2. words: the first 5 and the first 4 letters of each word, and pairs of neighbouring 5-letter beginnings;
3. terms: the lexicon's terms that occur;
4. departments: for each of the lexicon's departments log(1 + s), where s sums the levels of its terms in four
   ways: each term once; every hit, weighted by exp(-words before it / 30), since a complaint begins with what
   hurts most; every hit that no longer hit covers; and the department's share of the first sum;
5. a constant 3, large so that the intercept is hardly regularised.

Blocks 1 to 3 are weighted by inverse document frequency and scaled to unit length each; 1 and 2 also by
1 + log(term frequency). An n-gram is known by 22 bits of a hash, and kept only where it was seen in at least
five duplicate groups of the training data: no patient's words can be read out of a model.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tetkik import turkish
from tetkik.statistics import Floats, Ints
from tetkik.triage.linear.compiled import ngrams
from tetkik.triage.linear.lexicon import FNV_OFFSET, Lexicon, fnv

BUCKET_BITS = 22
BUCKETS = 1 << BUCKET_BITS
CHARACTERS, WORDS = 0, 1
BLOCKS = 4
TERM_SCALE = math.sqrt(0.5)
DEPARTMENT_SCALE = 0.16
BIAS = 3.0
LANES = 16
"""Columns of a weight matrix come in blocks of as many, which the C code takes at a time."""
_CHAR, _PREFIX5, _PREFIX4, _PAIR = 1, 2, 3, 4
_MAX_PREFIX, _MAX_DEPTH = 24, 8


@dataclass(frozen=True, slots=True)
class Rows:
    """Sparse rows (CSR): `indptr` is (rows + 1,); `indices`, (stored,), are not sorted within a row."""

    indptr: Ints
    indices: NDArray[np.int32]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def times(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """The product with `weights`, (columns, stride), float32, stride a multiple of 16."""
        out = np.zeros((len(self), weights.shape[1]), dtype=np.float32)
        if ngrams is not None:
            ngrams.multiply(self.indptr, self.indices, self.values, weights, out, weights.shape[1])
            return out
        for row in range(len(self)):
            part = slice(self.indptr[row], self.indptr[row + 1])
            out[row] = self.values[part] @ weights[self.indices[part]]
        return out


@dataclass(frozen=True, slots=True)
class Part:
    """One addend of one column of a text's row, and where it stands in the folded text."""

    column: int
    value: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The buckets that are features of one block, (features,), ascending, as a bitmap with ranks."""

    buckets: NDArray[np.uint32]
    idf: NDArray[np.float32]
    # (2^22 / 64,), uint64: bit b of word w is set where bucket 64 w + b is a feature
    bits: NDArray[np.uint64] = field(init=False)
    ranks: NDArray[np.uint32] = field(init=False)  # (2^22 / 64,), uint32: features before each word

    def __post_init__(self) -> None:
        if len(self.buckets) != len(self.idf) or np.any(np.diff(self.buckets.astype(np.int64)) <= 0):
            raise ValueError("buckets must ascend and have one idf each")
        if len(self.buckets) and int(self.buckets[-1]) >= BUCKETS:
            raise ValueError("a bucket is out of range")
        bytes_ = np.zeros(BUCKETS // 8, dtype=np.uint8)
        np.bitwise_or.at(bytes_, self.buckets >> 3, np.left_shift(1, self.buckets & 7).astype(np.uint8))
        bits = bytes_.view("<u8")
        per_word = np.bincount(self.buckets >> 6, minlength=BUCKETS // 64)
        ranks = np.concatenate([[0], np.cumsum(per_word)[:-1]]).astype(np.uint32)
        object.__setattr__(self, "bits", bits)
        object.__setattr__(self, "ranks", ranks)

    def index(self, bucket: int) -> int:
        """The feature of a bucket, or -1."""
        at = int(np.searchsorted(self.buckets, bucket))
        return at if at < len(self.buckets) and self.buckets[at] == bucket else -1


def prepare(text: str) -> bytes:
    """The folded text as the features see it: words divided by single spaces, one more at either end."""
    return f" {' '.join(turkish.fold(text).split())} ".encode("ascii", "replace")


class Word(NamedTuple):
    """A word of a prepared text: `prepared[start:end]`, which came from `text[first:last]`."""

    start: int
    end: int
    first: int
    last: int


def words_of(text: str) -> list[Word]:
    """The words of `prepare(text)`, with where each came from in `text`."""
    folded, places = turkish.fold_with_places(text)
    words: list[Word] = []
    start, at = 1, 0
    for word in folded.split():
        at = folded.index(word, at)
        end = at + len(word)
        words.append(Word(start, start + len(word), places[at], places[end - 1] + 1))
        start += len(word) + 1
        at = end
    return words


def _bucket(value: int) -> int:
    return (value * 2654435761 & 0xFFFFFFFF) >> (32 - BUCKET_BITS)


_SEEDS = {kind: fnv(bytes([kind])) for kind in (_CHAR, _PREFIX5, _PREFIX4, _PAIR)}


def grams(text: bytes) -> list[tuple[int, int, int, int]]:
    """Every n-gram of a prepared text: (block, bucket, start, end), in the order of the C code."""
    found: list[tuple[int, int, int, int]] = []
    before: tuple[int, int] | None = None
    for start in range(len(text)):
        value = fnv(text[start : start + 1], _SEEDS[_CHAR])
        for end in range(start + 2, min(start + 6, len(text) + 1)):
            value = fnv(text[end - 1 : end], value)
            found.append((CHARACTERS, _bucket(value), start, end))
            if text[end - 1] == 32:
                break
        if text[start] != 32 or start + 1 >= len(text):
            continue
        word = text[start + 1 : text.index(b" ", start + 1)]
        end = start + 1 + len(word)
        five = fnv(word[:5], _SEEDS[_PREFIX5])
        found.append((WORDS, _bucket(five), start + 1, end))
        found.append((WORDS, _bucket(fnv(word[:4], _SEEDS[_PREFIX4])), start + 1, end))
        if before is not None:
            pair = fnv(before[0].to_bytes(4, "little") + five.to_bytes(4, "little"), _SEEDS[_PAIR])
            found.append((WORDS, _bucket(pair), before[1], end))
        before = (five, start + 1)
    return found


@dataclass(frozen=True, slots=True)
class Hit:
    """A term of the lexicon in a text: its number, its words (first, one past the last), its characters."""

    term: int
    first: int
    last: int
    start: int
    end: int


def hits(text: bytes, lexicon: Lexicon) -> list[Hit]:
    """Every term of the lexicon in a prepared text, in the order of the C code."""
    starts = [i + 1 for i in range(len(text) - 1) if text[i] == 32]
    found: list[Hit] = []

    def walk(word: int, node: int, first: int) -> None:
        if word >= len(starts) or word - first >= _MAX_DEPTH:
            return
        value, at = FNV_OFFSET, starts[word]
        end = text.index(b" ", at)
        for place in range(at, min(at + _MAX_PREFIX, end + 1)):
            value = fnv(b"$" if place == end else text[place : place + 1], value)
            child = lexicon.child(node, value)
            if child >= 0:
                if lexicon.node_term[child] >= 0:
                    found.append(Hit(int(lexicon.node_term[child]), first, word + 1, starts[first], end))
                walk(word + 1, child, first)

    for word in range(len(starts)):
        walk(word, 0, word)
    return found


@dataclass(frozen=True)
class Featuriser:
    """Turns texts into rows."""

    characters: Vocabulary  # block 1
    words: Vocabulary  # block 2
    lexicon: Lexicon  # blocks 3 and 4
    term_idf: NDArray[np.float32]  # (terms,), float32; 0 leaves a term out of block 3

    @cached_property
    def tables(self) -> tuple[object, ...]:
        """What the C code reads."""
        lexicon = self.lexicon
        return (
            *(self.characters.bits, self.characters.ranks, self.characters.idf),
            *(self.words.bits, self.words.ranks, self.words.idf),
            *(lexicon.keys, lexicon.children, lexicon.sieve, lexicon.node_term),
            *(self.term_idf, lexicon.levels),
            *(int(lexicon.levels.shape[1]), TERM_SCALE, DEPARTMENT_SCALE),
        )

    @property
    def columns(self) -> int:
        return self._bias_at + 1

    @property
    def _bias_at(self) -> int:
        return self._departments_at + BLOCKS * int(self.lexicon.levels.shape[1])

    @property
    def _terms_at(self) -> int:
        return len(self.characters.buckets) + len(self.words.buckets)

    @property
    def _departments_at(self) -> int:
        return self._terms_at + len(self.lexicon.levels)

    def rows(self, texts: Sequence[bytes]) -> Rows:
        """Rows of prepared texts (`prepare`)."""
        if ngrams is None:
            return self._rows_in_numpy(texts)
        indptr, indices, values = ngrams.featurise(list(texts), self.tables)
        return Rows(
            np.frombuffer(indptr, np.int64),
            np.frombuffer(indices, np.int32),
            np.frombuffer(values, np.float32),
        )

    def scores(self, texts: list[bytes], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """`rows(texts).times(weights)`, in one go."""
        if ngrams is None:
            return self.rows(texts).times(weights)
        out = np.empty((len(texts), weights.shape[1]), dtype=np.float32)
        ngrams.score(texts, self.tables, weights, out, weights.shape[1])
        return out

    def unknown(self, texts: Sequence[bytes]) -> Floats:
        """The share of a prepared text's words whose first 5 letters are no feature, (texts,), float64."""
        shares = []
        for text in texts:
            buckets = [_bucket(fnv(word[:5], _SEEDS[_PREFIX5])) for word in text.split()]
            shares.append(np.mean([self.words.index(bucket) < 0 for bucket in buckets]) if buckets else 0.0)
        return np.array(shares, np.float64)

    def _rows_in_numpy(self, texts: Sequence[bytes]) -> Rows:
        columns: list[NDArray[np.int32]] = []
        values: list[NDArray[np.float32]] = []
        for text in texts:
            sums: dict[int, float] = {self._bias_at: BIAS}
            for part in self.parts(text):
                sums[part.column] = sums.get(part.column, 0.0) + part.value
            columns.append(np.fromiter(sums.keys(), np.int32, len(sums)))
            values.append(np.fromiter(sums.values(), np.float32, len(sums)))
        indptr = np.concatenate([[0], np.cumsum([len(row) for row in columns])]).astype(np.int64)
        empty_i, empty_f = np.zeros(0, np.int32), np.zeros(0, np.float32)
        return Rows(indptr, np.concatenate([empty_i, *columns]), np.concatenate([empty_f, *values]))

    def attribute(self, text: bytes, gain: NDArray[np.float32]) -> Floats:
        """What each byte of a prepared text adds to the sum of gain * value over its row, the constant apart.

        What an n-gram or a term adds is shared evenly among its bytes. `gain` is (columns,); the result
        (bytes,), float64.
        """
        change = np.zeros(len(text) + 1)
        if ngrams is not None:
            ngrams.attribute(text, self.tables, np.ascontiguousarray(gain), change)
        else:
            for part in self.parts(text):
                slope = float(gain[part.column]) * part.value / (part.end - part.start)
                change[part.start] += slope
                change[part.end] -= slope
        return np.cumsum(change)[:-1]

    def parts(self, text: bytes) -> list[Part]:
        """What each stretch of a prepared text adds; summed by column they are its row but the constant."""
        return [*self._gram_parts(text), *self._lexicon_parts(text)]

    def _gram_parts(self, text: bytes) -> list[Part]:
        parts: list[Part] = []
        found = grams(text)
        for block, vocabulary, offset in (
            (CHARACTERS, self.characters, 0),
            (WORDS, self.words, len(self.characters.buckets)),
        ):
            known = [
                (index, start, end)
                for kind, bucket, start, end in found
                if kind == block and (index := vocabulary.index(bucket)) >= 0
            ]
            counts = Counter(index for index, _, _ in known)
            weight = {i: (1 + math.log(count)) * float(vocabulary.idf[i]) for i, count in counts.items()}
            norm = math.sqrt(sum(value * value for value in weight.values())) or 1.0
            parts.extend(
                Part(offset + i, weight[i] / norm / counts[i], start, end) for i, start, end in known
            )
        return parts

    def _lexicon_parts(self, text: bytes) -> list[Part]:
        found = hits(text, self.lexicon)
        first_of: dict[int, Hit] = {}
        for hit in found:
            first_of.setdefault(hit.term, hit)
        norm = math.sqrt(sum(float(self.term_idf[term]) ** 2 for term in first_of)) or 1.0
        parts = [
            Part(self._terms_at + term, TERM_SCALE * float(self.term_idf[term]) / norm, hit.start, hit.end)
            for term, hit in first_of.items()
            if self.term_idf[term] > 0
        ]
        shares = self._level_sums(found)
        at = self._departments_at
        for block, sums in enumerate(shares):
            total = sums.sum(axis=0)
            value = DEPARTMENT_SCALE * np.log1p(total)
            for row, column in zip(*np.nonzero(sums), strict=True):
                part = value[column] * sums[row, column] / total[column]
                hit = found[row]
                parts.append(Part(at + block * sums.shape[1] + int(column), float(part), hit.start, hit.end))
        return parts

    def _level_sums(self, found: list[Hit]) -> list[Floats]:
        levels = self.lexicon.levels[[hit.term for hit in found]].astype(np.float64)
        first = {hit.term: i for i, hit in reversed(list(enumerate(found)))}
        once = np.array([first[hit.term] == i for i, hit in enumerate(found)], dtype=np.float64)
        near = np.array([math.exp(-hit.first / 30) for hit in found])
        open_ = np.array([not _covered(found, i) for i in range(len(found))], dtype=np.float64)
        sums = [levels * weight[:, None] for weight in (once, near, open_)]
        total = sums[0].sum()
        # expm1 undoes the log(1 + s) to come: a share stays a share.
        share = sums[0].sum(axis=0) / total if total else np.zeros(levels.shape[1])
        with np.errstate(invalid="ignore", divide="ignore"):
            scale = np.nan_to_num(np.expm1(share) / sums[0].sum(axis=0))
        return [*sums, sums[0] * scale]


def _covered(found: list[Hit], i: int) -> bool:
    """Whether a longer hit, or a later one of the same words, covers hit i."""
    hit = found[i]
    for j, other in enumerate(found):
        if other.first <= hit.first and other.last >= hit.last:
            longer = other.last - other.first > hit.last - hit.first
            if longer or (j > i and other.first == hit.first):
                return True
    return False


def stride_of(classes: int) -> int:
    """Columns of a weight matrix for that many classes: the next multiple of 16."""
    return -(-classes // LANES) * LANES
