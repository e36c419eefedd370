"""From a file on the way to findings and draft on the page, against the bare library calls, in one run.

    python benchmarks/service_upload.py [--dicom FILE] [--turns 15] [--threads 2]

`tetkik serve` runs with everything on: the file goes up by HTTP, is read in a process of its
own, compared with its patient, sealed and brought to the disk; the worker reads it, and findings, heatmaps
and draft are kept in a transaction with their audit entries; the browser hears of it by the event stream and
fetches findings and draft. The bare call is `workflow.report_image` in this process, with the same model,
loaded before: once without the heatmaps that the page shows, and once with the sheets that it draws of them.
All take turns on the same file, so that a busy machine slows all alike; the ratio is the median over the
turns. Without `--dicom` the file is a phantom of 2,048 by 2,048 pixels.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx
import pydicom
from pydicom.uid import UID

sys.path.insert(0, str(Path(__file__).parent.parent))

from figures import judged, record
from tests.phantom import write_phantom
from tests.records.kit import made_records, made_user
from tests.service.chaos import ServedHospital
from tests.service.kit import make_context, opened_session
from tetkik import workflow
from tetkik.settings import settings
from tetkik.values import Role

_WARM = 3


def main() -> None:
    """Print the times and their ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dicom", type=Path, help="a DICOM file; default: a phantom")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2, help="of one model run")
    given = parser.parse_args()
    os.environ["TETKIK_THREADS"] = str(given.threads)
    with tempfile.TemporaryDirectory(prefix="tetkik-bench-") as folder:
        measure(Path(folder), given.dicom, given.turns)


def measure(folder: Path, dicom: Path | None, turns: int) -> None:
    """Take turns, and print."""
    drawn = dicom is None
    if dicom is None:
        dicom = folder / "phantom.dcm"
        write_phantom(dicom, 3, ("Effusion",), rows=2048, columns=2048)
    known = pydicom.dcmread(dicom)
    app_context = ServedHospital(folder / "hospital", os.environ["TETKIK_THREADS"])
    client = signed_in(folder / "hospital", app_context)
    app_context.start()
    bare: list[float] = []
    sheets: list[float] = []
    served: list[float] = []
    try:
        for turn in range(_WARM + turns):
            file = folder / "film.dcm"
            file.write_bytes(another(known, turn))
            took = library(file), library(file, folder / "heat"), through_the_service(client, file)
            if turn >= _WARM:
                for times, seconds in zip((bare, sheets, served), took, strict=True):
                    times.append(seconds)
    finally:
        app_context.end()
        app_context.close()
    print(f"{dicom.stat().st_size / 1e6:.1f} MB, {known.Rows} x {known.Columns}, n = {turns} after {_WARM}")
    print(f"served: median {1000 * statistics.median(served):.0f} ms")
    for name, times in (("library without heatmaps", bare), ("library with heatmaps", sheets)):
        ratios = [after / before for before, after in zip(times, served, strict=True)]
        median = 1000 * statistics.median(times)
        print(f"{name}: median {median:.0f} ms; served against it: median {statistics.median(ratios):.2f}")
        if drawn and times is bare:
            ratio, seconds = statistics.median(ratios), statistics.median(served)
            cell = judged(f"{ratio:.2f} times", met=ratio <= 1.3)
            record("reading-room/upload", {"reached": f"{cell} ({1000 * seconds:.0f} ms)", "n": f"{turns}"})


def another(known: pydicom.Dataset, turn: int) -> bytes:
    """The same image as of another patient and study, so that nothing is known of it yet."""
    known.PatientID = f"BENCH-{turn}"
    known.StudyInstanceUID = UID(f"2.25.{10**20 + turn}")
    known.SOPInstanceUID = UID(f"2.25.{10**21 + turn}")
    known.file_meta.MediaStorageSOPInstanceUID = known.SOPInstanceUID
    packed = io.BytesIO()
    known.save_as(packed)
    return packed.getvalue()


def library(file: Path, heat: Path | None = None) -> float:
    """Seconds of the bare call."""
    begin = time.perf_counter()
    workflow.report_image(file, settings(), heatmaps=heat)
    return time.perf_counter() - begin


def signed_in(folder: Path, app_context: ServedHospital) -> httpx.Client:
    """A client of somebody who may upload and read drafts."""
    records = made_records(folder)
    actor = made_user(records, Role.TECHNICIAN, Role.RADIOLOGIST)
    cookie, csrf = opened_session(make_context(folder, records), actor)
    records.close()
    return httpx.Client(
        base_url=f"{app_context.address}/api/v1",
        cookies={"tetkik": cookie},
        headers={"X-CSRF-Token": csrf},
        timeout=60,
    )


def through_the_service(client: httpx.Client, file: Path) -> float:
    """Seconds from the first byte of the upload to findings and draft."""
    content = file.read_bytes()
    begin = time.perf_counter()
    answer = client.post("/images", content=content, headers={"Idempotency-Key": str(begin)})
    image_id = answer.raise_for_status().json()["image"]["id"]
    with client.stream("GET", f"/images/{image_id}/stream") as stream:
        last = [line for line in stream.iter_lines() if line.startswith("event:")][-1]
    if last != "event: done":
        raise RuntimeError(last)
    image = client.get(f"/images/{image_id}").raise_for_status().json()
    findings = client.get(f"/images/{image_id}/findings").raise_for_status().json()
    draft = client.get(f"/drafts/{image['report_id']}").raise_for_status().json()
    took = time.perf_counter() - begin
    if not findings["result"]["suitable"] or not draft["sentences"]:
        raise RuntimeError("the model refuses this image; take another")
    return took


if __name__ == "__main__":
    main()
