"""The benchmark on a GPU, each of its functions at tiny size on the CPU."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.caption.tiny import tiny_blip2
from tetkik.caption.options import Quantisation
from tetkik.lab.caption.training.options import CaptionTraining
from tetkik.lab.caption.training.plan import config_of

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))
import caption_common
import caption_gpu
import caption_material

CPU = torch.device("cpu")
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:MatMul8bitLt.*:UserWarning"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> caption_gpu.Run:
    base = tiny_blip2(tmp_path_factory.mktemp("base"))
    folder = tmp_path_factory.mktemp("data")
    caption_material.write_base(caption_material.SIZES["tiny"], folder / "base")
    caption_material.write_data(folder, 4, 0)
    return caption_gpu.Run("tetkik", str(base), 4, 1, 4, 2, str(folder))


@pytest.mark.parametrize("quantisation", list(Quantisation))
def test_a_core_is_made_layer_by_layer(run, quantisation):
    config = config_of(run.base)
    core = caption_gpu.random_core(config, quantisation, torch.float32, CPU, keep=("vision_model", "lm_head"))
    assert not any(item.is_meta for item in (*core.parameters(), *core.buffers()))
    kinds = {type(part).__name__ for part in core.language_model.modules()}
    wanted = {"none": "Linear", "int8": "Linear8bitLt", "nf4": "Linear4bit"}[quantisation.value]
    assert wanted in kinds
    assert {type(part).__name__ for part in core.vision_model.modules()} & {
        "Linear4bit",
        "Linear8bitLt",
    } == set()
    size = config.vision_config.image_size
    seen = core.vision_model(torch.randn(2, 3, size, size)).last_hidden_state
    assert seen.isfinite().all() and seen.std() > 0


def test_four_bits_stay_near_the_weights_they_were_made_from():
    layer = torch.nn.Linear(64, 128, device="meta")
    torch.manual_seed(0)
    made = caption_gpu.random_quantised(layer, Quantisation.NF4, torch.float32, CPU)
    torch.manual_seed(0)
    weight = torch.randn(128, 64) * 0.02
    states = torch.randn(8, 64)
    answer = made(states)
    assert torch.nn.functional.cosine_similarity(answer, states @ weight.T, dim=1).min() > 0.98


def test_our_side_learns_in_four_bits(run):
    network = caption_gpu.random_network(
        CaptionTraining(base=run.base, quantisation=Quantisation.NF4), config_of(run.base), CPU
    )
    learn = {name for name, item in network.model.named_parameters() if item.requires_grad}
    assert learn and all("lora_" in name for name in learn)
    done = caption_gpu.one_side(run, CPU)
    assert done.images == 4 and done.once > 0 and done.epochs > 0
    assert done.learned == sum(item.numel() for item in network.model.parameters() if item.requires_grad)


def test_the_recipe_trains_in_eight_bits(run):
    done = caption_gpu.one_side(replace(run, side="recipe"), CPU)
    assert done.images == 4 and done.epochs > 0
    assert done.learned == 2 * 2 * 2 * 16 * 32  # q and k, two layers, two matrices of rank 16 and width 32


def test_the_report_says_what_was_measured(run):
    mine = caption_common.Result(10, 1.0, 4.0, 8 * 10**9, 8 * 10**9)
    other = caption_common.Result(10, 0.0, 15.0, 16 * 10**9, 16 * 10**9)
    text = "\n".join(caption_gpu.report(run, {"tetkik": mine, "recipe": other}))
    assert "3.0 times as many images a second, 0.50 of the memory." in text
    assert "| tetkik | 2.00 | 2.50 | 8.00 |" in text
    failed = caption_gpu.report(run, {"tetkik": mine, "recipe": "out of memory"})
    assert any("out of memory" in line for line in failed)


@pytest.mark.parametrize("kept", [96])
def test_captions_are_as_long_as_those_of_roco(kept):
    lengths = [len(row) for row in caption_gpu.captions_of(400)]
    assert 26 < sum(lengths) / len(lengths) < 36
    assert max(lengths) == kept
