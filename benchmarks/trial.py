"""`tetkik trial run` over 10,000 studies: memory as it goes, and speed against bare decode plus model.

    python benchmarks/trial.py [--studies 10000] [--bare 1000] [--side 2000] [--workers N]

The studies are DICOM files that the project draws: links to some twenty chest phantoms in 12-bit JPEG 2000,
and a report in Turkish for each. Bare decode plus model is what `Findings.predict_many` does without the
quality gate, with as many processes: read, resize, infer, nothing else; so the gate counts as the trial's
own. It runs before the trial and after it, and the mean of both counts, for a machine is never alone. A speed
is from the first answer to the last; processor seconds are those of all processes from start to end. Memory
is the proportional resident memory of all processes of the trial.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from pydicom import dcmread

sys.path.insert(0, str(Path(__file__).parent.parent))

from figures import judged, record
from findings_predict import JPEG_2000, family, resident
from tests.phantom import write_phantom
from tetkik.findings.predict import load_findings
from tetkik.settings import settings

DISTINCT = 20
STEP = 1.0
"""Seconds between two looks at a process."""
REPORTS = (
    "Sol plevral effüzyon izlendi. Kalp boyutu normal.",
    "Kardiyotorasik oran artmış, kardiyomegali mevcut. Plevral effüzyon saptanmadı.",
    "Akciğer parankim alanları doğaldır. Pnömotoraks izlenmedi. Normal akciğer grafisi.",
)
BARE = """
import sys
from pathlib import Path
from itertools import islice
from tetkik.findings.predict import load_findings
findings = load_findings(sys.argv[2], gate=False)
files = islice(sorted(Path(sys.argv[1]).iterdir()), int(sys.argv[3]))
workers = int(sys.argv[4]) if sys.argv[4] else None
with open(sys.argv[5], "w") as out:
    for answer in findings.predict_many(files, workers):
        print(answer.as_json()["screen"], file=out, flush=True)
"""


@dataclass
class Run:
    """One run: (answered, second, MB) as it went, and seconds of all its processors."""

    looks: list[tuple[int, float, float]] = field(default_factory=list)
    processor: float = 0.0

    @property
    def speed(self) -> float:
        """Answers a second, from the first to the last."""
        going = [look for look in self.looks if look[0]]
        last = next(look for look in going if look[0] == going[-1][0])
        return (last[0] - going[0][0]) / (last[1] - going[0][1])

    def memory(self, start: float, end: float) -> float:
        """The most, in MB, between two shares of the answers."""
        total = self.looks[-1][0]
        return max(mb for count, _, mb in self.looks if start * total <= count <= end * total)


def measure(command: list[str], answers: Path) -> Run:
    """Run a program that writes a line for each answer."""
    before, run, start = os.times(), Run(), time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        count = place = 0
        while process.poll() is None:
            if answers.exists():
                with answers.open("rb") as file:
                    file.seek(place)
                    new = file.read()
                count, place = count + new.count(b"\n"), place + len(new)
            memory = sum(resident(child) for child in family(process.pid))
            run.looks.append((count, time.perf_counter() - start, memory))
            time.sleep(STEP)
    if process.returncode:
        raise SystemExit(f"failed: {' '.join(command)[:200]}")
    after = os.times()
    run.processor = after.children_user + after.children_system
    run.processor -= before.children_user + before.children_system
    return run


def make_archive(folder: Path, count: int, side: int) -> None:
    """`count` studies of `DISTINCT` films, and their reports."""
    (folder / "images").mkdir(parents=True)
    (folder / "masters").mkdir()
    for number in range(DISTINCT):
        path = folder / "masters" / f"{number}.dcm"
        write_phantom(path, number, transfer_syntax=JPEG_2000, rows=side, columns=side)
        data = dcmread(path)
        data.PatientID = ""  # or all studies would be of twenty patients
        data.save_as(path)
    with (folder / "reports.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("study", "report", "site"))
        for number in range(count):
            name = f"{number:06}.dcm"
            (folder / "images" / name).hardlink_to(folder / "masters" / f"{number % DISTINCT}.dcm")
            # By turns, so that report and film go together no more than by chance.
            writer.writerow((name, REPORTS[number % 3], f"site {number % 4}"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--bare", type=int, default=1000, help="files of each bare run")
    parser.add_argument("--side", type=int, default=2000, help="of the films, in pixels")
    parser.add_argument("--model", default=settings().findings_model)
    parser.add_argument("--workers", type=int, default=None)
    given = parser.parse_args()
    workers = "" if given.workers is None else str(given.workers)
    name = load_findings(given.model).name
    with TemporaryDirectory() as place:
        folder = Path(place)
        make_archive(folder / "archive", given.studies, given.side)
        images = folder / "archive" / "images"
        (folder / "limits.yaml").write_text(f"model: {name}\nlimits: {{Effusion: {{sensitivity: 0.8}}}}\n")

        def bare(number: int) -> Run:
            answers = folder / f"bare{number}"
            script = [sys.executable, "-c", BARE, str(images), given.model, str(given.bare), workers]
            return measure([*script, str(answers)], answers)

        command = [sys.executable, "-m", "tetkik", "trial", "run", "--limits", str(folder / "limits.yaml")]
        command += ["--archive", str(images), "--reports", str(folder / "archive" / "reports.csv")]
        command += ["--out", str(folder / "out"), "--model", given.model]
        command += ["--workers", workers] if workers else []
        first = bare(0)
        trial = measure(command, folder / "out" / "images.jsonl")
        second = bare(1)
    print_result(trial, (first, second), given.studies, given.bare)


def print_result(trial: Run, bare: tuple[Run, Run], studies: int, each: int) -> None:
    cores = len(os.sched_getaffinity(0))
    print(f"{studies} studies, {cores} cores; bare: twice {each} files.\n")
    print("| answered | second | memory MB |\n|---|---|---|")
    for tenth in range(1, 11):
        count, second, memory = next(look for look in trial.looks if look[0] >= tenth * studies / 10)
        print(f"| {count} | {second:.0f} | {memory:.0f} |")
    early, late = trial.memory(0.05, 0.25), trial.memory(0.75, 0.999)
    whole = max(memory for *_, memory in trial.looks)
    print(f"\nMost from 5% to 25%: {early:.0f} MB; from 75%: {late:.0f} MB; with the page: {whole:.0f} MB.")
    share = trial.speed / (sum(run.speed for run in bare) / len(bare))
    processor = sum(run.processor for run in bare) / len(bare) / each / (trial.processor / studies)
    speeds = " and ".join(f"{run.speed:.1f}" for run in bare)
    print(
        f"Studies a second: {trial.speed:.1f}; bare {speeds}: {share:.0%}, {processor:.0%} by processor time."
    )
    cell = judged(f"{share:.0%}", met=share >= 0.9)
    said = f"{cell} ({studies:,} studies; {processor:.0%} by processor time)"
    record("findings-speed/trial", {"reached": said})
    cell = judged(f"{late:.0f} MB against {early:.0f}", met=late <= 1.05 * early)
    record("findings-speed/trial-memory", {"reached": f"{cell} ({studies:,} studies)"})


if __name__ == "__main__":
    main()
