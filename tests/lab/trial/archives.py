"""A small archive for trials: DICOM files with a blob or without, and the table of their reports."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from tests.findings.bundles import blob_image
from tests.phantom import write_phantom
from tetkik.lab.trial.results import TrialResult
from tetkik.language import Language

FOUND = "Sol plevral effüzyon izlendi."
CLEAR = "Plevral effüzyon saptanmadı. Kalp boyutu normal."


@cache
def _template() -> bytes:
    packed = BytesIO()
    write_phantom(packed, 1, rows=64, columns=64)  # type: ignore[arg-type]
    return packed.getvalue()


def write_study(path: Path, number: int, *, blob: bool, patient: str, **tags: str) -> None:
    """A film on which the network of `make_findings_bundle` sees something, or nothing."""
    data: Dataset = dcmread(BytesIO(_template()))
    row = 0.3 + 0.4 * (number % 5) / 5
    pixels = (
        blob_image(row, 0.5).pixels if blob else np.full_like(blob_image(row, 0.5).pixels, 40 + number % 9)
    )
    data.Rows, data.Columns = pixels.shape
    data.PixelData = (pixels.astype(np.uint16) << 4).tobytes()
    data.PatientID, data.PatientName = patient, f"GİZLİ^{patient}"
    data.AccessionNumber, data.StudyInstanceUID = f"ACC{number:04}", generate_uid(entropy_srcs=[str(number)])
    data.SOPInstanceUID = generate_uid(entropy_srcs=[f"image {number}"])
    data.InstitutionName, data.Manufacturer = ("Merkez", "Şube")[number % 2], "Üretici"
    data.ManufacturerModelName = f"M{number % 3}"
    data.StudyDate, data.PatientSex, data.PatientAge = f"2026{1 + number % 12:02}15", "MF"[number % 2], "050Y"
    for name, value in tags.items():
        setattr(data, name, value)
    data.save_as(path)


def write_archive(folder: Path, found: Sequence[bool], called: Sequence[bool], *, each: int = 1) -> Path:
    """An archive in which the report says `found` and the film shows `called`; `each` studies a patient."""
    images = folder / "images"
    images.mkdir(parents=True)
    rows = []
    for number, (said, shown) in enumerate(zip(found, called, strict=True)):
        write_study(images / f"{number:04}.dcm", number, blob=shown, patient=f"P-{number // each:04}")
        rows.append((f"ACC{number:04}", FOUND if said else CLEAR))
    write_reports(folder / "reports.csv", rows)
    return folder


def write_reports(path: Path, rows: Sequence[tuple[str, ...]], *columns: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("study", "report", *columns))
        writer.writerows(rows)


def said(result: TrialResult) -> str:
    """What the page says of the figures, in English."""
    return " ".join(sentence.in_language(Language.EN) for sentence in result.interpretation)
