"""`tetkik caption predict` before there is a captioner: wrong usage, no model, a missing package."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tetkik.bundle import Task
from tetkik.cli import doctor as system_report
from tetkik.cli.app import app
from tetkik.errors import BundleNotFound
from tetkik.settings import settings
from tetkik.workflow import caption_image


def predict(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["caption", "predict", *map(str, arguments)])
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ([], "No image was given"),
        (["a.png", "--sample", "--beams", "3"], "choose one of the two"),
        (["a.png", "--temperature", "0.5"], "add --sample"),
        (["a.png", "--top-p", "0.5"], "add --sample"),
        (["a.png", "--beams", "0"], "--beams"),
        (["a.png", "--sample", "--top-p", "1.5"], "--top-p"),
        (["a.png", "--quantisation", "int3"], "none"),
    ],
)
def test_wrong_usage_is_status_2_and_one_sentence(arguments, fault):
    status, said, warned = predict(*arguments)
    assert (status, said) == (2, "")
    assert fault in warned and len(warned.splitlines()) == 1


def test_without_a_captioner_one_sentence_says_how_to_get_one(tmp_path):
    status, said, warned = predict(tmp_path / "a.png")
    assert (status, said) == (2, "")
    assert len(warned.splitlines()) == 1
    for word in ("caption train", "models import", "--model", "caption_model"):
        assert word in warned


def test_the_same_in_turkish(turkish_messages, tmp_path):
    _, _, warned = predict(tmp_path / "a.png")
    assert warned.startswith("Açıklama modeli yok") and len(warned.splitlines()) == 1


def test_a_model_for_another_task_and_none_of_that_name(make_bundle, tmp_path):
    make_bundle(tmp_path / "triage")
    status, _, warned = predict(tmp_path / "a.png", "--model", tmp_path / "triage")
    assert status == 1 and "is a bundle for triage, not for caption" in warned
    status, _, warned = predict(tmp_path / "a.png", "--model", "nothing")
    assert status == 2 and "There is no model called nothing" in warned


def test_without_the_extra_it_names_it(make_bundle, monkeypatch, tmp_path):
    make_bundle(tmp_path / "c", task=Task.CAPTION, kind="blip2", labels=("caption",))
    monkeypatch.setitem(sys.modules, "peft", None)
    status, _, warned = predict(tmp_path / "a.png", "--model", tmp_path / "c")
    assert status == 2
    assert "pip install '.[caption]'" in warned and len(warned.splitlines()) == 1


def test_a_report_does_without(tmp_path):
    assert settings().caption_model is None
    with pytest.raises(BundleNotFound):
        caption_image(tmp_path / "a.png", "nothing")


def test_a_caption_bundle_is_a_bundle(make_bundle, own_settings, tmp_path):
    make_bundle(tmp_path / "c", id="captions", task=Task.CAPTION, kind="blip2", labels=("caption",))
    for arguments, words in (
        (["export", tmp_path / "c", "--out", tmp_path / "c.zip"], "c.zip"),
        (["import", tmp_path / "c.zip"], str(own_settings / "captions")),
        (["list"], "captions 1.0 caption blip2"),
        (["show", "captions"], "captions 1.0 · caption · blip2"),
        (["verify", "captions"], "every hash matches"),
    ):
        result = CliRunner().invoke(app, ["models", *map(str, arguments)])
        assert result.exit_code == 0, result.output
        assert words in " ".join(result.stdout.split())


@pytest.fixture
def doctor(monkeypatch):
    monkeypatch.setattr(system_report, "_device", lambda: system_report.Device(4, torch=False))

    def ask() -> tuple[int, str]:
        result = CliRunner().invoke(app, ["doctor"])
        return result.exit_code, " ".join(result.stdout.split())

    return ask


def test_doctor_without_a_captioner(doctor):
    status, said = doctor()
    assert status == 0
    assert "none is set: a report does without captions" in said


def test_doctor_names_the_captioner_and_what_is_wrong_with_it(
    doctor, make_bundle, own_settings, monkeypatch, tmp_path
):
    def named(model: object) -> tuple[int, str]:
        monkeypatch.setenv("TETKIK_CAPTION_MODEL", str(model))
        settings.cache_clear()
        found: tuple[int, str] = doctor()
        return found

    monkeypatch.chdir(tmp_path)
    made = {"task": Task.CAPTION, "kind": "blip2", "labels": ("caption",)}
    make_bundle(own_settings / "captions", id="captions", **made)
    assert "captions is used for captions" in named("captions")[1]
    make_bundle(Path("elsewhere"), id="captions", **made)
    assert "elsewhere is used for captions" in named("./elsewhere")[1]
    Path("elsewhere/model.npz").write_bytes(b"altered")
    status, said = named("./elsewhere")
    assert (status, "does not match the SHA-256" in said) == (0, True)
    assert "not for caption" in named("triage-linear-tr")[1]
    assert "There is no model called" in named("nothing")[1]
    monkeypatch.setenv("TETKIK_OFFLINE", "false")
    assert "on a hub, where doctor does not look" in named("someone/captions")[1]


@pytest.mark.parametrize(("java", "said"), [("/usr/bin/java", "METEOR too"), (None, "without METEOR")])
def test_doctor_looks_for_java(doctor, monkeypatch, java, said):
    monkeypatch.setattr(shutil, "which", lambda name: java)
    assert said in doctor()[1]


def test_doctor_says_how_much_memory_a_card_has(monkeypatch):
    card = system_report.Device(4, torch=True, cuda=("A card",), cuda_bytes=(15 << 30,))
    monkeypatch.setattr(system_report, "_device", lambda: card)
    said = CliRunner().invoke(app, ["doctor"], env={"COLUMNS": "100"}).stdout
    assert "A card, 15.0 GiB" in said
