"""A source becomes a prepared folder: checked, cleaned, resized and tokenised once.

The splits are read from the last to the first, test, valid, train, so that a picture which is in two of them
is known when it comes to the earlier one: it stays in the later, and the test split stays whole. So it is
with captions of eight words or more: a model that learned the words of a test row would recall them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from shutil import disk_usage
from typing import TYPE_CHECKING, Any

from tetkik._version import __version__
from tetkik.bundle import staged_folder
from tetkik.caption.image_spec import ImageSpec
from tetkik.errors import DataError, OutputError, UsageError
from tetkik.lab.caption.data import CaptionRow, LeftOut, Reason, Split
from tetkik.lab.caption.decoding import Decoded, Failed, decoded, workers_for
from tetkik.lab.caption.duplicates import DuplicatePair, LaterSplits, Likeness, count_by_likeness
from tetkik.lab.caption.prepare_report import LEAVES, PrepareReport, SplitReport, write_lists
from tetkik.lab.caption.prepared import CONCEPTS, FORMAT_VERSION, PREPARED, is_prepared
from tetkik.lab.caption.sources import Source
from tetkik.lab.caption.split_writer import SplitFiles, SplitWriter, Tally
from tetkik.lab.engine.output import public_name

if TYPE_CHECKING:
    from tetkik.caption.families.tokenizer import CaptionTokenizer
    from tetkik.values import ProgressCallback

_ORDER = (Split.TEST, Split.VALID, Split.TRAIN)
_STEPS = {Split.TRAIN: "training images", Split.VALID: "validation images", Split.TEST: "test images"}
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class PrepareOptions:
    """How a source is prepared.

    Attributes:
        base: the model to prepare for, whose image size and tokenizer are taken: a folder or a hub id; None
            takes BLIP-2's image size and no tokenizer.
        keep_duplicates: keep a picture, and a caption, in every split that it is in.
        limit: most rows of each split, the first ones; None takes all.
        workers: processes that decode; 0 takes one a core.
    """

    base: str | None = None
    revision: str | None = None
    rgb_only: bool = False
    keep_duplicates: bool = False
    max_tokens: int = 128
    limit: int | None = None
    workers: int = 0
    shard_mb: int = 64

    def __post_init__(self) -> None:
        least = {"max_tokens": 4, "workers": 0, "shard_mb": 1} | ({} if self.limit is None else {"limit": 1})
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                raise UsageError(
                    "The option {name} cannot be {value}; the least is {lowest}.",
                    name=f"--{name.replace('_', '-')}",
                    value=getattr(self, name),
                    lowest=lowest,
                )


def prepare(source: Source, out: Path, options: PrepareOptions, progress: ProgressCallback) -> PrepareReport:
    """Write the prepared folder of `source` at `out`, whole or not at all.

    Raises:
        DataError: no row can be used, or the source is damaged.
        OutputError: `out` holds something else, or there is not enough room on its disk.
        BundleNotFound: there is no such base.
        OSError: the disk is full.
    """
    _check_target(out)
    spec, tokenizer = _of_base(options)
    _check_room(source, out, spec, options)
    with staged_folder(out, is_prepared) as folder:
        work = _Work(source, folder, spec, tokenizer, options, progress)
        work.run()
        report = work.report(out)
        (folder / PREPARED).write_text(
            json.dumps(work.details(report), ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
        )
    return report


def _check_target(out: Path) -> None:
    if out.exists() and not (out.is_dir() and (is_prepared(out) or not any(out.iterdir()))):
        raise OutputError(
            "{target} already holds something that `tetkik caption prepare` did not write; choose another "
            "--out.",
            target=out,
        )


def _of_base(options: PrepareOptions) -> tuple[ImageSpec, CaptionTokenizer | None]:
    if options.base is None:
        return ImageSpec(), None
    from tetkik.caption.families import image_spec_of, tokenizer_of

    return image_spec_of(options.base, options.revision), tokenizer_of(options.base, options.revision)


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


class _Work:
    def __init__(
        self,
        source: Source,
        folder: Path,
        spec: ImageSpec,
        tokenizer: CaptionTokenizer | None,
        options: PrepareOptions,
        progress: ProgressCallback,
    ) -> None:
        self._source = source
        self._folder = folder
        self._spec = spec
        self._tokenizer = tokenizer
        self._options = options
        self._progress = progress
        self._later = LaterSplits()
        self._ids: set[str] = set()
        self._left_out: list[LeftOut] = list(source.unplaced)
        self._duplicates: list[DuplicatePair] = []
        self._tallies: dict[Split, Tally] = {}
        self._files: dict[Split, SplitFiles] = {}

    def run(self) -> None:
        for split in _ORDER:
            if split in self._source.splits:
                self._split(split)
        if not any(files.rows for files in self._files.values()):
            raise self._nothing()
        (self._folder / CONCEPTS).write_text(
            json.dumps(dict(self._source.concept_names), ensure_ascii=False), encoding="utf-8"
        )
        write_lists(self._folder, self._left_out, self._duplicates, removed=not self._options.keep_duplicates)

    def _nothing(self) -> DataError:
        counts = Counter(item.reason for item in self._left_out)
        if not counts:
            return DataError("{name} has no rows; check that it is whole.", name=self._source.name)
        return DataError(
            "Not one row of {name} can be used ({reason}); check that its images are there.",
            name=self._source.name,
            reason=counts.most_common(1)[0][0],
        )

    def _split(self, split: Split) -> None:
        total = self._source.counts.get(split)
        if total is not None and self._options.limit is not None:
            total = min(total, self._options.limit)
        tally = self._tallies[split] = Tally()
        workers = workers_for(total, self._options.workers)
        writer = SplitWriter(self._folder / split.value, self._spec.size, self._options.shard_mb * _MIB)
        rows = islice(self._source.rows(split), self._options.limit)
        with writer:
            for done, (row, outcome) in enumerate(decoded(self._checked(rows), self._spec, workers), 1):
                tally.listed += 1
                self._take(row, outcome, writer, tally)
                self._progress(_STEPS[split], done, total)
            self._files[split] = writer.finish(self._tokenizer, self._options.max_tokens)

    def _checked(self, rows: Iterator[CaptionRow | LeftOut]) -> Iterator[CaptionRow | LeftOut]:
        """Each name once: its caption and its picture would else be joined by chance."""
        for row in rows:
            if row.id in self._ids:
                yield LeftOut(row.id, row.split, row.file, Reason.REPEATED)
            else:
                self._ids.add(row.id)
                yield row

    def _take(
        self, row: CaptionRow | LeftOut, outcome: Decoded | Failed | None, writer: SplitWriter, tally: Tally
    ) -> None:
        def leave(reason: Reason, detail: str = "") -> None:
            self._left_out.append(LeftOut(row.id, row.split, row.file, reason, detail))
            tally.left_out[reason] += 1

        if isinstance(row, LeftOut):
            leave(row.reason, row.detail)
            return
        if not isinstance(outcome, Decoded):
            leave(*((outcome.reason, outcome.detail) if outcome else (Reason.UNREADABLE, "")))
            return
        tally.add(outcome)
        if self._options.rgb_only and outcome.mode != "RGB":
            leave(Reason.NOT_RGB, outcome.mode)
            return
        line = writer.line(row)
        if not line.caption:
            leave(Reason.NO_CAPTION)
            return
        duplicate = self._duplicate_of(row, outcome, line.print)
        if duplicate is not None and not self._options.keep_duplicates:
            leave(*duplicate)
            return
        writer.add(line, outcome)
        self._later.add(row.id, row.split, outcome.print, outcome.hash, outcome.thumbnail, line.print)
        self._later.add_group(row.group, row.split)

    def _duplicate_of(self, row: CaptionRow, outcome: Decoded, caption: int) -> tuple[Reason, str] | None:
        """Why the row leaves its split, and which row of a later one it repeats; every likeness is listed."""
        found: dict[Likeness, tuple[str, Split]] = {}
        if (same := self._later.same_picture(row.split, outcome.print)) is not None:
            found[Likeness.SAME] = same
        elif (near := self._later.near_picture(row.split, outcome.hash, outcome.thumbnail)) is not None:
            found[near[0]] = near[1]
        if (original := self._later.same_caption(row.split, caption)) is not None:
            found[Likeness.CAPTION] = original
        self._duplicates += [
            DuplicatePair(likeness, other, split, row.id, row.split)
            for likeness, (other, split) in found.items()
        ]
        for likeness, reason in LEAVES.items():
            if likeness in found:
                return reason, found[likeness][0]
        return None

    def report(self, out: Path) -> PrepareReport:
        published = self._source.published
        splits = tuple(
            SplitReport(
                split=split,
                kept=self._files[split].rows,
                published=published.images.get(split) if published else None,
                published_rgb=published.rgb.get(split) if published else None,
                tally=self._tallies[split],
            )
            for split in Split
            if split in self._files
        )
        files = self._files.values()
        return PrepareReport(
            out=out,
            source=self._source.name,
            reference=published.reference if published else None,
            splits=splits,
            left_out=dict(Counter(item.reason for item in self._left_out)),
            duplicates=count_by_likeness(self._duplicates),
            removed=not self._options.keep_duplicates,
            crossing_groups=self._later.crossing_groups(),
            words=tuple(count for part in files for count in part.words),
            tokens=tuple(count for part in files for count in part.token_counts),
            cut=sum(part.cut for part in files),
            bytes=sum(path.stat().st_size for path in self._folder.rglob("*") if path.is_file()),
        )

    def details(self, report: PrepareReport) -> dict[str, Any]:
        """`prepared.json`."""
        base = self._options.base
        return {
            "format_version": FORMAT_VERSION,
            "tetkik": __version__,
            "source": {
                "name": self._source.name,
                "kind": self._source.kind.value,
                "set_aside": self._source.set_aside,
            },
            "image": self._spec.as_json(),
            "base": public_name(base) if base is not None else None,
            "revision": self._options.revision,
            "tokenizer": self._tokenizer.fingerprint if self._tokenizer is not None else None,
            "max_tokens": self._options.max_tokens if self._tokenizer is not None else None,
            "options": {
                "rgb_only": self._options.rgb_only,
                "keep_duplicates": self._options.keep_duplicates,
                "limit": self._options.limit,
            },
            "report": report.as_json(),
            "splits": {
                split.value: {
                    "rows": files.rows,
                    "shards": [asdict(file) for file in files.shards],
                    "files": [asdict(file) for file in files.others],
                    "licences": dict(files.licences.most_common()),
                }
                for split, files in self._files.items()
            },
        }
