"""A triage model gets its reference: by its training, from complaints, from its own data; never in place."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.triage.sentences import invented
from tetkik.bundle import Bundle, ComplaintReference, read_reference, resolve
from tetkik.cli.app import app
from tetkik.errors import DataError
from tetkik.lab.triage.data import Complaints
from tetkik.lab.triage.linear import fit as fitting
from tetkik.lab.triage.linear.train import LinearOptions, out_of_fold, train_linear, unlearned
from tetkik.lab.triage.reference import OutOfFold, ReferenceComplaints, make_reference, observe
from tetkik.language import Sentence
from tetkik.triage.predict import load_triage

DATA = invented(90)


def quiet(*_: object) -> None:
    """No progress."""


def trained(out: Path, **options: Any) -> Bundle:
    return train_linear(DATA, out, LinearOptions(id="tiny", assess=False, **options), quiet)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Bundle:
    return trained(tmp_path_factory.mktemp("bundles") / "tiny")


def table(file: Path, complaints: Complaints) -> Path:
    with file.open("w", encoding="utf-8", newline="") as stream:
        rows = zip(complaints.texts, complaints.labels, strict=True)
        csv.writer(stream).writerows([("text", "label"), *rows])
    return file


def run(*arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    result = CliRunner().invoke(app, ["triage", "reference", *map(str, arguments)])
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout, result.stderr


def of(bundle: Bundle) -> ComplaintReference:
    found = read_reference(bundle)
    assert isinstance(found, ComplaintReference)
    return found


def test_a_training_leaves_one_of_answers_by_models_that_had_not_learned_the_complaint(model):
    found, others = of(model), out_of_fold(DATA, quiet).others
    assert others is not None
    assert found.complaints == len(DATA) and found.split[0].values == {"folds": 8}
    for place, label in enumerate(model.manifest.labels):
        one = found.labels[label]
        assert one.positive == sum(others.probabilities.argmax(axis=1) == place)
        assert (one.present, one.absent) == (30, 60)
        assert one.scores.mean == pytest.approx(others.probabilities[:, place].mean(), abs=0.02)
    # The model itself knows each word of what it learned better than that.
    assert found.unknown is not None
    assert found.unknown.mean == pytest.approx(others.unknown.mean(), abs=0.013)
    assert others.unknown.mean() >= load_triage(model).model.unknown(DATA.texts).mean()
    assert "## Reference for drift" in (model.path / "README.md").read_text("utf-8")
    assert "reference" not in model.manifest.training


def test_it_changes_no_weight_and_may_be_left_out(model, tmp_path):
    without = trained(tmp_path / "tiny", reference=0)
    assert read_reference(without) is None
    assert without.manifest.files["model.npz"] == model.manifest.files["model.npz"]


def test_many_rows_give_the_tenth_that_was_held_out(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "HOLDOUT_FROM", 80)
    monkeypatch.setattr("tetkik.lab.triage.linear.train.HOLDOUT_FROM", 80)
    found = of(trained(tmp_path / "large"))
    assert found.complaints < 20 and found.split[0].template.startswith("the tenth")


def test_other_complaints_give_the_models_own_answers(model, tmp_path):
    unseen = invented(30, seed=9)
    texts = (*unseen.texts, "I have a headache and my stomach hurts since yesterday")
    data = table(tmp_path / "ours.csv", Complaints(texts, (*unseen.labels, "Kardiyoloji"), {}))
    before = {file.name: file.read_bytes() for file in model.path.iterdir()}
    out = tmp_path / "with"
    status, said, _ = run(data, "--model", model.path, "--out", out, "--id", "ours", "--split", "spring")
    assert status == 0 and "31 complaints" in said and "Not read by a model: 1" in said
    made = resolve(str(out))
    found = of(made)
    assert (found.data, found.split, found.complaints, found.refused) == (
        "ours",
        (Sentence("spring"),),
        31,
        1,
    )
    scores = load_triage(model).scores(unseen.texts)
    assert found.labels["Kardiyoloji"].scores.mean == pytest.approx(scores[:, -1].mean(), abs=0.02)
    assert made.manifest.id == "ours"
    assert {file.name: file.read_bytes() for file in model.path.iterdir()} == before
    shown = CliRunner().invoke(app, ["models", "show", str(out)]).stdout
    assert "Reference for drift: 31 complaints" in shown and "spring" in shown


def test_of_what_it_learned_models_are_asked_that_did_not(model, tmp_path):
    data, out = table(tmp_path / "learned.csv", DATA), tmp_path / "with"
    assert run(data, "--model", model.path, "--out", out, "--data-name", "training table")[0] == 0
    assert of(resolve(str(out))) == of(model)  # to the last count
    assert (out / "model.npz").read_bytes() == (model.path / "model.npz").read_bytes()


def test_of_what_another_kind_learned_nothing_honest_can_be_said(model):
    other = model.manifest.model_copy(update={"kind": "transformer"})
    with pytest.raises(DataError, match="learned these very complaints"):
        unlearned(Bundle(model.path, other), DATA, (Sentence("all"),), quiet)


def test_what_was_held_out_decides_and_not_the_model(model):
    sure = np.tile([0.9, 0.06, 0.04], (len(DATA), 1))
    others = OutOfFold(sure, np.full(len(DATA), 0.5))
    given = ReferenceComplaints(DATA.texts, DATA.labels, (Sentence("s"),), others)
    found = make_reference(load_triage(model), given, "d")
    assert found.labels[model.manifest.labels[0]].positive == len(DATA)
    assert found.unknown is not None and found.unknown.mean == pytest.approx(0.5, abs=0.03)
    assert len(observe(load_triage(model), given.some(10))) == 10
    assert given.some(10).texts == given.some(10).texts and given.some(1000) is given


def test_a_model_is_never_changed_in_its_place(model, tmp_path):
    status, _, said = run(table(tmp_path / "a.csv", DATA), "--model", model.path, "--out", model.path)
    assert status == 2 and "stays as it is" in said
    manifest = json.loads((model.path / "manifest.json").read_text("utf-8"))
    assert manifest["files"]["reference.json"] == model.manifest.files["reference.json"]


def test_measures_know_no_word(model):
    triage = load_triage(model)
    one = triage.measure("Kalbim çarpıyor zzzyx")
    assert (one.words, one.plain) == (3, False) and one.unknown == pytest.approx(1 / 3)
    assert triage.measure("basim agriyor").plain
    unread = triage.measure("I have a headache")
    assert (unread.words, unread.unknown) == (4, None)
