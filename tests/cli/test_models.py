"""`tetkik models`: list, show, verify, import, export."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from tetkik.bundle import Metric
from tetkik.cli.app import app
from tetkik.language import Sentence
from tetkik.settings import settings


def run(*arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    result = CliRunner().invoke(app, ["models", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_list(make_bundle, own_settings):
    make_bundle(own_settings / "ornek")
    status, said, _ = run("list")
    assert status == 0
    assert any(line.split()[:4] == ["ornek", "1.0", "triage", "linear"] for line in said.splitlines())


def test_list_as_json_is_an_object_a_line(make_bundle, own_settings):
    make_bundle(own_settings / "ornek")
    make_bundle(own_settings / "other", id="other", task="findings")
    _, said, _ = run("list", "--json")
    found = {entry["id"]: entry for entry in map(json.loads, said.splitlines())}
    assert found["other"]["task"] == "findings"
    assert found["ornek"]["path"] == str(own_settings / "ornek")


def test_list_leaves_out_what_is_broken_and_says_so(make_bundle, own_settings):
    make_bundle(own_settings / "ornek")
    make_bundle(own_settings / "broken", id="broken")
    (own_settings / "broken" / "manifest.json").write_text("{")
    status, said, warned = run("list")
    assert status == 0
    assert "broken" not in said
    assert "Broken models left out: 1; `tetkik models verify` says why." in warned


def test_show(make_bundle, own_settings, turkish_messages):
    metric = Metric(
        name="macro_f1", value=0.5, low=0.4, high=0.6, n=10, data="[x] invented", split=(Sentence("all"),)
    )
    make_bundle(own_settings / "ornek", metrics=(metric,))
    settings.cache_clear()
    status, said, _ = run("show", "ornek")
    assert status == 0
    assert "ornek 1.0 · triage · linear" in said
    assert "Göz Hastalıkları, Dahiliye" in said
    assert "macro_f1" in said and "0.400 … 0.600" in said and "[x]" in said
    assert "bölüntü" in said


def test_show_as_json_is_the_manifest(make_bundle, own_settings):
    made = make_bundle(own_settings / "ornek")
    _, said, _ = run("show", "ornek", "--json")
    assert json.loads(said) == made.manifest.model_dump(mode="json")


def test_verify_one_and_all(make_bundle, own_settings):
    make_bundle(own_settings / "ornek")
    make_bundle(own_settings / "aaa", id="aaa")
    assert run("verify", "ornek") == (0, "ornek 1.0: 3 files, every hash matches.\n", "")
    (own_settings / "aaa" / "model.npz").write_bytes(b"altered")
    status, said, warned = run("verify")
    assert status == 1
    assert "ornek 1.0: 3 files" in said
    assert "aaa: model.npz does not match the SHA-256" in warned
    status, said, warned = run("verify", "aaa")
    assert (status, said) == (1, "")
    assert len(warned.splitlines()) == 1


def test_export_then_import(make_bundle, own_settings, tmp_path):
    make_bundle(tmp_path / "b")
    status, said, _ = run("export", tmp_path / "b", "--out", tmp_path / "b.zip")
    assert (status, said.strip()) == (0, str(tmp_path / "b.zip"))
    status, said, _ = run("import", tmp_path / "b.zip")
    assert status == 0
    assert str(own_settings / "ornek") in said
    status, _, warned = run("import", tmp_path / "b.zip")
    assert status == 1
    assert "A model called ornek is already in" in warned


@pytest.mark.parametrize("command", ["show", "verify"])
def test_an_unknown_model_is_one_sentence(command, turkish_messages):
    settings.cache_clear()
    status, said, warned = run(command, "nothing")
    assert (status, said) == (2, "")
    assert warned.startswith("nothing adlı bir model yok; var olanları `tetkik models list` gösterir")
    assert len(warned.splitlines()) == 1


def test_a_pickle_is_one_sentence(tmp_path):
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04N.")
    for command in ("show", "import"):
        status, _, warned = run(command, tmp_path / "model.pkl")
        assert status == 1
        assert "is a pickle, which can run any code" in warned
        assert len(warned.splitlines()) == 1
