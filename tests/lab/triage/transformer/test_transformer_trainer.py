from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest

from tetkik.lab.engine.checkpoint import WorkFolder
from tetkik.lab.engine.precision import accelerator_for
from tetkik.lab.engine.trainer import TrainingState
from tetkik.lab.triage.data import Complaints
from tetkik.lab.triage.transformer import train
from tetkik.lab.triage.transformer.data import Imbalance, TransformerOptions, prepare_data
from tetkik.lab.triage.transformer.train import TransformerTrial, candidates, tuned
from tetkik.lab.triage.transformer.trainer import Epoch, TransformerTrainer


def silent(step, done, total):
    pass


def epochs(complaints: Complaints, options: TransformerOptions, folder) -> list[Epoch]:
    """Train without exporting."""
    data = prepare_data(complaints, options.seed)
    with accelerator_for(options.precision, find_unused=True) as (accelerator, _):
        work = WorkFolder(folder)
        found: list[Epoch] = train.fine_tune(accelerator, data, options, work, silent).state.epochs
        return found


@pytest.mark.parametrize("imbalance", list(Imbalance))
def test_each_way_with_imbalance_trains(imbalance, complaints, calm, tmp_path):
    found = epochs(complaints, replace(calm, imbalance=imbalance, epochs=2), tmp_path)
    assert found[1].training_loss < found[0].training_loss


def test_parts_of_a_step_give_the_loss_of_the_whole_and_bf16_nearly(complaints, calm, tmp_path):
    found = {}
    for name, options in (
        ("whole", calm),
        ("parted", replace(calm, accumulation=3)),
        ("rough", replace(calm, precision="bf16")),
    ):
        (tmp_path / name).mkdir()
        found[name] = epochs(complaints, options, tmp_path / name)[0]
    whole, parted, rough = found["whole"], found["parted"], found["rough"]
    assert parted.training_loss == pytest.approx(whole.training_loss, rel=1e-4)
    assert rough.training_loss == pytest.approx(whole.training_loss, rel=0.05)
    assert rough.training_loss != whole.training_loss


def told_of(losses: list[tuple[float, float]], caplog: pytest.LogCaptureFixture) -> list[str]:
    """What is said after epochs with these training and validation losses."""

    class Main:
        is_main_process = True

    trainer = object.__new__(TransformerTrainer)
    trainer._accelerator = Main()
    trainer._state = TrainingState()
    with caplog.at_level(logging.WARNING, logger="tetkik.lab.engine"):
        for number, (training, validation) in enumerate(losses, 1):
            trainer._state.epochs.append(Epoch(number, training, validation, 0.5, 0.5, 0.5))
            trainer._warn_of_overfitting()
    return [record.getMessage() for record in caplog.records]


def test_a_rising_validation_loss_is_told_once(caplog):
    published = [(0.6808, 0.6483), (0.5930, 0.6245), (0.4231, 0.6668), (0.3605, 0.7405), (0.3, 0.8)]
    said = told_of(published, caplog)
    assert len(said) == 1
    assert "0.625" in said[0] and "0.741" in said[0]


def test_a_falling_validation_loss_is_no_news(caplog):
    assert told_of([(1.0, 1.0), (0.9, 0.95), (0.8, 0.96), (0.7, 0.9)], caplog) == []


def test_training_stops_when_macro_f1_no_longer_rises(complaints, calm, tmp_path):
    stuck = replace(calm, epochs=6, patience=2, learning_rate=1e-7)
    found = epochs(complaints, stuck, tmp_path)
    best = max(range(len(found)), key=lambda index: found[index].macro_f1)
    assert len(found) == best + 3 < 6


def test_tuning_halves_and_does_not_repeat_what_it_knows(tmp_path):
    options = TransformerOptions(base="x", epochs=9, tune=9)
    work = WorkFolder(tmp_path)
    ran = []

    def run(candidate: TransformerOptions) -> tuple[float, int]:
        ran.append(candidate)
        return -abs(candidate.learning_rate - 5e-5), candidate.epochs

    best, trials = tuned(options, work, run)
    assert [trial.epochs for trial in trials] == [1] * 9 + [3] * 3 + [9]
    closest = min(candidates(options), key=lambda item: abs(item.learning_rate - 5e-5))
    assert (best.learning_rate, best.epochs, best.tune) == (closest.learning_rate, 9, 9)
    assert len(ran) == 13

    stored = json.loads((tmp_path / "trials.json").read_text())
    (tmp_path / "trials.json").write_text(json.dumps(stored[:11]))
    again, repeated = tuned(options, work, run)
    assert (again, repeated, len(ran)) == (best, trials, 15)
    assert all(isinstance(trial, TransformerTrial) for trial in repeated)


def test_the_settings_asked_for_are_among_those_tried():
    options = TransformerOptions(base="x", tune=4, learning_rate=3e-5)
    tried = candidates(options)
    assert tried[0] == options and len(tried) == 4
    assert tried == candidates(options)
    assert all(1e-5 <= item.learning_rate <= 1e-4 for item in tried)
