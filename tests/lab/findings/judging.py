"""Made-up labelled sets and answers for the tests of evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.lab.findings.data import LabelledImages
from tetkik.lab.findings.predictions import Predictions, read_predictions
from tetkik.values import Sex, View


def labelled(
    truth: NDArray[np.integer[Any]],
    labels: Sequence[str],
    *,
    groups: Sequence[int] | None = None,
    source: Sequence[str] | None = None,
    view: Sequence[View | None] | None = None,
    sex: Sequence[Sex | None] | None = None,
    age: Sequence[float | None] | None = None,
    left_out: Mapping[str, int] | None = None,
) -> LabelledImages:
    """Images `images/0000.png` and on, with what is known of them; each its own patient unless told."""
    rows = len(truth)
    nothing: tuple[None, ...] = (None,) * rows
    return LabelledImages(
        files=tuple(Path(f"images/{row:04}.png") for row in range(rows)),
        labels=tuple(labels),
        truth=np.asarray(truth, np.int8),
        patient=nothing,
        group=np.asarray(range(rows) if groups is None else groups, np.int64),
        source=tuple(source or ("one",) * rows),
        view=tuple(view or nothing),
        sex=tuple(sex or nothing),
        age=tuple(age or nothing),
        weight=np.ones(rows, np.float32),
        names=tuple(f"{row:04}.png" for row in range(rows)),
        image=nothing,
        official=nothing,
        left_out=dict(left_out or {}),
    )


def answer(
    row: int,
    scores: Mapping[str, float],
    *,
    model: str = "made-up 1.0",
    threshold: float = 0.5,
    calibrated: bool = True,
    screen: float | None = None,
    **changes: object,
) -> dict[str, Any]:
    """One line of `predict --json`, as the contract has it."""
    findings = [
        {
            "label": label,
            "assessed": True,
            "score": round(float(score), 6),
            "probability": round(float(score), 6) if calibrated else None,
            "threshold": threshold,
            "threshold_on": "probability" if calibrated else "score",
            "positive": bool(round(float(score), 6) >= threshold),
            "rules_out": False,
        }
        for label, score in scores.items()
    ]
    return {
        "path": f"images/{row:04}.png",
        "route": "chest",
        "suitable": True,
        "reasons": [],
        "screen": screen,
        "findings": findings,
        "model": model,
        "flaws": [],
        "sha256": f"{row:064x}",
        **changes,
    }


def answers(scores: NDArray[np.float64], labels: Sequence[str], **changes: Any) -> list[dict[str, Any]]:
    """One answer a row of `scores` (rows, labels); a NaN is a label that was not assessed."""
    return [
        answer(
            row,
            {label: score for label, score in zip(labels, line, strict=True) if not np.isnan(score)},
            **changes,
        )
        for row, line in enumerate(scores.tolist())
    ]


def written(path: Path, lines: Sequence[Mapping[str, Any]]) -> Path:
    """`lines` as a file that `predict --json` could have printed."""
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def predicted(folder: Path, lines: Sequence[Mapping[str, Any]]) -> Predictions:
    """`lines`, written and read back."""
    return read_predictions(written(folder / "answers.jsonl", lines))


def drawn(
    rows: int = 300, labels: Sequence[str] = ("Mass", "Effusion", "Hernia"), power: float = 1.2, seed: int = 0
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Truth and scores that know something of it; with `power` 0 they know nothing."""
    random = np.random.default_rng(seed)
    truth = (random.random((rows, len(labels))) < np.linspace(0.35, 0.15, len(labels))).astype(np.int8)
    logits = random.normal(power * truth - 1.0, 1.0)
    return truth, np.round(1 / (1 + np.exp(-logits)), 6)
