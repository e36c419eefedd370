"""ROCO, the first version, as its repository lays it out (Pelka et al., 2018).

data/{train,validation,test}/radiology/
    captions.txt    ROCO_00001 <tab> caption
    cuis.txt        ROCO_00001 <tab> <tab> CUI <tab> CUI ...
    keywords.txt    the same with words
    licences.txt    ROCO_ID,PMC_ID,CC; PMC_ID is the name of the image file
    images/         PMC3970251_CRIONM2014-931546.003.jpg, or ROCO_00020.jpg
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from tetkik.errors import DataError
from tetkik.files import inside
from tetkik.lab.caption.data import CaptionRow, LeftOut, Reason, Split, is_cui, joined
from tetkik.lab.caption.sources.files import ImageFinder, NoBytes, name_of
from tetkik.lab.caption.sources.rocov2 import Origin
from tetkik.lab.caption.sources.source import RowStream, Source, SourceKind
from tetkik.lab.caption.sources.tables import listed

_FOLDERS = {Split.TRAIN: "train", Split.VALID: "validation", Split.TEST: "test"}
_PMC = re.compile(r"PMC\d+")


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
            yield from _rows(parts[split], split, captions[split])

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


def _rows(part: Path, split: Split, captions: Mapping[str, str]) -> RowStream:
    finder = ImageFinder([part / "images", part])
    files, cuis = _files(part), dict(listed(part / "cuis.txt"))
    for name, caption in captions.items():
        if inside(name) != name or "/" in name:
            yield LeftOut(name, split, name, Reason.UNSAFE_NAME)
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
