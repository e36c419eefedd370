from __future__ import annotations

import itertools
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
    LiveFeatures,
    cache_place,
    check_room,
    features_key,
    frozen_digest,
    frozen_would_be_smaller,
    open_features,
    places_of,
    split_store,
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


def written(network, pictures, folder, dtype=F32, accelerators=None, progress=silent):
    """The features of a split, by each of some processes that have all looked before any of them begins."""
    key = features_key(network, dtype)
    each = [(one, split_store(folder, key, "train", "0123456789")) for one in accelerators or [process()]]
    for accelerator, store in each:
        write_features(
            accelerator,
            network,
            pictures,
            store,
            batch=4,
            precision=Precision.FP32,
            progress=progress,
        )
    return each[0][1].open()


def expected(network, pictures):
    return network.frozen_features(torch.from_numpy(network.image.normalised(pictures.pixels)))


@pytest.mark.parametrize(("dtype", "close"), [(np.float32, 1e-6), (np.float16, 2e-3)])
def test_what_is_cached_is_what_the_frozen_part_gives(network, tmp_path, dtype, close):
    pictures = Pictures()
    store = written(network, pictures, tmp_path, np.dtype(dtype))
    cache = open_features(store, ROWS)
    rows = np.array([22, 0, 7, 7, 14])
    found = cache.at_cut(network, cache.fetch(rows), torch.device("cpu"))
    assert found.dtype is torch.from_numpy(np.zeros(1, dtype)).dtype
    torch.testing.assert_close(found.float(), expected(network, pictures)[rows], rtol=close, atol=close)
    # Each picture went through the frozen part once.
    assert sorted(pictures.read) == list(range(ROWS))
    (data,) = tmp_path.glob(f"*.f{8 * store.dtype.itemsize}")
    assert data.stat().st_size == ROWS * store.bytes
    assert all(isinstance(part, np.memmap) for part in store.arrays._parts)


def test_after_an_interruption_only_what_is_missing_is_computed(network, tmp_path):
    whole = open_features(written(network, Pictures(), tmp_path), ROWS).fetch(np.arange(ROWS))
    (data,), (keys,) = tmp_path.glob("*.f32"), tmp_path.glob("*.index")
    with data.open("r+b") as file:
        file.truncate(15 * 4 * 24 * 4 + 200)  # in the middle of the sixteenth image
    keys.write_text(keys.read_text() + "2")
    pictures = Pictures()
    store = written(network, pictures, tmp_path)
    assert pictures.read == list(range(15, ROWS))
    assert len(list(tmp_path.glob("*.index"))) == 2, "nothing is appended to what was cut"
    torch.testing.assert_close(open_features(store, ROWS).fetch(np.arange(ROWS)), whole, rtol=1e-6, atol=1e-6)


def test_processes_share_the_work_and_find_what_one_finds(network, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "wait_for_all", lambda _: None)
    one = open_features(written(network, Pictures(), tmp_path / "one"), ROWS)
    pictures, ends = Pictures(), []
    two = written(
        network,
        pictures,
        tmp_path / "two",
        accelerators=[process(0, 2), process(1, 2)],
        progress=lambda _, done, total: ends.append((done, total)),
    )
    assert sorted(pictures.read) == list(range(ROWS))
    assert ends[-1] == (22, 22) and (24, 24) in ends
    rows = np.arange(ROWS)
    torch.testing.assert_close(open_features(two, ROWS).fetch(rows), one.fetch(rows), rtol=1e-6, atol=1e-6)


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
    for key, digest in itertools.product(keys, ("0" * 64, "1" * 64)):
        split_store(tmp_path, key, "train", digest).add([("0", np.zeros(key["shape"]))])
    assert len({file.name.split(".")[0] for file in tmp_path.iterdir()}) == 6
    again = features_key(load_base(str(base)), F32)
    assert again["weights"] == keys[0]["weights"], "an adapter on the words changes no image"


@pytest.mark.parametrize("qformer", [False, True])
def test_an_image_takes_the_bytes_that_the_plan_counts(base, tmp_path, qformer):
    options = CaptionTraining(base=str(base), adapter=AdapterOptions(rank=2, qformer=qformer))
    planned = plan_training(options, None, "16GB").cache
    assert planned is not None and planned.smaller is qformer
    network = load_base(str(base))
    make_trainable(network, options.learning, options.adapter)
    written(network, Pictures(), tmp_path, np.dtype(np.float16))
    (data,) = tmp_path.glob("*.f16")
    assert data.stat().st_size == planned.each * ROWS
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
    kept = split_store(store, features_key(network, F32), "train", "0" * 64)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 3 * 10**9))
    needed = 10**9 * kept.bytes
    assert needed == 10**9 * 4 * 24 * 4
    with pytest.raises(OutputError, match=r"384\.0 GB and .* has 3\.0 GB free.*--no-feature-cache") as fault:
        check_room(needed, store, smaller=smaller)
    assert ("leave the Q-Former frozen" in str(fault.value)) is smaller
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 10**13))
    check_room(needed, store, smaller=smaller)


def test_what_is_there_already_needs_no_room(network, tmp_path, monkeypatch):
    store = written(network, Pictures(), tmp_path)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 0))
    assert (places_of(store, ROWS) >= 0).all()
    check_room(0, tmp_path, smaller=False)


def test_an_image_whose_features_are_no_numbers_is_named(network, tmp_path, monkeypatch):
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
    # Those before it are kept, and its own is not.
    store = split_store(tmp_path, features_key(network, F32), "train", "0123456789")
    assert np.flatnonzero(places_of(store, ROWS) >= 0).tolist() == list(range(16))


def test_features_too_large_for_the_cache_are_told_and_not_cut(network, tmp_path, monkeypatch):
    true = type(network).frozen_features
    monkeypatch.setattr(type(network), "frozen_features", lambda self, pixels: true(self, pixels) * 1e6)
    with pytest.raises(TrainingError, match=r"image-0, .* too large for fp16.*--no-feature-cache"):
        written(network, Pictures(), tmp_path, np.dtype(np.float16))
    written(network, Pictures(), tmp_path, F32)


def test_features_that_go_away_are_told(network, tmp_path):
    store = written(network, Pictures(), tmp_path)
    next(tmp_path.glob("*.f32")).unlink()
    with pytest.raises(OutputError, match="no longer in"):
        open_features(store, ROWS)
