"""The latest runs of a bundle against its first ones, and against what its card says."""

from __future__ import annotations

import numpy as np
import pytest

from tests.records.kit import made_records
from tests.records.work import BUNDLE, Work
from tetkik.bundle import ImageReference, read_reference, resolve
from tetkik.records.images import runs as module
from tetkik.records.images.runs import card_share, list_bundles, measure_drift
from tetkik.statistics import Stability
from tetkik.values import RunState


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "REFERENCE", 60)
    work = Work(made_records(tmp_path))
    draw = np.random.default_rng(3)
    for place in range(120):
        late = place >= 60
        work.run(
            {"Effusion": float(draw.beta(2, 5) + 0.4 * late), "Nodule": float(draw.beta(2, 5))},
            days_ago=3 if late else 60,
            spacing=None if late and place % 2 else "0.1,0.1",
            modality="CR" if late else "DX",
            brightness=float(draw.normal(0.5, 0.05)),
            contrast=float(draw.normal(0.2, 0.02)),
        )
    work.run({}, days_ago=1, state=RunState.REFUSED, flaws="rotated,cropped", modality=None)
    work.run({}, days_ago=1, state=RunState.FAILED)
    return work


def test_against_the_first_runs_a_label_that_moved_comes_first_and_is_called_so(work):
    with work.records.read() as tx:
        (bundle,) = list_bundles(tx)
        found = measure_drift(tx, bundle)
    assert (bundle.bundle, bundle.runs) == (BUNDLE, 122)
    assert isinstance(found.before, ImageReference) and found.moved is not None
    assert (found.before.images, found.now, found.on_card) == (60, 61, False)
    effusion, nodule = found.moved.labels
    assert effusion.label == "Effusion" and effusion.shift is not None
    assert effusion.shift.stability is Stability.SHIFTED and found.moved.scores is Stability.SHIFTED
    assert nodule.shift is not None and nodule.shift.stability is Stability.STABLE
    assert (effusion.shift.before, effusion.shift.now) == (60, 60)
    assert effusion.positive_now[0] > effusion.positive_before[0]


def test_inputs_are_told_then_and_now(work):
    with work.records.read() as tx:
        moved = measure_drift(tx, list_bundles(tx)[0]).moved
    assert moved is not None
    found = {one.name: one for one in moved.inputs}
    assert {one.route for one in moved.inputs} == {"chest"}
    # A failure is no image that was seen.
    assert (found["without_spacing"].before, found["without_spacing"].now) == ((0, 60), (30, 61))
    assert (found["modality:DX"].before, found["modality:DX"].now) == ((60, 60), (0, 61))
    assert (found["modality:"].now, found["refused"].now, found["flaw:rotated"].now) == ((1, 61),) * 3
    said = {name: one.shift.stability for name, one in found.items() if one.shift}
    assert said["modality:CR"] is said["without_spacing"] is Stability.SHIFTED
    assert said["brightness"] is said["contrast"] is said["side"] is said["refused"] is Stability.STABLE


def test_against_the_card_the_first_runs_count_too(work):
    reference = read_reference(resolve("findings-mobilenet-cxr"))
    assert isinstance(reference, ImageReference)
    for _ in range(60):
        work.run({"Effusion": 0.9}, days_ago=2)
    with work.records.read() as tx:
        found = measure_drift(tx, list_bundles(tx)[0], reference)
    assert found.on_card and found.before is reference and found.moved is not None
    assert found.now == 121  # the first sixty are too old to be now
    effusion = next(one for one in found.moved.labels if one.label == "Effusion")
    assert effusion.shift is not None and effusion.shift.stability is Stability.SHIFTED
    assert effusion.positive_before == (125, 1362) and effusion.prevalence == pytest.approx(0.098, abs=0.001)


def test_another_bundle_is_another_model(work):
    work.run({"Effusion": 0.2}, bundle="other 2.0")
    with work.records.read() as tx:
        newest, first = list_bundles(tx)
        assert (newest.bundle, first.bundle) == ("other 2.0", BUNDLE)
        moved = measure_drift(tx, newest).moved
    assert moved is not None and moved.labels[0].shift is None and moved.scores is None


def test_the_share_on_the_card_is_of_sick_and_healthy_together():
    manifest = resolve("findings-mobilenet-cxr").manifest
    figures = {metric.name: metric for metric in manifest.metrics}
    sick, healthy = figures["sensitivity:Nodule"], figures["specificity:Nodule"]
    expected = (sick.value * sick.n + (1 - healthy.value) * healthy.n) / (sick.n + healthy.n)
    assert card_share(manifest, "Nodule") == pytest.approx(expected)
    assert card_share(manifest, "Hernia_of_no_card") is None
