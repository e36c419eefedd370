"""`tetkik doctor`: what it says, in both languages, and when it raises the alarm."""

from __future__ import annotations

import json
import shutil
import sys

import pytest
from typer.testing import CliRunner

from tests.ports import free_port
from tetkik import bundle
from tetkik.bundle import Task, store
from tetkik.cli import doctor
from tetkik.cli.app import app
from tetkik.cli.console import words
from tetkik.settings import Settings, settings


@pytest.fixture(autouse=True)
def builtin(tmp_path, make_bundle, monkeypatch):
    """A built-in folder of this test's own, with small models under the built-in ids; no device is asked."""
    folder = tmp_path / "builtin"
    make_bundle(folder / "triage-linear-tr", id="triage-linear-tr")
    make_bundle(folder / "urgency-linear-tr", id="urgency-linear-tr", task=Task.URGENCY)
    make_bundle(folder / "findings-mobilenet-cxr", id="findings-mobilenet-cxr", task=Task.FINDINGS)
    monkeypatch.setattr(store, "builtin_folder", lambda: folder)
    monkeypatch.setattr(doctor, "builtin_folder", lambda: folder)
    monkeypatch.setattr(doctor, "_device", lambda: doctor.Device(4, torch=False))
    return folder


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["doctor", *arguments], env={"COLUMNS": "100"})
    return result.exit_code, result.stdout, result.stderr


def report():
    return json.loads(run("--json")[1])


def test_all_is_well():
    status, said, warned = run()
    assert (status, warned) == (0, "")
    for word in ("Tetkik 0.", "Python 3.", "Parts", "Models", "Device", "Settings", "onnx", "n-grams"):
        assert word in said
    assert "triage, linear: every hash matches" in said


def test_in_turkish(turkish_messages):
    _, said, _ = run()
    for word in ("Parçalar", "Modeller", "Aygıt", "Ayarlar", "bütün özetler uyuşuyor", "ortam değişkeni"):
        assert word in said


def test_a_missing_or_altered_built_in_model_is_status_1(builtin):
    (builtin / "triage-linear-tr" / "model.npz").write_bytes(b"altered")
    status, said, warned = run()
    assert status == 1
    assert "SHA-256" in " ".join(said.split())
    assert "The built-in model triage-linear-tr cannot be used" in warned
    shutil.rmtree(builtin / "triage-linear-tr")
    status, said, _ = run()
    assert status == 1
    assert "There is no model at" in " ".join(said.split())
    assert report()["ok"] is False


def test_another_broken_model_is_shown_and_is_no_alarm(make_bundle, own_settings):
    make_bundle(own_settings / "ornek")
    (own_settings / "ornek" / "README.md").unlink()
    status, _, _ = run()
    models = {model["id"]: model for model in report()["models"]}
    assert status == 0
    assert models["triage-linear-tr"]["ok"] is True
    assert "lacks its file README.md" in models["ornek"]["fault"]


def test_settings_with_their_origin(tmp_path, monkeypatch):
    file = tmp_path / "tetkik.toml"
    file.write_text("threads = 3\nmax_text_chars = 500\n")
    monkeypatch.setenv("TETKIK_CONFIG", str(file))
    monkeypatch.setenv("TETKIK_MAX_TEXT_CHARS", "600")
    settings.cache_clear()
    found = report()["settings"]
    assert found.keys() == Settings.model_fields.keys()
    assert found["threads"] == {"value": 3, "origin": "file"}
    assert found["max_text_chars"] == {"value": 600, "origin": "environment"}
    assert found["offline"] == {"value": True, "origin": "default"}
    assert report()["config_file"] == str(file)
    assert report()["offline"] is True


def test_a_secret_from_a_file_of_its_own_has_no_other_origin(tmp_path, monkeypatch):
    (tmp_path / "tetkik-llm-key").write_text("very secret\n")
    monkeypatch.setenv("TETKIK_SECRETS_DIR", str(tmp_path))
    settings.cache_clear()
    assert report()["settings"]["llm_key"] == {"value": "**********", "origin": "file"}
    assert report()["settings"]["oidc_client_secret"] == {"value": None, "origin": "default"}


def test_a_misspelt_variable_is_pointed_out(monkeypatch):
    monkeypatch.setenv("TETKIK_OFLINE", "false")
    assert "TETKIK_OFLINE is not a setting of Tetkik" in run()[2]
    assert report()["unknown_variables"] == ["TETKIK_OFLINE"]


def test_a_missing_package_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setattr(doctor, "_version_of", lambda name: None if name == "scipy" else "1.0")
    said = " ".join(run()[1].split())
    assert "missing: scipy (pip install '.[train]')" in said
    assert report()["extras"]["train"]["missing"] == ["scipy"]


def test_an_object_storage_that_does_not_answer_is_status_1(monkeypatch):
    assert report()["object_storage"] is None
    monkeypatch.setattr("tetkik.records.storage.s3._RETRIES", 0)
    monkeypatch.setenv("TETKIK_OBJECT_STORAGE", "s3://tetkik")
    for name, value in {
        "ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "KEY": "a",
        "SECRET": "geheim",
    }.items():
        monkeypatch.setenv(f"TETKIK_OBJECT_STORAGE_{name}", value)
    settings.cache_clear()
    status, said, _ = run()
    assert status == 1 and "no answer" in " ".join(said.split()) and "geheim" not in said
    assert "no answer" in report()["object_storage"]["fault"]


def test_every_extra_has_a_purpose():
    found = {extra.name for extra in doctor.extras()}
    assert {"onnx", "data", "train", "torch"} <= found
    assert found <= words("extra").keys()


def test_without_the_compiled_n_grams(monkeypatch):
    monkeypatch.setitem(sys.modules, "tetkik.triage.linear._ngrams", None)
    assert report()["compiled_ngrams"] is False
    assert "not compiled: NumPy gives the same answers" in run()[1]


@pytest.mark.parametrize(
    ("device", "sentence"),
    [
        (doctor.Device(4, torch=True), "none: training runs on the CPU"),
        (doctor.Device(4, torch=True, cuda=("A card",)), "A card"),
        (doctor.Device(4, torch=True, torch_fault="libcuda"), "cannot be loaded (libcuda)"),
        (doctor.Device(4, torch=False), "not looked for"),
    ],
)
def test_the_device(monkeypatch, device, sentence):
    monkeypatch.setattr(doctor, "_device", lambda: device)
    status, said, _ = run()
    assert status == 0
    assert sentence in said


def test_a_bad_setting_is_one_sentence(monkeypatch):
    monkeypatch.setenv("TETKIK_THREADS", "none")
    settings.cache_clear()
    status, said, warned = run()
    assert (status, said) == (2, "")
    assert "The setting threads cannot be used" in warned


def test_a_missing_model_of_findings_is_status_1_too(builtin):
    shutil.rmtree(builtin / "findings-mobilenet-cxr")
    status, _, warned = run()
    assert status == 1
    assert "The built-in model findings-mobilenet-cxr cannot be used" in warned


def test_what_dicom_images_can_be_read():
    assert "reads uncompressed, RLE, JPEG, JPEG lossless, JPEG-LS, JPEG 2000" in " ".join(run()[1].split())
    assert report()["dicom"]["JPEG 2000"] is True


def test_a_missing_decoder_is_named_and_is_status_1(monkeypatch):
    monkeypatch.setattr(doctor, "_codecs", lambda: {"RLE": True, "JPEG-LS": False})
    status, said, _ = run()
    assert status == 1
    assert "reads RLE; cannot read JPEG-LS: install Tetkik again" in " ".join(said.split())


def test_without_pydicom_nothing_can_be_read(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom.pixels.decoders.base", None)
    assert not any(doctor._codecs().values())


def test_the_store_is_asked_for_every_folder(builtin):
    assert [path.name for path in bundle.bundle_folders()] == [
        "findings-mobilenet-cxr",
        "triage-linear-tr",
        "urgency-linear-tr",
    ]


def test_who_writes_drafts_and_for_which_hospital(monkeypatch):
    said = " ".join(run()[1].split())
    assert "no language model is set: the built-in composer writes the drafts" in said
    assert "no name is set: documents have no head" in said
    assert report()["reports"] == {
        "language_model": None,
        "missing": None,
        "allowed": True,
        "hospital": None,
    }
    monkeypatch.setenv("TETKIK_HOSPITAL_NAME", "Deneme Hastanesi")
    monkeypatch.setenv("TETKIK_LLM_URL", "http://localhost:8000/v1")
    monkeypatch.setattr(doctor, "_version_of", lambda name: "1.0")
    settings.cache_clear()
    status, said, _ = run()
    assert status == 0
    assert "localhost writes the drafts, and where it fails the built-in composer" in " ".join(said.split())
    assert "Deneme Hastanesi" in said
    assert report()["reports"]["language_model"] == "localhost"


@pytest.mark.parametrize(
    ("url", "installed", "sentence"),
    [
        ("http://localhost/v1", False, "localhost is set, but httpx is missing (pip install '.[llm]')"),
        ("gemini", False, "gemini is set, but google-genai is missing (pip install '.[llm]')"),
        ("gemini", True, "gemini is outside this hospital and may not be asked; the setting is llm_outside"),
        ("https://8.8.8.8/v1", True, "8.8.8.8 is outside this hospital and may not be asked"),
    ],
)
def test_a_language_model_that_cannot_be_asked_is_no_alarm(monkeypatch, url, installed, sentence):
    monkeypatch.setenv("TETKIK_LLM_URL", url)
    monkeypatch.setattr(doctor, "_version_of", lambda name: "1.0" if installed else None)
    settings.cache_clear()
    status, said, _ = run()
    assert status == 0  # the composer writes
    assert sentence in " ".join(said.split())


def test_no_secret_of_a_language_model_is_shown(monkeypatch):
    monkeypatch.setenv("TETKIK_LLM_KEY", "geheim-4711")
    monkeypatch.setenv("TETKIK_LLM_URL", "http://somebody:geheim-4711@localhost/v1")
    settings.cache_clear()
    assert "geheim-4711" not in run()[1] + run("--json")[1]


def test_the_hospitals_systems_are_asked_and_what_their_file_names_is_looked_for(tmp_path, monkeypatch):
    file = tmp_path / "systems.toml"
    file.write_text('[[peer]]\nname = "hbys"\nhl7 = "127.0.0.1:1"\nmapping = "no.toml"\n')
    monkeypatch.setenv("TETKIK_INTEGRATIONS", str(file))
    settings.cache_clear()
    status, said, _ = run()
    assert status == 1 and "does not answer" in said and "no.toml" in said
    asked = {"name": "hbys", "how": "MLLP", "address": "127.0.0.1:1", "answers": False}
    assert report()["systems"]["probes"] == [asked]
    file.write_text("peer = 1\n")
    assert "cannot be used" in " ".join(run()[1].split())
