"""Images and answers become distributions, and those of another kind are told from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tetkik.bundle import ImageReference
from tetkik.language import Sentence
from tetkik.statistics import Observation, Stability, compare, describe

ONE = Observation("chest", False, True, "DX", (), 0.5, 0.2, 2000, {"Mass": (0.1, False)}, {"Mass": False})


def hospital(count: int, seed: int, *, by: float = 0.0) -> list[Observation]:
    """Images of one hospital, their scores moved by so much."""
    draw = np.random.default_rng(seed)
    return [
        replace(
            ONE,
            brightness=float(draw.normal(0.5, 0.1)),
            side=int(draw.integers(1800, 2200)),
            scores={"Mass": (score, score > 0.5), "Edema": (float(draw.beta(2, 5)), False)},
            known={"Mass": place % 10 == 0},
        )
        for place, score in enumerate((draw.beta(2, 5, count) + by).tolist())
    ]


def reference(seen: list[Observation]) -> ImageReference:
    spread = describe(seen)
    return ImageReference(
        data="d",
        split=(Sentence("s"),),
        images=len(seen),
        created="-",
        labels=spread.labels,
        inputs=spread.inputs,
    )


def test_what_is_described_is_counted():
    refused = replace(ONE, refused=True, scores={}, flaws=("rotated",), modality="", spacing=False)
    spread = describe([*hospital(100, 1), refused, replace(refused, route="", brightness=None)])
    mass = spread.labels["Mass"]
    assert (mass.scores.total, mass.present, mass.absent, mass.prevalence) == (100, 10, 90, 0.1)
    chest, none = spread.inputs["chest"], spread.inputs[""]
    assert (chest.images, chest.refused, chest.without_spacing, chest.flaws) == (101, 1, 1, {"rotated": 1})
    assert chest.modalities == {"DX": 100, "": 1}
    assert chest.brightness is not None and chest.brightness.total == 101
    assert none.images == 1 and none.brightness is None


def test_the_same_hospital_is_stable():
    moved = compare(reference(hospital(1000, 1)), hospital(300, 2))
    assert moved.scores is moved.seen is Stability.STABLE


def test_a_label_that_moved_is_shifted_and_comes_first_and_the_other_is_not():
    moved = compare(reference(hospital(1000, 1)), hospital(300, 2, by=0.2))
    assert [one.label for one in moved.labels] == ["Mass", "Edema"]
    assert moved.scores is Stability.SHIFTED and moved.seen is Stability.STABLE
    assert moved.labels[1].shift is not None
    assert moved.labels[1].shift.stability is Stability.STABLE
    assert moved.labels[0].positive_now[0] > 3 * moved.labels[0].positive_before[0] / 10


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("refused", {"refused": True}),
        ("without_spacing", {"spacing": False}),
        ("brightness", {"brightness": 0.9}),
        ("contrast", {"contrast": 0.4}),
        ("side", {"side": 256}),
        ("modality:CR", {"modality": "CR"}),
        ("flaw:inverted", {"flaws": ("inverted",)}),
    ],
)
def test_an_input_that_changed_is_named(name, change):
    now = [replace(one, **change) for one in hospital(200, 2)]
    moved = compare(reference(hospital(1000, 1)), now)
    said = {one.name for one in moved.inputs if one.shift and one.shift.stability is Stability.SHIFTED}
    assert name in said and said <= {name, "modality:DX"}
    assert moved.seen is Stability.SHIFTED


def test_another_mix_of_routes_is_no_drift():
    brain = replace(ONE, route="brain_mri", modality="MR", scores={"Glioma": (0.5, True)}, known={})
    moved = compare(reference([*hospital(500, 1), *[brain] * 500]), [*hospital(300, 2), *[brain] * 60])
    assert moved.scores is moved.seen is Stability.STABLE


def test_a_route_that_the_reference_never_saw_is_listed_without_a_verdict():
    moved = compare(reference(hospital(500, 1)), [replace(one, route="") for one in hospital(100, 2)])
    assert {one.route for one in moved.inputs} == {""} and moved.seen is None
    refused = next(one for one in moved.inputs if one.name == "refused")
    assert (refused.before, refused.now) == ((0, 0), (0, 100))
