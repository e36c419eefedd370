"""Tiny sources of captioned images in every layout, with drawn pictures and invented captions."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SPLITS = ("train", "valid", "test")


def drawn(seed: int, *, colour: bool = False, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """A smooth picture that no other seed draws; RGB, grey unless `colour`."""
    noise = np.random.default_rng(seed).random((6, 7, 3 if colour else 1))
    small = Image.fromarray((np.repeat(noise, 1 if colour else 3, axis=2) * 255).astype(np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The file of a picture."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def write_csv(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]], delimiter: str = ","
) -> None:
    """A table with a header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows(rows)


def caption_of(name: str) -> str:
    """Invented, of eight words and more, so that it is not repeated by chance."""
    return f"Drawn axial section number {name} shows a small round shadow in the left field."


def rocov2_ids(split: str, count: int) -> list[str]:
    """Ids as the archive has them."""
    return [f"ROCOv2_2023_{split}_{number:06d}" for number in range(1, count + 1)]


def rocov2_images(counts: Mapping[str, int]) -> dict[str, dict[str, bytes]]:
    """The image files of each split by id: every third is grey in one channel, the others RGB."""
    made: dict[str, dict[str, bytes]] = {}
    for start, split in enumerate(SPLITS):
        made[split] = {}
        for place, name in enumerate(rocov2_ids(split, counts.get(split, 0))):
            image = drawn(1000 * start + place, colour=place % 3 == 1)
            made[split][name] = encoded(image.convert("L") if place % 3 == 2 else image, "JPEG", quality=95)
    return made


def write_rocov2(
    folder: Path,
    counts: Mapping[str, int],
    *,
    zipped: bool = False,
    images: Mapping[str, Mapping[str, bytes]] | None = None,
) -> Path:
    """ROCOv2 as its archive lays it out."""
    images = images or rocov2_images(counts)
    folder.mkdir(parents=True, exist_ok=True)
    licences = []
    for split in SPLITS:
        files = images[split]
        if not files:
            continue
        write_csv(folder / f"{split}_captions.csv", ("ID", "Caption"), [(i, caption_of(i)) for i in files])
        write_csv(
            folder / f"{split}_concepts.csv",
            ("ID", "CUIs"),
            [(name, "C0040405;C0817096") for name in files],
        )
        write_csv(
            folder / f"{split}_concepts_manual.csv",
            ("ID", "CUIs"),
            [(name, "C0040405") for name in list(files)[:1]],
        )
        if zipped:
            with zipfile.ZipFile(folder / f"{split}_images.zip", "w", zipfile.ZIP_DEFLATED) as archive:
                for name, data in files.items():
                    archive.writestr(f"{split}/{name}.jpg", data)
        else:
            (folder / split).mkdir()
            for name, data in files.items():
                (folder / split / f"{name}.jpg").write_bytes(data)
        for place, name in enumerate(files):
            licences.append(
                (name, f"PMC{place // 2}{SPLITS.index(split)}1", "CC BY [Drawn et al. (2020)]", "-")
            )
    write_csv(folder / "license_information.csv", ("ID", "PMCID", "Attribution", "Link"), licences)
    write_csv(
        folder / "cui_mapping.csv",
        ("CUI", "Canonical name"),
        [("C0040405", "X-Ray Computed Tomography"), ("C0817096", "Chest")],
    )
    return folder


def write_roco(folder: Path, counts: Mapping[str, int]) -> Path:
    """ROCO, the first version, as its repository lays it out."""
    for start, (split, name) in enumerate(zip(SPLITS, ("train", "validation", "test"), strict=True)):
        part = folder / "data" / name / "radiology"
        (part / "images").mkdir(parents=True)
        rows = [f"ROCO_{start}{place:04d}" for place in range(counts.get(split, 0))]
        files = [f"PMC{place}{start}9_fig,{place}.jpg" for place in range(len(rows))]
        for place, file in enumerate(files):
            (part / "images" / file).write_bytes(encoded(drawn(7000 + 100 * start + place), "JPEG"))
        lines = [f"{row}\t {caption_of(row)}\n" for row in rows]
        (part / "captions.txt").write_text("".join(lines), encoding="utf-8")
        (part / "cuis.txt").write_text(
            "".join(f"{row}\t\tC0040405\tC0817096\n" for row in rows), encoding="utf-8"
        )
        licences = [f"{row},{file},CC BY-NC\n" for row, file in zip(rows, files, strict=True)]
        (part / "licences.txt").write_text("ROCO_ID,PMC_ID,CC\n" + "".join(licences), encoding="utf-8")
    return folder


def arrow_table(images: Mapping[str, bytes]) -> Any:
    """A table of a Hugging Face dataset: `image`, `image_id`, `caption`, `cui`."""
    import pyarrow as pa

    return pa.table(
        {
            "image": [{"bytes": data, "path": f"{name}.jpg"} for name, data in images.items()],
            "image_id": list(images),
            "caption": [caption_of(name) for name in images],
            "cui": [["C0040405", "C0817096"] for _ in images],
        }
    )


def write_parquet(folder: Path, counts: Mapping[str, int]) -> Path:
    """A Hugging Face dataset as Parquet files, the training rows in two of them."""
    from pyarrow import parquet

    (folder / "data").mkdir(parents=True)
    images = rocov2_images(counts)
    for split, name in zip(SPLITS, ("train", "validation", "test"), strict=True):
        rows = list(images[split].items())
        parts = [rows[:2], rows[2:]] if split == "train" else [rows]
        for place, part in enumerate(parts):
            if part:
                file = f"{name}-{place:05d}-of-{len(parts):05d}.parquet"
                parquet.write_table(arrow_table(dict(part)), folder / "data" / file, row_group_size=2)
    return folder


def write_saved(folder: Path, counts: Mapping[str, int]) -> Path:
    """The same as `save_to_disk` lays it out."""
    import pyarrow as pa

    folder.mkdir(parents=True)
    images = rocov2_images(counts)
    for split, name in zip(SPLITS, ("train", "validation", "test"), strict=True):
        if not images[split]:
            continue
        part = folder / name
        part.mkdir()
        table = arrow_table(images[split])
        file = str(part / "data-00000-of-00001.arrow")
        with pa.OSFile(file, "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table, max_chunksize=2)
        (part / "state.json").write_text(json.dumps({"_split": name}))
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "validation", "test"]}))
    return folder


def write_table(
    folder: Path,
    rows: Iterable[tuple[str, str, str, str]],
    *,
    delimiter: str = ",",
    name: str = "captions.csv",
) -> Path:
    """A table of (file, caption, case, split); the images are drawn, each another."""
    rows = list(rows)
    for place, (file, *_) in enumerate(rows):
        path = folder / file
        if ".." not in file and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(drawn(500 + place)))
    columns = ("file", "caption", "concepts", "case", "split")
    cells = [(file, caption, "CT|Axial", case, split) for file, caption, case, split in rows]
    write_csv(folder / name, columns, cells, delimiter)
    return folder / name
