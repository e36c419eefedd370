"""The viewer in a real browser before a real server: the first image, scrolling through a CT, and memory.

    python benchmarks/viewer.py [--slices 600] [--turns 5]

`tetkik serve` runs with a synthetic CT of 512 x 512 slices, 16 bits each, and a radiograph of 2,048 x 2,048;
Chromium of this machine opens them by Playwright, in a window of 1,440 x 900, without a GPU (Cornerstone
draws on the processor then). The first image is timed from the navigation to the drawn image, with nothing of
the page kept from before. Scrolling is the cine at 60 images a second from the first slice to the last, every
slice drawn: once right after the page has opened, while the slices are still fetched, and once more when they
are there. Memory is the proportional share (PSS) of all processes of the browser after it, Linux only.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

sys.path.insert(0, str(Path(__file__).parent.parent))

from figures import judged, record
from tests.phantom import write_phantom
from tests.records.kit import made_case, made_records, made_user
from tests.service.browser import chromium
from tests.service.chaos import ServedHospital
from tests.service.kit import make_context, opened_session
from tetkik.imaging.read import read_bytes
from tetkik.records.database import Records
from tetkik.records.images import images
from tetkik.records.images.images import ImageMetadata
from tetkik.records.people.access import load_visible_case
from tetkik.values import SYSTEM, Role

READY = """() => {
    const seen = () => {
        const viewer = document.querySelector('[data-viewer][data-ready]');
        if (viewer && window.firstImage === undefined) window.firstImage = performance.now();
    };
    new MutationObserver(seen).observe(document, { subtree: true, childList: true, attributes: true });
}"""
PLAY = """async (count) => {
    const bar = document.querySelector('[data-pane=current] [data-frames]');
    const rate = bar.querySelector('[data-rate]');
    rate.value = 60;
    const output = bar.querySelector('input[type=range]');
    output.value = 1;
    output.dispatchEvent(new Event('input', { bubbles: true }));
    while (bar.dataset.shown !== '1') await new Promise(requestAnimationFrame);
    let drawn = 0;
    let longest = 0;
    let last = performance.now();
    const begun = last;
    const done = new Promise((resolve) => {
        new MutationObserver(() => {
            const now = performance.now();
            drawn += 1;
            longest = Math.max(longest, now - last);
            last = now;
            if (bar.dataset.shown === String(count)) resolve();
        }).observe(bar, { attributeFilter: ['data-shown'] });
    });
    bar.querySelector('[data-cine]').click();
    await done;
    bar.querySelector('[data-cine]').click();
    return { drawn, longest, seconds: (performance.now() - begun) / 1000 };
}"""


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--slices", type=int, default=600)
    parser.add_argument("--turns", type=int, default=5, help="how often each is opened")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tetkik-bench-") as name:
        folder = Path(name)
        records = made_records(folder)
        ct = filled(records, (ct_slice(number) for number in range(given.slices)))
        film = folder / "film.dcm"
        write_phantom(film, 3, ("Effusion",), rows=2048, columns=2048)
        radiograph = filled(records, [film.read_bytes()])
        actor = made_user(records, Role.RADIOLOGIST)
        cookie, _ = opened_session(make_context(folder, records), actor)
        records.close()
        server = ServedHospital(folder, "2")
        server.start()
        try:
            with chromium() as browser:
                measure(browser, server.address, cookie, {"CT": ct, "radiograph": radiograph}, given)
        finally:
            server.end()
            server.close()


def filled(records: Records, files: Iterator[bytes] | list[bytes]) -> str:
    """A case with these images; gives its id."""
    case_id = made_case(records, made_user(records, Role.RECEPTION))
    for content in files:
        read = read_bytes(content, "benchmark")
        with records.write(SYSTEM) as tx:
            patient_id = load_visible_case(tx, case_id).patient_id
            stored = images.store_file(tx, patient_id, io.BytesIO(content))
            images.add_image(tx, case_id, stored, ImageMetadata.of(read))
    return case_id


def ct_slice(number: int) -> bytes:
    """A round body with a hole that moves, and noise, as a DICOM file."""
    down, across = np.mgrid[:512, :512]
    values = np.where((across - 256) ** 2 + (down - 256) ** 2 < 200**2, 40, -1000).astype(np.int16)
    values[(across - 180 - number % 60) ** 2 + (down - 256) ** 2 < 60**2] = -800
    values += np.random.default_rng(number).integers(-20, 20, values.shape).astype(np.int16)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.{10**9 + number}")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.10", "2.25.11"
    dataset.Modality, dataset.BodyPartExamined, dataset.SeriesDescription = "CT", "CHEST", "Synthetic 1.0"
    dataset.InstanceNumber = number + 1
    dataset.ImagePositionPatient = [0, 0, float(number)]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [0.7, 0.7]
    dataset.Rows = dataset.Columns = 512
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 15, 1, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, 0, "HU"
    dataset.WindowCenter, dataset.WindowWidth = 40, 400
    dataset.PixelData = values.tobytes()
    packed = io.BytesIO()
    dataset.save_as(packed, enforce_file_format=True)
    return packed.getvalue()


def measure(
    browser: Browser, address: str, cookie: str, cases: dict[str, str], given: argparse.Namespace
) -> None:
    """Open both, scroll, and print."""
    for kind, case_id in cases.items():
        times = [first_image(browser, address, cookie, case_id) for _ in range(given.turns + 1)][1:]
        median = statistics.median(times)
        print(f"{kind}, first image: median {median:.0f} ms, largest {max(times):.0f} ms, n = {len(times)}")
        name = "viewer-first-ct" if kind == "CT" else "viewer-first-film"
        kept = {"reached": judged(f"{median:.0f} ms", met=median <= 1000), "n": str(len(times))}
        if kind != "CT" or given.slices == 600:
            record(f"reading-room/{name}", kept)
    page = opened(browser, address, cookie, cases["CT"])
    for turn, name in (("at once", "viewer-scroll"), ("again", "viewer-scroll-again")):
        seen = page.evaluate(PLAY, given.slices)
        rate = seen["drawn"] / seen["seconds"]
        took = f"{seen['drawn']} images in {seen['seconds']:.1f} s, {rate:.1f} a second"
        print(f"scrolling {turn}: {took}; longest wait {seen['longest']:.0f} ms")
        if given.slices == 600:
            reached = judged(f"{rate:.0f} images a second", met=rate >= 30)
            record(f"reading-room/{name}", {"reached": reached, "n": str(seen["drawn"])})
    heap = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
    processes = memory() / 1e6
    print(f"memory of the browser: {processes:.0f} MB in all processes, {heap:.0f} MB JavaScript heap")
    if given.slices == 600:
        reached = judged(f"{processes / 1000:.2f} GB", met=processes < 1500)
        record("reading-room/viewer-memory", {"reached": reached, "n": "1"})


def opened(browser: Browser, address: str, cookie: str, case_id: str) -> Page:
    """The reading view of a case, in a window that has kept nothing, with its first image."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.add_cookies([{"name": "tetkik", "value": cookie, "url": address}])
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.add_init_script(f"({READY})()")
    page.goto(f"{address}/read/{case_id}")
    page.wait_for_selector("[data-viewer][data-ready]")
    return page


def first_image(browser: Browser, address: str, cookie: str, case_id: str) -> float:
    """Milliseconds from the navigation to the first image."""
    page = opened(browser, address, cookie, case_id)
    took: float = page.evaluate("window.firstImage")
    page.context.close()
    return took


def memory() -> float:
    """Bytes of the processes that descend from this one and are a browser's."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    total = 0
    for process in parents:
        line = process
        while line in parents and line != os.getpid():
            line = parents[line]
        try:
            command = Path(f"/proc/{process}/cmdline").read_bytes()
            if line == os.getpid() and b"chrom" in command.split(b"\0")[0]:
                rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
                total += 1024 * int(rollup.partition("\nPss:")[2].split()[0])
        except (OSError, IndexError):
            continue
    return total


if __name__ == "__main__":
    main()
