"""Bundles on disk: written, read back, verified, staged, resolved."""

from __future__ import annotations

import errno
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import edit_manifest
from tetkik.bundle import (
    FORMAT_VERSION,
    Manifest,
    Metric,
    Task,
    available,
    bundle_folders,
    open_bundle,
    read_manifest,
    resolve,
    sha256_of,
    staged_folder,
)
from tetkik.errors import BundleCorrupt, BundleMismatch, BundleNotFound, OutputError, TetkikError
from tetkik.language import Sentence


@pytest.mark.parametrize("template", ["{n.__class__}", "{n[0]}", "{n:99999999}", "{m}", "{n"])
def test_a_sentence_of_another_reaches_into_no_value(template):
    with pytest.raises(ValueError, match="split"):
        Metric(name="x", value=1, n=1, data="d", split=(Sentence(template, {"n": 1}),))


def test_written_and_read_back(tmp_path, make_bundle):
    metric = Metric(
        name="macro_f1", value=0.5, low=0.4, high=0.6, n=10, data="invented", split=(Sentence("all"),)
    )
    made = make_bundle(tmp_path / "b", metrics=(metric,), thresholds={"abstain": 0.25}, training={"seed": 1})
    found = open_bundle(tmp_path / "b", Task.TRIAGE)
    assert found.manifest == made.manifest
    assert found.manifest.metrics == (metric,)
    assert found.manifest.name == "ornek 1.0"
    assert set(found.manifest.files) == {"README.md", "model.npz", "tokens/vocab.txt"}
    assert np.load(found.file("model.npz"))["weights"].shape == (500,)
    assert found.manifest.files["model.npz"] == sha256_of(tmp_path / "b" / "model.npz")


def test_a_manifest_below_the_top_is_a_file_like_others(tmp_path, make_bundle):
    folder = tmp_path / "b"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "manifest.json").write_text("{}")
    assert "inner/manifest.json" in make_bundle(folder).manifest.files


def test_an_unnamed_file_is_refused(tmp_path, make_bundle):
    with pytest.raises(BundleCorrupt, match=r"has no file other\.npz"):
        make_bundle(tmp_path / "b").file("other.npz")


def _change_a_byte(folder: Path) -> None:
    content = bytearray((folder / "model.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.npz").write_bytes(content)


def _truncate(folder: Path) -> None:
    content = (folder / "model.npz").read_bytes()
    (folder / "model.npz").write_bytes(content[: len(content) // 2])


def _lose(folder: Path) -> None:
    (folder / "tokens" / "vocab.txt").unlink()


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (_change_a_byte, "model.npz does not match the SHA-256"),
        (_truncate, "model.npz does not match the SHA-256"),
        (_lose, "lacks its file tokens/vocab.txt"),
        (lambda folder: (folder / "manifest.json").unlink(), "no readable manifest.json"),
        (lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe{"), "is not JSON"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "is not JSON"),
        (lambda folder: (folder / "manifest.json").write_text("[" * 100_000), "is not JSON"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "is not valid"),
        (lambda folder: (folder / "manifest.json").write_text(" " * (5 << 20)), "no readable manifest.json"),
        (lambda folder: edit_manifest(folder, surprise=1), r"surprise"),
        (lambda folder: edit_manifest(folder, labels=["a", "a"]), "a label stands twice"),
        (lambda folder: edit_manifest(folder, labels=[]), "labels"),
        (lambda folder: edit_manifest(folder, id="../up"), r"id: "),
        (lambda folder: edit_manifest(folder, format_version="2"), "format_version"),
        (lambda folder: edit_manifest(folder, thresholds={"abstain": float("nan")}), "thresholds"),
        (lambda folder: edit_manifest(folder, files={"/etc/hostname": "0"}), "names a file outside"),
        (lambda folder: edit_manifest(folder, files={"../other": "0"}), "names a file outside"),
        (lambda folder: edit_manifest(folder, files={"a\\b": "0"}), "names a file outside"),
        (lambda folder: edit_manifest(folder, files={"tokens": "0"}), "lacks its file tokens"),
    ],
)
def test_a_damaged_bundle_is_refused_in_one_sentence(tmp_path, make_bundle, harm, sentence):
    make_bundle(tmp_path / "b")
    harm(tmp_path / "b")
    with pytest.raises(BundleCorrupt, match=sentence) as caught:
        open_bundle(tmp_path / "b")
    assert str(tmp_path / "b") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_manifest_nested_too_deep_is_refused(tmp_path, make_bundle):
    make_bundle(tmp_path / "b")
    file = tmp_path / "b" / "manifest.json"
    deep = '{"a":' * 3_000 + "1" + "}" * 3_000
    file.write_text(file.read_text().replace('"training": {}', f'"training": {deep}'))
    with pytest.raises(BundleCorrupt):
        open_bundle(tmp_path / "b")


def test_another_task_is_refused(tmp_path, make_bundle):
    make_bundle(tmp_path / "b", task="findings")
    with pytest.raises(BundleMismatch, match="is a bundle for findings, not for triage"):
        open_bundle(tmp_path / "b", Task.TRIAGE)


def test_a_newer_format_is_refused_though_it_has_unknown_keys(tmp_path, make_bundle):
    make_bundle(tmp_path / "b")
    edit_manifest(tmp_path / "b", format_version=FORMAT_VERSION + 1, surprise=1)
    with pytest.raises(BundleMismatch, match="update Tetkik"):
        read_manifest(tmp_path / "b")


class _Bomb:
    def __reduce__(self):
        return Path.touch, (Path("opened"),)


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "model", "model.pt"])
def test_a_pickle_is_refused_and_not_opened(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / name
    if name.endswith(".pt"):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(_Bomb()))
    else:
        file.write_bytes(pickle.dumps(_Bomb()))
    with pytest.raises(BundleCorrupt, match="is a pickle, which can run any code"):
        open_bundle(file)
    assert not (tmp_path / "opened").exists()


def test_other_files_offered_as_a_model(tmp_path, make_bundle):
    zipped = tmp_path / "model.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("manifest.json", "{}")
    with pytest.raises(BundleCorrupt, match="tetkik models import"):
        open_bundle(zipped)
    (tmp_path / "empty").touch()
    with pytest.raises(BundleCorrupt, match="is not a model bundle"):
        open_bundle(tmp_path / "empty")
    with pytest.raises(BundleNotFound):
        open_bundle(tmp_path / "nowhere")


def test_an_interval_has_both_ends():
    with pytest.raises(ValueError, match="both ends"):
        Metric(name="x", value=1, low=0.5, n=1, data="d", split=(Sentence("s"),))


# Staging


@pytest.mark.parametrize(
    "fault", [ValueError("x"), KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")]
)
def test_nothing_is_left_where_the_work_ends_badly(tmp_path, fault):
    with pytest.raises(type(fault)), staged_folder(tmp_path / "out") as stage:
        (stage / "half").write_text("x")
        raise fault
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_bundle_survives_a_bad_end(tmp_path, make_bundle):
    before = make_bundle(tmp_path / "b").manifest
    with pytest.raises(KeyboardInterrupt), staged_folder(tmp_path / "b") as stage:
        (stage / "half").write_text("x")
        raise KeyboardInterrupt
    assert open_bundle(tmp_path / "b").manifest == before
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_an_earlier_bundle_comes_back_where_the_new_one_cannot_take_its_place(
    tmp_path, make_bundle, monkeypatch
):
    before = make_bundle(tmp_path / "b").manifest
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(OSError, match="No space"), staged_folder(tmp_path / "b") as stage:
        (stage / "x").write_text("x")
    assert open_bundle(tmp_path / "b").manifest == before
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_bundle_takes_the_place_of_an_earlier_one(tmp_path, make_bundle):
    make_bundle(tmp_path / "b")
    with staged_folder(tmp_path / "b") as stage:
        stage.rmdir()
        make_bundle(stage, version="2.0")
    assert open_bundle(tmp_path / "b").manifest.version == "2.0"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_other_folders_and_files_are_never_overwritten(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.docx").write_text("years")
    (tmp_path / "file").write_text("x")
    for name in ("work", "file"):
        with pytest.raises(OutputError, match="choose another --out"), staged_folder(tmp_path / name):
            raise AssertionError("must not begin")
    assert (tmp_path / "work" / "thesis.docx").read_text() == "years"


def test_an_empty_folder_and_missing_parents_will_do(tmp_path):
    (tmp_path / "empty").mkdir()
    for target in (tmp_path / "empty", tmp_path / "a" / "b"):
        with staged_folder(target) as stage:
            (stage / "x").write_text("x")
        assert (target / "x").read_text() == "x"


# Finding


def test_found_by_path_and_by_id(tmp_path, make_bundle, own_settings, monkeypatch):
    make_bundle(own_settings / "ornek")
    make_bundle(tmp_path / "elsewhere", id="other")
    assert resolve("ornek", Task.TRIAGE).path == own_settings / "ornek"
    assert resolve(str(tmp_path / "elsewhere")).manifest.id == "other"
    monkeypatch.chdir(tmp_path)
    assert resolve("./elsewhere").manifest.id == "other"
    assert resolve("elsewhere").manifest.id == "other"


@pytest.mark.parametrize("name", ["nothing", "a/b/c", "./nothing", "~/nothing-of-this-name", "\x00", "ü"])
def test_what_is_not_there_is_one_sentence(name):
    with pytest.raises(BundleNotFound) as caught:
        resolve(name)
    assert "`tetkik models list`" in str(caught.value)


def test_a_hub_id_offline_is_one_sentence_without_a_network(monkeypatch, tmp_path):
    pytest.importorskip("huggingface_hub")
    import socket

    def refuse(*_: object) -> None:
        raise AssertionError("a network was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BundleNotFound, match="TETKIK_OFFLINE=false") as caught:
        resolve("nobody/nothing-of-this-name")
    assert "\n" not in str(caught.value)


def test_the_list_leaves_out_what_is_broken(make_bundle, own_settings):
    make_bundle(own_settings / "ornek")
    make_bundle(own_settings / "broken", id="broken")
    (own_settings / "broken" / "manifest.json").write_text("{")
    (own_settings / ".import-x").mkdir()
    (own_settings / ".import-x" / "manifest.json").write_text("{}")
    (own_settings / "notes").mkdir()
    found = [item.path.name for item in available()]
    assert "ornek" in found
    assert {"broken", ".import-x", "notes"}.isdisjoint(found)
    assert "broken" in [path.name for path in bundle_folders()]


def test_the_manifest_written_is_readable_and_in_utf8(tmp_path, make_bundle):
    make_bundle(tmp_path / "b")
    text = (tmp_path / "b" / "manifest.json").read_text("utf-8")
    assert "Göz Hastalıkları" in text
    assert Manifest.model_validate_json(text).labels == ("Göz Hastalıkları", "Dahiliye")
    assert json.loads(text)["files"]


def test_every_fault_of_a_bundle_can_be_caught_at_the_root(tmp_path):
    with pytest.raises(TetkikError):
        open_bundle(tmp_path)
