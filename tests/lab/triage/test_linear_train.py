"""Training the light model: what it learns, what it writes, what it refuses, and going on after a stop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.interrupting import stopped_at
from tests.triage.sentences import invented
from tetkik.bundle import open_bundle
from tetkik.errors import BundleCorrupt, DataError, OutputError
from tetkik.lab.engine.learned_rows import read_learned
from tetkik.lab.engine.options import LearnedTreatment
from tetkik.lab.triage.comparison import compare
from tetkik.lab.triage.data import Complaints, read_invented
from tetkik.lab.triage.evaluate import evaluate
from tetkik.lab.triage.linear import fit as fitting
from tetkik.lab.triage.linear.train import LinearOptions, train_linear, unlearned
from tetkik.language import Language, Sentence
from tetkik.triage.linear.model import LinearModel
from tetkik.triage.predict import load_triage

SILENT = LinearOptions(id="tiny", assess=False)


def quiet(step: str, done: int, total: int | None) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("linear") / "tiny"
    train_linear(invented(180), out, LinearOptions(id="tiny", data_name="invented"), quiet)
    return out


def test_it_learns_and_says_how_well(folder: Path) -> None:
    bundle = open_bundle(folder)
    model = LinearModel.load(bundle)
    unseen = invented(60, seed=9)
    probabilities = model.probabilities(unseen.texts)
    right = [bundle.manifest.labels[row.argmax()] for row in probabilities] == np.array(unseen.labels)
    assert np.mean(right) > 0.95
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    by_name = {metric.name: metric for metric in bundle.manifest.metrics}
    assert by_name["accuracy"].value > 0.9
    assert by_name["accuracy"].n == 180
    assert "nested" in by_name["accuracy"].split[0].template
    assert 0 < bundle.manifest.thresholds["abstain"] <= 1


def test_the_card_is_filled(folder: Path) -> None:
    card = (folder / "README.md").read_text("utf-8")
    assert card.startswith("---\nlibrary_name:")
    assert "180 complaints" in card
    assert "| Kardiyoloji | 60 |" in card
    assert "nested 5-fold" in card


def test_no_words_are_in_the_bundle(folder: Path) -> None:
    with np.load(folder / "model.npz", allow_pickle=False) as arrays:
        assert all(arrays[name].dtype.kind in "uif" for name in arrays.files)


def test_evidence_is_what_decided(folder: Path) -> None:
    model = LinearModel.load(open_bundle(folder))
    text = "Merhaba hocam, iki haftadır kalbim hızlı çarpıyor, ekg çektirdim"
    evidence = model.evidence(text, model.manifest.labels.index("Kardiyoloji"))
    assert {"kalbim", "çarpıyor", "ekg"} & {item.text for item in evidence[:3]}
    assert all(text[item.span.start : item.span.end] == item.text for item in evidence)
    weights = [item.weight for item in evidence]
    assert weights == sorted(weights, reverse=True)
    assert model.evidence("!!!", 0) == ()


def test_the_same_data_give_the_same_weights(tmp_path: Path) -> None:
    data = invented(90)
    for name in ("one", "two"):
        train_linear(data, tmp_path / name, SILENT, quiet)
    with np.load(tmp_path / "one/model.npz") as one, np.load(tmp_path / "two/model.npz") as two:
        for name in one.files:
            np.testing.assert_array_equal(one[name], two[name])


def table_of_invented(path: Path) -> Path:
    """Complaints of a fourth writer, with words of their own; those of the test split are wrong."""
    said = {
        "Dermatoloji": "siğil",
        "Göz Hastalıkları": "arpacık",
        "Kardiyoloji": "tansiyon",
        "Üroloji": "taş",
    }
    lines = [
        f'"{word} çıktı, {n} gündür",{label};Pediatri,train' for n in range(9) for label, word in said.items()
    ]
    lines += ['"siğil çıktı",Kardiyoloji,test'] * 50
    path.write_text("text,departments,split\n" + "\n".join(lines), encoding="utf-8")
    return path


def test_invented_complaints_are_learned_and_not_measured_on(folder: Path, tmp_path: Path) -> None:
    data = invented(180)
    more = read_invented(table_of_invented(tmp_path / "more.csv"), labels=set(data.labels))
    assert len(more) == 27
    with pytest.raises(DataError, match="split train"):
        read_invented(tmp_path / "more.csv", labels={"Nöroloji"})
    bundle = train_linear(data, tmp_path / "out", LinearOptions(id="tiny", data_name="real"), quiet, more)
    manifest = bundle.manifest
    assert manifest.training["invented"] in fitting.INVENTED and manifest.training["mix"] <= 1
    assert manifest.training["rows"] == 180 and manifest.training["invented_rows"] == 27
    assert {metric.n for metric in manifest.metrics} == {180}
    assert "27 invented complaints" in (tmp_path / "out" / "README.md").read_text("utf-8")
    label = manifest.labels.index("Göz Hastalıkları")
    learned, before = (LinearModel.load(open_bundle(one)) for one in (tmp_path / "out", folder))
    assert learned.unknown(["arpacık"])[0] < before.unknown(["arpacık"])[0]
    assert learned.probabilities(["arpacık"])[0, label] > before.probabilities(["arpacık"])[0, label]
    with pytest.raises(DataError, match="--invented"):
        unlearned(bundle, data, (Sentence("all"),), lambda done, total: None)


def test_many_rows_are_held_out_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "HOLDOUT_FROM", 150)
    monkeypatch.setattr("tetkik.lab.triage.linear.train.HOLDOUT_FROM", 150)
    monkeypatch.setattr(fitting, "_CHUNK", 64)
    bundle = train_linear(invented(180), tmp_path / "large", SILENT, quiet)
    by_name = {metric.name: metric for metric in bundle.manifest.metrics}
    assert by_name["accuracy"].n < 40
    assert by_name["accuracy"].value > 0.9


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("başım ağrıyor", "Nöroloji")] * 30, "one department only"),
        ([("başım ağrıyor", "Nöroloji"), ("gözüm kızardı", "Göz Hastalıkları")], "fewer than 10"),
        (
            [(f"başım ağrıyor {n}", "Nöroloji") for n in range(30)] + [("gözüm", "Göz Hastalıkları")] * 30,
            "Göz",
        ),
    ],
)
def test_data_that_cannot_teach(rows: list[tuple[str, str]], message: str, tmp_path: Path) -> None:
    texts, labels = zip(*rows, strict=True)
    with pytest.raises(DataError, match=message):
        train_linear(Complaints(texts, labels, {}), tmp_path / "out", SILENT, quiet)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="not a model bundle"):
        train_linear(invented(90), tmp_path / "out", SILENT, quiet)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_a_stopped_training_leaves_no_bundle_and_goes_on_to_the_same(tmp_path: Path) -> None:
    table = tmp_path / "data.csv"
    data = invented(60)
    lines = [
        "text,label",
        *(f'"{text}",{label}' for text, label in zip(data.texts, data.labels, strict=True)),
    ]
    table.write_text("\n".join(lines), encoding="utf-8")
    train = ["triage", "train", str(table), "--out"]
    command = [sys.executable, "-m", "tetkik", *train]
    environment = {**os.environ, "TETKIK_LANGUAGE": "en"}
    stopped = subprocess.run(
        [*stopped_at(6), *train, str(tmp_path / "a" / "m")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    work = tmp_path / "a" / ".m.training"
    assert len(list(work.glob("*.npy"))) >= 5
    assert stopped.returncode == 130, stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [".m.training"]
    for name, extra in (("a", ["--resume"]), ("b", [])):
        subprocess.run(
            [*command, str(tmp_path / name / "m"), *extra], env=environment, check=True, capture_output=True
        )
    with np.load(tmp_path / "a/m/model.npz") as one, np.load(tmp_path / "b/m/model.npz") as two:
        for name in one.files:
            np.testing.assert_array_equal(one[name], two[name])
    assert not work.exists()


def test_damaged_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    bundle = open_bundle(folder)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert manifest["kind"] == "linear"
    for number, content in enumerate((b"", b"PK\x03\x04broken", (folder / "model.npz").read_bytes()[:5000])):
        copy = tmp_path / str(number)
        copy.mkdir()
        (copy / "model.npz").write_bytes(content)
        with pytest.raises(BundleCorrupt, match="not a readable linear model"):
            LinearModel.load(type(bundle)(copy, bundle.manifest))


def test_its_own_training_rows_are_told_from_new_ones(folder: Path) -> None:
    learned, new = invented(180), invented(40, seed=3)
    known = read_learned(open_bundle(folder))
    assert known is not None
    mixed = Complaints(
        (*(text.upper() for text in learned.texts[:20]), *new.texts),
        (*learned.labels[:20], *new.labels),
        {},
    )
    found = evaluate(load_triage(str(folder)), mixed, learned=known, bootstrap=0, robustness=False)
    report = found.as_json()["learned_rows"]
    assert (len(found.judged), report["given"], report["same"] + report["near"]) == (40, 60, 20)
    assert report["figures"]["accuracy"] > 0.9
    assert "20 of the 60 rows" in found.interpretation[0].in_language(Language.EN)
    with pytest.raises(DataError, match="All 180 rows"):
        evaluate(load_triage(str(folder)), learned, learned=known, robustness=False)


def test_compare_leaves_out_what_one_of_the_two_learned(folder: Path) -> None:
    learned, new = invented(180), invented(40, seed=3)
    mixed = Complaints((*learned.texts[:20], *new.texts), (*learned.labels[:20], *new.labels), {})
    model = load_triage(str(folder))
    found = compare(model, model, mixed, learned=(None, read_learned(open_bundle(folder))), bootstrap=0)
    reports = found.as_json()["learned_rows"]
    assert (found.n, reports["a"]["known"], reports["b"]["same"]) == (40, False, 20)
    assert compare(model, model, mixed, treatment=LearnedTreatment.INCLUDE, bootstrap=0).n == 60
