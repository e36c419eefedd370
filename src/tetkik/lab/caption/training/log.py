"""What a training leaves beside its bundle: the log, its curves, and the captions it made on validation."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from tetkik.lab.caption.training.epoch import Epoch
from tetkik.lab.caption.training.tuning import Trial
from tetkik.lab.engine.log import rows_csv


def write_log(
    folder: Path,
    epochs: Sequence[Epoch],
    trials: Sequence[Trial],
    captions: Sequence[tuple[str, str, str]],
    curves: bytes,
) -> None:
    """Write `epochs.csv`, `curves.png`, `validation_captions.csv` and, after `--tune`, `trials.csv`.

    They are not part of the bundle: names of images and captions may be those of a hospital.

    Args:
        folder: made where it is not there.
        trials: what `--tune` tried.
        captions: id, caption of the source and caption made, of each captioned validation row.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "epochs.csv").write_text(rows_csv(epochs, Epoch), encoding="utf-8")
    (folder / "curves.png").write_bytes(curves)
    (folder / "validation_captions.csv").write_text(_captions(captions), encoding="utf-8")
    if trials:
        (folder / "trials.csv").write_text(rows_csv(trials, Trial), encoding="utf-8")


def _captions(captions: Sequence[tuple[str, str, str]]) -> str:
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(["id", "reference", "caption"])
    table.writerows(captions)
    return buffer.getvalue()
