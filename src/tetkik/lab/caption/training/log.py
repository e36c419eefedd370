"""What a training leaves beside its bundle: the log, its curves, and the captions it made on validation."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from tetkik.lab.caption.training.loop import EPOCHS
from tetkik.lab.caption.training.progress import Epoch, Progress
from tetkik.lab.caption.training.tune import Trial
from tetkik.lab.engine.log import rows_csv


def log_folder(out: Path) -> Path:
    """Where the log of the training that writes `out` goes."""
    return out.parent / f"{out.name}-log"


def write_log(
    folder: Path,
    story: Progress,
    trials: Sequence[Trial],
    judged: Sequence[tuple[str, str, str]],
    curves: bytes,
) -> None:
    """Write `epochs.csv`, `curves.png`, `validation_captions.csv` and, after `--tune`, `trials.csv`.

    They are not part of the bundle: names of images and captions may be those of a hospital.

    Args:
        folder: made where it is not there.
        story: of the training.
        trials: what `--tune` tried.
        judged: id, caption of the source and caption made, of each judged validation row.
        curves: PNG.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / EPOCHS).write_text(rows_csv(story.epochs, Epoch), encoding="utf-8")
    (folder / "curves.png").write_bytes(curves)
    (folder / "validation_captions.csv").write_text(_captions(judged), encoding="utf-8")
    if trials:
        (folder / "trials.csv").write_text(rows_csv(trials, Trial), encoding="utf-8")


def _captions(judged: Sequence[tuple[str, str, str]]) -> str:
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(["id", "reference", "caption"])
    table.writerows(judged)
    return buffer.getvalue()
