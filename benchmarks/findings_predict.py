"""`tetkik findings predict` over a folder of files, against the loop that everybody writes, in one run.

    python benchmarks/findings_predict.py [--files 1000] [--model M] [--rounds 3]

Half of the files are 12-bit JPEG 2000 in DICOM, half 8-bit PNG: some twenty synthetic radiographs, stored
over and over. The loop decodes with pydicom or Pillow, resizes, and runs the same network on ONNX Runtime
with its own defaults, one image after another; it judges nothing. Both sides are programs of their own, start
to end. Memory is the sum of the resident memory of all processes of a side, shared pages counted once.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

from figures import judged, record
from tests.phantom import make_phantom, write_phantom
from tetkik.bundle import Task, resolve
from tetkik.settings import settings

JPEG_2000 = "1.2.840.10008.1.2.4.90"
DISTINCT = 10
DICOM_SIDE, PNG_SIDE = 2000, 1024
FEW = 4
"""Memory is compared at a quarter of the files."""

LOOP = """
import sys, json
from pathlib import Path
import numpy as np, onnxruntime, pydicom
from PIL import Image
files, weights, options = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
session = onnxruntime.InferenceSession(weights, providers=["CPUExecutionProvider"])
mean, std = (np.array(options[name], np.float32)[:, None, None] for name in ("mean", "std"))
side = (options["size"],) * 2
for path in sorted(files.iterdir()):
    if path.suffix == ".dcm":
        data = pydicom.dcmread(path)
        pixels = data.pixel_array.astype(np.float32) / (2**data.BitsStored - 1)
    else:
        pixels = np.asarray(Image.open(path).convert("L"), np.float32) / 255
    small = np.asarray(Image.fromarray(pixels).resize(side, Image.Resampling.BILINEAR))
    image = (np.repeat(small[None], len(mean), axis=0) - mean) / std
    print(path.name, session.run(["scores"], {"image": image[None]})[0][0].tolist())
"""
THREADS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tetkik.findings.preprocess import PreprocessRequest, preprocess_file
from tetkik.findings.predict import load_findings
findings = load_findings(sys.argv[2])
request = PreprocessRequest(findings.model.preprocessing, True, findings.points.ages)
with ThreadPoolExecutor(4) as pool:
    files = sorted(Path(sys.argv[1]).iterdir())
    for path, seen in pool.map(lambda path: (path, preprocess_file(path, request)), files):
        print(findings._studies([(str(path), seen)])[0].result.as_json())
"""


@dataclass(frozen=True)
class Run:
    """One run of a side: seconds on the clock, seconds of all its processors, peak memory in MB."""

    seconds: float
    processor: float
    memory: float


def measure(command: list[str]) -> Run:
    """Run a program to its end."""
    before = os.times()
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, sum(resident(child) for child in family(process.pid)))
            time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"failed: {' '.join(command)[:200]}")
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(time.perf_counter() - start, used, peak)


def family(process: int) -> list[int]:
    """A process and all below it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            child, rest = entry.read_text().split(" ", 1)
            parents.setdefault(int(rest.rpartition(")")[2].split()[1]), []).append(int(child))
        except OSError:
            continue
    found = [process]
    for member in found:
        found += parents.get(member, [])
    return found


def resident(process: int) -> float:
    """Proportional resident memory of a process in MB; 0 for one that has ended."""
    try:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def make_files(folder: Path, count: int) -> None:
    """`count` files by turns in JPEG 2000 and PNG, of `DISTINCT` radiographs of each."""
    masters = folder.parent / "masters"
    masters.mkdir()
    for number in range(DISTINCT):
        write_phantom(
            masters / f"{number}.dcm",
            number,
            transfer_syntax=JPEG_2000,
            rows=DICOM_SIDE,
            columns=DICOM_SIDE,
        )
        small = make_phantom(DISTINCT + number, rows=PNG_SIDE, columns=PNG_SIDE).pixels
        Image.fromarray((small // 16).astype("uint8")).save(masters / f"{number}.png")
    folder.mkdir()
    for number in range(count):
        ending = ("dcm", "png")[number % 2]
        shutil.copy(masters / f"{number // 2 % DISTINCT}.{ending}", folder / f"{number:05}.{ending}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--model", default=settings().findings_model)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--workers", type=int, default=None, help="for `findings predict`; its own choice without it"
    )
    arguments = parser.parse_args()
    bundle = resolve(arguments.model, Task.FINDINGS)
    weights, options = str(bundle.file("model.onnx")), json.dumps(bundle.manifest.preprocessing)
    own = [sys.executable, "-c", "from tetkik.cli import main; main()", "findings", "predict"]
    own += ["--json", "--model", str(bundle.path)]
    if arguments.workers is not None:
        own += ["--workers", str(arguments.workers)]
    with TemporaryDirectory() as place:
        whole, part = Path(place) / "whole" / "files", Path(place) / "part" / "files"
        for folder, count in ((whole, arguments.files), (part, arguments.files // FEW)):
            folder.parent.mkdir()
            make_files(folder, count)
        loop = [sys.executable, "-c", LOOP, str(whole), weights, options]
        pairs = [(measure([*own, str(whole)]), measure(loop)) for _ in range(arguments.rounds)]
        threads = measure([sys.executable, "-c", THREADS, str(whole), str(bundle.path)])
        few = measure([*own, str(part)])
    cores = len(os.sched_getaffinity(0))
    print(
        f"{arguments.files} files, {cores} cores, median of {arguments.rounds} rounds; "
        f"{bundle.manifest.name}, {bundle.manifest.kind} at {bundle.manifest.preprocessing['size']}.\n"
    )
    print("| side | seconds | files a second | processor seconds | peak memory MB |")
    print("|---|---|---|---|---|")
    sides = (
        (f"`findings predict`, {arguments.files} files", [ours for ours, _ in pairs], arguments.files),
        (f"`findings predict`, {arguments.files // FEW} files", [few], arguments.files // FEW),
        ("the same in 4 threads of one process", [threads], arguments.files),
        ("plain loop", [theirs for _, theirs in pairs], arguments.files),
    )
    for title, runs, count in sides:
        seconds, processor, memory = (
            statistics.median(getattr(run, name) for run in runs)
            for name in ("seconds", "processor", "memory")
        )
        print(f"| {title} | {seconds:.1f} | {count / seconds:.1f} | {processor:.1f} | {memory:.0f} |")
    faster = statistics.median(theirs.seconds / ours.seconds for ours, theirs in pairs)
    print(f"\n`findings predict` is {faster:.2f} times as fast as the loop.")
    cell = judged(f"{faster:.1f}", met=faster >= 2.5)
    record("findings-speed/predict", {"reached": f"{cell} ({arguments.files} files)"})
    memory = statistics.median(ours.memory for ours, _ in pairs)
    record("findings-speed/predict-memory", {"reached": f"{memory:.0f} MB against {few.memory:.0f}"})


if __name__ == "__main__":
    main()
