"""`tetkik findings predict` as a person or a script meets it, and the radiograph of `tetkik demo`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.findings.bundles import make_findings_bundle, sensitivity
from tetkik import drawing
from tetkik.bundle import store
from tetkik.cli.app import app
from tetkik.cli.findings.inputs import image_files
from tetkik.errors import InputError
from tetkik.settings import settings
from tetkik.workflow import read_radiograph

PROGRAM = (sys.executable, "-c", "from tetkik.cli import main; main()")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "blobs"
    make_findings_bundle(folder, metrics=[sensitivity("Effusion", 0.95)])
    return str(folder)


@pytest.fixture
def folder(tmp_path, chest, brain):
    """A hospital's folder: two images, a broken one between them, a text, a hidden file, one below."""
    place = tmp_path / "çekimler"
    (place / "seri 2").mkdir(parents=True)
    shutil.copy(chest, place / "a")  # DICOM files often have no ending
    (place / "b.png").write_bytes(b"no image")
    shutil.copy(chest, place / "c.dcm")
    (place / "notes.txt").write_text("x" * 300)
    (place / ".hidden.png").write_bytes(b"x")
    (place / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    shutil.copy(brain, place / "seri 2" / "d.DCM")
    return place


def predict(*arguments, **options):
    result = CliRunner().invoke(app, ["findings", "predict", *map(str, arguments)], **options)
    assert "Traceback" not in result.output
    return result


def answers(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_folder_as_json_one_object_a_line_in_order(folder, model):
    result = predict(folder, "--model", model, "--json")
    assert result.exit_code == 1
    assert [answer["path"] for answer in answers(result)] == [
        str(folder / name) for name in ("a", "b.png", "c.dcm", "seri 2/d.DCM")
    ]
    assert [answer.get("route", "error") for answer in answers(result)] == [
        "chest",
        "error",
        "chest",
        "brain_mri",
    ]
    assert set(answers(result)[1]) == {"path", "error"}
    assert "b.png" in answers(result)[1]["error"]


def test_all_is_well_is_status_0_and_an_unsuitable_image_too(tmp_path, chest, model):
    Image.new("L", (400, 400), 128).save(tmp_path / "flat.png")
    result = predict(chest, tmp_path / "flat.png", "--model", model, "--json", "--workers", 0)
    assert result.exit_code == 0
    assert [answer["suitable"] for answer in answers(result)] == [True, False]
    assert answers(result)[1]["findings"] == []
    assert answers(result)[1]["reasons"]


def test_without_the_gate_it_says_so(tmp_path, model):
    Image.new("L", (400, 400), 128).save(tmp_path / "flat.png")
    (answer,) = answers(predict(tmp_path / "flat.png", "--model", model, "--json", "--no-gate"))
    assert (answer["suitable"], answer["gated"], answer["route"]) == (True, False, None)
    assert "switched off" in predict(tmp_path / "flat.png", "--model", model, "--no-gate").stdout


def test_files_patterns_and_lists_come_in_the_order_they_are_named(tmp_path, folder):
    listed = tmp_path / "list.txt"
    listed.write_bytes(f"\ufeff{folder / 'a'}\r\n\n{folder}/*.dcm\n".encode())
    given = [str(folder / "seri 2"), f"{folder}/**/*.DCM", f"{folder}/none-*", "not there"]
    found = [
        item if isinstance(item, str) else type(item).__name__ for item in image_files(given, str(listed))
    ]
    deep = str(folder / "seri 2" / "d.DCM")
    assert found == [deep, deep, "InputError", "not there", str(folder / "a"), str(folder / "c.dcm")]


@pytest.mark.parametrize(
    "name",
    ["-x.png", "a[1].png", "a*b.png", "a\nb.png", "a b.png", "ğüş.png", "\u202egnp.exe", "{0}.png", "%s.png"],
)
def test_names_of_every_kind(tmp_path, chest, model, name):
    shutil.copy(chest, tmp_path / name)
    result = predict("--model", model, "--json", "--", tmp_path / name)
    assert result.exit_code == 0, result.output
    assert [answer["path"] for answer in answers(result)] == [str(tmp_path / name)]
    shown = predict("--model", model, "--", tmp_path / name)
    assert shown.exit_code == 0
    assert "\u202e" not in shown.stdout


def test_a_name_that_is_not_utf_8_comes_back_as_it_was(tmp_path, chest, model):
    path = os.fsencode(tmp_path) + b"/\xff\xfe.dcm"
    shutil.copy(chest, path)
    result = subprocess.run(
        [*PROGRAM, "findings", "predict", "--input", "-", "--model", model, "--json"],
        input=path + b"\n",
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert os.fsencode(json.loads(result.stdout)["path"]) == path


def test_a_folder_that_links_to_itself_ends(folder):
    (folder / "again").symlink_to(folder)
    assert len(list(image_files([str(folder)], None))) == 4


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_and_what_is_hidden_or_gone_are_no_images(folder):
    os.mkfifo(folder / "pipe")
    (folder / "nowhere").symlink_to(folder / "gone")
    (folder / ".trash").mkdir()
    shutil.copy(folder / "c.dcm", folder / ".trash")
    names = [Path(str(path)).name for path in image_files([str(folder)], None)]
    assert names == ["a", "b.png", "c.dcm", "d.DCM"]


def test_a_folder_that_cannot_be_listed_is_said_and_the_others_are_read(folder):
    """Here one whose path is longer than any may be; one without permission is the same to the walk."""
    place = os.open(folder, os.O_RDONLY)
    for _ in range(17):
        os.mkdir("k" * 250, dir_fd=place)
        within = os.open("k" * 250, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = within
    os.close(place)
    found = list(image_files([str(folder)], None))
    assert [Path(item).name for item in found if isinstance(item, str)] == ["a", "b.png", "c.dcm", "d.DCM"]
    (fault,) = [item for item in found if isinstance(item, InputError)]
    assert "k" * 250 in str(fault) and "cannot be used" in str(fault)


def test_an_empty_name_is_no_folder(model):
    result = predict("", "--model", model, "--json")
    (answer,) = answers(result)
    assert result.exit_code == 1 and answer["error"].startswith("The name of an image is empty")


def test_an_empty_folder_and_an_empty_list_are_named(tmp_path, model):
    (tmp_path / "empty").mkdir()
    result = predict(tmp_path / "empty", "--model", model)
    assert (result.exit_code, result.stdout) == (1, result.stdout)
    assert "There is no image in the folder" in result.stderr
    (error,) = image_files([str(tmp_path / "empty")], None)
    assert isinstance(error, InputError)
    result = predict("--input", "-", "--model", model, input="")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "There is no image in standard input." in result.stderr


def test_no_input_at_all_is_wrong_usage(model):
    result = predict("--model", model)
    assert result.exit_code == 2
    assert "No image was given" in result.stderr
    result = predict("--input", "none.txt", "--model", model)
    assert result.exit_code == 1
    assert "There is no file none.txt" in result.stderr


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("Chest radiograph", "Brain MRI slice", "Pleural effusion", "Not assessed: Atelectasis,")),
        ("tr", ("Akciğer grafisi", "Beyin MR kesiti", "Plevral efüzyon", "Değerlendirilmedi: Atelektazi,")),
    ],
)
def test_for_people_in_both_languages(folder, model, language, words, monkeypatch):
    monkeypatch.setenv("TETKIK_LANGUAGE", language)
    settings.cache_clear()
    result = predict(folder, "--model", model)
    assert result.exit_code == 1
    for word in words:
        assert word in " ".join(result.stdout.split())
    assert "b.png" in result.stderr
    assert "Glioma" not in result.stdout.split("seri 2")[0], "labels of the other route are not listed"


def test_heatmaps_are_written_and_named_in_the_answer(folder, model, tmp_path):
    result = predict(folder, "--model", model, "--json", "--heatmaps", tmp_path / "maps")
    drawn = [path for answer in answers(result) for path in answer.get("heatmaps", {}).values()]
    assert drawn
    # a and c.dcm are one file twice: the same pictures.
    assert sorted(set(drawn)) == sorted(str(path) for path in (tmp_path / "maps").iterdir())
    for path in set(drawn):
        with Image.open(path) as picture:
            assert picture.format == "PNG"


def test_one_path_from_an_image_to_its_findings(chest, model):
    answer = read_radiograph(chest, model).as_json()
    assert answer == answers(predict(chest, "--model", model, "--json"))[0]


@pytest.fixture
def builtin(tmp_path, monkeypatch):
    """The built-in folder with the real model of triage and the blobs as the built-in model of findings."""
    place = tmp_path / "builtin"
    place.mkdir()
    for path in store.builtin_folder().iterdir():
        if path.is_dir() and path.name != "findings-mobilenet-cxr":
            (place / path.name).symlink_to(path)
    make_findings_bundle(place / "findings-mobilenet-cxr", id="findings-mobilenet-cxr")
    monkeypatch.setattr(store, "builtin_folder", lambda: place)


def demo(*arguments):
    return CliRunner().invoke(app, ["demo", *map(str, arguments)])


def test_the_demo_reads_a_film_that_it_draws(builtin, tmp_path):
    result = demo("--out", tmp_path / "out", "--complaint", "Öksürüyorum, balgam var")
    assert result.exit_code == 0, result.output
    assert "A synthetic radiograph, drawn by Tetkik" in result.stdout
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"triage.jsonl", "findings.jsonl", "phantom.dcm"} < names
    assert any(name.endswith(".png") for name in names)
    answer = json.loads((tmp_path / "out" / "findings.jsonl").read_text("utf-8"))
    assert (answer["route"], answer["suitable"]) == ("chest", True)


def test_the_demo_leaves_nothing_that_names_the_patient(builtin, tmp_path, chest):
    import pydicom

    dataset = pydicom.dcmread(chest)
    dataset.PatientName, dataset.PatientID = "YILMAZ^AYSE", "12345678901"
    secret = tmp_path / "AYSE_YILMAZ.dcm"
    dataset.save_as(secret)
    out = tmp_path / "out"
    result = demo("--out", out, "--image", secret, "--complaint", "Öksürüyorum, balgam var")
    assert result.exit_code == 0, result.output
    files = [path for path in out.rglob("*") if path.is_file()]
    assert "phantom.dcm" not in {path.name for path in files}
    assert any(path.suffix == ".png" for path in files)
    # The documents of the patient, in a folder of their own, name the patient as they must.
    documents = [path for path in files if path.parent.name == "report" and path.name != "draft.json"]
    assert b"YILMAZ" in (out / "report" / "report.hl7").read_bytes()
    for path in files:
        content = path.name.encode() + (b"" if path in documents else path.read_bytes())
        for word in (b"YILMAZ", b"AYSE", b"12345678901", bytes(dataset.SOPInstanceUID, "ascii")):
            assert word not in content, path.name


def test_the_demo_with_a_bad_image_is_one_sentence(builtin, tmp_path):
    (tmp_path / "x.dcm").write_bytes(b"no image")
    result = demo("--out", tmp_path / "out", "--image", tmp_path / "x.dcm", "--complaint", "Öksürüyorum")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "x.dcm" in result.stderr
    assert not list((tmp_path / "out").glob("findings*"))


def test_reading_images_is_not_loaded_for_help():
    code = "import sys; from tetkik.cli.app import app; import tetkik.workflow; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert {"PIL", "pydicom", "onnxruntime"}.isdisjoint(loaded.split())


def test_the_font_comes_with_its_licence():
    place = Path(drawing.__file__).parent / "font"
    assert {"DejaVuSans.ttf", "LICENSE.txt"} <= {path.name for path in place.iterdir()}
