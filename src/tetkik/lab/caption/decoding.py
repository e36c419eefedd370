"""Rows become squares, in several processes: in order, in bounded memory, a bad file at its own cost.

A decoder that crashes takes its process with it. The rows it was given are then decoded again, each in a
process of its own, and only the one that crashes it is left out.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from tetkik.caption.image_spec import ImageSpec
from tetkik.errors import TetkikError
from tetkik.lab.caption.data import CaptionRow, LeftOut, Reason
from tetkik.lab.caption.duplicates import is_grey, picture_digest
from tetkik.lab.engine.duplicate_images import SIDE, difference_hashes

Bytes = NDArray[np.uint8]
_AT_ONCE = 16
"""Rows that go to a process together."""
_AHEAD = 3
"""Such parcels for each process that wait or are being decoded."""
_SHADE = 8
"""Difference of two channels that comes from compression and not from colour."""
_SHADED = 0.001
"""Share of the pixels that may differ more in a picture that is called grey."""


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A picture as the shards keep it.

    Attributes:
        square: (size, size), uint8, where the three channels are equal; else (size, size, 3).
        print: 64 bits of its decoded pixels.
        hash: 64 bits of a difference hash.
        thumbnail: (32, 32), uint8.
    """

    square: Bytes
    mode: str
    grey: bool
    print: int
    hash: int
    thumbnail: Bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """A picture that could not be had."""

    reason: Reason
    detail: str


Outcome = Decoded | Failed


def decode(row: CaptionRow, spec: ImageSpec) -> Outcome:
    from PIL import Image

    from tetkik.caption.colour_images import open_picture

    try:
        picture = open_picture(row.read(), row.file)
        square = spec.square(picture.image)
        digest = picture_digest(np.asarray(picture.image))
    except FileNotFoundError:
        return Failed(Reason.NO_FILE, "")
    except TetkikError as error:
        return Failed(Reason.UNREADABLE, str(error))
    # Decoders raise whatever a hostile file leads them to, and it must cost that file alone.
    except Exception as error:
        return Failed(Reason.UNREADABLE, type(error).__name__)
    small = Image.fromarray(square).convert("L").resize((SIDE, SIDE), resample=Image.Resampling.BOX)
    thumbnail = np.asarray(small)
    exactly = is_grey(square)
    return Decoded(
        square=np.ascontiguousarray(square[..., 0]) if exactly else square,
        mode=picture.mode,
        grey=exactly or _looks_grey(square),
        print=digest,
        hash=int(difference_hashes(thumbnail[None])[0]),
        thumbnail=thumbnail,
    )


def _looks_grey(square: Bytes) -> bool:
    spread = square.max(axis=2) - square.min(axis=2)
    return float((spread > _SHADE).mean()) <= _SHADED


def _decode_all(rows: Sequence[CaptionRow], spec: ImageSpec) -> list[Outcome]:
    return [decode(row, spec) for row in rows]


def decoded(
    rows: Iterable[CaptionRow | LeftOut], spec: ImageSpec, workers: int
) -> Iterator[tuple[CaptionRow | LeftOut, Outcome | None]]:
    """Each row with its picture, in the order of `rows`, whatever the number of processes.

    Args:
        rows: those that are left out already pass through, without a picture.
        workers: processes; 1 decodes in this one.
    """
    if workers <= 1:
        for row in rows:
            yield row, decode(row, spec) if isinstance(row, CaptionRow) else None
        return
    with _Pool(spec, workers) as pool:
        for parcel, outcomes in pool.map(_parcels(rows)):
            found = iter(outcomes)
            for row in parcel:
                yield row, next(found) if isinstance(row, CaptionRow) else None


def workers_for(count: int | None, requested: int) -> int:
    """How many processes: as many as asked for, or one a core, but never for a handful of images."""
    if requested:
        return requested
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if count is None else max(1, min(cores, count // (4 * _AT_ONCE)))


def _parcels(rows: Iterable[CaptionRow | LeftOut]) -> Iterator[list[CaptionRow | LeftOut]]:
    rest = iter(rows)
    while parcel := list(islice(rest, _AT_ONCE)):
        yield parcel


_Parcel = list[CaptionRow | LeftOut]


class _Pool:
    """Processes that are started anew when one of them dies."""

    def __init__(self, spec: ImageSpec, workers: int) -> None:
        self._spec = spec
        self._workers = workers
        self._executor = self._started(workers)

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _started(self, workers: int) -> ProcessPoolExecutor:
        # A fork of a process that has threads (torch, Arrow) may never come back.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)

    def _submit(self, parcel: _Parcel) -> Future[list[Outcome]]:
        rows = [row for row in parcel if isinstance(row, CaptionRow)]
        return self._executor.submit(_decode_all, rows, self._spec)

    def map(self, parcels: Iterator[_Parcel]) -> Iterator[tuple[_Parcel, list[Outcome]]]:
        waiting: deque[tuple[_Parcel, Future[list[Outcome]]]] = deque()
        while True:
            while len(waiting) < _AHEAD * self._workers and (parcel := next(parcels, None)) is not None:
                waiting.append((parcel, self._submit(parcel)))
            if not waiting:
                return
            parcel, future = waiting.popleft()
            try:
                outcomes = future.result()
            except BrokenProcessPool:
                outcomes = self._one_by_one(parcel)
                waiting = deque((later, self._submit(later)) for later, _ in waiting)
            yield parcel, outcomes

    def _one_by_one(self, parcel: _Parcel) -> list[Outcome]:
        outcomes: list[Outcome] = []
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._executor = self._started(1)
        for row in parcel:
            if isinstance(row, CaptionRow):
                try:
                    outcomes += self._submit([row]).result()
                except BrokenProcessPool:
                    outcomes.append(Failed(Reason.UNREADABLE, "the decoder crashed"))
                    self._executor = self._started(1)
        self._executor.shutdown(wait=True)
        self._executor = self._started(self._workers)
        return outcomes


def _begin() -> None:
    """Ctrl-C is the business of the process that gives the work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
