"""Small trees in the original formats of the public data sets, as tests need them."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
OBSERVATIONS = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
VINDR_LABELS = (
    *("Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Clavicle fracture"),
    *("Consolidation", "Edema", "Emphysema", "Enlarged PA", "ILD", "Infiltration", "Lung Opacity"),
    *("Lung cavity", "Lung cyst", "Mediastinal shift", "Nodule/Mass", "Pleural effusion"),
    *("Pleural thickening", "Pneumothorax", "Pulmonary fibrosis", "Rib fracture", "Other lesion", "COPD"),
    *("Lung tumor", "Pneumonia", "Tuberculosis", "Other diseases", "No finding"),
)


def write(path: Path, text: str) -> Path:
    """A text file with its folders, compressed where the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode("utf-8")
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def touch(*paths: Path) -> None:
    """Files that are there; nothing opens them."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def nih_row(image: str, labels: str, patient: int, age: str = "57", sex: str = "M", view: str = "PA") -> str:
    return f"{image},{labels},0,{patient},{age},{sex},{view},2682,2749,0.143,0.143"


def write_nih(root: Path, rows: Sequence[str], name: str = "Data_Entry_2017_v2020.csv") -> Path:
    """The table and, in two of the twelve folders, the images."""
    write(root / name, "\n".join([NIH_HEADER, *rows]) + "\n")
    for place, row in enumerate(rows):
        touch(root / f"images_{place % 2 + 1:03d}" / "images" / row.split(",")[0])
    return root


def chexpert_row(
    path: str, marks: Mapping[str, object], side: str = "Frontal", view: str = "AP"
) -> list[object]:
    cells = [marks.get(name, "") for name in OBSERVATIONS]
    return [f"CheXpert-v1.0-small/{path}", "Female", "68", side, view if side == "Frontal" else "", *cells]


def write_chexpert(root: Path, rows: Sequence[Sequence[object]], table: str = "train.csv") -> Path:
    write_csv(root / table, ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *OBSERVATIONS), rows)
    touch(*(root / str(row[0]).partition("/")[2] for row in rows))
    return root


def draw(path: Path, seed: int, side: int = 128) -> Path:
    """A smooth grey picture of its own, as PNG or JPEG."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(20, 235, (9, 9), np.uint8).astype(np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse.resize((side, side), Image.Resampling.BICUBIC).save(path)
    return path
