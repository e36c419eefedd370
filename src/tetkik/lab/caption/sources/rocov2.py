"""ROCOv2 as its archive lays it out (Rückert et al., 2024; doi:10.5281/zenodo.10821435).

train_captions.csv          ID, Caption
train_concepts.csv          ID, CUIs (separated by `;`)
train_concepts_manual.csv   the same, checked by hand: modality, region, direction
train_images.zip            or unpacked: train/ROCOv2_2023_train_000001.jpg
...                         the same for valid and test
cui_mapping.csv             CUI, Canonical name
license_information.csv     ID, PMCID, Attribution, Link
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tetkik.errors import DataError
from tetkik.files import inside
from tetkik.lab.caption.data import CaptionRow, LeftOut, Reason, Split, concepts_of, is_cui, joined
from tetkik.lab.caption.sources.files import ImageFinder, NoBytes, name_of
from tetkik.lab.caption.sources.source import ROCOV2_PUBLISHED, RowStream, Source, SourceKind
from tetkik.lab.engine.tables import Table, column_named, read_table

_IDS = ("id", "image_id", "name")
_PMC = re.compile(r"PMC\d+")
_LICENCE = re.compile(r"CC[ -]?(?:BY|0)(?:[ -](?:NC|SA|ND))*(?:[ -]\d\.\d)?", re.IGNORECASE)


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
        terms = _LICENCE.search(" ".join(cells))
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
            yield LeftOut(name, split, name, Reason.UNSAFE_NAME)
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
