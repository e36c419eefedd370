"""Does the pipeline learn? A small BLIP-2 from the first command to its figures on unseen cases.

    python benchmarks/caption_small.py --data captions.csv --backbone mobilenet_v2_imagenet.pt \
        [--text radiology_captions.csv.gz] --work DIR [--threads 4]

The commands that a user would run, in their order: `caption prepare`, `caption_base.py`, `caption train`
(early stopping on validation), `caption evaluate --split test`. The rows of `--data` marked valid choose. The
SHA-256 of a training case's name, read as a fraction, decides on the test: below 0.1 stand the cases of the
first test, which is spent; they are training rows now and choose nothing. From 0.1 to 0.3 stand those of this
one, which is opened once. What is in `--work` is not made again; one from before, whose test split was made
by `--set-aside`, is refused.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from figures import interval, record
from figures import judged as with_goal

RECIPE = (
    *("--learning", "full", "--epochs", "4", "--batch-size", "16", "--learning-rate", "5e-4"),
    *("--weight-decay", "0.05", "--max-tokens", "40", "--precision", "fp32", "--judged", "200"),
    *("--patience", "6"),
)
DECODING = ("--beams", "3", "--no-repeat", "3", "--max-tokens", "50")
TEST = (0.1, 0.3)
"""From where to where the hash of a case makes it one of the test."""
METRICS = {"cider": "CIDEr", "rouge_l": "ROUGE-L", "bleu1": "BLEU-1", "meteor": "METEOR"}
JUDGED = ("cider", "rouge_l")
SYSTEMS = {"model": "small BLIP-2", "constant": "one caption for all", "nearest": "nearest image's caption"}

ROWS = {"constant": "constant", "nearest": "neighbour"}


def run(step: str, *arguments: object, command: Sequence[str] = ("-m", "tetkik", "caption")) -> str:
    """The output of a `tetkik caption` command or another; its progress goes to standard error.

    Raises:
        SystemExit: it failed.
    """
    words = [sys.executable, *command, *map(str, arguments)]
    start = time.perf_counter()
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{step} failed with status {done.returncode}")
    print(f"{step}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return done.stdout


def with_test(data: Path, out: Path) -> Path:
    """The table with the training cases of `TEST` as its test split, written to `out`."""
    with data.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        digest = hashlib.sha256(row["case"].encode("utf-8")).digest()
        drawn = int.from_bytes(digest[:8], "big") / 2**64
        if row["split"] == "train" and TEST[0] <= drawn < TEST[1]:
            row["split"] = "test"
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return out


def check_test(prepared: Path) -> None:
    """Refuse a folder of before, whose test split is the first one, which is spent.

    Raises:
        SystemExit: it is one.
    """
    details = json.loads((prepared / "prepared.json").read_text("utf-8"))
    if details["source"]["set_aside"] is not None:
        raise SystemExit(f"{prepared} has another test split; name a new --work.")


def trained(arguments: argparse.Namespace) -> tuple[Path, Path]:
    """The prepared folder and the model, made by the commands where they are not there."""
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    prepared, base, model = work / "prepared", work / "base", work / "model"
    threads = ("--threads", arguments.threads)
    if not prepared.exists():
        table = with_test(arguments.data, work / "captions.csv")
        run("prepare", "prepare", table, "--images", arguments.data.parent, "--out", prepared)
    check_test(prepared)
    if not base.exists():
        texts = [part for file in arguments.text for part in ("--text", file)]
        script = str(Path(__file__).with_name("caption_base.py"))
        words = (prepared, "--out", base, "--backbone", arguments.backbone, *texts, *threads)
        run("base", *words, command=(script,))
    if not model.exists():
        run("train", "train", prepared, "--base", base, "--out", model, *RECIPE, *threads)
    return prepared, model


def judged(prepared: Path, model: Path, split: str) -> dict[str, Any]:
    """What `caption evaluate --json` says."""
    said = run("evaluate", "evaluate", prepared, "--split", split, "--model", model, *DECODING, "--json")
    answer: dict[str, Any] = json.loads(said)
    return answer


def cell(figure: Mapping[str, Any] | None) -> str:
    """A figure with its interval."""
    if not figure or figure.get("value") is None:
        return "–"
    interval = figure.get("ci")
    return f"{figure['value']:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def table(answer: Mapping[str, Any], rows: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """The figures of every system as Markdown."""
    names = list(METRICS.values())
    lines = [
        f"{answer['n']} images of {answer['groups']} cases, split {answer['split']}; 95% by case.",
        "",
        "| | " + " | ".join(names) + " |",
        "|---|" + "---|" * len(names),
    ]
    for title, figures in rows:
        lines.append(f"| {title} | " + " | ".join(cell(figures.get(name)) for name in METRICS) + " |")
    return "\n".join(lines)


def systems(answer: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The model and its baselines, each by its title."""
    model = {name: {"value": answer[name], "ci": answer["ci"].get(name)} for name in METRICS}
    found = {"model": model, **answer["baselines"]}
    return [(SYSTEMS[name], figures) for name, figures in found.items()]


def verdict(answer: Mapping[str, Any]) -> list[str]:
    """Whether it beats each baseline, with the interval of the paired difference."""
    lines = []
    for name, figures in answer["baselines"].items():
        for metric in JUDGED:
            figure = figures[metric]
            word = "beats" if figure["model_minus_this"] > 0 else "DOES NOT BEAT"
            low, high = figure["model_minus_this_ci"]
            lines.append(
                f"- {word} {SYSTEMS[name]} on {METRICS[metric]}: {figure['model_minus_this']:+.3f} "
                f"[{low:+.3f}, {high:+.3f}]"
            )
    return lines


def keep(answer: Mapping[str, Any]) -> None:
    """Record CIDEr and ROUGE-L of every system, and how far the model is ahead of each baseline."""
    own: dict[str, str] = {}
    for metric, column in (("cider", "CIDEr"), ("rouge_l", "ROUGE-L")):
        own |= {column: f"{answer[metric]:.3f}", f"{column}, 95% by case": interval(*answer["ci"][metric])}
        for name, row in ROWS.items():
            figure = answer["baselines"][name][metric]
            record(f"caption-quality/{row}", {column: f"{figure['value']:.3f}"})
            ahead = figure["model_minus_this"]
            cells = {column: with_goal(f"{ahead:+.3f}", met=ahead > 0)}
            cells[f"{column}, 95% by case"] = interval(*figure["model_minus_this_ci"])
            record(f"caption-quality/model-minus-{row}", cells)
    record("caption-quality/model", own)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--text", type=Path, action="append", default=[])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--split", choices=("valid", "test"), default="test")
    arguments = parser.parse_args()
    prepared, model = trained(arguments)
    answer = judged(prepared, model, arguments.split)
    print(table(answer, systems(answer)))
    print()
    print("\n".join(verdict(answer)))
    if arguments.split == "test":
        keep(answer)


if __name__ == "__main__":
    main()
