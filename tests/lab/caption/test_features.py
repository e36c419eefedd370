from __future__ import annotations

import os
import shutil
from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.caption.tiny import tiny_blip2, tiny_paligemma
from tests.lab.caption.train_kit import silent
from tetkik.caption.adapters import make_trainable
from tetkik.caption.families import load_base
from tetkik.caption.network import Cut
from tetkik.caption.options import AdapterOptions, Learning
from tetkik.errors import OutputError, TrainingError
from tetkik.lab.caption.training import features
from tetkik.lab.caption.training.features import (
    FeaturePlan,
    LiveFeatures,
    cache_place,
    check_room,
    feature_plan,
    features_key,
    frozen_digest,
    frozen_would_be_smaller,
    missing_bytes,
    write_features,
)
from tetkik.lab.caption.training.options import CaptionTraining
from tetkik.lab.caption.training.plan import plan_training
from tetkik.lab.engine.precision import Precision
from tetkik.language import Language

ROWS = 23
F32 = np.dtype(np.float32)


class Pictures:
    """Squares of noise, and which of them were read."""

    def __init__(self) -> None:
        self.pixels = np.random.default_rng(0).integers(0, 256, (ROWS, 28, 28, 3)).astype(np.uint8)
        self.ids = tuple(f"image-{row}" for row in range(ROWS))
        self.read: list[int] = []

    def __len__(self) -> int:
        return ROWS

    def squares(self, rows):
        self.read += rows.tolist()
        return self.pixels[rows]


def process(rank: int = 0, world: int = 1) -> SimpleNamespace:
    """An accelerator that waits for nobody."""
    return SimpleNamespace(
        process_index=rank,
        num_processes=world,
        device=torch.device("cpu"),
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_blip2(tmp_path_factory.mktemp("base"))


@pytest.fixture
def network(base):
    return load_base(str(base))


@pytest.fixture
def small_blocks(monkeypatch, network):
    """Blocks of five rows: five of them, the last with three."""
    tokens, width = network.feature_shape()
    monkeypatch.setattr(features, "_BLOCK_BYTES", 5 * tokens * width * 4)


def written(network, pictures, folder, dtype=F32, accelerator=None):
    plan = feature_plan(folder, features_key(network, dtype), "train", "0123456789", ROWS)
    write_features(
        accelerator or process(),
        network,
        pictures,
        plan,
        batch=4,
        precision=Precision.FP32,
        progress=silent,
    )
    return plan


def expected(network, pictures):
    return network.frozen_features(torch.from_numpy(network.image.normalised(pictures.pixels)))


@pytest.mark.parametrize(("dtype", "close"), [(np.float32, 1e-6), (np.float16, 2e-3)])
def test_what_is_cached_is_what_the_frozen_part_gives(network, small_blocks, tmp_path, dtype, close):
    pictures = Pictures()
    plan = written(network, pictures, tmp_path, np.dtype(dtype))
    cache = plan.open()
    rows = np.array([22, 0, 7, 7, 14])
    found = cache.at_cut(network, cache.fetch(rows), torch.device("cpu"))
    assert found.dtype is torch.from_numpy(np.zeros(1, dtype)).dtype
    torch.testing.assert_close(found.float(), expected(network, pictures)[rows], rtol=close, atol=close)
    # Each picture went through the frozen part once.
    assert sorted(pictures.read) == list(range(ROWS))
    assert sum(block.nbytes for block in cache.blocks) == plan.rows * plan.row_bytes
    assert all(isinstance(block, np.memmap) for block in cache.blocks)


def test_after_an_interruption_only_what_is_missing_is_computed(network, small_blocks, tmp_path):
    plan = written(network, Pictures(), tmp_path)
    blocks = sorted(plan.folder.iterdir())
    assert [block.name for block in blocks] == [f"block-{number:05d}.npy" for number in range(5)]
    whole = [block.read_bytes() for block in blocks]
    blocks[1].unlink()
    with blocks[3].open("r+b") as file:
        file.truncate(200)
    blocks[4].write_bytes(b"")
    (plan.folder / ".block-00001.npy.0a1b2c3d").write_bytes(b"half")
    assert plan.missing() == [5, 15, 20]
    pictures = Pictures()
    written(network, pictures, tmp_path)
    assert pictures.read == [*range(5, 10), *range(15, ROWS)]
    assert [block.read_bytes() for block in blocks] == whole


class Unmade(FeaturePlan):
    """A plan as every process sees it that looks before any of them begins."""

    def missing(self):
        return list(self.starts())


def test_processes_share_the_work_and_find_what_one_finds(network, small_blocks, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "wait_for_all", lambda _: None)
    both: Any = Pictures(), Pictures()
    one = written(network, Pictures(), tmp_path / "one")
    plan = Unmade(tmp_path / "two", one.rows, one.shape, one.dtype)
    for rank in (0, 1):
        write_features(
            process(rank, 2),
            network,
            both[rank],
            plan,
            batch=4,
            precision=Precision.FP32,
            progress=silent,
        )
    assert sorted(both[0].read + both[1].read) == list(range(ROWS))
    assert abs(len(both[0].read) - len(both[1].read)) <= 5
    for start in plan.starts():
        np.testing.assert_array_equal(plan.block(start), one.block(start))


def test_features_of_another_vision_tower_are_others_and_those_of_another_language_model_are_not(base):
    first, second, third, fourth = (load_base(str(base)) for _ in range(4))
    with torch.no_grad():
        next(second.language_model.parameters()).add_(1)
        # It comes after the cut.
        second.core.language_projection.bias[0] += 1e-3
        third.core.vision_model.post_layernorm.bias[0] += 1e-3
        fourth.core.qformer.layernorm.bias[0] += 1e-3
    digests = [frozen_digest(item) for item in (first, second, third, fourth)]
    assert digests[0] == digests[1] and len(set(digests)) == 3


def test_the_cut_and_the_numbers_are_part_of_the_key(base, tmp_path):
    plain, bridged = load_base(str(base)), load_base(str(base))
    make_trainable(plain, Learning.ADAPTER, AdapterOptions(rank=2))
    make_trainable(bridged, Learning.ADAPTER, AdapterOptions(rank=2, qformer=True))
    assert (plain.cut, bridged.cut) == (Cut.BRIDGE, Cut.VISION)
    keys = [features_key(plain, F32), features_key(bridged, F32), features_key(plain, np.dtype(np.float16))]
    folders = {feature_plan(tmp_path, key, "train", "0" * 64, 1).folder.parent.name for key in keys}
    assert len(folders) == 3
    again = features_key(load_base(str(base)), F32)
    assert again["weights"] == keys[0]["weights"], "an adapter on the words changes no image"


@pytest.mark.parametrize("qformer", [False, True])
def test_an_image_takes_the_bytes_that_the_plan_counts(base, tmp_path, qformer):
    options = CaptionTraining(base=str(base), adapter=AdapterOptions(rank=2, qformer=qformer))
    planned = plan_training(options, None, "16GB").cache
    assert planned is not None and planned.smaller is qformer
    network = load_base(str(base))
    make_trainable(network, options.learning, options.adapter)
    plan = written(network, Pictures(), tmp_path, np.dtype(np.float16))
    on_disk = sum(file.stat().st_size for file in plan.folder.iterdir())
    # One file of all rows, with its header.
    assert on_disk == planned.each * ROWS + 128
    # Four queries of the Q-Former; 16 patches and one token before them of a vision tower.
    assert planned.each == 2 * (17 * 16 if qformer else 4 * 24)


def test_the_place_of_the_cache_is_told_with_its_reason(base, tmp_path):
    def told(where, **changes):
        network = load_base(str(where))
        make_trainable(network, changes.pop("learning", Learning.ADAPTER), AdapterOptions(rank=2, **changes))
        return cache_place(network).in_language(Language.EN), frozen_would_be_smaller(network)

    queries, tower = "behind the Q-Former, 4 x 24 numbers", "behind the vision tower, 17 x 16 numbers"
    for found, place, why in (
        (told(base), queries, "the projection after it only makes them larger."),
        (told(base, projection=True), queries, "weights after it learn."),
        (told(base, qformer=True), tower, "weights after it learn."),
        (told(base, learning=Learning.FULL), tower, "weights after it learn."),
        (
            told(tiny_paligemma(tmp_path / "base")),
            "behind the vision tower, 16 x 16",
            "the projection after it only makes them larger.",
        ),
    ):
        assert place in found[0] and found[0].endswith(why)
        assert found[1] is (place is tower), "PaliGemma has no Q-Former to leave frozen"
    vision = ("vision_model.encoder.layers.1.self_attn.qkv",)
    assert (
        told(base, targets=vision)[0] == "The vision tower learns, so that no image features can be cached."
    )


def test_pixels_go_through_the_frozen_part_each_time_without_a_cache(network):
    pictures: Any = Pictures()
    source = LiveFeatures(pictures, network.image)
    rows = np.array([3, 1])
    found = source.at_cut(network, source.fetch(rows), torch.device("cpu"))
    torch.testing.assert_close(found, expected(network, pictures)[rows], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("smaller", [True, False])
def test_too_small_a_disk_is_told_before_the_work(network, tmp_path, monkeypatch, smaller):
    store = tmp_path / "not" / "yet"
    plan = feature_plan(store, features_key(network, F32), "train", "0" * 64, 10**9)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 3 * 10**9))
    needed = missing_bytes([plan])
    assert needed == 10**9 * 4 * 24 * 4
    with pytest.raises(OutputError, match=r"384\.0 GB and .* has 3\.0 GB free.*--no-feature-cache") as fault:
        check_room(needed, store, smaller=smaller)
    assert ("leave the Q-Former frozen" in str(fault.value)) is smaller
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 10**13))
    check_room(needed, store, smaller=smaller)


def test_what_is_there_already_needs_no_room(network, tmp_path, monkeypatch):
    plan = written(network, Pictures(), tmp_path)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 0))
    assert missing_bytes([plan]) == 0
    check_room(0, tmp_path, smaller=False)


def test_an_image_whose_features_are_no_numbers_is_named(network, small_blocks, tmp_path, monkeypatch):
    pictures = Pictures()
    true = type(network).frozen_features

    def spoiled(self, pixels):
        made = true(self, pixels)
        made[(pixels == pixels_of_17).flatten(1).all(1)] = torch.inf
        return made

    pixels_of_17 = torch.from_numpy(network.image.normalised(pictures.pixels[17:18]))
    monkeypatch.setattr(type(network), "frozen_features", spoiled)
    with pytest.raises(TrainingError, match=r"no numbers of the images image-17;"):
        written(network, pictures, tmp_path)
    # The blocks before it are kept, and its own is not.
    assert len(list(tmp_path.rglob("block-*.npy"))) == 3
    assert not [name for _, _, names in os.walk(tmp_path) for name in names if name.startswith(".")]


def test_features_too_large_for_the_cache_are_told_and_not_cut(network, tmp_path, monkeypatch):
    true = type(network).frozen_features
    monkeypatch.setattr(type(network), "frozen_features", lambda self, pixels: true(self, pixels) * 1e6)
    with pytest.raises(TrainingError, match=r"image-0, .* too large for fp16.*--no-feature-cache"):
        written(network, Pictures(), tmp_path, np.dtype(np.float16))
    written(network, Pictures(), tmp_path, F32)


def test_a_block_that_goes_away_is_told(network, small_blocks, tmp_path):
    plan = written(network, Pictures(), tmp_path)
    plan.file(5).unlink()
    with pytest.raises(OutputError, match="no longer in"):
        plan.open()
