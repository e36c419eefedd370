"""What every training shares: hyperparameter search, batches, schedule, log, where it may write."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import Annotated

import pytest
import torch
from pydantic import Field

from tetkik.bundle.store import check_target
from tetkik.errors import OutputError, UsageError
from tetkik.lab.engine.card import rows_csv
from tetkik.lab.engine.checkpoint import WorkFolder, load_state, tensors_as_bytes
from tetkik.lab.engine.options import check_options, check_rate
from tetkik.lab.engine.session import public_name
from tetkik.lab.engine.trainer import is_overfitting
from tetkik.lab.engine.tuning import successive_halving


@dataclass(frozen=True)
class Trial:
    rate: float
    epochs: int
    score: float | None


@dataclass(frozen=True)
class Limited:
    epochs: Annotated[int, Field(ge=4)]
    share: Annotated[float, Field(ge=0, le=1)] = 0.5


def search(work, ran, candidates=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9), epochs=9):
    def run(rate, given):
        ran.append((rate, given))
        return Trial(rate, given, -abs(rate - 0.6))

    return successive_halving(candidates, epochs, run, lambda trial: trial.score or 0.0, Trial, work)


def test_the_best_third_gets_three_times_the_epochs(tmp_path):
    ran: list[tuple[float, int]] = []
    best, tried = search(WorkFolder(tmp_path), ran)
    assert best == 0.6
    assert [given for _, given in ran] == [1] * 9 + [3] * 3 + [9]
    assert {rate for rate, given in ran if given == 3} == {0.5, 0.6, 0.7}
    assert [(trial.rate, trial.epochs) for trial in tried] == ran


def test_trials_done_are_not_repeated_after_a_resume(tmp_path):
    class Killed(Exception):
        pass

    def run_until_the_fourth(rate, given):
        if rate == 0.4:
            raise Killed
        return Trial(rate, given, -abs(rate - 0.6))

    work = WorkFolder(tmp_path)
    with pytest.raises(Killed):
        successive_halving(
            (0.1, 0.2, 0.3, 0.4), 3, run_until_the_fourth, lambda t: t.score or 0.0, Trial, work
        )
    ran: list[tuple[float, int]] = []
    assert search(work, ran, (0.1, 0.2, 0.3, 0.4), 3)[0] == 0.4
    assert ran == [(0.4, 1), (0.4, 3)]


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


def test_of_equal_candidates_the_first_wins(tmp_path):
    best, _ = successive_halving(
        "abc", 1, lambda _, given: Trial(0, given, 1.0), lambda _: 1.0, Trial, WorkFolder(tmp_path)
    )
    assert best == "a"


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
    with pytest.raises(UsageError, match="share cannot be 2; it lies between 0 and 1"):
        check_options(Limited(4, share=2))
    check_rate(1e-4)
    for rate in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="learning rate"):
            check_rate(rate)
