"""All documents of a report in one folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp

from tetkik.documents.capture import needs_image_capture, to_capture, to_image_capture
from tetkik.documents.fhir import to_fhir
from tetkik.documents.hl7 import to_hl7
from tetkik.documents.pdf import to_pdf
from tetkik.documents.sr import to_sr
from tetkik.documents.text import to_text
from tetkik.errors import as_fault_of
from tetkik.values.document import ReportDocument

# Files that are written all together or not at all.


def write_files(contents: Mapping[str, bytes], folder: Path) -> tuple[Path, ...]:
    """Write `contents`, by file name, into `folder`, all or nothing; the sorted files.

    Files of these names are replaced; others there are left alone.
    """
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    stage = Path(mkdtemp(prefix=".partial.", dir=folder))
    try:
        for name, content in contents.items():
            (stage / name).write_bytes(content)
        for name in contents:
            os.replace(stage / name, folder / name)  # noqa: PTH105 - the name says that it is atomic
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if new and not any(folder.iterdir()):
            folder.rmdir()
    return tuple(sorted(folder / name for name in contents))


HEATMAP, IMAGE = "report.heatmap.dcm", "report.image.dcm"
"""Files that not every report has."""


def write_documents(document: ReportDocument, folder: Path) -> tuple[Path, ...]:
    """Write the report in every format; the names say nothing of a patient.

    `report.pdf`, `report.fhir.json`, `report.sr.dcm`, `report.hl7`, `report.txt`; `report.heatmap.dcm` where
    there is a heatmap, and `report.image.dcm` where the image is a file without UIDs, so that what the DICOM
    objects refer to can be archived with them. All are made before the first takes its place: a fault leaves
    the folder as it was. A heatmap or an image of an earlier version does not stay beside a report without.

    Args:
        folder: made where it is missing; other files in it stay.

    Raises:
        OSError: the folder cannot be written.
    """
    contents = {
        "report.pdf": to_pdf(document),
        "report.fhir.json": to_fhir(document),
        "report.sr.dcm": to_sr(document),
        "report.hl7": to_hl7(document),
        "report.txt": to_text(document),
    }
    if document.heatmap is not None:
        contents[HEATMAP] = to_capture(document)
    if needs_image_capture(document):
        contents[IMAGE] = to_image_capture(document)
    with as_fault_of(folder):
        write_files(contents, folder)
        for name in {HEATMAP, IMAGE}.difference(contents):
            (folder / name).unlink(missing_ok=True)
    return tuple(folder / name for name in contents)
