"""What every training shares: hyperparameter search, batches, schedule, log, where it may write."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from typing import Annotated

import pytest
import torch
from pydantic import Field

from tetkik.bundle.store import check_target
from tetkik.errors import OutputError, UsageError
from tetkik.lab.caption.training import tuning
from tetkik.lab.caption.training.options import CaptionTraining
from tetkik.lab.engine.card import rows_csv
from tetkik.lab.engine.checkpoint import WorkFolder, load_state, tensors_as_bytes
from tetkik.lab.engine.options import EngineOptions, check_options, check_rate
from tetkik.lab.engine.session import public_name
from tetkik.lab.engine.trainer import is_overfitting
from tetkik.lab.engine.tuning import candidates, tuned
from tetkik.lab.findings.training import fit
from tetkik.lab.findings.training.options import TrainingOptions
from tetkik.lab.triage.transformer import train
from tetkik.lab.triage.transformer.data import TransformerOptions


@dataclass(frozen=True)
class Trial:
    rate: float
    epochs: int
    score: float | None


@dataclass(frozen=True)
class Limited:
    epochs: Annotated[int, Field(ge=4)]
    share: Annotated[float, Field(ge=0, le=1)] = 0.5


RATES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def search(work, ran, rates=RATES, epochs=9, killed_at=None, score=lambda trial: trial.score):
    """Settings tried with these learning rates, of which 0.6 is the best."""
    more = iter(rates[1:])

    def run(options):
        if options.learning_rate == killed_at:
            raise KeyboardInterrupt
        ran.append((options.learning_rate, options.epochs))
        return Trial(options.learning_rate, options.epochs, -abs(options.learning_rate - 0.6))

    asked = EngineOptions(tune=len(rates), epochs=epochs, learning_rate=rates[0])
    return tuned(asked, lambda one, _: replace(one, learning_rate=next(more)), run, score, Trial, work)


def test_the_best_third_gets_three_times_the_epochs(tmp_path):
    ran: list[tuple[float, int]] = []
    best, tried = search(WorkFolder(tmp_path), ran)
    assert (best.learning_rate, best.epochs, best.tune) == (0.6, 9, 9)
    assert [given for _, given in ran] == [1] * 9 + [3] * 3 + [9]
    assert {rate for rate, given in ran if given == 3} == {0.5, 0.6, 0.7}
    assert [(trial.rate, trial.epochs) for trial in tried] == ran
    stored = json.loads((tmp_path / "trials.json").read_text())
    (tmp_path / "trials.json").write_text(json.dumps(stored[:11]))
    again, repeated = search(WorkFolder(tmp_path), ran)
    assert (again, repeated, len(ran)) == (best, tried, 15)
    assert all(isinstance(trial, Trial) for trial in repeated)
    assert search(WorkFolder(tmp_path), ran) == (best, tried) and len(ran) == 15


def test_epochs_are_never_more_than_asked_for(tmp_path):
    ran: list[tuple[float, int]] = []
    best, _ = search(WorkFolder(tmp_path), ran, RATES[:6], 5)
    assert best.epochs == 5 and [given for _, given in ran] == [1] * 6 + [3] * 2 + [5]


def test_trials_done_are_not_repeated_after_a_resume(tmp_path):
    work = WorkFolder(tmp_path)
    ran: list[tuple[float, int]] = []
    with pytest.raises(KeyboardInterrupt):
        search(work, [], RATES[:4], 3, killed_at=0.4)
    assert search(work, ran, RATES[:4], 3)[0].learning_rate == 0.4
    assert ran == [(0.4, 1), (0.4, 3)]


def test_of_equal_candidates_the_first_wins(tmp_path):
    best, _ = search(WorkFolder(tmp_path), [], RATES[:3], 1, score=lambda _: 1.0)
    assert best.learning_rate == 0.1


@pytest.mark.parametrize(
    ("options", "draw", "low", "high"),
    [
        (TrainingOptions(tune=6), fit.draw, 3e-5, 1e-3),
        (TransformerOptions(base="x", tune=6, learning_rate=3e-5), train.draw, 1e-5, 1e-4),
        (CaptionTraining(tune=6, seed=3), tuning.draw, 3e-5, 1e-3),
    ],
    ids=["findings", "triage", "caption"],
)
def test_the_settings_tried_begin_with_those_asked_for_and_follow_the_seed(options, draw, low, high):
    tried = candidates(options, draw)
    assert tried[0] == options and len(tried) == 6 and tried == candidates(options, draw)
    assert len({item.learning_rate for item in tried}) > 3
    assert all(low <= item.learning_rate <= high for item in tried)
    assert candidates(replace(options, seed=4), draw)[1:] != tried[1:]


def test_a_checkpoint_takes_the_place_of_the_one_before_and_keeps_the_best_weights(tmp_path):
    work = WorkFolder(tmp_path)
    weights = [tensors_as_bytes({"w": torch.full((2,), float(step))}) for step in range(3)]
    for step, best in ((1, None), (2, "best-000001.safetensors"), (3, "best-000002.safetensors")):
        if best is not None:
            work.write(best, weights[step - 2])
        work.save(weights[step - 1], {"optimizer": {"lr": 0.1}}, {"step": step, "best": best})
        kept = {f"checkpoint-{step:08d}"} | ({best} if best is not None else set())
        assert {path.name for path in tmp_path.iterdir()} == kept
    latest = work.latest()
    assert latest is not None
    loaded, state, progress = load_state(latest)
    assert loaded["w"].tolist() == [2.0, 2.0] and state["optimizer"]["lr"] == 0.1 and progress["step"] == 3


def test_the_log_leaves_a_cell_empty_where_nothing_was_measured():
    text = rows_csv([Trial(0.25, 1, None), Trial(1 / 3, 2, 0.5)], Trial)
    assert list(csv.DictReader(text.splitlines())) == [
        {"rate": "0.25", "epochs": "1", "score": ""},
        {"rate": "0.333333", "epochs": "2", "score": "0.5"},
    ]
    assert rows_csv([], Trial) == "rate,epochs,score\n"


@pytest.mark.parametrize(
    ("training", "validation", "expected"),
    [
        ((3, 2, 1), (1, 2, 3), True),
        ((9, 3, 2, 1), (9, 1, 2, 3), True),
        ((3, 2, 1), (1, 2, 2), False),
        ((3, 2, 2), (1, 2, 3), False),
        ((2, 1), (1, 2), False),
        ((3, 2, 1), (1, None, 3), False),
    ],
)
def test_overfitting_is_two_rises_while_training_falls(training, validation, expected):
    assert is_overfitting(training, validation) is expected


def test_a_folder_with_something_else_is_not_written_over(tmp_path):
    check_target(tmp_path / "new")
    (tmp_path / "empty").mkdir()
    check_target(tmp_path / "empty")
    (tmp_path / "diary").mkdir()
    (tmp_path / "diary" / "page.txt").write_text("mine")
    with pytest.raises(OutputError, match="not a model bundle"):
        check_target(tmp_path / "diary")


def test_a_path_is_named_by_its_last_part_only(tmp_path):
    (tmp_path / "small-base").mkdir()
    assert public_name(str(tmp_path / "small-base")) == "small-base"
    assert public_name("Salesforce/blip2-opt-2.7b") == "Salesforce/blip2-opt-2.7b"


def test_settings_that_cannot_be_are_named():
    check_options(Limited(4))
    with pytest.raises(UsageError, match="epochs cannot be 3; the least is 4"):
        check_options(Limited(3))
    with pytest.raises(UsageError, match="share cannot be 2; give a number from 0 to 1"):
        check_options(Limited(4, share=2))
    check_rate(1e-4)
    for rate in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="learning rate"):
            check_rate(rate)
