"""A source becomes a prepared folder: checked, cleaned, resized and tokenised once.

Splits are read from the last to the first, so that a picture which is in two of them stays in the later and
the test split stays whole; and so with captions of eight words or more, which a model would recall.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from shutil import disk_usage
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tetkik._version import __version__
from tetkik.bundle.store import sha256_of, staged_folder
from tetkik.caption.image_spec import ImageSpec
from tetkik.errors import DataError, OutputError
from tetkik.lab.caption.decoding import Decoded, Failed, decoded, workers_for
from tetkik.lab.caption.duplicates import DuplicatePair, LaterSplits, Likeness
from tetkik.lab.caption.prepared import (
    CONCEPTS,
    FORMAT_VERSION,
    PREPARED,
    ROWS,
    CaptionRow,
    LeftOut,
    LeftOutReason,
    ShardFile,
    ShardWriter,
    Split,
    is_prepared,
    write_array,
)
from tetkik.lab.caption.sources.opening import Source, SourceKind, is_missing
from tetkik.lab.caption.text import caption_print, clean_caption, word_count
from tetkik.lab.engine.learned_rows import LearnedMatch, LearnedRows, Pictures, read_learned
from tetkik.lab.engine.options import check_options
from tetkik.lab.engine.session import public_name

if TYPE_CHECKING:
    from tetkik.bundle.store import Bundle
    from tetkik.caption.families.staged import CaptionTokenizer
    from tetkik.lab.caption.prepared import PreparedPart
    from tetkik.values.common import ProgressCallback


# Whether a model has seen the rows that it is judged on: in training, or when its epoch was chosen.


_BATCH = 256


def pictures_of(part: PreparedPart) -> Pictures:
    """The pictures of a split: the same where their decoded pixels are, whatever the square."""

    def squares() -> Iterator[NDArray[np.uint8]]:
        for _, batch in part.stream(_BATCH):
            yield batch

    return Pictures(part.prints, Pictures.of(squares()).thumbnails)


def long_captions(part: PreparedPart) -> list[str]:
    """Captions of eight words or more; a shorter one is blank, for it may repeat by chance."""
    is_long = part.caption_prints != 0
    return [caption if long else "" for caption, long in zip(part.captions, is_long.tolist(), strict=True)]


def match_learned(part: PreparedPart, bundle: Bundle) -> LearnedMatch | None:
    """Which rows of `part` the model saw, by picture or by caption; None where it does not tell."""
    learned: LearnedRows | None = read_learned(bundle)
    if learned is None:
        return None
    pictures, captions = learned.match_pictures(pictures_of(part)), learned.match_texts(long_captions(part))
    same = pictures.same | (captions.same & (part.caption_prints != 0))
    return LearnedMatch(same, (pictures.near | captions.near) & ~same, learned.complete)


# One split is written: its rows, its columns and its shards.


_TOKENISED = 1024
"""Captions that are tokenised together."""


@dataclass(slots=True)
class Tally:
    """What was met in a split, kept or not; `colour` counts what is not grey to the eye."""

    listed: int = 0
    rgb: int = 0
    rgb_grey: int = 0
    colour: int = 0
    left_out: Counter[LeftOutReason] = field(default_factory=Counter)

    def add(self, picture: Decoded) -> None:
        self.rgb += picture.mode == "RGB"
        self.rgb_grey += picture.mode == "RGB" and picture.grey
        self.colour += not picture.grey


@dataclass(frozen=True, slots=True)
class RowLine:
    """A row as `rows.jsonl` keeps it, and the 64 bits of its words."""

    caption: str
    print: int
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SplitFiles:
    """A split that was written; `others` are its rows and columns, token counts those before the cut."""

    rows: int
    shards: tuple[ShardFile, ...]
    others: tuple[ShardFile, ...]
    words: Sequence[int]
    token_counts: Sequence[int]
    cut: int
    licences: Counter[str]


class SplitWriter:
    """Writes a split row by row; used as a context, so that its file is closed whatever happens."""

    def __init__(self, folder: Path, limit: int) -> None:
        folder.mkdir()
        self._folder = folder
        self._shards = ShardWriter(folder, limit)
        # A surrogate that stands alone cannot be written as UTF-8; this escapes it as JSON does.
        self._rows = (folder / ROWS).open("w", encoding="utf-8", errors="backslashreplace", newline="\n")
        self._captions: list[str] = []
        self._prints: list[int] = []
        self._caption_prints: list[int] = []
        self._licences: Counter[str] = Counter()

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()

    def line(self, row: CaptionRow) -> RowLine:
        """The row with its caption cleaned; as the source has it too, where that is another."""
        caption = clean_caption(row.caption)
        content: dict[str, Any] = {"id": row.id, "file": row.file, "caption": caption}
        if caption != row.caption:
            content["source_caption"] = row.caption
        content |= {"group": row.group, "concepts": row.concepts, "licence": row.licence}
        return RowLine(caption, caption_print(caption), content)

    def add(self, line: RowLine, picture: Decoded) -> None:
        self._shards.add(picture.square)
        content = {**line.content, "mode": picture.mode}
        self._rows.write(json.dumps(content, ensure_ascii=False) + "\n")
        self._captions.append(line.caption)
        self._prints.append(picture.print)
        self._caption_prints.append(line.print)
        self._licences[line.content["licence"] or "unknown"] += 1

    def finish(self, tokenizer: CaptionTokenizer | None, max_tokens: int) -> SplitFiles:
        self._shards.close()
        self._rows.close()
        columns: dict[str, NDArray[Any]] = {
            "prints": np.array(self._prints, np.uint64),
            "caption_prints": np.array(self._caption_prints, np.uint64),
            "colour": np.array(self._shards.colour, bool),
        }
        counts: list[int] = []
        if tokenizer is not None:
            parts: list[NDArray[np.int32]] = []
            for start in range(0, len(self._captions), _TOKENISED):
                parts += tokenizer.encode(self._captions[start : start + _TOKENISED])
            counts = [len(part) for part in parts]
            parts = [part[:max_tokens].astype(np.int32) for part in parts]
            columns["tokens"] = np.concatenate([np.zeros(0, np.int32), *parts])
            columns["token_ends"] = np.cumsum([len(part) for part in parts], dtype=np.int64)
        count = len(self._captions)
        rows = self._folder / ROWS
        return SplitFiles(
            rows=count,
            shards=tuple(self._shards.files),
            others=(
                ShardFile(ROWS, count, rows.stat().st_size, sha256_of(rows)),
                *(
                    write_array(self._folder / f"{name}.npy", values, count)
                    for name, values in columns.items()
                ),
            ),
            words=tuple(map(word_count, self._captions)),
            token_counts=tuple(counts),
            cut=sum(length > max_tokens for length in counts),
            licences=self._licences,
        )


LEFT_OUT = "left_out.csv"
DUPLICATES = "duplicates.csv"
LEAVES = {
    Likeness.SAME: LeftOutReason.COPY,
    Likeness.NEAR: LeftOutReason.COPY,
    Likeness.CAPTION: LeftOutReason.SAID,
}
"""What makes a row leave the earlier split, and why."""


@dataclass(frozen=True, slots=True)
class SplitReport:
    """One split; `published` images are None where nobody published a number."""

    split: Split
    kept: int
    published: int | None
    published_rgb: int | None
    tally: Tally


@dataclass(frozen=True, slots=True)
class PrepareReport:
    """All of it; words and tokens are those of each caption, `duplicates` rows alike another split's."""

    out: Path
    source: str
    reference: str | None
    splits: tuple[SplitReport, ...]
    left_out: Mapping[LeftOutReason, int]
    duplicates: Mapping[Likeness, int]
    removed: bool
    crossing_groups: int
    words: tuple[int, ...]
    tokens: tuple[int, ...]
    cut: int
    bytes: int

    @property
    def kept(self) -> int:
        return sum(split.kept for split in self.splits)

    @property
    def median_words(self) -> float:
        return float(median(self.words)) if self.words else 0.0

    @property
    def median_tokens(self) -> float | None:
        """Of a caption; None without a base."""
        return float(median(self.tokens)) if self.tokens else None

    def as_json(self) -> dict[str, Any]:
        return {
            "splits": {
                part.split.value: {
                    "listed": part.tally.listed,
                    "published": part.published,
                    "stored_as_rgb": part.tally.rgb,
                    "published_rgb": part.published_rgb,
                    "stored_as_rgb_and_grey": part.tally.rgb_grey,
                    "in_colour": part.tally.colour,
                    "left_out": {reason.name.lower(): count for reason, count in part.tally.left_out.items()},
                    "kept": part.kept,
                }
                for part in self.splits
            },
            "reference": self.reference,
            "left_out": {reason.name.lower(): count for reason, count in self.left_out.items()},
            "alike": {likeness.name.lower(): count for likeness, count in self.duplicates.items()},
            "copies_left_out": self.removed,
            "crossing_groups": self.crossing_groups,
            "median_words": self.median_words,
            "median_tokens": self.median_tokens,
            "cut_captions": self.cut,
            "bytes": self.bytes,
        }


def write_lists(
    folder: Path, left_out: Iterable[LeftOut], duplicates: Iterable[DuplicatePair], *, removed: bool
) -> None:
    """Write `left_out.csv` and `duplicates.csv`."""
    with (folder / LEFT_OUT).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "split", "file", "reason", "detail"))
        writer.writerows(
            (item.id, item.split, item.file, item.reason.name.lower(), item.detail) for item in left_out
        )
    with (folder / DUPLICATES).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("alike", "kept", "kept_split", "other", "other_split", "other_left_out"))
        for pair in duplicates:
            writer.writerow(
                (
                    pair.likeness.name.lower(),
                    pair.id,
                    pair.split.value,
                    pair.other,
                    pair.other_split.value,
                    "yes" if removed and pair.likeness in LEAVES else "no",
                )
            )


_ORDER = (Split.TEST, Split.VALID, Split.TRAIN)
_STEPS = {Split.TRAIN: "training images", Split.VALID: "validation images", Split.TEST: "test images"}
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class PrepareOptions:
    """How a source is prepared: for the model `base`, or with BLIP-2's image size and no tokenizer.

    `limit` takes the first rows of each split, and `workers` 0 one process a core.
    """

    base: str | None = None
    revision: str | None = None
    rgb_only: bool = False
    keep_duplicates: bool = False
    max_tokens: Annotated[int, Field(ge=4)] = 128
    limit: Annotated[int | None, Field(ge=1)] = None
    workers: Annotated[int, Field(ge=0)] = 0
    shard_mb: Annotated[int, Field(ge=1)] = 64

    def __post_init__(self) -> None:
        check_options(self)


def prepare(source: Source, out: Path, options: PrepareOptions, progress: ProgressCallback) -> PrepareReport:
    """Write the prepared folder of `source` at `out`, whole or not at all.

    Raises:
        DataError: no row can be used, or the source is damaged.
        OutputError: `out` holds something else, or there is not enough room on its disk.
        BundleNotFound: there is no such base.
        OSError: the disk is full.
    """
    if out.exists() and not (out.is_dir() and (is_prepared(out) or not any(out.iterdir()))):
        raise OutputError(
            "{target} already holds something that `tetkik caption prepare` did not write; choose another "
            "--out.",
            target=out,
        )
    spec, tokenizer = ImageSpec(), None
    if options.base is not None:
        from tetkik.caption.families import image_spec_of, tokenizer_of

        spec = image_spec_of(options.base, options.revision)
        tokenizer = tokenizer_of(options.base, options.revision)
    _check_room(source, out, spec, options)
    with staged_folder(out, is_prepared) as folder:
        work = _Work(source, folder, spec, tokenizer, options, progress)
        work.run()
        report = work.report(out)
        (folder / PREPARED).write_text(
            json.dumps(work.details(report), ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
        )
    return report


def missing_files(source: Source, limit: int | None = None) -> tuple[int, int, str]:
    """How many rows name an image that is not there, of how many, and the first such name; none is decoded.

    Rows that come with their images, as in Parquet, are not looked through: that would read them all.
    """
    rows: list[CaptionRow | LeftOut] = []
    if source.kind is not SourceKind.HUGGINGFACE:
        rows = [row for split in source.splits for row in islice(source.rows(split), limit)]
    missing = [row.file for row in rows if isinstance(row, CaptionRow) and is_missing(row.read)]
    return len(missing), len(rows), next(iter(missing), "")


def _check_room(source: Source, out: Path, spec: ImageSpec, options: PrepareOptions) -> None:
    """Whether the disk has room for the squares if all are grey, which is the least they can need."""
    rows = sum(
        count if options.limit is None else min(count, options.limit) for count in source.counts.values()
    )
    nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    needed, free = rows * spec.size**2, disk_usage(nearest).free
    if needed > free:
        raise OutputError(
            "{target} needs {needed} MB or more and its disk has {free} MB free; free some space, or choose "
            "another --out.",
            target=out,
            needed=needed // _MIB,
            free=free // _MIB,
        )


@dataclass(slots=True)
class _Work:
    source: Source
    folder: Path
    spec: ImageSpec
    tokenizer: CaptionTokenizer | None
    options: PrepareOptions
    progress: ProgressCallback
    later: LaterSplits = field(default_factory=LaterSplits)
    ids: set[str] = field(default_factory=set)
    left_out: list[LeftOut] = field(default_factory=list)
    duplicates: list[DuplicatePair] = field(default_factory=list)
    tallies: dict[Split, Tally] = field(default_factory=dict)
    files: dict[Split, SplitFiles] = field(default_factory=dict)

    def run(self) -> None:
        self.left_out += self.source.unplaced
        for split in _ORDER:
            if split in self.source.splits:
                self._split(split)
        if not any(files.rows for files in self.files.values()):
            raise self._nothing()
        (self.folder / CONCEPTS).write_text(
            json.dumps(dict(self.source.concept_names), ensure_ascii=False), encoding="utf-8"
        )
        write_lists(self.folder, self.left_out, self.duplicates, removed=not self.options.keep_duplicates)

    def _nothing(self) -> DataError:
        counts = Counter(item.reason for item in self.left_out)
        if not counts:
            return DataError("{name} has no rows; check that it is whole.", name=self.source.name)
        return DataError(
            "Not one row of {name} can be used ({reason}); check that its images are there.",
            name=self.source.name,
            reason=counts.most_common(1)[0][0],
        )

    def _split(self, split: Split) -> None:
        total = self.source.counts.get(split)
        if total is not None and self.options.limit is not None:
            total = min(total, self.options.limit)
        tally = self.tallies[split] = Tally()
        workers = workers_for(total, self.options.workers)
        writer = SplitWriter(self.folder / split.value, self.options.shard_mb * _MIB)
        rows = islice(self.source.rows(split), self.options.limit)
        with writer:
            for done, (row, outcome) in enumerate(decoded(self._checked(rows), self.spec, workers), 1):
                tally.listed += 1
                self._take(row, outcome, writer, tally)
                self.progress(_STEPS[split], done, total)
            self.files[split] = writer.finish(self.tokenizer, self.options.max_tokens)

    def _checked(self, rows: Iterator[CaptionRow | LeftOut]) -> Iterator[CaptionRow | LeftOut]:
        """Each name once: its caption and its picture would else be joined by chance."""
        for row in rows:
            if row.id in self.ids:
                yield LeftOut(row.id, row.split, row.file, LeftOutReason.REPEATED)
            else:
                self.ids.add(row.id)
                yield row

    def _take(
        self, row: CaptionRow | LeftOut, outcome: Decoded | Failed | None, writer: SplitWriter, tally: Tally
    ) -> None:
        def leave(reason: LeftOutReason, detail: str = "") -> None:
            self.left_out.append(LeftOut(row.id, row.split, row.file, reason, detail))
            tally.left_out[reason] += 1

        if isinstance(row, LeftOut):
            leave(row.reason, row.detail)
            return
        if not isinstance(outcome, Decoded):
            leave(*((outcome.reason, outcome.detail) if outcome else (LeftOutReason.UNREADABLE, "")))
            return
        tally.add(outcome)
        if self.options.rgb_only and outcome.mode != "RGB":
            leave(LeftOutReason.NOT_RGB, outcome.mode)
            return
        line = writer.line(row)
        if not line.caption:
            leave(LeftOutReason.NO_CAPTION)
            return
        duplicate = self._duplicate_of(row, outcome, line.print)
        if duplicate is not None and not self.options.keep_duplicates:
            leave(*duplicate)
            return
        writer.add(line, outcome)
        self.later.add(row.id, row.split, outcome.print, outcome.hash, outcome.thumbnail, line.print)
        self.later.add_group(row.group, row.split)

    def _duplicate_of(
        self, row: CaptionRow, outcome: Decoded, caption: int
    ) -> tuple[LeftOutReason, str] | None:
        """Why the row leaves its split, and which row of a later one it repeats; every likeness is listed."""
        found: dict[Likeness, tuple[str, Split]] = {}
        if (same := self.later.same_picture(row.split, outcome.print)) is not None:
            found[Likeness.SAME] = same
        elif (near := self.later.near_picture(row.split, outcome.hash, outcome.thumbnail)) is not None:
            found[near[0]] = near[1]
        if (original := self.later.same_caption(row.split, caption)) is not None:
            found[Likeness.CAPTION] = original
        self.duplicates += [
            DuplicatePair(likeness, other, split, row.id, row.split)
            for likeness, (other, split) in found.items()
        ]
        for likeness, reason in LEAVES.items():
            if likeness in found:
                return reason, found[likeness][0]
        return None

    def report(self, out: Path) -> PrepareReport:
        published = self.source.published
        splits = tuple(
            SplitReport(
                split=split,
                kept=self.files[split].rows,
                published=published.images.get(split) if published else None,
                published_rgb=published.rgb.get(split) if published else None,
                tally=self.tallies[split],
            )
            for split in Split
            if split in self.files
        )
        files = self.files.values()
        alike = Counter(pair.likeness for pair in self.duplicates)
        return PrepareReport(
            out=out,
            source=self.source.name,
            reference=published.reference if published else None,
            splits=splits,
            left_out=dict(Counter(item.reason for item in self.left_out)),
            duplicates={likeness: alike[likeness] for likeness in Likeness},
            removed=not self.options.keep_duplicates,
            crossing_groups=self.later.crossing_groups(),
            words=tuple(count for part in files for count in part.words),
            tokens=tuple(count for part in files for count in part.token_counts),
            cut=sum(part.cut for part in files),
            bytes=sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file()),
        )

    def details(self, report: PrepareReport) -> dict[str, Any]:
        base = self.options.base
        return {
            "format_version": FORMAT_VERSION,
            "tetkik": __version__,
            "source": {
                "name": self.source.name,
                "kind": self.source.kind.value,
                "set_aside": self.source.set_aside,
            },
            "image": self.spec.as_json(),
            "base": public_name(base) if base is not None else None,
            "revision": self.options.revision,
            "tokenizer": self.tokenizer.fingerprint if self.tokenizer is not None else None,
            "max_tokens": self.options.max_tokens if self.tokenizer is not None else None,
            "options": {
                "rgb_only": self.options.rgb_only,
                "keep_duplicates": self.options.keep_duplicates,
                "limit": self.options.limit,
            },
            "report": report.as_json(),
            "splits": {
                split.value: {
                    "rows": files.rows,
                    "shards": [asdict(file) for file in files.shards],
                    "files": [asdict(file) for file in files.others],
                    "licences": dict(files.licences.most_common()),
                }
                for split, files in self.files.items()
            },
        }
