"""The built-in model of findings, trained by the project's own command; findings_quality.py judges it.

    python benchmarks/findings_embedded.py --data DIR --backbone FILE --out DIR

`--data` is a folder with `labels.csv`, `images/`, `chexnet_probabilities.csv` and `tables/Data_Entry_2017*`.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import re
import shlex
import subprocess
import sys
from pathlib import Path

NIH_FILE = re.compile(r"\d{8}_\d{3}\.png")
KNOWN = (r"original~\d{8}_\d{3}\.png=nih", "view~MRI=brain")
# How often a row of each table is drawn, against 1.
WEIGHTS = {"teacher": 1.0, "nih": 0.3, "brain": 0.35}
UNSELECTED = "jrzech/reproduce-chexnet"
RECIPE = {
    "--network": "mobilenet_v2",
    "--epochs": "8",
    "--batch-size": "16",
    "--learning-rate": "3e-4",
    "--head-rate": "5",
    "--weight-decay": "0.01",
    "--freeze": "5",
    "--teacher-share": "1",
    "--threshold": "f1",
    "--folds": "5",
    "--report-source": UNSELECTED,
    "--id": "findings-mobilenet-cxr",
    "--licence": "research and demonstration only",
    "--data-name": "NIH ChestX-ray14 subsets and a public brain MRI set",
}


def rows_of(data: Path) -> list[dict[str, str]]:
    """The rows that teach: NIH's, whose absences are known, and the brain slices.

    Other sources name what is present and nothing else; their COVID-19 comes without a normal film of the
    same hospital, so a network would learn the hospital.
    """
    with (data / "labels.csv").open(encoding="utf-8", newline="") as stream:
        rows = [
            row
            for row in csv.DictReader(stream)
            if NIH_FILE.fullmatch(row["original"]) or row["view"] == "MRI"
        ]
    people = {}
    for table in (data / "tables").glob("Data_Entry_2017*"):
        content = table.read_bytes()
        text = (gzip.decompress(content) if table.suffix == ".gz" else content).decode("utf-8-sig")
        for entry in csv.DictReader(text.splitlines()):
            people[entry["Image Index"]] = (entry["Patient Gender"], entry["Patient Age"])
    for row in rows:
        row["sex"], row["age"] = people.get(row["original"], ("", ""))
    return rows


def trained_labels(data: Path) -> set[str]:
    """The files that the teacher was asked about."""
    with (data / "chexnet_probabilities.csv").open(encoding="utf-8", newline="") as stream:
        return {row["file"] for row in csv.DictReader(stream)}


def write_tables(data: Path, folder: Path) -> dict[str, Path]:
    """One table for each weight."""
    asked = trained_labels(data)
    parts: dict[str, list[dict[str, str]]] = {name: [] for name in WEIGHTS}
    for row in rows_of(data):
        part = "brain" if row["view"] == "MRI" else "teacher" if row["file"] in asked else "nih"
        parts[part].append(row)
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for name, rows in parts.items():
        written[name] = folder / f"{name}.csv"
        with written[name].open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
    return written


def train(data: Path, backbone: Path, out: Path, threads: int, *, nih_only: bool = False) -> int:
    """Run the recipe; what it runs is printed.

    `nih_only` is the shorter cross-validation on which the operating points of drafts of the model that ships
    were chosen.
    """
    tables = write_tables(data, out.parent / f"{out.name}-tables")
    recipe = dict(RECIPE)
    if nih_only:
        del tables["brain"]
        recipe |= {"--folds": "3", "--epochs": "5", "--id": out.name}
    command = [sys.executable, "-m", "tetkik", "findings", "train"]
    for name, table in tables.items():
        command += ["--source", f"csv:{table}?images={data}={WEIGHTS[name]}"]
    for rule in KNOWN[:1] if nih_only else KNOWN:
        command += ["--known", rule]
    command += ["--weights", str(backbone), "--teacher", str(data / "chexnet_probabilities.csv")]
    command += [part for option in recipe.items() for part in option]
    command += [
        "--stretch",
        "--ridge",
        "--half",
        "--no-torch",
        "--threads",
        str(threads),
        "--out",
        str(out),
        "--resume",
    ]
    print(shlex.join(command))
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("findings-mobilenet-cxr"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--nih-only", action="store_true")
    options = parser.parse_args()
    sys.exit(train(options.data, options.backbone, options.out, options.threads, nih_only=options.nih_only))
