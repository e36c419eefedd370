"""Bad input, a full disk, an impatient user: one sentence, the right status, nothing half-written."""

from __future__ import annotations

import csv
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.conftest import edit_manifest
from tests.full_disk import full_disk
from tests.interrupting import stopped_at
from tests.triage.sentences import invented
from tetkik.bundle import bundle_id, open_bundle, write_manifest
from tetkik.cli.app import app
from tetkik.cli.console import shown
from tetkik.csv_rows import read_columns
from tetkik.errors import BundleCorrupt, DataError
from tetkik.lab.triage.data import read_complaints
from tetkik.lab.triage.linear.train import LinearOptions, train_linear
from tetkik.settings import settings
from tetkik.triage.linear.model import LinearModel

PROGRAM = (sys.executable, "-m", "tetkik")
HEADER = b"text,label\n"


def run(*arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    result = CliRunner().invoke(app, list(map(str, arguments)))
    return result.exit_code, result.stdout, result.stderr


def one_line(said: str, *parts: str) -> None:
    """One sentence with these parts, and nothing that commands a terminal."""
    assert len(said.splitlines()) == 1, said
    assert said.rstrip("\n").isprintable()
    for part in parts:
        assert part in said


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small linear model of three departments."""
    folder = tmp_path_factory.mktemp("bad input") / "model"
    train_linear(invented(90), folder, LinearOptions(id="small", assess=False), lambda *_: None)
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A sound table."""
    path = tmp_path / "table.csv"
    complaints = invented(90)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [("text", "label"), *zip(complaints.texts, complaints.labels, strict=True)]
        )
    return path


# Tables


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty; give a file with a header"),
        (b"\xef\xbb\xbf\n \n", "is empty; give a file with a header"),
        (bytes(100_000), "is not a text file"),
        (bytes(range(256)) * 10, "is not a text file"),
        ("text,label\nğöz,a\n".encode("utf-16"), "is not UTF-8 in line 1"),
        (HEADER + b"a,b\n" * 50_000 + b"a\x00b,c\n", "is not UTF-8 in line 50002"),
        (HEADER + b"x" * (17 << 20), "has a line of more than 16 MB, line 2"),
        (HEADER + b'"open,b\n' + b"c,d\n" * 500, "has a quote in line 2 that is not closed"),
        (HEADER + b"a,b,,\nhead, chest,b\n", "has more cells than columns in line 3; put"),
        (HEADER + b"1,a,b\n", "has more cells than columns in line 2; put"),
        (b"Text,LABEL\na,b\n", "has no column text (its columns are: Text, LABEL); rename one"),
    ],
    ids=[
        "empty",
        "blank",
        "zeros",
        "binary",
        "utf-16",
        "nul",
        "long line",
        "open quote",
        "comma",
        "short header",
        "columns",
    ],
)
def test_a_table_that_is_none(tmp_path, content, said):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_complaints(path)
    one_line(str(caught.value), "table.csv", said)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device")
def test_a_device_without_an_end_ends():
    for arguments in (("triage", "evaluate", "/dev/zero"), ("triage", "predict", "--input", "/dev/zero")):
        status, said, fault = run(*arguments)
        assert (status, said) == (1, "")
        one_line(fault, "/dev/zero")
    status, _, fault = run("models", "import", "/dev/zero")
    assert status == 1
    one_line(fault, "/dev/zero is not a model bundle")


def test_line_ends_of_every_kind_and_blank_lines_are_read(tmp_path):
    path = tmp_path / "table.csv"
    for end in ("\n", "\r\n", "\r"):
        path.write_bytes(f'\ntext;label{end}"a{end}b";c{end}{end}d{end}'.encode())
        assert read_columns(path, ("text", "label")) == [("a\nb", "c"), ("d", "")]


def test_a_label_carries_nothing_invisible(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("text,label\na,Göz\u00a0 Hastalıkları\u202e\nb,x\x1b[31m\n", encoding="utf-8")
    assert read_complaints(path).labels == ("Göz Hastalıkları", "x [31m")


# Predict


def test_standard_input_that_is_closed():
    for arguments in ((), ("--input", "-")):
        result = subprocess.run(
            ["sh", "-c", 'exec "$@" <&-', "sh", *PROGRAM, "triage", "predict", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (result.returncode, result.stdout) == (2, "")
        one_line(result.stderr, "No complaint was given")


def test_a_line_too_long_costs_itself_alone(tmp_path, bundle):
    path = tmp_path / "complaints.txt"
    path.write_bytes(b"a" * (40 << 20) + "\ngözüm kızardı\n".encode())
    status, said, _ = run("triage", "predict", "--input", path, "--model", bundle, "--json")
    failed, answered = said.splitlines()
    assert status == 1
    assert "Line 1 of" in failed and "is longer than 16 MB" in failed
    assert "gözüm kızardı" in answered


def test_utf_16_is_told_of_once(tmp_path, bundle):
    path = tmp_path / "complaints.txt"
    path.write_text("gözüm kızardı\n" * 20, encoding="utf-16")
    status, _, said = run("triage", "predict", "--input", path, "--model", bundle)
    assert status == 1
    one_line(said, "is not text in UTF-8; save it as UTF-8")


def test_no_complaint_at_all_is_said(bundle):
    status, said, warned = run("triage", "predict", "--input", os.devnull, "--model", bundle, "--json")
    assert (status, said) == (0, "")
    one_line(warned, "There is no complaint in")


def test_nothing_printed_commands_the_terminal(tmp_path, bundle):
    status, _, said = run("triage", "predict", "--input", tmp_path / "a\x1b[31m\n\u202eb")
    assert status == 1
    one_line(said, "There is no file", "a\ufffd[31m\ufffd\ufffdb")
    _, said, _ = run("triage", "predict", "\x1b[2J\u202egözüm kızardı\x9b", "--model", bundle)
    assert "\ufffd[2J\ufffdgözüm kızardı\ufffd" in said
    assert shown("a\u00a0b\tc", keep="\t") == "a\u00a0b\tc"


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"COLUMNS": "0"},
        {"COLUMNS": "20"},
    ],
    ids=["C locale", "no width", "narrow"],
)
def test_a_poor_terminal_still_gets_the_answer(bundle, environment):
    result = subprocess.run(
        [*PROGRAM, "triage", "predict", "gözüm kızardı", "--model", str(bundle)],
        env={**os.environ, "TETKIK_LANGUAGE": "tr", **environment},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("gözüm kızardı")
    assert "YEŞİL" in result.stdout
    if "20" in environment.values():
        assert max(map(len, result.stdout.splitlines())) <= 20


# Models


@pytest.mark.parametrize("model", ["", "~nosuchuser/x"])
def test_a_model_that_is_no_path(model):
    status, _, said = run("triage", "predict", "gözüm", "--model", model)
    assert status == 2
    one_line(said, "There is no model")


def _array(folder: Path, **changes: np.ndarray) -> None:
    with np.load(folder / "model.npz") as arrays:
        content = {**arrays, **changes}
    np.savez(folder / "model.npz", **content)


def _huge(folder: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000000,), }".ljust(117) + b"\n"
    raw = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(folder / "model.npz") as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(folder / "model.npz", "w") as new:
        for name, content in members.items():
            new.writestr(name, raw if name == "weights.npy" else content)


def _bomb(folder: Path) -> None:
    with (
        zipfile.ZipFile(folder / "model.npz", "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("more.npy", "w") as file,
    ):
        for _ in range(513):
            file.write(bytes(1 << 20))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: _array(folder, term_idf=np.ones(3, np.float32)),
        lambda folder: _array(folder, char_idf=np.full(_features(folder), np.nan, np.float32)),
        lambda folder: _array(folder, char_buckets=np.arange(_features(folder), dtype=np.uint32)[:, None]),
        lambda folder: _array(folder, weights=_weights(folder).astype("U")),
        lambda folder: _array(folder, weights=_weights(folder).astype(complex)),
        _huge,
        _bomb,
        lambda folder: (folder / "model.npz").write_bytes(pickle.dumps({"weights": 1})),
    ],
    ids=["terms", "nan", "shape", "text", "complex", "huge", "bomb", "pickle"],
)
def test_hostile_weights_with_a_matching_hash(tmp_path, bundle, spoil):
    folder = shutil.copytree(bundle, tmp_path / "model")
    spoil(folder)
    found = open_bundle(bundle)
    write_manifest(folder, found.manifest)
    with pytest.raises(BundleCorrupt, match="is not a readable linear model"):
        LinearModel.load(open_bundle(folder))


def _weights(folder: Path) -> np.ndarray:
    with np.load(folder / "model.npz") as arrays:
        return np.asarray(arrays["weights"])


def _features(folder: Path) -> int:
    with np.load(folder / "model.npz") as arrays:
        return len(arrays["char_idf"])


def test_a_bundle_with_a_pickle_is_refused(tmp_path, bundle):
    folder = shutil.copytree(bundle, tmp_path / "model")
    (folder / "extra.pkl").write_bytes(pickle.dumps(1))
    write_manifest(folder, open_bundle(bundle).manifest)
    status, _, said = run("triage", "predict", "gözüm", "--model", folder)
    assert status == 1
    one_line(said, "holds extra.pkl, a kind of file that can run code")


@pytest.mark.parametrize("changes", [{"labels": ["a", "\x1b[31mb"]}, {"version": "1\n2"}])
def test_a_manifest_with_terminal_commands_is_refused(tmp_path, bundle, changes):
    folder = shutil.copytree(bundle, tmp_path / "model")
    edit_manifest(folder, **changes)
    with pytest.raises(BundleCorrupt, match="a character that cannot be printed"):
        open_bundle(folder)


def test_a_zip_is_named_and_not_where_it_was_unpacked(tmp_path, bundle):
    whole = tmp_path / "whole.zip"
    assert run("models", "export", bundle, "--out", whole)[0] == 0
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole.read_bytes()[:5000])
    status, _, said = run("models", "import", cut)
    assert status == 1
    one_line(said, "cut.zip is a zip that breaks off before its end; fetch it again.")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("manifest.json", "{}")
    status, _, said = run("models", "import", tmp_path / "other.zip")
    assert status == 1
    one_line(said, "other.zip", "is not valid")
    assert ".import-" not in said


def test_models_of_other_labels_are_not_compared(tmp_path, table, bundle):
    folder = shutil.copytree(bundle, tmp_path / "model")
    edit_manifest(folder, labels=["Nöroloji", "Üroloji", "Psikiyatri"])
    status, _, said = run("triage", "compare", bundle, folder, table)
    assert status == 1
    one_line(said, "have no label in common; compare models of the same departments.")


# Places to write to


@pytest.mark.parametrize(
    "command",
    [
        ("triage", "train", "{table}", "--out", "{table}/model"),
        ("triage", "clean", "{table}", "--out", "{table}/clean.csv"),
        ("triage", "evaluate", "{table}", "--out", "{table}/figures"),
        ("models", "export", "triage-linear-tr", "--out", "{table}/model.zip"),
        ("demo", "--out", "{table}"),
    ],
    ids=lambda command: command[1],
)
def test_a_place_inside_a_file(table, command):
    before = table.read_bytes()
    status, said, fault = run(*(part.format(table=table) for part in command))
    assert (status, said) == (1, "")  # before the work, not after it
    one_line(fault, "table.csv", "a file; choose a")
    assert [path.name for path in table.parent.iterdir()] == ["table.csv"]
    assert table.read_bytes() == before


@pytest.mark.parametrize(
    "command",
    [
        ("triage", "train", "{table}", "--out", "{out}", "--no-assess", "--no-deduplicate"),
        ("triage", "clean", "{table}", "--out", "{out}", "--no-suspects"),
        ("triage", "evaluate", "{table}", "--model={model}", "--out={out}", "--learned-rows=include"),
        ("models", "export", "{model}", "--out", "{out}"),
        ("demo", "--out", "{out}"),
    ],
    ids=lambda command: command[1],
)
def test_a_full_disk(tmp_path, table, bundle, command):
    out = tmp_path / "results" / "out"
    with full_disk(4000):
        status, _, fault = run(*(part.format(table=table, out=out, model=bundle) for part in command))
    assert status == 1
    assert f"The disk is full ({out}" in fault.splitlines()[-1]
    left = [path for path in out.parent.rglob("*") if path.is_file()]
    # A training keeps its finished pieces for --resume, each of them whole.
    assert all(path.parent.name == ".out.training" and "partial" not in path.name for path in left)


def test_a_full_disk_is_not_the_fault_of_an_input(tmp_path, table):
    other = tmp_path / "other.csv"
    other.write_text("text,label\n" + "başım ağrıyor ne yapayım,?\n" * 2000, encoding="utf-8")
    with full_disk(20_000):
        status, _, fault = run("triage", "clean", other, table, "--out", tmp_path / "clean.csv")
    assert status == 1
    assert "The disk is full" in fault.splitlines()[-1]
    assert "other.csv" not in fault


# Training


def test_an_id_is_looked_at_before_the_training(table):
    status, _, said = run("triage", "train", table, "--out", table.parent / "model", "--id", "../evil")
    assert status == 2
    one_line(said, "--id ../evil is no name for a model")


def test_a_folder_with_turkish_letters_names_the_model(tmp_path, table):
    folder = tmp_path / "göz modeli"
    assert run("triage", "train", table, "--out", folder, "--no-assess")[0] == 0
    assert open_bundle(folder).manifest.id == "goz-modeli"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Şikâyet_1.0", "Sikayet_1.0"), ("../x", "x"), ("a\nb", "a-b"), ("日本", ""), ("a" * 300, "a" * 100)],
)
def test_ids(name, expected):
    assert bundle_id(name).casefold() == expected.casefold()


def test_an_interrupted_training_says_how_to_go_on(tmp_path, table):
    command = [*stopped_at(1), "triage", "train", str(table), "--out", str(tmp_path / "model")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    said = ended.stderr.splitlines()
    assert ended.returncode == 130 and "train 1/" in said[0]
    assert said[-1] == "Stopped; run the same command with --resume to go on where it ended."
    assert {path.name for path in tmp_path.iterdir()} == {"table.csv", ".model.training"}


# Sentences in Turkish


@pytest.mark.usefixtures("turkish_messages")
def test_faults_of_settings_are_in_turkish(monkeypatch):
    for name, value, said in (
        ("TETKIK_THREADS", "many", "threads ayarı kullanılamıyor (tam sayı gerekli)"),
        ("TETKIK_OFFLINE", "perhaps", "offline ayarı kullanılamıyor (true ya da false gerekli)"),
        ("TETKIK_CONFIG", "nofile", "nofile diye bir ayar dosyası yok"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            settings.cache_clear()
            status, _, fault = run("triage", "predict", "gözüm")
        assert status == 2
        one_line(fault, said)


@pytest.mark.usefixtures("turkish_messages")
def test_cleaning_names_its_faults_in_turkish(tmp_path):
    settings.cache_clear()
    path = tmp_path / "table.csv"
    for content, said in (
        ("text,label\n", "başlığın altında satır yok"),
        ("text,label\n,Nöroloji\n", "en sık neden: metin boş"),
        ("\n" * 30 + "text", "okunabilen bir başlık yok"),
    ):
        path.write_text(content, encoding="utf-8")
        status, _, fault = run("triage", "clean", path, "--out", tmp_path / "clean.csv")
        assert status == 1
        one_line(fault.splitlines()[-1], said)
    assert (
        "klasör, oysa dosya gerekli" in run("triage", "clean", tmp_path, "--out", tmp_path / "clean.csv")[2]
    )
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]
