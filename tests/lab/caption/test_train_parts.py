from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.caption.tiny import tiny_blip2
from tests.lab.caption.train_kit import quick_options
from tetkik.caption.options import AdapterOptions, Learning, Quantisation
from tetkik.errors import UsageError
from tetkik.lab.caption.training.data import by_length, process_parts, sample_rows
from tetkik.lab.caption.training.nonfinite import listed, nonfinite_features, nonfinite_loss, overflowed
from tetkik.lab.caption.training.options import CaptionTraining, OptimizerKind, StopBy
from tetkik.lab.caption.training.run import LOSS, MEASURED
from tetkik.lab.caption.training.trainer import WINDOW
from tetkik.lab.caption.training.tuning import CaptionTrial, Epoch, draw, tuned_captions
from tetkik.lab.engine.batches import bucketed_steps, prefetched
from tetkik.lab.engine.charts import training_curves
from tetkik.lab.engine.checkpoint import WorkFolder
from tetkik.lab.engine.options import ScheduleKind, learning_rate_factor
from tetkik.lab.engine.precision import Precision
from tetkik.lab.engine.trainer import TrainingState
from tetkik.lab.engine.tuning import candidates, trials_table
from tetkik.language import Language


def epoch_steps(lengths, size, seed, epoch):
    return bucketed_steps(-lengths, size, seed, epoch, window=WINDOW)


LENGTHS = st.lists(st.integers(0, 60), min_size=1, max_size=200)


@given(LENGTHS, st.integers(1, 17), st.integers(0, 99), st.integers(1, 9))
def test_every_row_comes_once_in_an_epoch(lengths, size, seed, epoch):
    lengths = np.array(lengths, np.int64)
    steps = epoch_steps(lengths, size, seed, epoch)
    assert len(steps) == math.ceil(len(lengths) / size)
    assert sorted(np.concatenate(steps).tolist()) == list(range(len(lengths)))
    # One step at most is smaller than the others.
    assert sorted(map(len, steps))[1:] == [size] * (len(steps) - 1)
    again = epoch_steps(lengths, size, seed, epoch)
    assert all((one == two).all() for one, two in zip(steps, again, strict=True))


def test_rows_of_a_step_are_of_like_length_and_epochs_differ():
    lengths = np.random.default_rng(0).integers(1, 90, 2000)
    steps = epoch_steps(lengths, 16, 0, 1)
    filling = sum(lengths[step].max() * len(step) - lengths[step].sum() for step in steps)
    plain = np.random.default_rng(1).permutation(2000).reshape(-1, 16)
    unsorted = sum(lengths[step].max() * 16 - lengths[step].sum() for step in plain)
    assert filling < 0.15 * unsorted
    # Not from short to long: the steps themselves are shuffled.
    means = [lengths[step].mean() for step in steps]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3
    assert not (steps[0] == epoch_steps(lengths, 16, 0, 2)[0]).all()


@given(LENGTHS, st.integers(1, 5), st.integers(1, 6))
def test_processes_and_parts_do_every_row_of_a_step_once(lengths, world, accumulation):
    step = np.arange(len(lengths), dtype=np.int64)
    shares = [process_parts(step, rank, world, accumulation) for rank in range(world)]
    rows = [row for share in shares for part in share for row in part.tolist()]
    assert sorted(rows) == step.tolist()
    assert all(len(share) <= accumulation and all(len(part) for part in share) for share in shares)
    most = math.ceil(math.ceil(len(step) / world) / accumulation)
    assert all(len(part) <= most for share in shares for part in share)


@given(LENGTHS, st.integers(1, 20))
def test_batches_by_length_hold_every_row(lengths, size):
    lengths = np.array(lengths, np.int64)
    batches = by_length(lengths, size)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert all(lengths[one].min() >= lengths[two].max() for one, two in pairwise(batches))


def test_what_is_fetched_comes_in_order_and_a_fault_comes_through():
    parts = [np.array([number]) for number in range(9)]
    assert [int(item) for _, item in prefetched(lambda rows: rows[0] * 10, parts)] == list(range(0, 90, 10))

    def fail(rows):
        if rows[0] == 3:
            raise OSError("gone")
        return rows

    with pytest.raises(OSError, match="gone"):
        list(prefetched(fail, parts))


@pytest.mark.parametrize("kind", ScheduleKind)
def test_the_rate_rises_and_then_goes_as_asked(kind):
    rates = [learning_rate_factor(step, 100, 0.1, kind) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == 1
    assert all(one <= two for one, two in pairwise(rates[:10]))
    assert all(one >= two for one, two in pairwise(rates[10:]))
    assert rates[-1] == 1 if kind is ScheduleKind.CONSTANT else rates[-1] < 0.02
    assert rates[55] == pytest.approx({"cosine": 0.5, "linear": 0.5, "constant": 1}[kind])
    assert learning_rate_factor(0, 10, 0, kind) == 1


def epoch(number=1, loss=None, cider=None, rouge=None):
    return Epoch(number, 1e-3, 2.0, loss, cider, rouge, 10.0)


def test_what_stops_decides_and_the_loss_decides_between_equal_ones():
    good, better = epoch(loss=2.0, cider=0.5, rouge=0.1), epoch(loss=1.0, cider=0.4, rouge=0.1)
    assert better.score(StopBy.LOSS) > good.score(StopBy.LOSS)
    assert good.score(StopBy.CIDER) > better.score(StopBy.CIDER)
    assert better.score(StopBy.ROUGE_L) > good.score(StopBy.ROUGE_L)


def test_progress_survives_a_checkpoint():
    from dataclasses import asdict

    state = TrainingState("run", 7, 3.5, 20, 1, [epoch(1, 2.0), epoch(2, 1.5, 0.1, 0.2)], 2, "best", True)
    assert TrainingState.from_json(asdict(state), Epoch) == state


def test_an_epoch_says_what_was_measured():
    said = [
        row.sentence.in_language(Language.EN) for row in (epoch(), epoch(loss=1.5), epoch(2, 1.5, 0.1, 0.2))
    ]
    assert said[0] == "Epoch 1: training loss 2.0000; 10.0 captions a second."
    assert "validation 1.5000;" in said[1] and "CIDEr" not in said[1]
    assert "CIDEr 0.100, ROUGE-L 0.200" in said[2]


@given(st.integers(0, 60), st.integers(1, 30), st.integers(0, 5))
def test_judged_rows_are_a_fixed_sample(rows, count, seed):
    found = sample_rows(rows, count, seed)
    assert len(found) == min(rows, count) == len(set(found.tolist()))
    assert (found == sample_rows(rows, count, seed)).all() and (np.diff(found) > 0).all()


def test_the_guard_lets_loss_scaling_find_its_factor_and_no_more():
    assert not overflowed(1e9, None) and overflowed(math.inf, None) and overflowed(math.nan, None)
    assert not overflowed(math.inf, 65536.0) and not overflowed(math.nan, 1.0) and overflowed(math.inf, 0.5)


def test_the_guard_names_the_rows_and_the_remedy():
    ids = [f"r{number}" for number in range(11)]
    assert listed(ids) == "r0, r1, r2, r3, r4, r5, r6, r7 + 3" and listed(ids[:2]) == "r0, r1"
    assert "r0, r1 at step 4" in str(nonfinite_loss(ids[:2], 4, Precision.FP16))
    assert "--precision bf16" in str(nonfinite_loss(ids, 4, Precision.FP16))
    assert "--learning-rate" in str(nonfinite_loss(ids, 4, Precision.BF16))
    assert "overflows in fp16" in str(nonfinite_features(ids, Precision.FP16))
    assert "damaged" in str(nonfinite_features(ids, Precision.FP32))


def test_candidates_keep_the_share_of_alpha_in_the_rank_and_an_adapter_that_is_not_there():
    drawn = candidates(CaptionTraining(tune=6, seed=3), draw)
    assert {item.adapter.alpha / item.adapter.rank for item in drawn} == {2.0}
    full = candidates(CaptionTraining(tune=6, learning=Learning.FULL), draw)
    assert {item.adapter for item in full} == {CaptionTraining().adapter}


def test_the_best_candidate_wins_by_what_is_watched(tmp_path):
    asked = []

    def run(tried):
        asked.append((tried.learning_rate, tried.epochs))
        # The higher the rate, the better the caption and the worse the loss.
        return (epoch(1, 9.0, 0.0, 0.0), epoch(2, tried.learning_rate, tried.learning_rate, 0.1))

    options = CaptionTraining(tune=4, epochs=3, stop_by=StopBy.CIDER)
    work = WorkFolder(tmp_path)
    best, trials = tuned_captions(options, work, run)
    rates = [item.learning_rate for item in candidates(options, draw)]
    assert best.learning_rate == max(rates) and best.epochs == 3
    assert [epochs for _, epochs in asked] == [1] * 4 + [3]
    assert trials[0] == CaptionTrial(2e-4, 16, 0.05, 0.0, 1, 2e-4, 2e-4, 0.1, 2)
    # Trials done are not done again.
    assert tuned_captions(options, work, run) == (best, trials) and len(asked) == 5
    options = CaptionTraining(tune=4, epochs=3)
    by_loss, _ = tuned_captions(options, WorkFolder(tmp_path / "other"), run, keep=False)
    assert by_loss.learning_rate == min(rates)
    table = trials_table(trials)
    assert table.count("\n") == 6 and "| 0.0002 | 16 | 0.05 | 0 | 1 |" in table


@pytest.mark.parametrize(
    "rows",
    [[epoch()], [epoch(1, 2.0), epoch(2, 1.5)], [epoch(1, 2.0, 0.0, 0.1), epoch(2, 1.5, 0.2, 0.3)]],
    ids=["training alone", "losses", "captions"],
)
def test_curves_are_drawn(rows):
    assert training_curves(
        rows, Language.TR, loss=LOSS, measured=MEASURED, best_epoch=len(rows) - 1
    ).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"epochs": 0}, "epochs cannot be 0"),
        ({"judged": 0}, "judged cannot be 0"),
        ({"learning_rate": 3}, "between 0 and 1"),
        ({"learning": "full", "quantisation": "nf4"}, "Quantised weights cannot learn"),
        ({"warm_up": 1.5}, "warm-up cannot be 1.5"),
        ({"smoothing": 1.0}, "smoothing cannot be 1.0"),
    ],
)
def test_options_that_cannot_be_are_refused(changes, sentence):
    with pytest.raises(UsageError, match=sentence):
        CaptionTraining(**changes)


@pytest.mark.parametrize("changes", [{"rank": 0}, {"alpha": 0.0}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_adapters_that_cannot_be_are_refused(changes):
    with pytest.raises(UsageError, match="cannot be; rank is 1 or more"):
        AdapterOptions(**changes)


def test_what_changes_no_result_is_no_part_of_the_identity(tmp_path):
    base = tiny_blip2(tmp_path / "base")
    options = quick_options(base)
    same = quick_options(base, resume=True, threads=3, checkpoint_steps=9, cache=tmp_path, merge=True)
    assert options.as_json() == same.as_json() != quick_options(base, seed=1).as_json()


def test_eight_bit_states_need_a_gpu():
    import torch

    from tetkik.lab.caption.training.trainer import make_optimizer

    options = CaptionTraining(optimizer=OptimizerKind.ADAMW_8BIT, quantisation=Quantisation.NF4)
    weights = [torch.nn.Parameter(torch.ones(2, 2))]
    with pytest.raises(UsageError, match="needs a GPU"):
        make_optimizer(weights, options, torch.device("cpu"))


@pytest.mark.parametrize("kind", [OptimizerKind.ADAMW, OptimizerKind.SGD, OptimizerKind.ADAFACTOR])
def test_optimisers_go_down_and_only_matrices_decay(kind):
    import torch

    from tetkik.lab.caption.training.trainer import make_optimizer

    options = CaptionTraining(optimizer=kind, learning_rate=0.05, weight_decay=0.1)
    matrix, vector = (torch.nn.Parameter(torch.ones(shape)) for shape in ((3, 2), (2,)))
    optimizer = make_optimizer([matrix, vector], options, torch.device("cpu"))
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    for _ in range(30):
        optimizer.zero_grad()
        loss = (matrix**2).sum() + (vector**2).sum()
        loss.backward()
        optimizer.step()
    assert loss < 2
