"""Rows become squares, in several processes: in order, in bounded memory, a bad file at its own cost."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from tetkik.caption.image_spec import ImageSpec
from tetkik.errors import TetkikError
from tetkik.imaging.read import load_readers
from tetkik.imaging.subprocess_worker import WorkerPool
from tetkik.lab.caption.duplicates import is_grey, picture_digest
from tetkik.lab.caption.prepared import CaptionRow, LeftOut, LeftOutReason
from tetkik.lab.engine.duplicate_images import SIDE, difference_hashes
from tetkik.settings import cores

Bytes = NDArray[np.uint8]
_AHEAD = 8
"""Rows for each process that wait or are being decoded."""
_FEW = 64
"""Rows that are not worth another process."""
_CRASHED = "the decoder crashed"
_SHADE = 8
"""Difference of two channels that comes from compression and not from colour."""
_SHADED = 0.001
"""Share of the pixels that may differ more in a picture that is called grey."""


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A picture as the shards keep it.

    The square is (size, size), uint8, where the three channels are equal, else (size, size, 3); `print` and
    `hash` have 64 bits, and the thumbnail is (32, 32), uint8.
    """

    square: Bytes
    mode: str
    grey: bool
    print: int
    hash: int
    thumbnail: Bytes


@dataclass(frozen=True, slots=True)
class Failed:
    reason: LeftOutReason
    detail: str


Outcome = Decoded | Failed


def decode(row: CaptionRow, spec: ImageSpec) -> Outcome:
    content = _read(row)
    return content if isinstance(content, Failed) else decode_content((content, row.file, spec))


def _read(row: CaptionRow) -> bytes | Failed:
    try:
        return row.read()
    except FileNotFoundError:
        return Failed(LeftOutReason.NO_FILE, "")
    except TetkikError as error:
        return Failed(LeftOutReason.UNREADABLE, str(error))
    # A damaged source may raise anything, and it must cost that row alone.
    except Exception as error:
        return Failed(LeftOutReason.UNREADABLE, type(error).__name__)


def load_all() -> None:
    """Load what `decode_content` needs."""
    load_readers()
    from tetkik.caption.predict import open_picture  # noqa: F401


def decode_content(row: tuple[bytes, str, ImageSpec]) -> Outcome:
    """The picture in a file's content, with the file's name and how it is to be stretched."""
    from PIL import Image

    from tetkik.caption.predict import open_picture

    content, file, spec = row
    try:
        picture = open_picture(content, file)
        square = spec.square(picture.image)
        digest = picture_digest(np.asarray(picture.image))
    except TetkikError as error:
        return Failed(LeftOutReason.UNREADABLE, str(error))
    # Decoders raise whatever a hostile file leads them to, and it must cost that file alone.
    except Exception as error:
        return Failed(LeftOutReason.UNREADABLE, type(error).__name__)
    small = Image.fromarray(square).convert("L").resize((SIDE, SIDE), resample=Image.Resampling.BOX)
    thumbnail = np.asarray(small)
    exactly = is_grey(square)
    spread = square.max(axis=2) - square.min(axis=2)
    return Decoded(
        square=np.ascontiguousarray(square[..., 0]) if exactly else square,
        mode=picture.mode,
        grey=float((spread > _SHADE).mean()) <= _SHADED,
        print=digest,
        hash=int(difference_hashes(thumbnail[None])[0]),
        thumbnail=thumbnail,
    )


def decoded(
    rows: Iterable[CaptionRow | LeftOut], spec: ImageSpec, workers: int
) -> Iterator[tuple[CaptionRow | LeftOut, Outcome | None]]:
    """Each row with its picture, in the order of `rows`; rows that were left out pass through without one."""
    if workers <= 1:
        for row in rows:
            yield row, decode(row, spec) if isinstance(row, CaptionRow) else None
        return
    pool = WorkerPool((decode_content,), workers, prepare=load_all)

    def outcome_of(row: CaptionRow | LeftOut) -> Outcome | None:
        if isinstance(row, LeftOut):
            return None
        content = _read(row)
        if isinstance(content, Failed):
            return content
        answer = pool.call(decode_content, (content, row.file, spec), row.file)
        return Failed(LeftOutReason.UNREADABLE, _CRASHED) if isinstance(answer, TetkikError) else answer

    rest, waiting = iter(rows), deque[tuple[CaptionRow | LeftOut, Future[Outcome | None]]]()
    with ThreadPoolExecutor(workers) as threads:
        try:
            while True:
                ahead = islice(rest, _AHEAD * workers - len(waiting))
                waiting.extend((row, threads.submit(outcome_of, row)) for row in ahead)
                if not waiting:
                    return
                row, future = waiting.popleft()
                yield row, future.result()
        finally:
            pool.close()


def workers_for(count: int | None, requested: int) -> int:
    """How many processes: as many as asked for, or one a core, but never for a handful of images."""
    if requested:
        return requested
    return cores() if count is None else max(1, min(cores(), count // _FEW))
