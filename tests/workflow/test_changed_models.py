"""Models that change under a running service: each answer is of one bundle, and says which."""

from __future__ import annotations

import gc
import shutil
import weakref

import pytest

from tests.findings.bundles import TAUGHT, make_findings_bundle
from tests.records.pictured import radiograph
from tetkik.bundle import Task, resolve, sha256_of, staged_folder, store, write_manifest
from tetkik.imaging.gate.judge import BUILT_IN, built_in
from tetkik.language import Language
from tetkik.settings import settings
from tetkik.values import UrgencyLevel
from tetkik.workflow import analyse_image, answer_complaint, departments
from tetkik.workflow.images import load_findings_model


def changed(source, target, **changes):
    """A copy of a bundle with other words in its manifest, in the place of what was there."""
    with staged_folder(target) as stage:
        shutil.copytree(source, stage, dirs_exist_ok=True)
        manifest = store.read_manifest(stage).model_copy(update=changes)
        (stage / "manifest.json").unlink()
        write_manifest(stage, manifest)
    return sha256_of(target / "manifest.json")


def test_the_next_image_is_read_by_the_new_bundle(tmp_path):
    first, second, place = (tmp_path / name for name in ("first", "second", "place"))
    make_findings_bundle(first)
    make_findings_bundle(second, version="2.0", thresholds=dict.fromkeys(TAUGHT, 0.25))
    image = radiograph()
    shas = [changed(first, place)]
    old = load_findings_model(str(place))
    seen = [analyse_image(image, model=str(place), language=Language.TR)]
    shas.append(changed(second, place))
    seen.append(analyse_image(image, model=str(place), language=Language.TR))
    assert [one.result.model for one in seen] == ["findings-blobs 1.0", "findings-blobs 2.0"]
    assert [one.sha256 for one in seen] == shas
    one = next(item for item in seen[1].result.findings if item.label == TAUGHT[0])
    assert one.threshold == 0.25
    # A run that had begun goes on with what it had: both the network and how it tells where it looked.
    assert old.model.findings.name == "findings-blobs 1.0" and seen[0].heatmaps is old.model.heatmaps
    network = weakref.ref(old.model.findings.model)
    del old, seen
    gc.collect()
    assert network() is None


def test_the_next_complaint_is_answered_by_the_new_bundle(tmp_path):
    source, place = resolve("triage-linear-tr").path, tmp_path / "triage"
    shas = [changed(source, place, version="1.0")]
    said = [answer_complaint("Başım ağrıyor", str(place))]
    labels = tuple(reversed(departments(str(place))))
    shas.append(changed(source, place, version="2.0", labels=labels))
    said.append(answer_complaint("Başım ağrıyor", str(place)))
    assert [one.sha256 for one in said] == shas
    assert [one.result.model.split()[-1] for one in said] == ["1.0", "2.0"]
    assert departments(str(place)) == labels


@pytest.fixture
def builtin(tmp_path, monkeypatch):
    shutil.copytree(store.builtin_folder() / BUILT_IN, tmp_path / BUILT_IN)
    monkeypatch.setattr(store, "builtin_folder", lambda: tmp_path)
    return tmp_path / BUILT_IN


def test_the_gate_follows_its_bundle(builtin):
    before = built_in()
    assert built_in() is before
    thresholds = store.read_manifest(builtin).thresholds | {"inverted": 0.5}
    changed(shutil.copytree(builtin, builtin.with_name("copy")), builtin, thresholds=thresholds)
    assert built_in().limits.inverted == 0.5 != before.limits.inverted


CHEST = "Göğsümde baskı var, sol koluma vuruyor."


def test_the_next_complaint_is_judged_by_the_new_model_of_urgency(tmp_path, monkeypatch):
    source, place = resolve("urgency-linear-tr", Task.URGENCY).path, tmp_path / "own"
    text = "Babam sofrada birden çatalı düşürdü, bize boş boş baktı, ne sorsak anlamsız sesler çıkarıyor."
    changed(source, place)
    monkeypatch.setenv("TETKIK_TRIAGE_URGENCY_MODEL", str(place))
    settings.cache_clear()
    sources = []
    for version in ("2.0", "3.0"):
        changed(source, place, version=version)
        found = answer_complaint(text, "triage-linear-tr").result.urgency
        sources.append(found.flags[0].source)
    assert sources == ["urgency-linear-tr 2.0", "urgency-linear-tr 3.0"]


def test_without_its_model_the_rules_of_urgency_judge_alone(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("TETKIK_TRIAGE_URGENCY_MODEL", str(tmp_path / "none"))
    settings.cache_clear()
    for _ in range(2):
        found = answer_complaint(CHEST, "triage-linear-tr").result.urgency
        assert found.level is UrgencyLevel.KIRMIZI
    assert caplog.text.count("judge alone") == 1
