"""The whole way by the command line, at tiny size: prepare, train, judge, use, merge, hand on."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.caption.tiny import tiny_blip2
from tests.imaging.files import as_bytes, dataset, picture
from tetkik.bundle import Task, open_bundle
from tetkik.bundle.store import MANIFEST
from tetkik.caption.predict import open_picture
from tetkik.cli.app import app
from tetkik.errors import UsageError
from tetkik.lab.caption.prepared import Split, open_prepared
from tetkik.settings import settings
from tetkik.workflow import caption_image

QUICK = ("--epochs", "2", "--learning-rate", "0.01", "--batch-size", "8", "--rank", "4", "--judged", "4")
USE = ("--json", "--beams", "2", "--max-tokens", "8")


def tetkik(*arguments: object, status: int = 0) -> str:
    """Standard output of a command that ends with `status`; never a traceback."""
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert "Traceback" not in result.output and result.exit_code == status, result.output
    return result.stdout if status == 0 else result.output


def lines(said: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in said.splitlines()]


def draw(folder: Path, train: int, valid: int, test: int) -> Path:
    """Pictures of four kinds with captions so short that they may repeat by chance; returns their table."""
    random = np.random.default_rng(0)
    folder.mkdir()
    rows = [("file", "caption", "split", "case", "concepts")]
    for number, split in enumerate(["train"] * train + ["valid"] * valid + ["test"] * test):
        kind = number % 4
        shades = random.normal(40 + 50 * kind, 8, (28, 28, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(shades).save(folder / f"{number:02d}.png")
        caption = f"{('Chest', 'Kidney', 'Thyroid', 'Jaw')[kind]} with a nodule."
        rows.append((f"{number:02d}.png", caption, split, f"case {number}", f"C000000{kind}"))
    with (folder / "captions.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "captions.csv"


@dataclass(frozen=True)
class Work:
    """What the commands wrote."""

    base: Path
    images: list[Path]
    prepared: Path
    adapter: Path
    whole: Path


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """From drawn images to an adapter, and to the same with whole weights."""
    folder = tmp_path_factory.mktemp("caption")
    base = tiny_blip2(folder / "tiny")
    table = draw(folder / "data", train=24, valid=8, test=8)
    prepared = folder / "prepared"
    tetkik("caption", "prepare", table, "--base", base, "--out", prepared, "--workers", 1)
    for name, more in (("adapter", ()), ("whole", ("--merge",))):
        tetkik("caption", "train", prepared, "--base", base, "--out", folder / name, *QUICK, *more)
    images = sorted((folder / "data").glob("*.png"))[-8:]
    return Work(base, images, prepared, folder / "adapter", folder / "whole")


def test_what_was_prepared(work):
    opened = open_prepared(work.prepared)
    assert [len(opened.part(split)) for split in Split] == [24, 8, 8]
    assert opened.image.size == 28


def test_the_adapter_is_a_bundle_with_its_card(work):
    bundle = open_bundle(work.adapter, Task.CAPTION)
    assert (bundle.manifest.kind, bundle.manifest.labels) == ("blip2", ("caption",))
    assert bundle.manifest.training["base"] == "tiny"
    assert (work.adapter / "adapter_model.safetensors").stat().st_size < 100_000
    card = (work.adapter / "README.md").read_text("utf-8")
    for words in ("low authority", "never adds a finding", "test split was not opened"):
        assert words in card
    # No path of this machine, and no caption of the data, goes along: config.yaml lies beside the bundle.
    for name in (MANIFEST, *bundle.manifest.files):
        file = work.adapter / name
        assert str(work.base.parent).encode() not in file.read_bytes(), file.name
        assert b"with a nodule" not in file.read_bytes(), file.name


def test_it_is_judged_on_the_test_split(work, tmp_path):
    more = ("--max-tokens", 8, "--bootstrap", 50, "--no-meteor")
    model = ("--model", work.adapter, "--base", work.base, *more)
    figures = json.loads(tetkik("caption", "evaluate", work.prepared, "--split", "test", *model, "--json"))
    assert (figures["split"], figures["n"]) == ("test", 8)
    for name in ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider"):
        assert isinstance(figures[name], float), name
    assert {"meteor", "bertscore"} <= figures.keys()
    out = tmp_path / "figures"
    said = tetkik("caption", "evaluate", work.prepared, *model, "--out", out)
    assert "CIDEr" in said
    assert json.loads((out / "metrics.json").read_text("utf-8"))["cider"] == pytest.approx(figures["cider"])
    assert (out / "report.html").stat().st_size > 1000


@pytest.mark.program("java")
def test_training_and_test_figures_in_one_command(work, tmp_path):
    train = (
        "caption",
        "train",
        work.prepared,
        "--base",
        work.base,
        "--epochs",
        1,
        "--rank",
        2,
        "--judged",
        2,
    )
    # A card that is full after the training: only the test is repeated.
    with pytest.MonkeyPatch.context() as patch:

        def full(*_):
            raise UsageError("{count} images at once are too many.", count=8)

        patch.setattr("tetkik.lab.caption.evaluate._generate", full)
        assert "too many" in tetkik(*train, "--out", tmp_path / "one", "--test", status=2)
    weights = (tmp_path / "one" / "adapter_model.safetensors").stat().st_mtime_ns
    assert (tmp_path / ".one-test.evaluation").is_dir()
    # Of another training that was begun since, the test is not the model's.
    begun = tmp_path / ".one.training"
    begun.mkdir()
    for name in ("training.json", "trials.json"):
        (begun / name).write_text("{}", encoding="utf-8")
    assert "other data or settings" in tetkik(
        *train, "--out", tmp_path / "one", "--test", "--resume", status=1
    )
    shutil.rmtree(begun)
    other = tetkik(*train, "--rank", 4, "--out", tmp_path / "one", "--test", "--resume", status=2)
    assert "not known to be trained on this data with these settings" in other
    said = tetkik(*train, "--out", tmp_path / "one", "--test", "--resume")
    assert "one 1.0" in said and "CIDEr" in said
    assert (tmp_path / "one" / "adapter_model.safetensors").stat().st_mtime_ns == weights
    assert {path.name for path in tmp_path.iterdir()} == {"one", "one-log", "one-test"}
    figures = json.loads((tmp_path / "one-test" / "metrics.json").read_text("utf-8"))
    assert (figures["split"], figures["n"]) == ("test", 8)
    assert isinstance(figures["meteor"], float)


def test_test_figures_that_cannot_be_are_told_before_the_training(work, tmp_path):
    table = work.images[0].with_name("captions.csv")
    bare = tmp_path / "bare.csv"
    bare.write_text(table.read_text("utf-8").replace(",test,", ",valid,"), encoding="utf-8")
    tetkik("caption", "prepare", bare, "--images", table.parent, "--workers", 1, "--out", tmp_path / "bare")
    train = ("caption", "train", tmp_path / "bare", "--base", work.base, "--out", tmp_path / "two")
    assert "--set-aside" in tetkik(*train, "--test", status=2)
    assert not (tmp_path / "two").exists()


def test_rows_that_the_training_saw_are_no_test(work, tmp_path):
    table = work.images[0].with_name("captions.csv")
    leaky = tmp_path / "leaky.csv"
    leaky.write_text(table.read_text("utf-8").replace(",train,", ",test,"), encoding="utf-8")
    prepare = ("caption", "prepare", leaky, "--images", table.parent, "--base", work.base, "--workers", 1)
    tetkik(*prepare, "--keep-duplicates", "--out", tmp_path / "leaky")
    model = ("--model", work.adapter, "--base", work.base)
    said = tetkik(
        "caption",
        "evaluate",
        tmp_path / "leaky",
        "--split",
        "test",
        *model,
        "--learned-rows",
        "refuse",
        status=1,
    )
    assert "those that adapter" in said and "--learned-rows separate" in said and len(said.splitlines()) == 1


def test_images_in_captions_out(work, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    film = tmp_path / "film.dcm"
    film.write_bytes(as_bytes(dataset(picture(), 12, PatientName="SECRET^NAME")))
    named = [work.images[0], bad, film, work.images[1]]
    said = tetkik("caption", "predict", *named, "--model", work.adapter, "--base", work.base, *USE, status=1)
    answers = lines(said)
    assert [answer["path"] for answer in answers] == [str(path) for path in named]
    assert set(answers[1]) == {"path", "error"} and "bad.png" in str(answers[1]["error"])
    for answer in (answers[0], answers[2], answers[3]):
        assert set(answer) == {"path", "caption", "confidence", "model", "notes"}
        assert answer["model"] == "adapter 1.0"
    assert "SECRET" not in said


def test_on_a_terminal_it_says_what_a_caption_is(work, turkish_messages):
    settings.cache_clear()
    said = tetkik("caption", "predict", work.images[0], "--model", work.whole, "--beams", 1)
    assert str(work.images[0]) in said.replace("\n", "")
    assert "Açıklama bulgu değildir" in said and "tıbbi cihaz değildir" in " ".join(said.split())


def test_whole_weights_say_the_same_without_the_base(work):
    model = ("--model", work.adapter, "--base", work.base)
    adapter = lines(tetkik("caption", "predict", *work.images, *model, *USE))
    whole = lines(tetkik("caption", "predict", *work.images, "--model", work.whole, *USE))
    assert [answer["caption"] for answer in whole] == [answer["caption"] for answer in adapter]
    assert [answer["confidence"] for answer in whole] == pytest.approx(
        [answer["confidence"] for answer in adapter], rel=5e-3
    )


def test_drawn_words_follow_the_seed(work):
    use = ("--model", work.whole, "--json", "--sample", "--temperature", "2", "--max-tokens", "8")
    first = tetkik("caption", "predict", *work.images, *use, "--seed", 1)
    assert tetkik("caption", "predict", *work.images, *use, "--seed", 1) == first
    assert tetkik("caption", "predict", *work.images, *use, "--seed", 2) != first


def test_an_adapter_needs_its_own_base(work, tmp_path):
    said = tetkik("caption", "predict", work.images[0], "--model", work.adapter, status=2)
    assert "--base" in said and len(said.splitlines()) == 1
    other = tiny_blip2(tmp_path / "other", language="t5")
    said = tetkik("caption", "predict", work.images[0], "--model", work.adapter, "--base", other, status=1)
    assert "another model" in said and len(said.splitlines()) == 1


def test_a_captioner_is_handed_on_and_used_by_the_workflow(work, own_settings, monkeypatch, tmp_path):
    before = lines(
        tetkik("caption", "predict", work.images[0], "--model", work.adapter, "--base", work.base, "--json")
    )
    tetkik("models", "export", work.adapter, "--out", tmp_path / "adapter.zip")
    tetkik("models", "import", tmp_path / "adapter.zip")
    assert "adapter" in tetkik("models", "list")
    assert "every hash matches" in tetkik("models", "verify", "adapter")
    assert "blip2" in tetkik("models", "show", "adapter")
    monkeypatch.setenv("TETKIK_CAPTION_MODEL", "adapter")
    monkeypatch.setenv("TETKIK_CAPTION_BASE", str(work.base))
    settings.cache_clear()
    assert lines(tetkik("caption", "predict", work.images[0], "--json")) == before
    answer = caption_image(work.images[0], settings().caption_model or "")
    assert answer is not None and answer.as_json() == before[0]


def test_a_jpeg_gives_the_same_square_when_prepared_and_when_used(work, tmp_path):
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (50, 70, 3), dtype=np.uint8)
    files = {
        "colour.jpg": Image.fromarray(colours),
        "grey.jpg": Image.fromarray(colours[..., 0]),
        "grey in RGB.jpg": Image.fromarray(colours[..., 0]).convert("RGB"),
        "CMYK.jpg": Image.fromarray(colours).convert("CMYK"),
        "turned.jpg": Image.fromarray(colours),
        "clear.png": Image.fromarray(colours).convert("RGBA"),
        "deep.png": Image.fromarray(picture(bits=12)),
    }
    exif = Image.Exif()
    rows = [("file", "caption")]
    for name, image in files.items():
        exif[0x0112] = 6 if name == "turned.jpg" else 1
        image.save(tmp_path / name, exif=exif)
        rows.append((name, f"A drawing called {name}."))
    with (tmp_path / "table.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    target = tmp_path / "prepared"
    tetkik("caption", "prepare", tmp_path / "table.csv", "--base", work.base, "--out", target, "--workers", 1)
    opened = open_prepared(target)
    part = opened.part(Split.TRAIN)
    assert sorted(part.files) == sorted(files)
    kept = part.squares(np.arange(len(part), dtype=np.int64))
    for name, square in zip(part.files, kept, strict=True):
        used = opened.image.square(open_picture((tmp_path / name).read_bytes(), name).image)
        assert np.array_equal(used, square), name
