"""`--config`: options from a file, and those of each training beside its model."""

from __future__ import annotations

import json
import shutil
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from tests.lab.findings.train_kit import draw
from tetkik.bundle import open_bundle
from tetkik.bundle.store import builtin_folder
from tetkik.cli import app as command_line
from tetkik.cli.config import configurable, key_of
from tetkik.cli.options import argument, option
from tetkik.cli.translation import Root, translated


class Kind(StrEnum):
    LINEAR = "linear"
    DEEP = "deep"


given: list[tuple[object, ...]] = []


@configurable
def train(
    table: Annotated[Path | None, argument("The clean table (CSV).", "DATA.csv")] = None,
    *,
    epochs: Annotated[int, option("Most passes over the data.", min=1)] = 5,
    learning_rate: Annotated[float, option("The highest learning rate.")] = 1e-3,
    kind: Annotated[Kind, option("Train a model.")] = Kind.LINEAR,
    keep: Annotated[bool, option("Train a model.", "--keep-torch/--no-torch")] = True,
    sources: Annotated[list[str] | None, option("Train a model.", "--source")] = None,
    folder: Annotated[Path, option("The folder of the bundle to write.", "--out")],
) -> None:
    given.append((table, epochs, learning_rate, kind, keep, sources, folder))


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app = typer.Typer(cls=Root)
    app.command("train")(train)
    app.callback()(lambda: None)
    translated(app)
    given.clear()

    def invoke(content: str | bytes, *words: str) -> str:
        Path("c.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
        result = CliRunner().invoke(app, ["train", "--config", "c.yaml", *words], prog_name="tetkik")
        assert (result.exit_code == 0) is bool(given), result.output
        return result.output

    return invoke


def test_the_file_gives_what_the_command_line_does_not(run):
    said = run(
        "table: t.csv\nepochs: 7\nlearning_rate: 1e-4\nkind: deep\n"
        "keep-torch: false\nsource: [a, b]\nout: m\n",
        *("--epochs", "3", "--source", "c"),
    )
    assert said == ""
    assert given == [(Path("t.csv"), 3, 1e-4, Kind.DEEP, False, ["c"], Path("m"))]


def test_an_empty_file_gives_nothing(run):
    run("# nothing\n", "--out", "m", "--no-torch")
    assert given == [(None, 5, 1e-3, Kind.LINEAR, False, None, Path("m"))]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("epochz: 3\nfolder: m", "has epochz, folder, which is no option of `tetkik train`"),
        ("config: c.yaml", "has config, which is no option"),
        ("epochs: 0", "epochs cannot be 0 (the least is 1)"),
        ("epochs: many", "epochs cannot be many (a whole number is needed)"),
        ("epochs: true", "epochs cannot be True (true and false are for switches)"),
        ("epochs:", "epochs cannot be None (a value is needed)"),
        ("keep-torch: 1", "keep-torch cannot be 1 (true or false is needed)"),
        ("kind: wide", "kind cannot be wide (choose from linear, deep)"),
        ("source: a", "source cannot be a ("),
        ("- epochs", "holds no options"),
        ("epochs: 1\nepochs: 2", "has epochs twice"),
        ("learning_rate: 1e-4\nlearning-rate: 1e-3", "has learning-rate twice"),
        ("table: [a, b]", "table cannot be ['a', 'b'] (one value is needed)"),
        ("table: {a: b}", "table cannot be {'a': 'b'} (one value is needed)"),
        ("epochs: [3]", "epochs cannot be [3] (one value is needed)"),
        ("source: {a: b}", "source cannot be {'a': 'b'} (one value is needed)"),
        ("source: [[a], {b: c}]", "source cannot be"),
        ("epochs: [", "is not YAML (line 1)"),
        (b"\xff\xfe\x00", "is not YAML"),
    ],
)
def test_what_cannot_be_an_option_is_one_sentence(run, content, sentence):
    said = run(content, "--out", "m")
    assert sentence in said and said.startswith("c.yaml") and said.count("\n") == 1
    assert not given


@pytest.mark.attack
@pytest.mark.parametrize(
    "content",
    [
        "[" * 60_000,
        "epochs: !!python/object/apply:os.system ['touch run']",
        "table: &a x\nsource: [*a, *a]",
        "#" * 70_000,
        "source: 2020-99-01",
        "[a]: 1",
        "{a: 1}: 1",
        "source: {[a]: 1}",
    ],
    ids=["deep", "object", "alias", "long", "date", "list as key", "map as key", "list as a key within"],
)
def test_a_hostile_file_is_one_sentence(run, content, tmp_path):
    said = run(content, "--out", "m")
    assert said.startswith("c.yaml") and said.count("\n") == 1
    assert not (tmp_path / "run").exists()


def files_of(folder: Path) -> dict[str, bytes]:
    """Weights, and what was kept to repeat the training."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in {".npz", ".yaml"}}


def trained(*words: object) -> str:
    result = CliRunner().invoke(command_line.app, [*map(str, words)], prog_name="tetkik")
    assert result.exit_code == 0, result.output
    return result.output


def another(parameter) -> list[str]:
    """The words that give an option another value than its default."""
    kind, name, default = (
        parameter.type_descriptor.annotation,
        max(parameter.opts, key=len),
        parameter.default,
    )
    if parameter.is_flag:
        return [parameter.secondary_opts[0] if default else name]
    if parameter.type_descriptor.is_choice:
        return [name, next(str(one) for one in parameter.type_descriptor.choices if one != default)]
    if kind is int:
        return [name, str((default or 0) + 33)]
    if kind is float:
        return [name, str((default or 0.1) / 2)]
    return [name, "x"] + [name, "y"] * (kind == list[str])


def command_of(*words: str):
    command: Any = typer.main.get_command(command_line.app)
    for word in words:
        command = command.commands[word]
    return command


COMMIT = "ab" * 20


def bundle_at(folder: Path, revision: str | None):
    """What a training wrote, of a base at that commit."""
    shutil.copytree(builtin_folder() / "gate-image", folder)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    manifest["training"] = {"revision": revision}
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return open_bundle(folder)


@pytest.mark.parametrize(
    ("words", "trains", "without", "more"),
    [
        (
            ("findings", "train"),
            "tetkik.lab.findings.train.train_findings",
            {
                *("plan", "folds", "flip", "augment", "source", "known", "images", "teacher"),
                *("encoder", "encoder_head", "lora_rank"),  # in the place of a network
            },
            (
                "--no-augment",
                "--source",
                "csv:{table}=0.5",
                "--known",
                "source~north=Mass",
                "--teacher",
                "x.csv",
            ),
        ),
        (
            ("triage", "train"),
            "tetkik.lab.triage.transformer.train.train_transformer",
            {"kind", "invented"},
            ("{complaints}", "--kind", "transformer"),
        ),
        (
            ("caption", "train"),
            "tetkik.lab.caption.train.train_caption",
            {"plan", "card", "test", "learning"},
            ("{table}",),
        ),
    ],
    ids=["findings", "triage", "caption"],
)
def test_every_option_comes_back(words, trains, without, more, tmp_path, monkeypatch, complaints):
    monkeypatch.chdir(tmp_path)
    table = draw(tmp_path / "drawn", 24)
    runs = []

    def train(data, out, options, *_):
        runs.append((data, options))
        return bundle_at(out, getattr(options, "revision", None))

    monkeypatch.setattr(trains, train)
    prepared = SimpleNamespace(source="rocov2")
    monkeypatch.setattr("tetkik.lab.caption.prepared.open_prepared", lambda _: prepared)
    without |= {"config", "help", "resume", "out"}
    chosen = [one for one in command_of(*words).params if key_of(one) not in without]
    given = [word for one in chosen if one.param_type_name == "option" for word in another(one)]
    trained(
        *words, *given, *(word.format(table=table, complaints=complaints) for word in more), "--out", "first"
    )
    trained(*words, "--config", "first/config.yaml", "--out", "second")
    (data, options), (again, kept) = runs
    assert options == kept and repr(data) == repr(again)
    assert Path("first/config.yaml").read_bytes() == Path("second/config.yaml").read_bytes()
    keys = yaml.safe_load(Path("first/config.yaml").read_text("utf-8"))
    assert keys.keys() >= {key_of(one) for one in chosen if one.param_type_name == "option"}
    assert not keys.keys() & {"out", "resume", "plan", "config"}
    # It names files of this machine, so it is no part of the bundle.
    trained("models", "export", "./first", "--out", "first.zip")
    assert b"config.yaml" not in Path("first.zip").read_bytes()


def test_a_base_of_the_hub_is_kept_with_the_commit_it_came_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tetkik.lab.caption.train.train_caption", lambda _, out, *__: bundle_at(out, COMMIT))
    monkeypatch.setattr(
        "tetkik.lab.caption.prepared.open_prepared", lambda _: SimpleNamespace(source="rocov2")
    )
    trained("caption", "train", "p", "--base", "owner/base", "--out", "first")
    kept = yaml.safe_load(Path("first/config.yaml").read_text("utf-8"))
    assert (kept["base"], kept["revision"]) == ("owner/base", COMMIT)


@pytest.fixture
def complaints(tmp_path):
    rows = [f"{word} {day} gündür ağrıyor,{label}" for day in range(20) for word, label in _COMPLAINTS]
    (tmp_path / "c.csv").write_text("\n".join(["text,label", *rows]), "utf-8")
    return tmp_path / "c.csv"


def test_a_linear_model_is_trained_again_with_another_option(tmp_path, monkeypatch, complaints):
    monkeypatch.chdir(tmp_path)
    options = ("--no-assess", "--no-deduplicate", "--reference", 0)
    trained("triage", "train", complaints, "--out", "first", *options)
    again = ("--out", "second", "--data-name", "other", "--tracker", "mlflow")
    said = trained("triage", "train", "--config", "first/config.yaml", *again)
    assert "--tracker is for transformers" in said and not Path("second-log").exists()
    first, second = files_of(Path("first")), files_of(Path("second"))
    assert first.keys() == second.keys() and first.pop("config.yaml") != second.pop("config.yaml")
    assert first == second and first


_COMPLAINTS = (("dizim", "Ortopedi"), ("gözüm", "Göz Hastalıkları"), ("kulağım", "Kulak Burun Boğaz"))
