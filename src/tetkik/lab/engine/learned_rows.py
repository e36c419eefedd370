"""What a model learned, as hashes in its bundle: whether the rows that it is judged on are among them.

`learned.npz` is about all rows that weights, epoch, calibration or thresholds came from; who has a text or an
image, or guesses a text, can ask whether it is among them:

    salt        16 bytes, so that two bundles cannot be compared
    texts       hashes of texts of fewer than 16 words, cut so short that a text which was not learned has the
                hash of one that was with a chance of 1 in 4,096. Short complaints can be guessed from a list,
                and a slow hash would only delay that; a hit multiplies the odds of a guess by about 4,096.
    sketches    96 bits of MinHash of each longer text (one bit of each: Li and Koenig, WWW 2010), fewer than
                such a text holds; they confirm one that is guessed
    images      64 bits of each decoded picture, keyed with the salt
    perceptual  256 bits of each picture: signs of random projections (Charikar, STOC 2002) of the ranks of 32
                x 32 grey values without their blur. At the very most a thumbnail could be guessed from them.

Where a training began from a model that tells its own rows, these follow with a salt of their own under the
same names with a number (`salt_1`, `texts_1` …); an array `incomplete` says that it began from one that does
not tell.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tetkik import turkish
from tetkik.bundle import Task, open_bundle, resolve
from tetkik.errors import BundleCorrupt, BundleError
from tetkik.lab.engine.duplicate_images import SIDE, Thumbnails, area_shares, ranks
from tetkik.lab.engine.duplicate_texts import canonical
from tetkik.lab.engine.splits import mixed_bits
from tetkik.statistics import Bools, Ints

if TYPE_CHECKING:
    from tetkik.bundle import Bundle

LEARNED = "learned.npz"
SHORT = 16
"""Texts of fewer words are known again only by the same words: with one word changed they are no near
duplicates either (see `duplicate_texts`)."""
_FALSE_HITS = 12
"""A text that was not learned has the hash of one that was with a chance of 1 in 2 to this power."""
_SKETCH = 96
_SAME_SKETCH = 81
"""Equal bits from which two texts nearly say the same: 98 of 100 pairs with a similarity of 0.8 have them,
and of unlike ones 2 in 100 billion."""
_PERCEPTUAL = 256
_SAME_PICTURE = 220
"""Equal bits from which two pictures are called copies, among 4,096 learned ones; 2 more for each doubling.

On 600 radiographs and 400 brain slices: 99 of 100 that were compressed, scaled or equalised again have them,
and of 180,000 pairs of radiographs one, a true copy."""
_FEW_PICTURES = 4096
_BLUR = 9
_FLAT = 2.0
"""Standard deviation of grey values below which a picture is too flat to be compared."""
_CHUNK = 2048

Bits = NDArray[np.uint8]
Hashes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class LearnedMatch:
    """Which of the given rows the model learned, (rows,): the same, or (and not the same) nearly the same."""

    same: Bools
    near: Bools
    complete: bool = True
    """Whether it is known of the model, too, from which the training began."""

    @property
    def either(self) -> Bools:
        return np.asarray(self.same | self.near)

    def with_copies(self, groups: Ints) -> LearnedMatch:
        """Rows of a group, (rows,), of copies or of one patient, that holds a learned row are near, too."""
        return replace(self, near=np.isin(groups, groups[self.either]) & ~self.same)


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Pictures to be known again: 64 bits of each, (n,), and their thumbnails, (n, 32, 32), uint8."""

    digests: Hashes
    thumbnails: Thumbnails

    def only(self, rows: Bools | Ints) -> Pictures:
        return Pictures(self.digests[rows], self.thumbnails[rows])

    @classmethod
    def of(cls, batches: Iterable[NDArray[np.uint8]]) -> Pictures:
        """Of squares (n, size, size) or (n, size, size, 3), uint8, in batches."""
        digests: list[int] = []
        small = [np.zeros((0, SIDE, SIDE), np.uint8)]
        for squares in batches:
            digests += (
                int.from_bytes(blake2b(square.tobytes(), digest_size=8).digest(), "little")
                for square in squares
            )
            grey = squares.astype(np.float32)
            shares = area_shares(squares.shape[1], SIDE)
            grey = grey if grey.ndim == 3 else grey.mean(axis=3)
            small.append(np.rint(shares @ grey @ shares.T).astype(np.uint8))
        return cls(np.array(digests, np.uint64), np.concatenate(small))


@dataclass(frozen=True, slots=True, eq=False)
class LearnedRows:
    """The contents of `learned.npz`; each part in an order that tells nothing."""

    salt: bytes
    texts: NDArray[np.uint32]
    sketches: Bits
    images: Hashes
    perceptual: Bits
    before: tuple[LearnedRows, ...] = ()
    """Those of earlier trainings, from whose model this one began, each without any before it."""
    complete: bool = True
    """False where a training began from a model that does not tell what it learned."""

    @classmethod
    def of(cls, data: str, texts: Sequence[str] = (), pictures: Pictures | None = None) -> LearnedRows:
        """Of rows that a training saw; `data` is a digest of them: the same data gives the same bytes."""
        salt = blake2b(data.encode(), digest_size=16, person=b"learned rows").digest()
        short, long = _by_length({normal(text) for text in texts})
        found = cls(
            salt,
            np.sort(_text_hashes(short, salt, _bits_for(len(short)))),
            _distinct(_sketches(long, salt)),
            np.zeros(0, np.uint64),
            np.zeros((0, _PERCEPTUAL // 8), np.uint8),
        )
        return found if pictures is None else found.with_pictures(pictures)

    def with_pictures(self, pictures: Pictures) -> LearnedRows:
        """These rows and the pictures."""
        comparable = pictures.thumbnails.std(axis=(1, 2)) >= _FLAT
        perceptual = _perceptual(pictures.thumbnails[comparable], self.salt)
        return replace(
            self,
            images=np.union1d(self.images, _salted(pictures.digests, self.salt)),
            perceptual=_distinct(np.concatenate([self.perceptual, perceptual])),
        )

    def after(self, base: Path) -> LearnedRows:
        """With the rows that the model learned from which the training began: a bundle, or a file of one.

        Where `base` is anything else, these rows are incomplete.
        """
        earlier = None
        with suppress(BundleError):
            bundle = open_bundle(base.parent if base.is_file() else base)
            if not base.is_file() or base.name in bundle.manifest.files:
                earlier = read_learned(bundle)
        if earlier is None:
            return replace(self, complete=False)
        rows = replace(earlier, before=(), complete=True)
        return replace(self, before=(rows, *earlier.before), complete=earlier.complete)

    def match_texts(self, texts: Sequence[str]) -> LearnedMatch:
        """Which texts, (rows,), were learned."""
        return self._united([rows._own_texts(texts) for rows in (self, *self.before)])

    def match_pictures(self, pictures: Pictures) -> LearnedMatch:
        """Which pictures, (rows,), were learned; near are those compressed, scaled or brightened again."""
        return self._united([rows._own_pictures(pictures) for rows in (self, *self.before)])

    def _united(self, matches: Sequence[LearnedMatch]) -> LearnedMatch:
        same: Bools = np.any([match.same for match in matches], axis=0)
        near: Bools = np.any([match.near for match in matches], axis=0)
        return LearnedMatch(same, near & ~same, self.complete)

    def _own_texts(self, texts: Sequence[str]) -> LearnedMatch:
        plain = [normal(text) for text in texts]
        short, long = _by_length(set(plain))
        hashes = _text_hashes(short, self.salt, _bits_for(len(self.texts)))
        equal = _most_equal(_sketches(long, self.salt), self.sketches)
        same = dict(zip(short, np.isin(hashes, self.texts).tolist(), strict=True))
        same |= dict(zip(long, (equal == _SKETCH).tolist(), strict=True))
        near = dict(zip(long, (equal >= _SAME_SKETCH).tolist(), strict=True))
        found = np.array([same[text] for text in plain], bool)
        return LearnedMatch(found, np.array([near.get(text, False) for text in plain], bool) & ~found)

    def _own_pictures(self, pictures: Pictures) -> LearnedMatch:
        same = np.isin(_salted(pictures.digests, self.salt), self.images)
        comparable = pictures.thumbnails.std(axis=(1, 2)) >= _FLAT
        near = np.zeros(len(same), bool)
        perceptual = _perceptual(pictures.thumbnails[comparable], self.salt)
        more = 2 * max(0.0, math.log2(max(len(self.perceptual), 1) / _FEW_PICTURES))
        near[comparable] = _most_equal(perceptual, self.perceptual) >= _SAME_PICTURE + more
        return LearnedMatch(same, near & ~same)

    def write(self, folder: Path) -> None:
        """Write `learned.npz` into the folder of a bundle; its manifest is written after it."""
        parts: dict[str, Any] = {} if self.complete else {"incomplete": np.zeros(0, np.uint8)}
        for number, rows in enumerate((self, *self.before)):
            parts[_name("salt", number)] = np.frombuffer(rows.salt, np.uint8)
            parts |= {_name(part, number): getattr(rows, part) for part in _PARTS}
        content = io.BytesIO()
        np.savez(content, **parts)
        (folder / LEARNED).write_bytes(content.getvalue())


_PARTS: dict[str, tuple[type, tuple[int, ...]]] = {
    "texts": (np.uint32, ()),
    "sketches": (np.uint8, (_SKETCH // 8,)),
    "images": (np.uint64, ()),
    "perceptual": (np.uint8, (_PERCEPTUAL // 8,)),
}
"""The arrays of the file: type, and shape of a row."""


def _name(part: str, number: int) -> str:
    """Of an array in the file; 0 is the training itself."""
    return f"{part}_{number}" if number else part


def read_learned(bundle: Bundle) -> LearnedRows | None:
    """What the bundle tells of the rows that it learned; None where it tells nothing."""
    if LEARNED not in bundle.manifest.files:
        return None
    try:
        with np.load(io.BytesIO(bundle.file(LEARNED).read_bytes()), allow_pickle=False) as file:
            rows, *before = (
                _read(file, number) for number in range(sum(name.startswith("salt") for name in file.files))
            )
            return replace(rows, before=tuple(before), complete="incomplete" not in file.files)
    except (ValueError, TypeError, KeyError, EOFError, OSError, zipfile.BadZipFile):
        raise BundleCorrupt(
            "{path} has a file {name} that cannot be read; train the model again.",
            path=bundle.path,
            name=LEARNED,
        ) from None


def _read(file: Mapping[str, Any], number: int) -> LearnedRows:
    found = {name: file[_name(name, number)] for name in ("salt", *_PARTS)}
    fits = all(
        found[name].dtype == kind and found[name].shape[1:] == shape and found[name].ndim == len(shape) + 1
        for name, (kind, shape) in _PARTS.items()
    )
    if not fits or found["salt"].nbytes != 16:
        raise ValueError(LEARNED)
    return LearnedRows(found.pop("salt").tobytes(), **found)


def bundle_of(model: str, task: Task) -> Bundle | None:
    """The bundle of a model as the user calls it; None for one that is no bundle, such as a checkpoint."""
    try:
        return resolve(model, task)
    except BundleError:
        return None


def learned_of(model: str, task: Task) -> LearnedRows | None:
    """As `read_learned`, of a model as the user calls it."""
    bundle = bundle_of(model, task)
    return None if bundle is None else read_learned(bundle)


def normal(text: str) -> str:
    """The form in which texts are compared: words of ASCII letters, or what there is without any word."""
    key = canonical(text)
    return " ".join(turkish.fold(key).split()) or key


def _by_length(texts: Iterable[str]) -> tuple[list[str], list[str]]:
    short: list[str] = []
    long: list[str] = []
    for text in sorted(texts):
        (long if text.count(" ") + 1 >= SHORT else short).append(text)
    return short, long


def _bits_for(count: int) -> int:
    return min(32, max(count - 1, 0).bit_length() + _FALSE_HITS)


def _hashed(texts: Iterable[str], salt: bytes) -> Hashes:
    return _keyed((text.encode("utf-8", "surrogatepass") for text in texts), salt)


def _keyed(values: Iterable[bytes], salt: bytes) -> Hashes:
    digests = (blake2b(value, digest_size=8, key=salt).digest() for value in values)
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def _text_hashes(texts: list[str], salt: bytes, bits: int) -> NDArray[np.uint32]:
    return (_hashed(texts, salt) >> np.uint64(64 - bits)).astype(np.uint32)


def _salted(digests: Hashes, salt: bytes) -> Hashes:
    return _keyed((digest.tobytes() for digest in digests.astype("<u8")), salt)


def _draws(count: int, salt: bytes) -> Hashes:
    """Random numbers, the same in every version of NumPy."""
    number = np.uint64(int.from_bytes(salt[:8], "little"))
    return mixed_bits(mixed_bits(np.arange(1, count + 1, dtype=np.uint64)) ^ number)


def _sketches(texts: list[str], salt: bytes) -> Bits:
    """(texts, 12), uint8: of each of 96 MinHashes of the pairs of words its lowest bit."""
    if not texts:
        return np.zeros((0, _SKETCH // 8), np.uint8)
    cut = [text.split(" ") for text in texts]
    vocabulary = sorted({word for words in cut for word in words})
    of_word = dict(zip(vocabulary, _hashed(vocabulary, salt).tolist(), strict=True))
    line = np.array([0, *(of_word.get(word, 0) for words in cut for word in (*words, ""))], np.uint64)
    pairs = mixed_bits(line[:-1] * np.uint64(3) + line[1:])
    starts = np.cumsum([0, *(len(words) + 1 for words in cut[:-1])])
    bits = np.empty((len(texts), _SKETCH), np.uint8)
    for column, draw in enumerate(_draws(_SKETCH, salt)):
        bits[:, column] = np.minimum.reduceat(mixed_bits(pairs ^ draw), starts) & np.uint64(1)
    return np.packbits(bits, axis=1)


def _perceptual(thumbnails: Thumbnails, salt: bytes) -> Bits:
    """(n, 32), uint8."""
    near = np.abs(np.subtract.outer(np.arange(SIDE), np.arange(SIDE))) <= _BLUR // 2
    blur = (near / near.sum(axis=1, keepdims=True)).astype(np.float32)
    draws = _draws(SIDE * SIDE * _PERCEPTUAL // 64, salt).astype("<u8").view(np.uint8)
    signs = np.unpackbits(draws).reshape(SIDE * SIDE, _PERCEPTUAL).astype(np.float32) * 2 - 1
    found = [np.zeros((0, _PERCEPTUAL // 8), np.uint8)]
    for start in range(0, len(thumbnails), _CHUNK):
        flat = ranks(thumbnails[start : start + _CHUNK].reshape(-1, SIDE * SIDE))
        grey = flat.reshape(-1, SIDE, SIDE)
        sharp = (grey - blur @ grey @ blur.T).reshape(len(flat), -1)
        found.append(np.packbits(sharp @ signs > 0, axis=1))
    return np.concatenate(found)


def _distinct(rows: Bits) -> Bits:
    distinct: Bits = np.unique(rows, axis=0)
    return distinct


def _most_equal(rows: Bits, stored: Bits) -> Ints:
    """(rows,): in how many bits each agrees with the stored one that is nearest; 0 where there is none."""
    most = np.zeros(len(rows), np.int64)
    width = 8 * stored.shape[1]
    for start in range(0, len(stored), _CHUNK):
        others = _signed(stored[start : start + _CHUNK]).T
        for first in range(0, len(rows), _CHUNK):
            part = slice(first, first + _CHUNK)
            product = (_signed(rows[part]) @ others).max(axis=1)
            most[part] = np.maximum(most[part], ((product + width) / 2).astype(np.int64))
    return most


def _signed(rows: Bits) -> NDArray[np.float32]:
    return np.unpackbits(rows, axis=1).astype(np.float32) * 2 - 1
