"""What a training leaves beside its bundle: the log, its curves, and every score that a figure came from."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tetkik.lab.engine.log import rows_csv
from tetkik.lab.findings.training.held_out import HeldOut
from tetkik.lab.findings.training.plots import training_curves
from tetkik.lab.findings.training.trainer import Epoch
from tetkik.settings import settings


def write_log(
    folder: Path,
    epochs: Sequence[Epoch],
    held_out: HeldOut,
    names: Sequence[str],
    fold: np.ndarray[tuple[int], np.dtype[np.int64]] | None,
) -> None:
    """Write `epochs.csv`, `curves.png` and `scores.csv` into `folder`.

    They are not part of the bundle: the names of images may be those of a hospital.

    Args:
        folder: made where it is not there.
        held_out: the rows that were not learned.
        fold: of all rows; None without folds.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "epochs.csv").write_text(rows_csv(epochs, Epoch), encoding="utf-8")
    (folder / "curves.png").write_bytes(training_curves(epochs, settings().language))
    (folder / "scores.csv").write_text(scores_csv(held_out, names, fold), encoding="utf-8")


def scores_csv(
    held_out: HeldOut, names: Sequence[str], fold: np.ndarray[tuple[int], np.dtype[np.int64]] | None
) -> str:
    """One row an image: what was known, the score, the calibrated probability and the call of each label.

    The columns are `file`, `source`, `group`, `fold` (empty without folds), then for each label `truth:L` (1,
    0, -1 unknown), `score:L`, `probability:L` and `called:L` (empty where not assessed). They are those of
    rows that the network had not learned, so every figure can be computed again from them.
    """
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    kinds = ("truth", "score", "probability", "called")
    table.writerow(
        [
            "file",
            "source",
            "group",
            "fold",
            *(f"{kind}:{label}" for label in held_out.labels for kind in kinds),
        ]
    )
    for place, row in enumerate(held_out.rows.tolist()):
        cells: list[object] = [
            names[row],
            held_out.source[place],
            int(held_out.groups[place]),
            "" if fold is None else int(fold[row]),
        ]
        for column in range(len(held_out.labels)):
            probability, called = held_out.probability[place, column], held_out.called[place, column]
            cells += [
                int(held_out.truth[place, column]),
                f"{held_out.scores[place, column]:.6f}",
                "" if np.isnan(probability) else f"{probability:.6f}",
                "" if called < 0 else int(called),
            ]
        table.writerow(cells)
    return buffer.getvalue()
