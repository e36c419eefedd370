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
import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tetkik import turkish
from tetkik.statistics.intervals import Floats, Ints
from tetkik.triage.linear.compiled import ngrams

# What medicine knows before any data: terms, each with the departments that it speaks for.
#
# The files of `terms/` were written from medical knowledge, not from complaints. A term is one to eight
# stems; each is the beginning of a word (`$` at the end asks for the whole word), letters folded by
# `tetkik.turkish`. `typical` counts 3, `common` 2, `possible` 1.


LEVELS = {"typical": 3, "common": 2, "possible": 1}
FNV_OFFSET = 2166136261
_DEPTH = 8
_MIX = 0x9E3779B97F4A7C15
_SIEVE_BITS = 19


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The terms as a trie over stems."""

    levels: NDArray[np.uint8]  # (terms, departments), uint8, 0 to 3
    # (2^k,), uint64: open addressing on (node + 1) << 32 | FNV-1a of a stem; 0 is an empty slot
    keys: NDArray[np.uint64]
    children: NDArray[np.int32]  # (2^k,), int32: the node that each key leads to
    node_term: NDArray[np.int32]  # (nodes,), int32: the term that ends at a node, or -1. Node 0 is the root
    # (2^13,), uint64: a bitmap over the first 19 bits of a mixed key, small enough for the cache
    sieve: NDArray[np.uint64] = field(init=False)

    def __post_init__(self) -> None:
        size = len(self.keys)
        if size & (size - 1) or len(self.children) != size or not (self.keys == 0).any():
            raise ValueError("the trie's table must be a power of two with an empty slot")
        if self.children.min() < 0 or self.children.max() >= len(self.node_term):
            raise ValueError("the trie leads out of its nodes")
        if self.node_term.max(initial=-1) >= len(self.levels):
            raise ValueError("the trie names a term that is not there")
        mixed = self.keys[self.keys > 0] * np.uint64(_MIX)
        bits = np.zeros(1 << _SIEVE_BITS, dtype=np.uint8)
        bits[mixed >> np.uint64(64 - _SIEVE_BITS)] = 1
        object.__setattr__(self, "sieve", np.packbits(bits, bitorder="little").view("<u8"))

    def child(self, node: int, stem_hash: int) -> int:
        """The node below `node` by a stem with that hash, or -1."""
        key = ((node + 1) << 32) | stem_hash
        mask = len(self.keys) - 1
        slot = (key * _MIX % (1 << 64)) >> 32
        while True:
            found = int(self.keys[slot & mask])
            if found == key:
                return int(self.children[slot & mask])
            if found == 0:
                return -1
            slot += 1


def fnv(data: bytes, value: int = FNV_OFFSET) -> int:
    """FNV-1a, 32 bit (Fowler, Noll, Vo), of `data` after what gave `value`."""
    for byte in data:
        value = (value ^ byte) * 16777619 % (1 << 32)
    return value


def stems_of(term: str) -> tuple[str, ...]:
    """The stems of a term as the files write it: `"göz kapağ"` → `("goz", "kapag")`."""
    words = re.findall(r"[^\s$]+\$?", term)
    stems: list[str] = []
    for word in words:
        parts = turkish.fold(word.rstrip("$")).split()
        if parts and word.endswith("$"):
            parts[-1] += "$"
        stems.extend(parts)
    return tuple(stems)


@cache
def builtin() -> Lexicon:
    """The lexicon that ships with the package."""
    levels: dict[tuple[str, ...], dict[str, int]] = {}
    departments: list[str] = []
    for file in sorted(
        resources.files("tetkik.triage.linear").joinpath("terms").iterdir(), key=lambda f: f.name
    ):
        if not file.name.endswith(".toml"):
            continue
        for department, lists in tomllib.loads(file.read_text("utf-8")).items():
            if department not in departments:
                departments.append(department)
            for name, level in LEVELS.items():
                for term in lists.get(name, ()):
                    stems = stems_of(term)
                    if 0 < len(stems) <= _DEPTH:
                        entry = levels.setdefault(stems, {})
                        entry[department] = max(level, entry.get(department, 0))
    order = sorted(levels)
    matrix = np.zeros((len(order), len(departments)), dtype=np.uint8)
    for row, stems in enumerate(order):
        for department, level in levels[stems].items():
            matrix[row, departments.index(department)] = level
    return build(order, matrix)


def build(terms: Sequence[tuple[str, ...]], levels: NDArray[np.uint8]) -> Lexicon:
    """Compile terms into the trie; `levels` is (terms, departments), uint8."""
    edges: dict[int, int] = {}
    node_term = [-1]
    for number, stems in enumerate(terms):
        node = 0
        for stem in stems:
            key = ((node + 1) << 32) | fnv(stem.encode("ascii", "replace"))
            if key not in edges:
                edges[key] = len(node_term)
                node_term.append(-1)
            node = edges[key]
        node_term[node] = number
    size = 16
    while size < 2 * len(edges):
        size *= 2
    keys, children = np.zeros(size, dtype=np.uint64), np.zeros(size, dtype=np.int32)
    for key, child in edges.items():
        slot = (key * _MIX % (1 << 64)) >> 32
        while keys[slot & (size - 1)]:
            slot += 1
        keys[slot & (size - 1)] = key
        children[slot & (size - 1)] = child
    return Lexicon(levels, keys, children, np.array(node_term, dtype=np.int32))


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
class FeaturePart:
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
class LexiconHit:
    """A term of the lexicon in a text: its number, its words (first, one past the last), its characters."""

    term: int
    first: int
    last: int
    start: int
    end: int


def hits(text: bytes, lexicon: Lexicon) -> list[LexiconHit]:
    """Every term of the lexicon in a prepared text, in the order of the C code."""
    starts = [i + 1 for i in range(len(text) - 1) if text[i] == 32]
    found: list[LexiconHit] = []

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
                    found.append(
                        LexiconHit(int(lexicon.node_term[child]), first, word + 1, starts[first], end)
                    )
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

    def parts(self, text: bytes) -> list[FeaturePart]:
        """What each stretch of a prepared text adds; summed by column they are its row but the constant."""
        return [*self._gram_parts(text), *self._lexicon_parts(text)]

    def _gram_parts(self, text: bytes) -> list[FeaturePart]:
        parts: list[FeaturePart] = []
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
                FeaturePart(offset + i, weight[i] / norm / counts[i], start, end) for i, start, end in known
            )
        return parts

    def _lexicon_parts(self, text: bytes) -> list[FeaturePart]:
        found = hits(text, self.lexicon)
        first_of: dict[int, LexiconHit] = {}
        for hit in found:
            first_of.setdefault(hit.term, hit)
        norm = math.sqrt(sum(float(self.term_idf[term]) ** 2 for term in first_of)) or 1.0
        parts = [
            FeaturePart(
                self._terms_at + term, TERM_SCALE * float(self.term_idf[term]) / norm, hit.start, hit.end
            )
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
                parts.append(
                    FeaturePart(at + block * sums.shape[1] + int(column), float(part), hit.start, hit.end)
                )
        return parts

    def _level_sums(self, found: list[LexiconHit]) -> list[Floats]:
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


def _covered(found: list[LexiconHit], i: int) -> bool:
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
