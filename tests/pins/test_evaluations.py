"""The JSON of evaluations and comparisons on small drawn data stays as it is.

After a wanted change: `WRITE_PINS=1 pytest tests/pins/test_evaluations.py`, and name each difference.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.lab.findings.judging import answers, drawn, labelled, predicted
from tetkik.lab.findings.comparison import LabelledSet
from tetkik.lab.findings.comparison import compare as compare_findings
from tetkik.lab.findings.evaluate import evaluate as evaluate_findings
from tetkik.lab.triage.comparison import compare as compare_triage
from tetkik.lab.triage.data import Complaints
from tetkik.lab.triage.evaluate import evaluate as evaluate_triage
from tetkik.lab.trial.evaluate import evaluate_trial
from tetkik.lab.trial.journal import Beginning, Journal, read_limits
from tetkik.language import Language
from tetkik.values import Sex, View

LABELS = ("Mass", "Effusion", "Normal")


def _images(seed=0, rows=300):
    truth, scores = drawn(rows, LABELS, seed=seed)
    random = np.random.default_rng(seed + 1)
    truth[random.random(truth.shape) < 0.1] = -1
    truth[:, 2] = np.where((truth[:, :2] == 0).all(axis=1), 1, 0)
    images = labelled(
        truth,
        LABELS,
        groups=[row // 2 if row < 100 else row for row in range(rows)],
        source=[("nih", "own")[row % 3 == 0] for row in range(rows)],
        view=[(View.PA, View.AP, None)[row % 3] for row in range(rows)],
        sex=[(Sex.FEMALE, Sex.MALE)[row % 2] for row in range(rows)],
        age=[float(row % 90) for row in range(rows)],
        left_out={"broken": 2},
    )
    return images, scores


def _answers(scores, **changes):
    lines = answers(scores, LABELS, **changes)
    lines[3] |= {"suitable": False, "flaws": ["lateral"]}
    return [*lines[:7], *lines[8:]]


class _Scorer:
    labels = ("Kardiyoloji", "Nöroloji", "Üroloji")
    abstain_threshold = 0.5
    trained_on = None

    def __init__(self, name: str, noise: float):
        self.name, self._noise = name, noise

    def scores(self, texts):
        found = []
        for text in texts:
            digits = [int(letter) for letter in text if letter.isdigit()] or [0]
            random = np.random.default_rng(sum(digits) * 31 + len(text))
            logits = random.normal(0, self._noise, 3)
            logits[digits[-1] % 3] += 1.5
            share = np.exp(logits) / np.exp(logits).sum()
            found.append(np.full(3, np.nan) if "oku" in text else share)
        return np.round(np.array(found), 6)


def _complaints():
    words = ("kadınım", "eşim erkek", "35 yaşında", "10 yaşında kızım")
    ends = ("", " uzun zamandır süren ve geceleri artan bir yakınma bu " * 3)
    texts = [f"{words[row % 4]} ağrı{ends[row % 2]} {row}" for row in range(180)]
    texts[5] = "oku"
    labels = (*_Scorer.labels, *_Scorer.labels, "Kardiyoloji")
    named = tuple(labels[row % 7] if row % 5 else labels[row % 3] for row in range(180))
    return Complaints(tuple(texts), named, {"empty text": 1})


def trial_of(folder: Path) -> Journal:
    limits = folder / "limits.yaml"
    limits.write_text(
        "model: made-up 1.0\nlimits:\n  Effusion: {sensitivity: 0.5, specificity: 0.5, auroc: 0.6, "
        "positives: 5}\n  Mass: {sensitivity: 0.95}\nanswered: 0.5\nparts: {sensitivity: 0.9}\n"
    )
    fixed = read_limits(limits)
    thresholds = dict.fromkeys(("Effusion", "Mass"), (0.5, "probability"))
    beginning = Beginning(fixed.sha256, "made-up 1.0", "0" * 64, "archive", thresholds)
    journal = Journal.begin(folder / "trial", beginning, fixed)
    truth, scores = drawn(120, ("Effusion", "Mass"), power=3)
    with journal.appending() as file:
        for row, (known, values) in enumerate(zip(truth.tolist(), scores.tolist(), strict=True)):
            line: dict[str, Any] = {
                "image": str(row),
                "study": f"s{row}",
                "outcome": "scored",
                "screen": None,
            }
            line |= {"parts": {"site": "AB"[row % 2], "sex": "FM"[row % 3 == 0]}}
            line |= {"truth": dict(zip(("Effusion", "Mass"), known, strict=True)), "patient": f"p{row // 2}"}
            line |= {
                "findings": {
                    label: [value, value, int(value >= 0.5)]
                    for label, value in zip(("Effusion", "Mass"), values, strict=True)
                }
            }
            if row == 4:
                line |= {"outcome": "refused", "flaw": "lateral"}
            file.write(json.dumps(line) + "\n")
    journal.finish(130, {"empty": 3})
    return journal


def _found(folder: Path) -> dict[str, Any]:
    images, scores = _images()
    first = predicted(folder, _answers(scores, screen=0.25))
    second = replace(predicted(folder, _answers(_images(seed=5)[1])), model="other 1.0")
    several = [LabelledSet("one", images, first, second), LabelledSet("two", images, first, first)]
    trial = evaluate_trial(trial_of(folder)).as_json()
    for one in trial["evaluations"]:
        one["date"] = ""
    scorers = _Scorer("first 1.0", 0.6), _Scorer("second 1.0", 1.6)
    return {
        "findings evaluate": evaluate_findings(first, images, task=LABELS[:2], bootstrap=50).as_json(),
        "findings evaluate, scores alone": evaluate_findings(
            predicted(folder, answers(scores, LABELS, calibrated=False)), labelled(images.truth, LABELS)
        ).as_json(Language.TR),
        "findings compare": compare_findings(several, bootstrap=50).as_json(),
        "triage evaluate": evaluate_triage(scorers[0], _complaints(), bootstrap=50).as_json(),
        "triage compare": compare_triage(*scorers, _complaints(), bootstrap=50).as_json(),
        "trial": trial,
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def test_evaluations_keep_their_keys_sentences_and_figures(tmp_path):
    file = Path(__file__).with_name("evaluations.json")
    found = {name: _rounded(value) for name, value in _found(tmp_path).items()}
    if os.environ.get("WRITE_PINS"):
        lines = (
            f"{json.dumps(name)}: {json.dumps(item, ensure_ascii=False)}" for name, item in found.items()
        )
        file.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    kept = json.loads(file.read_text("utf-8"))
    assert found.keys() == kept.keys()
    for name, value in kept.items():
        assert list(found[name]) == list(value), name
        for key, item in value.items():
            assert json.dumps(found[name][key]) == json.dumps(item), (name, key)
