"""A source is opened: its layout found out, and a test split set aside where it has none."""

from __future__ import annotations

import hashlib
import re
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from tetkik.bundle.hub import looks_like_hub_id, user_path
from tetkik.csv_rows import read_lines
from tetkik.errors import DataError, MissingExtra, UsageError
from tetkik.files import inside
from tetkik.imaging.limits import check_bytes, damaged, read_file
from tetkik.lab.caption.prepared import CaptionRow, LeftOut, LeftOutReason, Split, concepts_of, is_cui, joined
from tetkik.lab.engine.paths import IMAGE_SUFFIXES, files_in
from tetkik.lab.engine.tables import (
    Table,
    arrow_batches,
    arrow_library,
    column_named,
    count_rows,
    files_by_split,
    read_table,
)
from tetkik.settings import settings

# How the bytes of an image are had: from a file, out of a zip archive, or from memory.


@dataclass(frozen=True, slots=True)
class FileBytes:
    path: Path

    def __call__(self) -> bytes:
        """All of it.

        Raises:
            FileNotFoundError: there is no such file.
            InputError: it is no file, is empty, or has more bytes than the limit.
        """
        if not self.path.exists():
            raise FileNotFoundError(self.path)
        return read_file(self.path)


@dataclass(frozen=True, slots=True)
class ZipBytes:
    archive: Path
    member: str

    def __call__(self) -> bytes:
        """All of it; never more than the limit, whatever the archive says of its size.

        Raises:
            FileNotFoundError: the archive has no such member.
            InputError: it unpacks to more bytes than the limit, or is damaged or encrypted.
        """
        name = f"{self.archive.name}/{self.member}"
        archive = _opened(self.archive)
        try:
            entry = archive.getinfo(self.member)
        except KeyError:
            raise FileNotFoundError(name) from None
        check_bytes(entry.file_size, name)
        try:
            with archive.open(entry) as content:
                data = content.read(settings().max_image_bytes + 1)
        # Of a damaged archive zlib, lzma and zipfile each raise their own; RuntimeError asks for a password.
        except Exception:
            raise damaged(name) from None
        check_bytes(len(data), name)
        return data


@dataclass(frozen=True, slots=True, repr=False)
class HeldBytes:
    """Bytes that came with the row, as in Parquet."""

    data: bytes

    def __call__(self) -> bytes:
        return self.data


@dataclass(frozen=True, slots=True)
class NoBytes:
    """An image that the source names and does not have."""

    name: str

    def __call__(self) -> bytes:
        """Nothing.

        Raises:
            FileNotFoundError: always.
        """
        raise FileNotFoundError(self.name)


def is_missing(reader: object) -> bool:
    """Whether the source says, or the disk shows, that the image is not there; nothing is read."""
    return isinstance(reader, NoBytes) or (isinstance(reader, FileBytes) and not reader.path.exists())


Reader = FileBytes | ZipBytes | HeldBytes | NoBytes


@lru_cache(maxsize=8)
def _opened(path: Path) -> zipfile.ZipFile:
    """Kept open for as long as the process lasts: its list of members takes a second to read."""
    return open_archive(path)


def open_archive(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        raise DataError(
            "{path} is not a sound zip archive; fetch it again and compare its checksum.", path=path
        ) from None


class ImageFinder:
    """Finds an image by its name without an ending, in folders and zip archives that are listed once.

    Those of `folders` that do not exist are passed over.
    """

    def __init__(self, folders: Iterable[Path], archives: Iterable[Path] = ()) -> None:
        self._found: dict[str, Reader] = {}
        for folder in folders:
            for name in files_in(folder):
                if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES:
                    self._found.setdefault(PurePosixPath(name).stem, FileBytes(folder / name))
        for path in archives:
            with open_archive(path) as archive:
                for member in archive.namelist():
                    plain = PurePosixPath(member)
                    # Nothing is ever unpacked to disk; such a name is a trick all the same.
                    if plain.suffix.lower() in IMAGE_SUFFIXES and inside(member.strip()) is not None:
                        self._found.setdefault(plain.stem, ZipBytes(path, member))

    def __len__(self) -> int:
        return len(self._found)

    def find(self, stem: str, other: str | None = None) -> Reader | None:
        """What reads that image, or the one named `other`; None where neither is there."""
        return self._found.get(stem) or (self._found.get(other) if other else None)


def name_of(reader: Reader) -> str:
    """What messages call it: the name of the file alone, never the path of a machine."""
    match reader:
        case FileBytes(path):
            return path.name
        case ZipBytes(_, member):
            return PurePosixPath(member).name
        case NoBytes(name):
            return name
        case _:
            return ""


# What every source of captioned images gives, whatever its layout.


RowStream = Iterator[CaptionRow | LeftOut]


class SourceKind(StrEnum):
    """The layouts that can be read."""

    AUTO = "auto"
    """Told by what lies in the folder."""
    ROCOV2 = "rocov2"
    """The archive of ROCOv2 as Zenodo has it, unpacked or in its zip files."""
    HUGGINGFACE = "huggingface"
    """Parquet files of a Hugging Face dataset, a folder written by its `save_to_disk`, or a hub id."""
    ROCO = "roco"
    """ROCO, the first version."""
    TABLE = "table"
    """One CSV or TSV that names image files and their captions."""


@dataclass(frozen=True, slots=True)
class Published:
    """Counts that were published for a data set, and of them in RGB mode, by split."""

    images: Mapping[Split, int]
    rgb: Mapping[Split, int]
    reference: str


ROCOV2_PUBLISHED = Published(
    images={Split.TRAIN: 59_958, Split.VALID: 9_904, Split.TEST: 9_927},
    rgb={Split.TRAIN: 37_330, Split.VALID: 6_672, Split.TEST: 6_780},
    reference="Rückert et al., Scientific Data 11:688 (2024)",
)


@dataclass(frozen=True, slots=True)
class Source:
    """Captioned images in some layout; `rows` gives those of a split one at a time, in the source's order.

    `set_aside` is the share of the training groups that was made its test split; None for none.
    """

    name: str
    kind: SourceKind
    splits: tuple[Split, ...]
    rows: Callable[[Split], RowStream]
    counts: Mapping[Split, int] = field(default_factory=dict)
    published: Published | None = None
    concept_names: Mapping[str, str] = field(default_factory=dict)
    unplaced: tuple[LeftOut, ...] = ()
    set_aside: float | None = None


_NAMES = {
    Split.TRAIN: ("train", "training", "tr"),
    Split.VALID: ("valid", "validation", "val", "dev", "development"),
    Split.TEST: ("test", "testing", "te"),
}
_SPLITS = {name: split for split, names in _NAMES.items() for name in names}


def split_of(name: str) -> Split | None:
    """The split that a word names, in whatever case; None for another word."""
    return _SPLITS.get(name.strip().lower())


# Tables of text as sources have them (CSV with any of four delimiters, the lists of ROCO), and one's own.
#
# A table of one's own names image files and their captions. Columns, in any order and case: `file` and
# `caption`; and where there are any `concepts`, `case` (what must not cross splits), `split`, `id` and
# `licence`. A row without a split is for training.


def listed(path: Path, delimiter: str = "\t") -> Iterator[tuple[str, list[str]]]:
    """The lines of a list without a header: a name, and the cells behind it; none where there is no file."""
    for line in read_lines(path) if path.is_file() else ():
        name, *cells = line.split(delimiter)
        if name.strip():
            yield name.strip(), [cell.strip() for cell in cells]


_FILE = ("file", "image", "filename", "file_name", "path", "image_path", "img")
_CAPTION = ("caption", "captions", "text", "description", "report")
_CONCEPTS = ("concepts", "cuis", "cui", "tags", "labels", "keywords")
_GROUP = ("case", "group", "case_id", "study", "patient", "patient_id", "pmcid", "pmc_id", "article")
_SPLIT = ("split", "set", "part", "subset", "fold")
_ID = ("id", "image_id", "name")
_LICENCE = ("licence", "license", "rights")


def open_table(path: Path, images: Path | None = None) -> Source:
    """The source in a CSV or TSV; file names are relative to `images`, by default the table's folder."""
    table = read_table(path, complete=True)
    root = images or path.parent
    files = table.named(_FILE, need=True)
    captions = table.named(_CAPTION, need=True)
    ids = [
        own or PurePosixPath(file.replace("\\", "/")).stem
        for own, file in zip(table.named(_ID), files, strict=True)
    ]
    words = table.named(_SPLIT)
    cells = [*zip(ids, files, captions, *map(table.named, (_GROUP, _CONCEPTS, _LICENCE)), strict=True)]
    places: dict[Split, list[int]] = {}
    unplaced = []
    for place, word in enumerate(words):
        split = split_of(word) if word else Split.TRAIN
        if split is None:
            unplaced.append(LeftOut(ids[place], word[:40], files[place], LeftOutReason.NO_SPLIT))
        else:
            places.setdefault(split, []).append(place)

    def rows(split: Split) -> RowStream:
        for place in places.get(split, ()):
            yield _row(*cells[place], split=split, root=root)

    return Source(
        name=path.stem,
        kind=SourceKind.TABLE,
        splits=tuple(split for split in Split if split in places),
        rows=rows,
        counts={split: len(found) for split, found in places.items()},
        unplaced=tuple(unplaced),
    )


def _row(
    id_: str, file: str, caption: str, group: str, concepts: str, licence: str, *, split: Split, root: Path
) -> CaptionRow | LeftOut:
    name = inside(file)
    if name is None:
        return LeftOut(id_, split, file, LeftOutReason.UNSAFE_NAME)
    return CaptionRow(
        id=id_,
        caption=caption,
        split=split,
        read=FileBytes(_on_disk(root, name)),
        file=name,
        group=group or None,
        concepts=concepts_of(concepts),
        licence=licence or None,
    )


def _on_disk(root: Path, name: str) -> Path:
    """The file, with the letters of its name composed or decomposed (ğ), as the disk has them."""
    path = root / name
    if name.isascii() or path.exists():
        return path
    other = root / unicodedata.normalize("NFD" if unicodedata.is_normalized("NFC", name) else "NFC", name)
    return other if other.exists() else path


# ROCOv2 as its archive lays it out (Rückert et al., 2024; doi:10.5281/zenodo.10821435).
#
# train_captions.csv          ID, Caption
# train_concepts.csv          ID, CUIs (separated by `;`)
# train_concepts_manual.csv   the same, checked by hand: modality, region, direction
# train_images.zip            or unpacked: train/ROCOv2_2023_train_000001.jpg
# ...                         the same for valid and test
# cui_mapping.csv             CUI, Canonical name
# license_information.csv     ID, PMCID, Attribution, Link


_IDS = ("id", "image_id", "name")
_PMC = re.compile(r"PMC\d+")
_LICENCE_ROCOV2 = re.compile(r"CC[ -]?(?:BY|0)(?:[ -](?:NC|SA|ND))*(?:[ -]\d\.\d)?", re.IGNORECASE)


def is_rocov2(folder: Path) -> bool:
    return any((folder / f"{split}_captions.csv").is_file() for split in Split)


def open_rocov2(folder: Path) -> Source:
    captions = {
        split: read_table(path, complete=True)
        for split in Split
        if (path := folder / f"{split}_captions.csv").is_file()
    }
    if not captions:
        raise DataError(
            "{path} has no train_captions.csv, valid_captions.csv or test_captions.csv; give the folder of "
            "ROCOv2's archive.",
            path=folder,
        )
    origins = origins_in(folder)
    finders = {split: _finder(folder, split) for split in captions}
    if not any(len(finder) for finder in finders.values()):
        raise DataError(
            "{path} has captions and no images; put train_images.zip, or its folder, beside the tables.",
            path=folder,
        )

    def rows(split: Split) -> RowStream:
        if split in captions:
            yield from _rows(folder, split, captions[split], finders[split], origins)

    return Source(
        name="ROCOv2",
        kind=SourceKind.ROCOV2,
        splits=tuple(captions),
        rows=rows,
        counts={split: table.rows for split, table in captions.items()},
        published=ROCOV2_PUBLISHED,
        concept_names=names_in(folder),
    )


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an image is from: its article, and on what terms it may be used."""

    article: str | None
    licence: str | None


def origins_in(folder: Path) -> Mapping[str, Origin]:
    """`license_information.csv` by the id of the image; empty where there is none."""
    path = folder / "license_information.csv"
    if not path.is_file():
        return {}
    table = read_table(path, complete=True)
    article = table.named(("pmcid", "pmc_id", "pmc id", "pmc"))
    licence = table.named(("license", "licence", "attribution"))
    found = {}
    for place, (name, *cells) in enumerate(
        zip(table.named(_IDS, need=True), *table.columns.values(), strict=True)
    ):
        # Releases differ in their columns; the article's number stands in the link in any case.
        number = _PMC.search(article[place]) or _PMC.search(" ".join(cells))
        terms = _LICENCE_ROCOV2.search(" ".join(cells))
        licence_text = terms.group().upper() if terms else licence[place]
        found[name] = Origin(number.group() if number else None, licence_text[:200] or None)
    return found


def names_in(folder: Path) -> Mapping[str, str]:
    """`cui_mapping.csv`: what each concept is called; empty where there is none."""
    path = folder / "cui_mapping.csv"
    if not path.is_file():
        return {}
    table = read_table(path, complete=True)
    cui = column_named(path, table.columns, ("cui", "concept", "id"), need=True)
    name = column_named(
        path, table.columns, ("canonical name", "canonical_name", "name", "umls meaning", "meaning")
    ) or next(name for name in table.columns if name != cui)
    pairs = zip(table.get(cui), table[name], strict=True)
    return {concept: text for concept, text in pairs if is_cui(concept)}


def _finder(folder: Path, split: Split) -> ImageFinder:
    whole = f"{split}_images"
    folders = (split.value, whole, f"{whole}/{split}", f"{whole}/{whole}", f"images/{split}", "images")
    archives = (f"{whole}.zip", f"{split}.zip")
    return ImageFinder(
        (folder / name for name in folders),
        (folder / name for name in archives if (folder / name).is_file()),
    )


def _concepts(folder: Path, split: Split, part: str) -> Mapping[str, tuple[str, ...]]:
    path = folder / f"{split}_{part}.csv"
    if not path.is_file():
        return {}
    table = read_table(path, complete=True)
    cuis = table.named(("cuis", "cui", "concepts"), need=True)
    return dict(zip(table.named(_IDS, need=True), map(concepts_of, cuis), strict=True))


def _rows(
    folder: Path, split: Split, table: Table, finder: ImageFinder, origins: Mapping[str, Origin]
) -> RowStream:
    found, manual = (_concepts(folder, split, part) for part in ("concepts", "concepts_manual"))
    captions = table.named(("caption", "captions", "text"), need=True)
    for name, caption in zip(table.named(_IDS, need=True), captions, strict=True):
        # An id is the name of a file and never a path.
        if inside(name) != name or "/" in name:
            yield LeftOut(name, split, name, LeftOutReason.UNSAFE_NAME)
            continue
        reader = finder.find(name) or NoBytes(f"{name}.jpg")
        origin = origins.get(name, Origin(None, None))
        yield CaptionRow(
            id=name,
            caption=caption,
            split=split,
            read=reader,
            file=name_of(reader),
            group=origin.article,
            concepts=joined(manual.get(name, ()), found.get(name, ())),
            licence=origin.licence,
        )


# ROCO, the first version, as its repository lays it out (Pelka et al., 2018).
#
# data/{train,validation,test}/radiology/
# captions.txt    ROCO_00001 <tab> caption
# cuis.txt        ROCO_00001 <tab> <tab> CUI <tab> CUI ...
# keywords.txt    the same with words
# licences.txt    ROCO_ID,PMC_ID,CC; PMC_ID is the name of the image file
# images/         PMC3970251_CRIONM2014-931546.003.jpg, or ROCO_00020.jpg


_FOLDERS = {Split.TRAIN: "train", Split.VALID: "validation", Split.TEST: "test"}


def roco_root(folder: Path) -> Path | None:
    """The folder that holds `train`, `validation` and `test`: this one or its `data`; None where neither."""
    for root in (folder, folder / "data"):
        if any((root / name / "radiology" / "captions.txt").is_file() for name in _FOLDERS.values()):
            return root
    return None


def open_roco(folder: Path) -> Source:
    """The source in `folder`; its images that are no radiology are not looked at."""
    root = roco_root(folder)
    if root is None:
        raise DataError(
            "{path} has no data/train/radiology/captions.txt; give the folder of ROCO's repository.",
            path=folder,
        )
    parts = {
        split: part
        for split, name in _FOLDERS.items()
        if ((part := root / name / "radiology") / "captions.txt").is_file()
    }
    captions = {
        split: {name: " ".join(cells).strip() for name, cells in listed(part / "captions.txt")}
        for split, part in parts.items()
    }

    def rows(split: Split) -> RowStream:
        if split in parts:
            yield from _rows_of_roco(parts[split], split, captions[split])

    return Source(
        name="ROCO",
        kind=SourceKind.ROCO,
        splits=tuple(parts),
        rows=rows,
        counts={split: len(texts) for split, texts in captions.items()},
    )


def _files(part: Path) -> Mapping[str, tuple[str, Origin]]:
    """The name of each row's file, and where it is from."""
    found = {}
    for name, cells in listed(part / "licences.txt", ","):
        if len(cells) >= 2 and name != "ROCO_ID":
            # A file's name may itself have a comma.
            file, terms = ",".join(cells[:-1]), cells[-1]
            article = _PMC.match(file)
            found[name] = file, Origin(article.group() if article else None, terms or None)
    return found


def _rows_of_roco(part: Path, split: Split, captions: Mapping[str, str]) -> RowStream:
    finder = ImageFinder([part / "images", part])
    files, cuis = _files(part), dict(listed(part / "cuis.txt"))
    for name, caption in captions.items():
        if inside(name) != name or "/" in name:
            yield LeftOut(name, split, name, LeftOutReason.UNSAFE_NAME)
            continue
        named, origin = files.get(name, (f"{name}.jpg", Origin(None, None)))
        file = PurePosixPath(named)
        reader = finder.find(name, file.stem) or NoBytes(file.name)
        yield CaptionRow(
            id=name,
            caption=caption,
            split=split,
            read=reader,
            file=name_of(reader),
            group=origin.article,
            concepts=joined(cui for cui in cuis.get(name, ()) if is_cui(cui)),
            licence=origin.licence,
        )


# A Hugging Face dataset of captioned images: Parquet files, or a folder written by `save_to_disk`.
#
# Such as `eltorio/ROCOv2-radiology`: `data/train-00000-of-00027.parquet` and so on, with `image` (a
# structure of `bytes` and `path`), `image_id`, `caption` and `cui`. Rows are read a batch at a time.


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
    return bool(_files_of_huggingface(folder))


def open_huggingface(folder: Path) -> Source:
    files = _files_of_huggingface(folder)
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
                    yield _row_of_huggingface(known, split, folder, origins)

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
            "Fetching {name} needs huggingface-hub, which is not installed; run `{extra}`.",
            extra="caption",
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


def _files_of_huggingface(folder: Path) -> dict[Split, list[Path]]:
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


def _row_of_huggingface(
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
        return LeftOut(name, split, file, LeftOutReason.UNSAFE_NAME)
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


def open_source(
    path: str | Path, kind: SourceKind = SourceKind.AUTO, *, images: Path | None = None
) -> Source:
    """The captioned images at `path`: a folder, a table, or the hub's id of a Hugging Face dataset.

    `images` is the folder of a table's file names; None takes the table's own.

    Raises:
        UsageError: nothing is there.
        DataError: what is there is of another layout, or damaged.
        MissingExtra: a package for that layout is not installed.
    """
    place = user_path(str(path))
    if not place.exists():
        if kind in {SourceKind.AUTO, SourceKind.HUGGINGFACE} and looks_like_hub_id(str(path)):
            return open_huggingface(from_hub(str(path)))
        raise UsageError("There is no source at {path}; check the path.", path=path)
    if kind is SourceKind.AUTO:
        kind = _kind_of(place)
    if place.is_file() != (kind is SourceKind.TABLE):
        raise DataError(
            "{path} cannot be read as {kind}; a table is a file, and every other layout a folder.",
            path=place,
            kind=kind.value,
        )
    if kind is SourceKind.TABLE:
        return open_table(place, images)
    openers = {SourceKind.ROCOV2: open_rocov2, SourceKind.ROCO: open_roco}
    return openers.get(kind, open_huggingface)(place)


def _kind_of(place: Path) -> SourceKind:
    if place.is_file():
        return SourceKind.TABLE
    if is_rocov2(place):
        return SourceKind.ROCOV2
    if roco_root(place) is not None:
        return SourceKind.ROCO
    if is_dataset(place):
        return SourceKind.HUGGINGFACE
    raise DataError(
        "{path} is laid out like none of ROCOv2, ROCO and a Hugging Face dataset; give one of them, or a "
        "table (CSV) of files and captions.",
        path=place,
    )


def set_aside(source: Source, share: float) -> Source:
    """The source with a share of its training groups as its test split.

    A group (or, of a row without one, its id) is set aside where its SHA-256, read as a fraction, is below
    `share`: the same groups on every machine, whatever the order of the rows. The validation rows stay.
    """
    if not 0 < share < 1:
        raise UsageError("The share to set aside is {share}; give one between 0 and 1.", share=share)
    if Split.TEST in source.splits:
        raise UsageError("{name} has a test split of its own; leave out --set-aside.", name=source.name)

    def rows(split: Split) -> RowStream:
        if split is Split.VALID:
            yield from source.rows(split)
            return
        for row in source.rows(Split.TRAIN):
            group = row.group if isinstance(row, CaptionRow) else None
            digest = hashlib.sha256((group or row.id).encode("utf-8")).digest()
            drawn = int.from_bytes(digest[:8], "big") / 2**64
            if (drawn < share) == (split is Split.TEST):
                yield replace(row, split=split)

    counts: dict[Split, int] = {}
    if Split.VALID in source.counts:
        counts[Split.VALID] = source.counts[Split.VALID]
    if source.kind is SourceKind.TABLE:
        # Its rows are in memory; those of Parquet would be read for it.
        counts |= {split: sum(1 for _ in rows(split)) for split in (Split.TRAIN, Split.TEST)}
    splits = tuple(split for split in Split if split in source.splits or split is Split.TEST)
    return replace(source, rows=rows, splits=splits, counts=counts, set_aside=share)
