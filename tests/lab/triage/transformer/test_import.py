"""`triage import`: a classifier of somebody else answers as its own library does, or is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.lab.triage.transformer.conftest import WORDS, sentences, write_base
from tetkik.bundle import Task, open_bundle
from tetkik.cli.app import app
from tetkik.lab.triage.transformer.import_classifier import ImportOptions, open_source
from tetkik.triage.predict import load_model

OWN = ("Kardiyoloji Polikliniği", "goz hastaliklari", "Ağrı")
TEXTS = [*sentences(6, seed=3).texts, "Gözüm KIRIK", "dizim " * 200, ""]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier as somebody saves it: lower-casing tokenizer and all."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = tmp_path_factory.mktemp("theirs")
    base = write_base(folder / "base", dropout=0.0)
    (base / "tokenizer_config.json").write_text('{"do_lower_case": true}', encoding="utf-8")
    save(base, folder / "model", id2label=dict(enumerate(OWN)))
    AutoTokenizer.from_pretrained(base).save_pretrained(folder / "model")
    assert AutoModelForSequenceClassification.from_pretrained(folder / "model").num_labels == len(OWN)
    return folder / "model"


def save(source: Path, target: Path, **config: object) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_pretrained(source, **config)
    tokenizer = AutoTokenizer.from_pretrained(source)
    torch.nn.init.normal_(model.classifier.weight, std=2.0)
    with torch.no_grad():
        # No label is far ahead of the others, so that every text counts.
        model.classifier.bias -= model.eval()(**tokenizer(TEXTS[0], return_tensors="pt")).logits[0]
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def run(*words: object) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    result = CliRunner().invoke(app, ["triage", "import", *map(str, words)])
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout, result.stderr


def own_answers(folder: Path) -> np.ndarray:
    """The probabilities of transformers itself, (texts, labels)."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        rows = [
            model(**tokenizer(text, return_tensors="pt", truncation=True, max_length=64)).logits.softmax(-1)
            for text in TEXTS
        ]
    return torch.cat(rows).numpy()


def test_the_bundle_answers_as_transformers_does(theirs, tmp_path):
    status, said, err = run(theirs, "--out", tmp_path / "taken")
    assert status == 0, err
    assert "Outputs: softmax, for its problem_type is not set" in said
    assert "Kardiyoloji Polikliniği is taken for Kardiyoloji." in said and "Ağrı" in err
    bundle = open_bundle(tmp_path / "taken", Task.TRIAGE)
    assert bundle.manifest.labels == ("Kardiyoloji", "Göz Hastalıkları", "Ağrı")
    expected = own_answers(theirs)
    assert np.ptp(expected, axis=0).max() > 0.1, "the texts are told apart"
    assert load_model(bundle).probabilities(TEXTS) == pytest.approx(expected, abs=1e-4)
    assert own_answers(bundle.path) == pytest.approx(expected, abs=1e-6), (
        "and for transformers it is the same"
    )
    card = (bundle.path / "README.md").read_text("utf-8")
    assert "not evaluated" in card.lower() and "| goz hastaliklari | Göz Hastalıkları |" in card
    assert bundle.manifest.metrics == () and "learned.npz" not in bundle.manifest.files


def test_int8_is_smaller_and_says_how_far_it_is(theirs, tmp_path):
    status, _, err = run(theirs, "--out", tmp_path / "small", "--int8", "--labels", ",".join(WORDS))
    assert status == 0, err
    bundle = open_bundle(tmp_path / "small", Task.TRIAGE)
    assert bundle.manifest.labels == tuple(WORDS) and "model-fp32.onnx" not in bundle.manifest.files
    told = bundle.manifest.training["largest_probability_difference_onnx_torch"]
    difference = np.abs(load_model(bundle).probabilities(TEXTS) - own_answers(theirs)).max()
    assert 0 < told < 0.2 and difference < 0.2


def test_what_is_no_classifier_of_departments_is_refused(theirs: Path, tmp_path: Path) -> None:
    def changed(name: str, **config: object) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for file in theirs.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        read = json.loads((folder / "config.json").read_text("utf-8"))
        (folder / "config.json").write_text(json.dumps(read | config), encoding="utf-8")
        return folder

    out = tmp_path / "out"
    together = changed("together", problem_type="multi_label_classification")
    nameless = changed("nameless", id2label={str(at): f"LABEL_{at}" for at in range(3)})
    bare = changed("bare")
    (bare / "model.safetensors").unlink()
    (bare / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    encoder = theirs.parent / "base"
    for words, message in (
        ((together,), "judges each label by itself"),
        ((nameless,), "does not name its labels"),
        ((theirs, "--labels", "A,B"), "has 3 outputs and 2 labels were given"),
        ((bare,), "no pickle is opened"),
        ((encoder, "--labels", "A,B"), "give the fine-tuned model, not its encoder alone"),
        ((tmp_path / "none",), "There is no"),
    ):
        status, said, err = run(*words, "--out", out)
        assert status != 0 and message in err.replace("\n", " "), (words, err)
        assert not said and not out.exists()
    found = open_source(str(together), ImportOptions(softmax=True))
    assert found.reason.template == "--softmax says so"
