from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from tetkik.lab.engine.checkpoint import WorkFolder
from tetkik.lab.engine.precision import accelerator_for
from tetkik.lab.engine.trainer import TrainingState
from tetkik.lab.triage.data import Complaints
from tetkik.lab.triage.transformer import train
from tetkik.lab.triage.transformer.data import Imbalance, TransformerOptions, prepare_data
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
