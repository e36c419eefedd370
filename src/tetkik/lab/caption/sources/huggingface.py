"""A Hugging Face dataset of captioned images: Parquet files, or a folder written by `save_to_disk`.

Such as `eltorio/ROCOv2-radiology`: `data/train-00000-of-00027.parquet` and so on, with `image` (a structure
of `bytes` and `path`), `image_id`, `caption` and `cui`. Rows are read a batch at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tetkik.errors import DataError, MissingExtra, UsageError
from tetkik.files import inside
from tetkik.lab.caption.data import CaptionRow, LeftOut, Reason, Split, concepts_of, joined
from tetkik.lab.caption.sources.files import FileBytes, HeldBytes, NoBytes, Reader
from tetkik.lab.caption.sources.rocov2 import Origin, names_in, origins_in
from tetkik.lab.caption.sources.source import ROCOV2_PUBLISHED, RowStream, Source, SourceKind, split_of
from tetkik.lab.engine.arrow_files import arrow_batches, arrow_library, count_rows, files_by_split
from tetkik.lab.engine.tables import column_named
from tetkik.settings import settings

_ALIASES = {
    "image": ("image", "img", "picture"),
    "caption": ("caption", "captions", "text"),
    "id": ("image_id", "id", "name", "file_name"),
    "concepts": ("cui", "cuis", "concepts"),
    "group": ("pmcid", "pmc_id", "case", "group"),
    "licence": ("license", "licence"),
}


def is_dataset(folder: Path) -> bool:
    """Whether the folder holds Parquet files that name their split, or was written by `save_to_disk`."""
    return bool(_files(folder))


def open_huggingface(folder: Path) -> Source:
    files = _files(folder)
    if not files:
        raise DataError(
            "{path} has no Parquet or Arrow file whose name tells its split; give the folder of a Hugging "
            "Face dataset, with train-*.parquet for one.",
            path=folder,
        )
    arrow_library(folder)
    origins = origins_in(folder)
    counts = {split: sum(count_rows(path) for path in paths) for split, paths in files.items()}

    def rows(split: Split) -> RowStream:
        for path in files.get(split, ()):
            columns: dict[str, str] = {}
            for batch in arrow_batches(path):
                columns = columns or _columns(path, batch.schema.names)
                for row in batch.select(list(columns.values())).to_pylist():
                    known = {column: row[name] for column, name in columns.items()}
                    yield _row(known, split, folder, origins)

    first = next(rows(next(iter(files))), None)
    is_rocov2 = first is not None and first.id.startswith("ROCOv2")
    return Source(
        name="ROCOv2" if is_rocov2 else folder.name,
        kind=SourceKind.HUGGINGFACE,
        splits=tuple(split for split in Split if split in files),
        rows=rows,
        counts=counts,
        published=ROCOV2_PUBLISHED if is_rocov2 else None,
        concept_names=names_in(folder),
    )


def from_hub(name: str) -> Path:
    """The folder in which the hub's own client keeps that dataset, downloaded where need be."""
    if settings().offline:
        raise UsageError(
            "{name} is not a folder here, and the setting offline forbids to fetch it from the hub; set "
            "TETKIK_OFFLINE=false, or give a folder.",
            name=name,
        )
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError:
        raise MissingExtra(
            "Fetching {name} needs huggingface-hub, which is not installed; run "
            "`pip install 'tetkik[caption]'`.",
            name=name,
        ) from None
    try:
        patterns = ["*.parquet", "*.csv"]
        return Path(snapshot_download(name, repo_type="dataset", allow_patterns=patterns))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        raise UsageError(
            "{name} could not be had from the hub ({fault}); check the name and the network, or give a "
            "folder.",
            name=name,
            fault=type(error).__name__,
        ) from None


def _files(folder: Path) -> dict[Split, list[Path]]:
    found: dict[Split, list[Path]] = {}
    for path, split in files_by_split(folder, split_of, Split.TRAIN):
        found.setdefault(split, []).append(path)
    return {split: found[split] for split in Split if split in found}


def _columns(path: Path, names: Sequence[str]) -> dict[str, str]:
    """What the file calls each of the columns of `_ALIASES` that it has."""
    found = {
        column: column_named(path, names, aliases, need=column in ("image", "caption"))
        for column, aliases in _ALIASES.items()
    }
    return {column: name for column, name in found.items() if name is not None}


def _row(
    row: Mapping[str, Any], split: Split, folder: Path, origins: Mapping[str, Origin]
) -> CaptionRow | LeftOut:
    def text(column: str) -> str:
        value = row.get(column)
        return "" if value is None else str(value).strip()

    image = row["image"]
    held, path = (image.get("bytes"), image.get("path")) if isinstance(image, Mapping) else (image, None)
    file = str(path or "")
    name = text("id") or Path(file).stem
    reader: Reader | None = None
    if isinstance(held, bytes):
        reader = HeldBytes(held)
    elif not file:
        reader = NoBytes(name)
    elif (within := inside(file.strip())) is not None:
        reader = FileBytes(folder / within)
    if reader is None:
        return LeftOut(name, split, file, Reason.UNSAFE_NAME)
    concepts = row.get("concepts")
    origin = origins.get(name, Origin(None, None))
    return CaptionRow(
        id=name,
        caption=text("caption"),
        split=split,
        read=reader,
        file=Path(file).name or name,
        group=text("group") or origin.article,
        concepts=joined(map(str, concepts))
        if isinstance(concepts, list)
        else concepts_of(str(concepts or "")),
        licence=text("licence") or origin.licence,
    )
