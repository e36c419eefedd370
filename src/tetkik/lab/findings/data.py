"""What findings learn from: images with 1, 0 or unknown for each label, and who belongs together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle.manifest import Task
from tetkik.errors import DataError, UsageError
from tetkik.findings.onnx_model import preprocessing_of
from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.engine.learned_rows import LearnedMatch, LearnedRows, Pictures, bundle_of, read_learned
from tetkik.lab.engine.results import only_rows
from tetkik.lab.engine.splits import Split, component_ids, key_hashes
from tetkik.lab.findings.sources.files import Reading, SourceSpec
from tetkik.lab.findings.sources.kinds import parse_spec, read_rows, table_spec
from tetkik.lab.findings.sources.label_coverage import KnownRule
from tetkik.lab.findings.sources.rows import LeftOut, Rows, Truth, in_columns
from tetkik.lab.findings.training.decoded_images import decode_image
from tetkik.settings import cores, settings
from tetkik.statistics.intervals import Bools, Ints
from tetkik.values.common import ProgressCallback
from tetkik.values.finding_labels import FINDING_LABELS
from tetkik.values.radiograph import Sex, View

# Which labelled images a model of findings learned, told by the squares that it sees of them.


COMPARING = "looking for learned images"
_BATCH = 256


def match_learned(
    model: str | None, files: Sequence[Path], progress: ProgressCallback
) -> LearnedMatch | None:
    """Which of the images `model` learned, None being the one of the settings; None where it does not tell.

    A file that cannot be read was not learned.
    """
    bundle = bundle_of(settings().findings_model if model is None else model, Task.FINDINGS)
    learned = None if bundle is None else read_learned(bundle)
    if bundle is None or learned is None:
        return None
    pictures, readable = read_pictures(files, preprocessing_of(bundle), progress)
    return learned_among(learned, pictures, readable)


def learned_among(learned: LearnedRows, pictures: Pictures, readable: Bools) -> LearnedMatch:
    """As `match_learned`, of `read_pictures`."""
    match = learned.match_pictures(pictures)
    same, near = np.zeros((2, len(readable)), bool)
    same[readable], near[readable] = match.same, match.near
    return LearnedMatch(same, near, match.complete)


def read_pictures(
    files: Sequence[Path], preprocessing: Preprocessing, progress: ProgressCallback
) -> tuple[Pictures, Bools]:
    """The images that can be read, as a model sees them, and which these are, (files,)."""
    readable = np.zeros(len(files), bool)
    decode = partial(decode_image, preprocessing=preprocessing)

    def batches() -> Iterator[NDArray[np.uint8]]:
        with ThreadPoolExecutor(cores()) as pool:
            for start in range(0, len(files), _BATCH):
                squares = [*pool.map(decode, files[start : start + _BATCH])]
                found = [square for square in squares if square is not None]
                readable[start : start + len(squares)] = [square is not None for square in squares]
                progress(COMPARING, start + len(squares), len(files))
                if found:
                    yield np.stack(found)

    return Pictures.of(batches()), readable


_CELLS = ("files", "patient", "source", "view", "sex", "age", "names", "image", "official")
"""The columns of `LabelledImages` that are tuples with a cell for each row."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledImages:
    """Images and what is known of each, row by row; what has no note of its own is as in `Rows`."""

    files: tuple[Path, ...]
    labels: tuple[str, ...]
    """The columns of `truth`: the shared labels, then any others that were kept."""
    truth: Truth
    patient: tuple[str | None, ...]
    """Who it is, unique over all sources; None where unknown."""
    group: Ints
    """(n,), int64: number of the connected component of patient and duplicate group, 0 or more. It depends on
    names, not on the order of rows or the machine."""
    source: tuple[str, ...]
    view: tuple[View | None, ...]
    sex: tuple[Sex | None, ...]
    age: tuple[float | None, ...]
    weight: NDArray[np.float32]
    """(n,), float32: how often the row is drawn in training, against 1."""
    names: tuple[str, ...]
    image: tuple[str | None, ...]
    official: tuple[Split | None, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    other_labels: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = len(self.files)
        if {len(getattr(self, name)) for name in (*_CELLS, "group", "weight")} != {rows}:
            raise ValueError("columns differ in length")
        if self.truth.shape != (rows, len(self.labels)) or self.truth.dtype != np.int8:
            raise ValueError(f"truth must be int8 ({rows}, {len(self.labels)}), not {self.truth.shape}")
        for column in (self.truth, self.group, self.weight):
            column.setflags(write=False)

    def __len__(self) -> int:
        return len(self.files)

    def only(self, rows: Sequence[int] | NDArray[np.int64] | NDArray[np.bool_]) -> LabelledImages:
        """These rows, in this order; a boolean array (n,) chooses as well."""
        return only_rows(self, rows, *_CELLS, "truth", "group", "weight")

    def grouped(self, copies: NDArray[np.int64]) -> LabelledImages:
        """The same rows, those of one group of `copies` ((n,), int64) joined as well."""
        _, place = np.unique(copies, return_inverse=True)
        # Of each group of copies the smallest component: a number of the same space.
        smallest = np.full(int(place.max(initial=-1)) + 1, np.iinfo(np.int64).max)
        np.minimum.at(smallest, place, self.group)
        return replace(self, group=component_ids(np.stack([self.group, smallest[place]], axis=1)))

    def column(self, label: str) -> Truth:
        """(n,): the truth of one label."""
        return self.truth[:, self.labels.index(label)]


def read_labels(
    table: Path,
    images: Path | None = None,
    *,
    known: Sequence[KnownRule] = (),
    keep_others: bool = False,
    check_files: bool = True,
) -> LabelledImages:
    """Read a table of the user's own.

    Args:
        table: CSV, Parquet or a folder of `datasets`; a column `file` or the images themselves, and `labels`
            (`Mass;Nodule`) or one column a label (1 / 0 / -1 / blank); optionally patient_id, group, view,
            sex, age, source, split, original, known.
        images: the folder to which `file` is relative, or into which the images of Parquet are unpacked; None
            is the table's own, or NAME.images beside it.
        known: rules of what rows know, beside those of `NAME.known.toml` (see `sources.label_coverage`).
        keep_others: whether labels beyond the shared ones become columns as well.

    Raises:
        DataError: the table cannot be used, or no row is left.
    """
    how = Reading(check_files=check_files, keep_others=keep_others, known=tuple(known))
    return join([table_spec(table, images)], how)


def read_source(spec: str, how: Reading | None = None) -> LabelledImages:
    """Read one source, named as `KIND:PATH[?OPTION=VALUE&...][=WEIGHT]` (see `sources.spec`)."""
    return read_sources([spec], how)


def read_sources(specs: Iterable[str], how: Reading | None = None) -> LabelledImages:
    """Read several sources as one; patients and images that are in more than one become one component."""
    return join([parse_spec(spec) for spec in specs], how)


def join(specs: Sequence[SourceSpec], how: Reading | None = None) -> LabelledImages:
    """As `read_sources`, of sources that are already parsed."""
    paths = [spec.path.resolve() for spec in specs]
    parts: list[Rows] = []
    for spec in specs:
        if paths.count(spec.path.resolve()) > 1:
            raise UsageError("{path} is named twice as a source; name it once.", path=spec.path)
        rows = read_rows(spec, how)
        if not len(rows.files):
            raise DataError(
                "{path} gives no usable row (first of all: {reason}); check the path, the images and the "
                "labels.",
                path=spec.path,
                reason=LeftOut(max(rows.left_out, key=rows.left_out.__getitem__, default=LeftOut.NO_ROW)),
            )
        parts.append(rows)
    if not parts:
        raise DataError("There is no source to read; name one.")
    others = {label for rows in parts for label in rows.labels} - set(FINDING_LABELS)
    labels = (*FINDING_LABELS, *sorted(others))
    origins = _distinct([rows.origin for rows in parts])
    keys = np.concatenate([_keys(rows, origin) for rows, origin in zip(parts, origins, strict=True)])
    weight = np.repeat([spec.weight for spec in specs], [len(rows.files) for rows in parts])
    left_out: Counter[str] = Counter()
    other_labels: Counter[str] = Counter()
    for rows in parts:
        left_out.update(rows.left_out)
        other_labels.update(rows.other_labels)
    cells: dict[str, Any] = {
        name: tuple(chain.from_iterable(getattr(rows, name) for rows in parts))
        for name in _CELLS
        if name != "patient"
    }
    return LabelledImages(
        labels=labels,
        truth=np.concatenate([in_columns(rows.truth, rows.labels, labels) for rows in parts]),
        patient=tuple(chain.from_iterable(map(_patients, parts, origins))),
        group=component_ids(keys),
        weight=weight.astype(np.float32),
        **cells,
        left_out=dict(left_out),
        other_labels={name: count for name, count in other_labels.items() if name not in labels},
    )


def _distinct(origins: Sequence[str]) -> list[str]:
    """Each origin, the second of one name as `name#2` and so on."""
    counts = [origins[: place + 1].count(origin) for place, origin in enumerate(origins)]
    return [name if count == 1 else f"{name}#{count}" for name, count in zip(origins, counts, strict=True)]


def _keys(rows: Rows, origin: str) -> Ints:
    """(rows, 4), int64: what each row may have in common with another, hashed; -1 where it has not."""
    itself = key_hashes(
        f"image {image}" if image else f"row {origin}:{name}"
        for image, name in zip(rows.image, rows.names, strict=True)
    )
    copies = key_hashes(copy and f"copy {origin}:{copy}" for copy in rows.duplicate)
    patients = (
        key_hashes(name and f"patient {name}" for name in who)
        for who in (_patients(rows, origin), rows.public_patient)
    )
    return np.stack([itself, copies, *patients], axis=1)


def _patients(rows: Rows, origin: str) -> list[str | None]:
    """Who each row is of, unique over all sources."""
    return [
        public if own is None else f"{origin}:{own}"
        for own, public in zip(rows.patient, rows.public_patient, strict=True)
    ]
