"""From scores to an answer: calibration, thresholds, what may be ruled out, what is not assessed."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.findings.bundles import TAUGHT, blob_image, make_findings_bundle, sensitivity
from tetkik.errors import BundleCorrupt, BundleError
from tetkik.findings.operating_points import OperatingPoint, OperatingPoints, platt, screen
from tetkik.findings.predict import load_findings
from tetkik.language import Language
from tetkik.settings import settings
from tetkik.values import FINDING_LABELS, FileFormat, Flaw, Radiograph, Route, ThresholdOn, label_name

BLOB = blob_image(0.3, 0.6)
PLAIN = Radiograph(np.full((64, 64), 40, np.uint8), 255, FileFormat.PNG, "0" * 64)


@pytest.fixture
def bundle(tmp_path):
    return make_findings_bundle(tmp_path / "blobs")


def ungated(folder, **changes):
    return load_findings(make_findings_bundle(folder, **changes), Language.EN, gate=False)


def by_label(result):
    return {finding.label: finding for finding in result.findings}


def test_the_answer_has_the_keys_of_the_contract(bundle, chest):
    answer = json.loads(json.dumps(load_findings(bundle).predict(chest).as_json()))
    assert list(answer)[:7] == ["path", "route", "suitable", "reasons", "screen", "findings", "model"]
    assert answer["path"] == str(chest)
    assert (answer["route"], answer["suitable"], answer["model"]) == ("chest", True, "findings-blobs 1.0")
    keys = [
        "label", "assessed", "score", "probability", "threshold", "threshold_on", "positive", "asserts",
        "rules_out",
    ]  # fmt: skip
    assert all(list(finding)[:9] == keys for finding in answer["findings"])
    assert [finding["label"] for finding in answer["findings"]] == list(FINDING_LABELS)


def test_labels_of_the_other_route_and_labels_never_taught_are_not_assessed(bundle, chest, brain):
    findings = load_findings(bundle)
    for path, expected in (
        (chest, {"Nodule", "Effusion", "Normal"}),
        (brain, {"Glioma", "Meningioma", "Pituitary", "No_Tumor"}),
    ):
        result = findings.predict(path)
        assert {finding.label for finding in result.findings if finding.assessed} == expected
        for finding in result.findings:
            if not finding.assessed:
                assert (finding.score, finding.probability, finding.threshold) == (None, None, None)
                assert not finding.positive and not finding.rules_out


def test_an_unsuitable_image_is_an_answer(bundle):
    result = load_findings(bundle).read(PLAIN, "flat.png")
    assert (result.suitable, result.findings, result.screen) == (False, (), None)
    assert result.reasons and len(result.reasons) == len(result.flaws)


def test_without_the_gate_everything_taught_is_assessed_and_it_says_so(tmp_path):
    result = ungated(tmp_path / "b").read(PLAIN)
    assert {finding.label for finding in result.findings if finding.assessed} == set(TAUGHT)
    assert (result.route, result.suitable, result.gated, result.reasons) == (None, True, False, ())
    assert "quality gate was switched off" in result.notes[0]


def test_a_blob_is_found_and_a_plain_image_is_not(tmp_path):
    findings = ungated(tmp_path / "b")
    found, plain = by_label(findings.read(BLOB)), by_label(findings.read(PLAIN))
    assert found["Nodule"].positive and not plain["Nodule"].positive
    assert plain["Normal"].positive and not found["Normal"].positive


def test_the_score_is_what_the_network_says_of_the_prepared_image(bundle):
    import onnxruntime

    from tetkik.imaging.prepare import prepare

    findings = load_findings(bundle, gate=False)
    session = onnxruntime.InferenceSession(bundle.path / "model.onnx", providers=["CPUExecutionProvider"])
    batch = prepare(BLOB, findings.model.preprocessing)[None]
    (row,) = session.run(["scores"], {"image": batch})[0]
    said = by_label(findings.read(BLOB))
    for label, score in zip(FINDING_LABELS, row, strict=True):
        if label in TAUGHT:
            assert said[label].score == pytest.approx(float(score), abs=2e-6)


@pytest.mark.parametrize(("on", "positive"), [("score", True), ("probability", False)])
def test_the_threshold_is_compared_with_what_the_bundle_says(tmp_path, on, positive):
    calibration = {"kind": "platt", "threshold_on": on, "labels": {"Nodule": [0.5, -4.0]}}
    findings = ungated(tmp_path / "b", taught=["Nodule"], calibration=calibration)
    nodule = by_label(findings.read(BLOB))["Nodule"]
    logit = math.log(nodule.score / (1 - nodule.score))
    assert nodule.probability == pytest.approx(1 / (1 + math.exp(4 - 0.5 * logit)), abs=1e-5)
    assert nodule.probability < 0.5 < nodule.score
    assert (nodule.threshold, nodule.threshold_on, nodule.positive) == (0.5, on, positive)


def test_an_imported_model_has_scores_a_band_and_no_probability(tmp_path):
    calibration = {"kind": "none", "threshold_on": "score", "band": [0.3, 0.5]}
    manifest = make_findings_bundle(
        tmp_path / "b", taught=["Nodule"], thresholds={"Nodule": 0.4}, calibration=calibration
    ).manifest
    point = OperatingPoints.of(manifest, 0.9).points["Nodule"]
    read = {score: point.read(score) for score in (0.2, 0.299999, 0.3, 0.35, 0.45, 0.5, 0.500001, 0.6)}
    assert [finding.probability for finding in read.values()] == [None] * 8
    assert [finding.positive for finding in read.values()] == [False] * 4 + [True] * 4
    assert [finding.uncertain for finding in read.values()] == [False] * 2 + [True] * 4 + [False] * 2
    assert read[0.35].as_json()["uncertain"] is True


@pytest.mark.parametrize(("low", "expected"), [(0.95, True), (0.90, True), (0.89, False), (None, False)])
def test_an_absence_may_be_stated_only_where_sensitivity_is_proven(tmp_path, low, expected):
    metrics = [] if low is None else [sensitivity("Nodule", low), sensitivity("Normal", 0.5)]
    findings = ungated(tmp_path / "b", metrics=metrics)
    plain, found = by_label(findings.read(PLAIN)), by_label(findings.read(BLOB))
    assert plain["Nodule"].rules_out is expected
    assert not plain["Effusion"].rules_out, "another label's proof"
    assert found["Nodule"].positive and not found["Nodule"].rules_out


def test_the_bound_is_a_setting(tmp_path, monkeypatch):
    monkeypatch.setenv("TETKIK_RULES_OUT_BOUND", "0.8")
    settings.cache_clear()
    findings = ungated(tmp_path / "b", metrics=[sensitivity("Nodule", 0.85)])
    assert by_label(findings.read(PLAIN))["Nodule"].rules_out


def test_nothing_is_ruled_out_within_the_band():
    point = OperatingPoint("Nodule", 0.4, ThresholdOn.SCORE, band=(0.3, 0.5), rules_out=True)
    assert point.read(0.1).rules_out
    assert not point.read(0.35).rules_out


@given(st.floats(0, 1), st.floats(0.05, 10), st.floats(-20, 20))
def test_calibration_is_a_probability_and_keeps_the_order(score, slope, intercept):
    low, high = platt([score * 0.9, score], slope, intercept)
    assert 0 <= low <= high <= 1


def test_calibration_with_the_identity_changes_nothing():
    scores = np.linspace(0.001, 0.999, 50)
    np.testing.assert_allclose(platt(scores, 1, 0), scores, atol=1e-12)


def findings_of(probabilities, route):
    points = {
        label: OperatingPoint(label, 0.5, ThresholdOn.PROBABILITY, (1.0, 0.0)) for label in probabilities
    }
    labels = tuple(probabilities)
    return OperatingPoints(labels, points).read(list(probabilities.values()), route)


def test_screening_by_the_label_for_nothing_wrong():
    said = findings_of({"Normal": 0.3, "Nodule": 0.9, "No_Tumor": 0.8, "Glioma": 0.1}, Route.CHEST)
    assert screen(said, Route.CHEST) == pytest.approx(0.7)
    said = findings_of({"Normal": 0.3, "Nodule": 0.9, "No_Tumor": 0.8, "Glioma": 0.1}, Route.BRAIN_MRI)
    assert screen(said, Route.BRAIN_MRI) == pytest.approx(0.2)


def test_screening_by_the_findings_needs_enough_of_them():
    some = dict.fromkeys(FINDING_LABELS[:7], 0.1)
    assert screen(findings_of(some, Route.CHEST), Route.CHEST) == pytest.approx(1 - 0.9**7, abs=1e-5)
    few = dict.fromkeys(FINDING_LABELS[:6], 0.1)
    assert screen(findings_of(few, Route.CHEST), Route.CHEST) is None
    assert screen(findings_of({"Glioma": 0.5}, Route.BRAIN_MRI), Route.BRAIN_MRI) is None
    assert screen((), None) is None


def test_screening_needs_calibrated_probabilities():
    points = {label: OperatingPoint(label, 0.4, ThresholdOn.SCORE) for label in FINDING_LABELS[:14]}
    said = OperatingPoints(FINDING_LABELS[:14], points).read([0.9] * 14, Route.CHEST)
    assert screen(said, Route.CHEST) is None


@pytest.mark.parametrize(("oldest", "flagged"), [(90, False), (50, True)])
def test_a_patient_outside_the_ages_trained_on_is_read_with_a_reason(tmp_path, chest, oldest, flagged):
    calibration = {"kind": "platt", "threshold_on": "score", "labels": {}, "ages": [18, oldest]}
    bundle = make_findings_bundle(tmp_path / "b", calibration=calibration)
    result = load_findings(bundle, Language.EN).predict(chest)  # it says 56 years
    assert result.suitable
    assert (Flaw.AGE in result.flaws) is flagged
    assert any("18 to 50 years" in reason for reason in result.reasons) is flagged


def test_a_models_own_labels_come_after_the_shared_ones(tmp_path):
    labels = ("Fracture", "Nodule", "Old Scar")
    result = ungated(tmp_path / "b", labels=labels, taught=labels).read(BLOB)
    assert [finding.label for finding in result.findings] == [*FINDING_LABELS, "Fracture", "Old Scar"]
    assert by_label(result)["Old Scar"].assessed


def test_a_model_that_knows_nothing_of_the_route_says_so(tmp_path, chest):
    bundle = make_findings_bundle(tmp_path / "b", taught=["Glioma"])
    result = load_findings(bundle, Language.EN).predict(chest)
    assert "taught nothing about this kind of image" in " ".join(result.notes)
    assert (result.suitable, result.screen) == (True, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"thresholds": {"No such": 0.5}},
        {"thresholds": {"Nodule": 1.5}},
        {"calibration": {"kind": "platt", "threshold_on": "luck", "labels": {}}},
        {"calibration": {"kind": "platt", "threshold_on": "probability", "labels": {}}},
        {"calibration": {"kind": "platt", "threshold_on": "score", "labels": {"Nodule": [1]}}},
        {"calibration": {"kind": "platt", "threshold_on": "score", "labels": {"Nodule": ["a", "b"]}}},
        {"calibration": {"kind": "platt", "threshold_on": "score", "labels": [1]}},
        {"calibration": {"kind": "none", "band": [0.5, 0.3]}},
        {"calibration": {"kind": "none", "ages": 18}},
    ],
)
def test_a_manifest_that_cannot_be_is_one_sentence(tmp_path, changes):
    bundle = make_findings_bundle(tmp_path / "b", **changes)
    with pytest.raises(BundleCorrupt, match="findings-blobs cannot be read; train or import"):
        load_findings(bundle)


def test_a_network_without_a_finite_answer_is_one_sentence(bundle):
    findings = load_findings(bundle, gate=False)

    class Broken:
        manifest, preprocessing = findings.model.manifest, findings.model.preprocessing

        def scores(self, batch):
            return np.full((len(batch), len(FINDING_LABELS)), np.nan, np.float32)

        def scores_and_maps(self, batch):
            return self.scores(batch), None

    with pytest.raises(BundleCorrupt, match="no finite score"):
        replace(findings, model=Broken()).read(BLOB)


def test_a_bundle_for_something_else_is_refused(tmp_path, make_bundle):
    make_bundle(tmp_path / "triage")
    with pytest.raises(BundleError, match="not for findings"):
        load_findings(str(tmp_path / "triage"))


def test_names_in_both_languages():
    assert label_name("Effusion", Language.TR) == "Plevral efüzyon"
    assert label_name("Pleural Thickening", Language.EN) == "Pleural thickening"
    assert label_name("Old_Scar", Language.TR) == "Old Scar"
    names = {label_name(label, Language.TR) for label in FINDING_LABELS}
    assert len(names) == len(FINDING_LABELS)


def test_answers_are_in_the_language_asked_for(bundle):
    assert "Kalite denetimi" in load_findings(bundle, Language.TR, gate=False).read(BLOB).notes[0]
