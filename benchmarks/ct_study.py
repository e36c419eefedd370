"""A CT of many slices in one study, from the upload to the signature: how long, how much memory.

    python benchmarks/ct_study.py [--slices 30 300]

The slices go through the API one by one, as a scanner sends them; then the worker reads each with the model,
drafts the study's one report, and a radiologist signs it. A step that looks at all slices for each slice
shows where the last take longer than the first. Times are those of the processor, so that other work on the
machine does not count; memory is the most that this process held.
"""

from __future__ import annotations

import argparse
import io
import logging
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import structlog
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from sqlalchemy import func, select

sys.path.insert(0, str(Path(__file__).parent.parent))

from figures import judged, record
from tests.records.kit import made_case, made_user
from tests.records.reports_kit import reports_of_case, sign
from tests.service.kit import make_context, served, sign_in
from tetkik.records.images import jobs
from tetkik.records.schema import SignatureRow
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.values import SYSTEM, Role
from tetkik.workflow.image_processing import read_case_image


def slice_of(number: int) -> bytes:
    """A slice of 512 x 512, 12 bits, of one series."""
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = CTImageStorage
    uid = UID(f"1.2.3.4.6.{number + 1}")
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = uid
    one.StudyInstanceUID, one.SeriesInstanceUID, one.Modality = "1.2.3.4.5", "1.2.3.4.6", "CT"
    one.InstanceNumber, one.BodyPartExamined = number + 1, "CHEST"
    one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, number], [1, 0, 0, 0, 1, 0]
    one.PixelSpacing, one.RescaleSlope, one.RescaleIntercept = [0.7, 0.7], 1, -1024
    one.Rows = one.Columns = 512
    one.SamplesPerPixel, one.PhotometricInterpretation, one.PixelRepresentation = 1, "MONOCHROME2", 0
    one.BitsAllocated, one.BitsStored, one.HighBit = 16, 12, 11
    one.WindowCenter, one.WindowWidth = 40, 400
    rows, columns = np.mgrid[:512, :512]
    pixels = 1000 + 200 * np.sin(columns / (20 + number)) + 100 * np.cos(rows / 30)
    one.PixelData = pixels.astype("<u2").tobytes()
    file = io.BytesIO()
    one.save_as(file, enforce_file_format=True)
    return file.getvalue()


def measure(slices: int) -> None:
    """Print and keep the figures of one study."""
    app_context = make_context(Path(tempfile.mkdtemp(prefix="tetkik-")), requests_per_minute=100_000)
    records = app_context.records
    case_id = made_case(records, made_user(records, Role.RECEPTION))
    uploads: list[float] = []
    with served(app_context) as client:
        sign_in(client, app_context, Role.TECHNICIAN)
        for number in range(slices):
            content = slice_of(number)
            begin = time.process_time()
            answer = client.post(f"/api/v1/images?case_id={case_id}&sure=true", content=content)
            uploads.append(time.process_time() - begin)
            assert answer.status_code == 201, answer.text
    reads = _read_all(records, app_context.settings)
    doctor = made_user(records, Role.RADIOLOGIST)
    with records.write(doctor) as tx:
        reports = reports_of_case(tx, case_id)
        begin = time.process_time()
        sign(tx, reports[0], doctor)
        signatures = tx.session.scalar(select(func.count()).select_from(SignatureRow))
    signing = time.process_time() - begin
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{slices} slices: {len(reports)} report, {signatures} signature; upload {sum(uploads):.1f} s "
        f"({_ends(uploads)}), reading {sum(reads):.1f} s ({_ends(reads)}), signing {signing:.2f} s; "
        f"at most {memory:.0f} MB"
    )
    reached = judged(f"{len(reports)}; {signatures}", met=len(reports) == signatures == 1)
    took = f"upload {sum(uploads):.0f} s, reading {sum(reads):.0f} s, signing {signing:.1f} s"
    cells = {"reached": f"{reached}; {took}; {memory:.0f} MB", "n": f"{slices} slices"}
    record("reading-room/ct-slices", cells)
    records.close()


def _read_all(records: object, settings: object) -> list[float]:
    decoder = ImageDecoder(records)  # type: ignore[arg-type]
    took: list[float] = []
    while True:
        with records.write(SYSTEM) as tx:  # type: ignore[attr-defined]
            work = next(iter(jobs.take_jobs(tx, "w")), None)
        if work is None:
            decoder.close()
            return took
        begin = time.process_time()
        read_case_image(records, settings, work, decoder.pixels)  # type: ignore[arg-type]
        took.append(time.process_time() - begin)


def _ends(seconds: list[float]) -> str:
    tenth = max(1, len(seconds) // 10)
    first, last = statistics.median(seconds[:tenth]), statistics.median(seconds[-tenth:])
    return f"first tenth {1000 * first:.0f} ms each, last {1000 * last:.0f} ms"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slices", type=int, nargs="+", default=[30, 300])
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    for slices in options.slices:
        measure(slices)


if __name__ == "__main__":
    main()
