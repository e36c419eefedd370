"""Images of real size received by `tetkik listen`, fsynced and sealed, and by dcmtk's storescp, on one disk.

    python benchmarks/dicom_receive.py [--images 500] [--rounds 3]

500 images of 12.5 MB (2,500 × 2,500 × 16 bit), sent by dcmtk's storescu over one association and over
twenty. storescp runs as `storescp --fork -od FOLDER -aet TETKIK PORT` and brings nothing to the disk by
itself; what a round left is removed before the next. `dd conv=fsync` says what the disk can do. Rounds take
turns; the medians count.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from figures import judged, record
from tests.ports import free_port

_SIDE = 2500
_MB = 1e6
_SYSTEMS = """
[listen]
address = "127.0.0.1"
port = {port}
reserve_bytes = 0
quiet_seconds = 86400
longest_seconds = 86400
[[peer]]
name = "sender"
ae_title = "STORESCU"
addresses = ["127.0.0.1"]
allow = ["store"]
"""


def make(folder: Path, many: int) -> int:
    """So many images; gives the bytes of one file."""
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 4096, (_SIDE, _SIDE), dtype=np.uint16).tobytes()
    study, series = generate_uid(), generate_uid()
    for number in range(many):
        one = Dataset()
        one.SOPClassUID, one.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", generate_uid()
        one.StudyInstanceUID, one.SeriesInstanceUID, one.InstanceNumber = study, series, number
        one.Modality, one.PatientID, one.PatientName = "DX", "1", "DENEME^DENEME"
        one.Rows = one.Columns = _SIDE
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 12, 11, 0
        one.SamplesPerPixel, one.PhotometricInterpretation, one.PixelData = 1, "MONOCHROME2", pixels
        one["PixelData"].VR = "OW"
        one.file_meta = Dataset()  # type: ignore[assignment]
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.save_as(folder / f"{number:04}.dcm", enforce_file_format=True)
    return (folder / "0000.dcm").stat().st_size


@contextmanager
def running(command: list[str], port: int, **environment: str) -> Iterator[None]:
    """A receiver, from its first answer to its end."""
    process = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        time.sleep(1)
        yield
    finally:
        process.terminate()
        process.wait()


def send(images: list[Path], port: int, associations: int) -> float:
    """Seconds until the last of the senders has ended; every image is acknowledged, or it fails."""
    begin = time.monotonic()
    senders = [
        subprocess.Popen(
            ["storescu", "-aec", "TETKIK", "127.0.0.1", str(port), *images[number::associations]],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for number in range(associations)
    ]
    if any(sender.wait() for sender in senders):
        raise SystemExit("storescu: an image was not acknowledged")
    return time.monotonic() - begin


def disk(folder: Path, size: int) -> float:
    """Bytes a second of `dd conv=fsync`, of as many bytes as are received."""
    target = folder / "dd"
    command = ["dd", "if=/dev/zero", f"of={target}", "bs=1M", f"count={size >> 20}", "conv=fsync"]
    begin = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    seconds = time.monotonic() - begin
    target.unlink()
    return size / seconds


def main() -> None:
    """Measure, print, and record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=500, help="How many are sent each time.")
    parser.add_argument("--rounds", type=int, default=3, help="How often each receiver gets them.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tetkik-receive-", dir=Path.cwd()) as name:
        folder = Path(name)
        size = make(folder / "images", given.images) * given.images
        images = sorted((folder / "images").iterdir())
        hospital, theirs = folder / "hospital", folder / "storescp"
        hospital.mkdir(mode=0o700)
        theirs.mkdir()
        ports = free_port(), free_port()
        (folder / "systems.toml").write_text(_SYSTEMS.format(port=ports[0]))
        ours = [sys.executable, "-m", "tetkik", "listen", "--allow-root"]
        settings = {"TETKIK_DATA_DIR": str(hospital), "TETKIK_INTEGRATIONS": str(folder / "systems.toml")}
        dcmtk = ["storescp", "--fork", "-od", str(theirs), "-aet", "TETKIK", str(ports[1])]
        rates: dict[tuple[str, int], list[float]] = {}
        disks: list[float] = []

        def clean(place: Path) -> Callable[[], None]:
            def run() -> None:
                shutil.rmtree(place)
                place.mkdir(mode=0o700)
                os.sync()

            return run

        receivers = (
            ("Tetkik", ports[0], clean(hospital / "incoming")),
            ("storescp", ports[1], clean(theirs)),
        )
        with running(ours, ports[0], **settings), running(dcmtk, ports[1]):
            for _ in range(given.rounds):
                disks.append(disk(folder, size))
                for associations in (1, 20):
                    for who, port, empty in receivers:
                        empty()
                        rates.setdefault((who, associations), []).append(
                            size / send(images, port, associations)
                        )
                        if who == "Tetkik" and len(list((hospital / "incoming").iterdir())) != given.images:
                            raise SystemExit("an acknowledged image is not on the disk")
    report(rates, median(disks), given.images)


def report(rates: dict[tuple[str, int], list[float]], disk_rate: float, images: int) -> None:
    """Print and record the medians beside what is asked."""
    print(f"dd conv=fsync: {disk_rate / _MB:.0f} MB/s")
    for associations in (1, 20):
        ours, theirs = (median(rates[who, associations]) for who in ("Tetkik", "storescp"))
        asked = theirs if associations == 1 else min(0.6 * theirs, 0.6 * disk_rate)
        text = f"{ours / _MB:.0f} MB/s, {ours / theirs:.2f} times storescp's {theirs / _MB:.0f}"
        if associations > 1:
            text += f", {ours / disk_rate:.2f} times dd's {disk_rate / _MB:.0f}"
        print(f"{associations} associations: {text}; asked: {asked / _MB:.0f} MB/s")
        cells = {"reached": judged(text, met=ours >= asked), "n": f"{images} images of 12.5 MB"}
        record(f"connections/receive-{associations}", cells)


if __name__ == "__main__":
    main()
