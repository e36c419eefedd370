"""The latest runs of a bundle against its first ones."""

from __future__ import annotations

import numpy as np
import pytest

from tests.records.kit import made_records
from tests.records.work import BUNDLE, Work
from tetkik.bundle import resolve
from tetkik.records.images import drift as module
from tetkik.records.images.drift import card_share, drift, ran
from tetkik.records.reports.agreement import Count
from tetkik.values import Capability, RunState


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "REFERENCE", 60)
    work = Work(made_records(tmp_path))
    draw = np.random.default_rng(3)
    for place in range(120):
        late = place >= 60
        work.run(
            {"Effusion": float(draw.beta(2, 5) + 0.3 * late), "Nodule": float(draw.beta(2, 5))},
            days_ago=3 if late else 60,
            spacing=None if late and place % 2 else "0.1,0.1",
            modality="CR" if late else "DX",
        )
    work.run({}, days_ago=1, state=RunState.REFUSED, flaws="rotated,cropped", modality=None)
    work.run({}, days_ago=1, state=RunState.FAILED)
    return work


def test_a_label_that_moved_comes_first_and_is_called_so(work):
    with work.records.read() as tx:
        (bundle,) = ran(tx, Capability.FINDINGS)
        found = drift(tx, bundle, resolve("findings-mobilenet-cxr").manifest)
    assert (bundle.bundle, bundle.runs) == (BUNDLE, 122)
    effusion, nodule = found.labels
    assert effusion.label == "Effusion" and effusion.shift is not None and effusion.shift.large
    assert nodule.shift is not None and not nodule.shift.large
    assert (effusion.shift.before, effusion.shift.now) == (60, 60)
    assert effusion.positive_now.hits > effusion.positive_before.hits
    assert effusion.card == pytest.approx(0.09, abs=0.02)


def test_inputs_are_told_then_and_now(work):
    with work.records.read() as tx:
        found = drift(tx, ran(tx, Capability.FINDINGS)[0])
    assert (found.before.images, found.now.images) == (60, 61)  # a failure is no image that was seen
    assert found.before.modalities == {"DX": 60}
    assert found.now.modalities == {"CR": 60, "": 1}
    assert found.now.without_spacing == Count(30, 61)
    assert found.now.refused == Count(1, 61)
    assert found.now.flaws == {"rotated": 1, "cropped": 1}
    assert all(one.card is None for one in found.labels)


def test_another_bundle_is_another_model(work):
    work.run({"Effusion": 0.2}, bundle="other 2.0")
    with work.records.read() as tx:
        newest, first = ran(tx, Capability.FINDINGS)
        assert (newest.bundle, first.bundle) == ("other 2.0", BUNDLE)
        assert drift(tx, newest).labels[0].shift is None


def test_the_share_on_the_card_is_of_sick_and_healthy_together():
    manifest = resolve("findings-mobilenet-cxr").manifest
    figures = {metric.name: metric for metric in manifest.metrics}
    sick, healthy = figures["sensitivity:Nodule"], figures["specificity:Nodule"]
    expected = (sick.value * sick.n + (1 - healthy.value) * healthy.n) / (sick.n + healthy.n)
    assert card_share(manifest, "Nodule") == pytest.approx(expected)
    assert card_share(manifest, "Hernia_of_no_card") is None
