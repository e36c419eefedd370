from __future__ import annotations

import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.caption.tiny import tiny_blip2
from tests.lab.caption.train_kit import draw, make_prepared, quick_options, silent
from tetkik.caption.adapters import trainable_parameters
from tetkik.caption.network import Cut
from tetkik.caption.options import AdapterOptions, Learning
from tetkik.errors import TrainingError
from tetkik.lab.caption.prepared import open_prepared
from tetkik.lab.caption.training.data import loss_per_token, make_captions, make_training_data
from tetkik.lab.caption.training.options import StopBy
from tetkik.lab.caption.training.trainer import (
    CaptionTrainer,
    learned_weights,
    load_learned,
    new_network,
    part_size,
    whole_network,
)
from tetkik.lab.engine.checkpoint import WorkFolder
from tetkik.lab.engine.precision import Precision, accelerator_for
from tetkik.lab.engine.trainer import TrainingStopped

CALM = AdapterOptions(rank=4, alpha=8, dropout=0.0)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_blip2(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def prepared(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return open_prepared(make_prepared(draw(folder / "drawn", 20, 6, 0), base, folder / "prepared"))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Features that all tests share."""
    return tmp_path_factory.mktemp("features")


@pytest.fixture
def course(base, prepared, store):
    """Makes a trainer of these settings."""
    with accelerator_for(Precision.FP32, threads=1) as (accelerator, _):

        def make(work=None, options=None, **changes):
            options = options or quick_options(base, **{"epochs": 1, "adapter": CALM, **changes})
            network = new_network(options, prepared.image, CPU)
            data = make_training_data(
                accelerator, network, prepared, options, store, progress=silent, notify=lambda _: None
            )
            if options.cache_features:
                network.drop_frozen()
            trainer = CaptionTrainer(
                accelerator, network, data, options, run="captioner", work=work, notify=lambda _: None
            )
            return trainer, network

        yield make


def trained(course, **changes):
    """Losses of each epoch and the weights at the end."""
    trainer, network = course(**changes)
    state = trainer.run(silent)
    losses = [(row.training_loss, row.validation_loss) for row in state.epochs]
    return losses, {name: weight.detach().clone() for name, weight in learned_weights(network).items()}


def alike(one, two, tolerance=1e-5):
    np.testing.assert_allclose(one[0], two[0], rtol=tolerance)
    for name, weight in one[1].items():
        torch.testing.assert_close(weight, two[1][name], rtol=1e-3, atol=tolerance)


@pytest.mark.parametrize(
    "changes",
    [
        {"accumulation": 3},
        {"accumulation": 50},
        {"cache_features": False},
        {"checkpointing": True},
    ],
    ids=["three parts", "a row at a time", "no cache", "activations computed again"],
)
def test_what_saves_memory_does_not_change_the_result(course, changes):
    alike(trained(course, batch_size=7), trained(course, batch_size=7, **changes))


def test_a_step_is_the_mean_over_its_tokens(course):
    trainer, network = course(batch_size=20, options=None)
    data = trainer._data
    batch = network.batch(data.training.tokens)
    features = data.training.features.fetch(np.arange(20))
    with torch.no_grad():
        loss = network.trainable()(features, batch.ids, batch.mask, batch.targets, 0.0)
    state = trainer.run(silent)
    tokens = sum(len(row) + 1 for row in data.training.tokens)
    assert state.epochs[0].training_loss == pytest.approx(float(loss) / tokens, rel=1e-5)


def test_validation_loss_does_not_depend_on_batches_or_smoothing(course):
    trainer, network = course(smoothing=0.1)
    part, accelerator = trainer._data.validation, trainer._accelerator
    losses = [loss_per_token(accelerator, network, part, size, Precision.FP32) for size in (1, 4, 99)]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-5)
    plain, other = course()
    assert loss_per_token(accelerator, other, plain._data.validation, 4, Precision.FP32) == pytest.approx(
        losses[0]
    )


def test_only_what_learns_changes_and_it_begins_as_the_base(course, base):
    options = quick_options(base, epochs=1, adapter=CALM)
    trainer, network = course(options=options)
    before = {name: weight.detach().clone() for name, weight in network.model.named_parameters()}
    trainer.run(silent)
    for name, weight in network.model.named_parameters():
        if weight.is_meta:
            continue
        assert torch.equal(weight, before[name]) is not weight.requires_grad, name
    assert trainable_parameters(network)[0] == sum(w.numel() for w in learned_weights(network).values())


@pytest.mark.parametrize(
    ("changes", "cut"),
    [
        ({"adapter": replace(CALM, qformer=True)}, Cut.VISION),
        ({"adapter": replace(CALM, projection=True)}, Cut.BRIDGE),
        ({"adapter": replace(CALM, dora=True, rslora=True)}, Cut.BRIDGE),
        ({"learning": Learning.FULL}, Cut.VISION),
        ({"optimizer": "adafactor", "schedule": "linear", "smoothing": 0.1}, Cut.BRIDGE),
        ({"quantisation": "nf4"}, Cut.BRIDGE),
    ],
    ids=["q-former", "projection", "dora", "full", "adafactor", "nf4"],
)
def test_every_way_to_learn_lowers_the_loss(course, changes, cut):
    trainer, network = course(**{"epochs": 3, "schedule": "constant", **changes})
    assert network.cut is cut
    losses = [row.training_loss for row in trainer.run(silent).epochs]
    assert losses[-1] < losses[0]


def test_a_batch_without_a_number_is_named_and_nothing_is_kept(course, tmp_path):
    work = WorkFolder(tmp_path / "work")
    work.begin({}, resume=False)
    trainer, _ = course(work, batch_size=4, accumulation=2, checkpoint_steps=99)
    training = trainer._data.training
    true = training.features

    class PerturbedFigures:
        """Row 5 is no number."""

        def fetch(self, rows):
            found = true.fetch(rows)
            found[torch.from_numpy(rows == 5)] = torch.nan
            return found

        at_cut = staticmethod(true.at_cut)

    trainer._data = replace(trainer._data, training=replace(training, features=PerturbedFigures()))
    with pytest.raises(TrainingError, match=r"row-005") as fault:
        trainer.run(silent)
    # Its part of two, not the whole step.
    assert str(fault.value).count("row-") == 2
    assert not work.has_progress()


def test_loss_scaling_may_begin_too_high(course):
    trainer, network = course(batch_size=1)
    trainer._scaler = torch.amp.GradScaler("cpu", init_scale=2.0**22, growth_interval=10**6)
    for weight in learned_weights(network).values():
        # What a gradient computed in fp16 comes to.
        weight.register_hook(lambda gradient: gradient.half().float())
    before = {name: weight.detach().clone() for name, weight in learned_weights(network).items()}
    state = trainer.run(silent)
    assert 0 < state.skipped < 20 == state.step
    assert trainer._scaler.get_scale() == 2.0 ** (22 - state.skipped)
    changed = [not torch.equal(weight, before[name]) for name, weight in learned_weights(network).items()]
    assert any(changed) and all(weight.isfinite().all() for weight in learned_weights(network).values())


def test_a_gradient_that_no_factor_helps_stops_the_training(course):
    trainer, network = course(batch_size=4)
    trainer._scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for weight in learned_weights(network).values():
        weight.register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(TrainingError, match=r"gradient of the batch row-.* at step 4 "):
        trainer.run(silent)


def test_without_loss_scaling_the_first_such_gradient_stops_it(course):
    trainer, network = course()
    for weight in learned_weights(network).values():
        weight.register_hook(lambda gradient: gradient * torch.nan)
    with pytest.raises(TrainingError, match="at step 1 "):
        trainer.run(silent)
    assert all(weight.isfinite().all() for weight in learned_weights(network).values())


def test_fp16_learns_with_its_adapter_in_fp32(course):
    trainer, network = course(precision=Precision.FP16, epochs=3, schedule="constant")
    assert trainer._scaler.is_enabled()
    assert {weight.dtype for weight in learned_weights(network).values()} == {torch.float32}
    language = next(network.trainable().language_model.parameters())
    assert language.dtype is torch.float16
    losses = [row.training_loss for row in trainer.run(silent).epochs]
    assert losses[-1] < losses[0]


def test_a_stop_keeps_the_step_and_the_rest_is_as_if_there_had_been_none(course, tmp_path):
    changes = {"epochs": 2, "batch_size": 4, "adapter": replace(CALM, dropout=0.3), "stop_by": StopBy.ROUGE_L}
    whole, _ = course(WorkFolder(tmp_path / "whole"), **changes)
    (tmp_path / "whole").mkdir()
    work = WorkFolder(tmp_path / "cut")
    work.begin({}, resume=False)
    trainer, _ = course(work, **changes)
    stopped_at = iter([3, 7])

    def stop_at(captions):
        def tell(step, done, total):
            if done == 4 * captions:
                signal.raise_signal(signal.SIGINT)

        return tell

    for captions in stopped_at:
        with pytest.raises(TrainingStopped, match="--resume"):
            trainer.run(stop_at(captions))
        trainer, network = course(work, **changes)
        assert trainer._state.step == captions
    state, expected = trainer.run(silent), whole.run(silent)
    for one, two in zip(state.epochs, expected.epochs, strict=True):
        assert replace(one, captions_per_second=0) == replace(two, captions_per_second=0)
    for name, weight in learned_weights(network).items():
        assert torch.equal(weight, learned_weights(whole._network)[name])


def test_the_best_epoch_is_kept_and_the_worse_ones_end_the_training(course):
    trainer, network = course(epochs=9, patience=2, learning_rate=0.9, schedule="constant", batch_size=4)
    state = trainer.run(silent)
    losses = [row.validation_loss for row in state.epochs]
    assert state.best_epoch == int(np.argmin(losses)) + 1 == len(losses) - 2 < 7
    kept = loss_per_token(trainer._accelerator, network, trainer._data.validation, 4, Precision.FP32)
    assert kept == pytest.approx(min(losses), rel=1e-5)


def test_gradients_are_clipped_after_their_scale_is_undone(course):
    trainer, network = course(batch_size=4)
    trainer._scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    norms = []

    def look(optimizer, *_):
        gradients = [weight.grad for weight in learned_weights(network).values()]
        norms.append(float(torch.stack([g.norm() for g in gradients if g is not None]).norm()))

    for weight in learned_weights(network).values():
        weight.register_hook(lambda gradient: gradient * 1000)
    trainer._optimizer.register_step_pre_hook(look)
    trainer.run(silent)
    np.testing.assert_allclose(norms, 1, rtol=1e-4)


def test_checkpoints_hold_only_what_learns(course, tmp_path):
    from safetensors import safe_open

    work = WorkFolder(tmp_path / "work")
    work.begin({}, resume=False)
    trainer, network = course(work, epochs=2, patience=1)
    trainer.run(silent)
    checkpoint, best = work.latest(), trainer._state.best
    assert checkpoint is not None and best is not None
    for file in (checkpoint / "model.safetensors", work.path / best):
        with safe_open(file, "pt") as content:
            assert set(content.keys()) == set(learned_weights(network))
    assert (work.path / "epochs.csv").read_text().count("\n") == 3


def test_captions_come_in_the_order_of_the_rows(course):
    trainer, network = course()
    part, rows = trainer._data.validation, np.array([4, 0, 3])
    every = make_captions(
        trainer._accelerator, network, part, np.arange(6), size=4, most=8, precision=Precision.FP32
    )
    some = make_captions(trainer._accelerator, network, part, rows, size=1, most=8, precision=Precision.FP32)
    assert some == [every[4], every[0], every[3]]


def test_the_whole_network_answers_as_the_one_that_was_cut(course, base, prepared):
    options = quick_options(base, epochs=1, adapter=CALM)
    trainer, network = course(options=options)
    trainer.run(silent)
    whole = whole_network(learned_weights(network), options, prepared.image, CPU)
    part = trainer._data.validation
    losses = [loss_per_token(trainer._accelerator, one, part, 4, Precision.FP32) for one in (network, whole)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert not whole.dropped


def test_weights_of_another_network_are_refused(course):
    _, network = course()
    with pytest.raises(TrainingError, match="other weights"):
        load_learned(network, {"a": torch.ones(1)})


@pytest.mark.parametrize(
    ("processes", "accumulation", "size"), [(1, 1, 16), (2, 1, 8), (2, 3, 3), (99, 1, 1)]
)
def test_memory_is_bounded_by_the_parts(base, processes, accumulation, size):
    options = quick_options(base, batch_size=16, accumulation=accumulation)
    assert part_size(options, processes) == size
