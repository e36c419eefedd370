"""One caption for all, and the caption of the nearest training image."""

from __future__ import annotations

import numpy as np
import pytest

from tetkik.lab.caption.baselines import constant_caption, most_alike, pixel_embeddings, unit_length
from tetkik.lab.caption.metrics.scores import quick_scores

COMMON = [f"Chest radiograph shows a {size} effusion on the {side}." for size in "abc" for side in "lr"]
ODD = [
    "Ultrasound of a thyroid nodule.",
    "Barium swallow.",
    "MRI of the knee with a torn ligament, coronal plane.",
]


def test_the_constant_caption_says_most_of_the_others():
    captions = [*COMMON, *ODD]
    steps = []
    chosen = constant_caption(captions, progress=lambda *step: steps.append(step))
    assert chosen in COMMON
    assert {step for step, _, _ in steps} == {"constant caption"}
    best = {text: quick_scores([text] * len(captions), captions) for text in captions}
    assert best[chosen]["rouge_l"] > max(best[text]["rouge_l"] for text in ODD)


def test_the_constant_caption_follows_its_seed_and_not_the_order():
    captions = [*COMMON, *ODD]
    assert constant_caption(captions, seed=3) == constant_caption(captions[::-1], seed=3)
    assert constant_caption(["only this one"]) == "only this one"
    assert constant_caption(["", "", "a b"]) in ("", "a b")


@pytest.mark.parametrize("size", [16, 28, 224])
def test_the_nearest_picture_is_the_same_one_darker(size):
    random = np.random.default_rng(0)
    store = random.integers(0, 200, (5, size, size, 3)).astype(np.uint8)
    queries = (store[[3, 0, 4]] * 0.7 + 20).astype(np.uint8)
    seen, known = (unit_length(pixel_embeddings(squares)) for squares in (queries, store))
    assert most_alike(seen, known).tolist() == [3, 0, 4]


def test_an_even_picture_has_no_direction():
    black = np.zeros((1, 32, 32, 3), np.uint8)
    assert not unit_length(pixel_embeddings(black)).any()
