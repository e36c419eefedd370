"""Code that comes with a model is never run, nor is anybody asked whether it may be."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import tetkik
from tetkik.cli.app import app
from tetkik.errors import BundleCorrupt, TetkikError, TrainingError
from tetkik.settings import settings

pytestmark = pytest.mark.attack
SOURCE = Path(tetkik.__file__).parent


def test_every_model_of_transformers_is_opened_without_its_code():
    calls = [
        (file.name, call)
        for file in SOURCE.rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "from_pretrained"
        and ast.unparse(call.func.value) != "PeftModel"  # which knows no such code
    ]
    assert len(calls) >= 12
    for name, call in calls:
        given = {word.arg: ast.unparse(word.value) for word in call.keywords}
        assert given.get("trust_remote_code") == "False", f"{name}: {ast.unparse(call)}"


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A model that brings code for each of its parts; the file that shows that it ran; what was asked."""
    folder = tmp_path / "model"
    folder.mkdir()
    ran = tmp_path / "ran"
    (folder / "own.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Own: pass\n")
    parts = ("AutoConfig", "AutoModel", "AutoModelForImageClassification", "AutoTokenizer")
    own = {"auto_map": dict.fromkeys(parts, "own.Own"), "model_type": "own"}
    (folder / "config.json").write_text(json.dumps(own))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({**own, "auto_map": {"AutoTokenizer": ["own.Own"] * 2}})
    )
    (folder / "model.safetensors").write_bytes(b"")

    asked: list[object] = []

    def ask(*about: object) -> str:
        asked.append(about)
        return "y"

    monkeypatch.setattr("builtins.input", ask)
    return folder, ran, asked


def test_importing_a_model_asks_for_nothing_and_runs_nothing(hostile, tmp_path):
    folder, ran, asked = hostile
    arguments = ["findings", "import", str(folder), "--labels", "nih", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments, input="y\n")
    assert result.exit_code == 1
    assert "code of its own, which Tetkik does not run" in " ".join(result.output.split())
    assert not ran.exists() and asked == []


def test_nor_does_any_other_way_to_a_model(hostile):
    from tetkik.caption.families.staged import CaptionTokenizer
    from tetkik.findings.networks.huggingface import check_configuration
    from tetkik.lab.triage.transformer.convert import convert_base
    from tetkik.lab.triage.transformer.data import open_base
    from tetkik.report.retrieval.search import open_embedder

    folder, ran, asked = hostile
    assert settings().offline
    for kind, act in (
        (BundleCorrupt, lambda: check_configuration("x", folder)),
        (BundleCorrupt, lambda: CaptionTokenizer.open(folder, "x")),
        (TrainingError, lambda: open_base(str(folder), 128)),
        (TrainingError, lambda: convert_base(str(folder), folder.parent / "safe")),
        (TetkikError, lambda: open_embedder(str(folder))),
    ):
        with pytest.raises(kind):
            act()
    assert not ran.exists() and asked == []
