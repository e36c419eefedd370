"""`tetkik caption train --plan`: it says what to set, what it takes, and what else would fit."""

from __future__ import annotations

import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.caption.tiny import tiny_blip2
from tetkik.caption.families import load_base
from tetkik.caption.options import Quantisation
from tetkik.cli.caption.train import show_plan
from tetkik.errors import OutputError
from tetkik.lab.caption.training import plan as planning
from tetkik.lab.caption.training.options import CaptionTraining
from tetkik.lab.caption.training.plan import (
    CONTEXT,
    GIB,
    ROCOV2_ROWS,
    GpuCard,
    Plan,
    _Planner,
    plan_evaluation,
    plan_training,
)
from tetkik.lab.engine.precision import Precision

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_blip2(tmp_path_factory.mktemp("base")))


@pytest.fixture(scope="module")
def roomy(base: str) -> Plan:
    return plan_training(CaptionTraining(base=base, max_tokens=20), None, "16GB")


def small_card(monkeypatch: pytest.MonkeyPatch, memory: int) -> str:
    monkeypatch.setattr(planning, "card_of", lambda name: GpuCard(str(name), memory))
    return "small"


def test_a_step_that_fits_stays_whole(roomy):
    assert roomy.fits and roomy.nearest is None
    assert roomy.setting.captions == 16 and roomy.setting.options.accumulation == 1
    assert roomy.precision is Precision.FP16  # nobody said that the card has bf16
    assert roomy.rows.train == ROCOV2_ROWS and not roomy.rows.known


def test_the_cache_is_that_of_the_cut(roomy, base):
    assert roomy.cache is not None
    assert roomy.cache.each == 4 * 24 * 2  # 4 queries, width of the Q-Former, fp16
    assert roomy.cache.size == roomy.cache.each * (roomy.rows.train + roomy.rows.valid)
    without = plan_training(CaptionTraining(base=base, max_tokens=20, cache_features=False), None, "16GB")
    assert without.cache is None
    assert without.setting.total > roomy.setting.total  # the vision tower stays on the card


def test_a_disk_without_room_for_the_cache_is_refused_after_the_plan(roomy, monkeypatch, capsys):
    assert roomy.cache is not None
    small = replace(roomy, cache=replace(roomy.cache, free=0, images=10**9))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 10**9))
    # Nothing says where they would go.
    show_plan(small)
    assert "192.0 GB and" in capsys.readouterr().err
    named = replace(small, cache=replace(small.cache, certain=True))
    with pytest.raises(OutputError, match=r"192\.0 GB and .* has 1\.0 GB free; name another disk"):
        show_plan(named)
    said = capsys.readouterr()
    assert "image features on the disk, 1000000000 x 0.2 KB" in said.out and "It fits" in said.out
    assert "behind the Q-Former, 4 x 24 numbers an image" in said.err


def test_only_a_folder_without_features_is_known_to_need_them_all(base, tmp_path):
    options = CaptionTraining(base=base, max_tokens=20)
    for cache, certain in ((None, False), (tmp_path, True), (tmp_path, False)):
        plan = plan_training(replace(options, cache=cache), None, "16GB").cache
        assert plan is not None and plan.certain is certain
        if cache is not None:
            (tmp_path / "features-0123").mkdir(exist_ok=True)


def test_a_step_is_parted_until_it_fits(roomy, base, monkeypatch):
    whole = roomy.setting.total
    card = small_card(monkeypatch, CONTEXT + (whole - CONTEXT) * 2 // 3)
    plan = plan_training(CaptionTraining(base=base, max_tokens=20), None, card)
    assert plan.fits
    assert plan.setting.captions == 8 and plan.setting.options.accumulation == 2
    assert plan.setting.options.batch_size == 16
    assert plan.setting.total <= plan.card.memory


def test_what_does_not_fit_names_what_would(base, monkeypatch, capsys):
    options = CaptionTraining(base=base, max_tokens=110, batch_size=1)
    most = plan_training(options, None, "16GB").setting.most
    least = plan_training(replace(options, checkpointing=True), None, "16GB").setting.most
    assert least < most
    card = small_card(monkeypatch, (least + most) // 2)
    plan = plan_training(options, None, card)
    assert not plan.fits
    assert plan.nearest is not None and plan.nearest.options.checkpointing
    show_plan(plan)
    said = capsys.readouterr()
    assert "--checkpointing" in said.out and "does not fit" in said.err


def test_the_first_pass_must_fit_too(base, monkeypatch):
    options = CaptionTraining(base=base, max_tokens=4, batch_size=1)
    setting = plan_training(options, None, "16GB").setting
    setting = replace(setting, before=setting.before + setting.total)
    assert setting.most == setting.first > setting.total
    planner = _Planner(None, GpuCard("small", setting.total), 4)
    assert not planner.fits(setting)


def test_a_hopeless_card_gets_no_setting(base, monkeypatch, capsys):
    plan = plan_training(CaptionTraining(base=base, max_tokens=20), None, small_card(monkeypatch, CONTEXT))
    assert not plan.fits and plan.nearest is None
    show_plan(plan)
    assert "smaller base" in capsys.readouterr().err


def test_everything_is_shown_and_adds_up(roomy, capsys):
    show_plan(roomy)
    said = capsys.readouterr()
    rows = [line.rsplit(maxsplit=1) for line in said.out.splitlines() if line.strip()]
    sizes = {
        words.strip(): float(size) for words, size in (row for row in rows if len(row) == 2) if _number(size)
    }
    total = sizes.pop("all")
    card = list(sizes.items())[: list(sizes).index("CUDA and its libraries") + 1]
    parts = sum(size for words, size in card if not words.startswith("of these"))
    assert parts == pytest.approx(total, abs=0.02)
    assert total == pytest.approx(roomy.setting.total / GIB, abs=0.01)
    assert "--batch-size 16 --accumulation 1" in said.out


def _number(word: str) -> bool:
    return word.replace(".", "").isdigit()


def test_the_test_is_planned_with_its_memory(roomy, base, capsys):
    found = plan_evaluation(roomy)
    network = load_base(base)
    # 4 queries, the beginning, and 80 tokens of 8 captions with 5 beams each, in 32 bits here.
    read = torch.zeros(40, 4 + 1 + 80, 32)
    with torch.no_grad():
        kept = network.language_model(inputs_embeds=read, use_cache=True).past_key_values
    sizes = [part.numel() * 4 for layer in kept.layers for part in (layer.keys, layer.values)]
    assert found.keys == sum(sizes) / 2
    every = sum(item.numel() for item in network.core.parameters())
    assert 2 * every < found.weights < 4 * every + roomy.setting.step.learned
    quantised = replace(roomy.setting.options, quantisation=Quantisation.NF4)
    packed = plan_evaluation(replace(roomy, setting=replace(roomy.setting, options=quantised)))
    assert packed.weights < found.weights
    show_plan(roomy, replace(found, card=replace(found.card, memory=found.total - 1)))
    said = capsys.readouterr()
    assert "The test does not fit" in said.err
    assert "keys and values of the search, 8 x 5 beams" in said.out


def test_the_command_plans_without_data(base, tmp_path: Path, capsys):
    from tetkik.cli.caption.train import train

    train(None, base=base, plan=True, card="24GB", max_tokens=20, test=True)
    said = capsys.readouterr()
    assert "It fits" in said.out and "on 24 GB with 22.1 GiB" in said.err
    assert "to judge the test split" in said.out and "does not fit" not in said.err
    assert not list(tmp_path.iterdir())
