"""A captioner is judged on the test split and no other; what it has seen is left out."""

from __future__ import annotations

import csv
import json
import os
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from tests.caption.tiny import tiny_blip2
from tests.lab.caption.train_kit import quick_options, silent
from tetkik.bundle import Task, open_bundle, read_manifest, write_manifest
from tetkik.caption.network import DecodingOptions
from tetkik.caption.storage import load_captioner
from tetkik.cli.app import app
from tetkik.errors import DataError, UsageError
from tetkik.lab.caption import evaluate
from tetkik.lab.caption.baselines import Nearness
from tetkik.lab.caption.evaluate import EvaluationOptions, evaluate_captions
from tetkik.lab.caption.figures import ExampleKind
from tetkik.lab.caption.metrics.scores import METRICS, quick_scores
from tetkik.lab.caption.prepare import PrepareOptions, match_learned, prepare
from tetkik.lab.caption.prepared import Split, open_prepared
from tetkik.lab.caption.sources import open_source
from tetkik.lab.caption.train import train_caption
from tetkik.lab.engine import precision
from tetkik.lab.engine.learned_rows import LEARNED
from tetkik.lab.engine.options import LearnedTreatment
from tetkik.lab.engine.processes import ALONE
from tetkik.language import Language

pytestmark = pytest.mark.filterwarnings("ignore:Trainer.tokenizer:DeprecationWarning")

ORGANS = ("chest", "kidney", "thyroid", "jaw")
SIZE = 28
TEST_ROWS = 8
LEAKED = 3
CALM = EvaluationOptions(
    decoding=DecodingOptions(beams=1, max_tokens=12), meteor=False, bootstrap=50, batch_size=5
)


def caption_of(number: int) -> str:
    organ = ORGANS[number % len(ORGANS)]
    return f"Image number {number} of this set shows the {organ} and nothing else of note."


def draw(folder: Path, *, leaky: bool) -> Path:
    """Pictures with captions of their own; `leaky` puts test captions under validation pictures as well."""
    random = np.random.default_rng(0)
    folder.mkdir()
    splits = ["train"] * 16 + ["valid"] * 6 + ["test"] * TEST_ROWS
    rows = []
    for number, split in enumerate(splits):
        texture = random.integers(0, 256, (SIZE, SIZE), dtype=np.uint8)
        Image.fromarray(texture).save(folder / f"{number}.png")
        said = caption_of(number + 6) if leaky and 16 + 6 - LEAKED <= number < 22 else caption_of(number)
        concepts = ORGANS[number % len(ORGANS)]
        rows.append([f"row-{number:02d}", f"{number}.png", said, split, f"case-{number // 2}", concepts])
    table = folder / "captions.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["id", "file", "caption", "split", "case", "concepts"], *rows])
    return table


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A base, two prepared folders (clean, leaky), and a model that was trained on each."""
    folder = tmp_path_factory.mktemp("room")
    base = tiny_blip2(folder / "base")
    for name in ("clean", "leaky"):
        source = open_source(draw(folder / f"{name}-pictures", leaky=name == "leaky"))
        options = PrepareOptions(base=str(base), workers=1, keep_duplicates=True)
        prepare(source, folder / name, options, silent)
        settings = quick_options(base, epochs=1, judged=2)
        train_caption(open_prepared(folder / name), folder / f"{name}-model", settings, silent)
    return folder


@pytest.fixture(scope="module")
def network(room):
    return load_captioner(open_bundle(room / "clean-model", Task.CAPTION), base=str(room / "base"))


def evaluated(room, network, **changes):
    bundle = open_bundle(room / "clean-model", Task.CAPTION)
    return evaluate_captions(open_prepared(room / "clean"), network, bundle, replace(CALM, **changes))


def test_every_test_row_is_judged(room, network):
    evaluation = evaluated(room, network)
    part = open_prepared(room / "clean").part(Split.TEST)
    assert (evaluation.ids, evaluation.references) == (part.ids, part.captions)
    assert (len(evaluation), evaluation.groups) == (TEST_ROWS, 4)
    assert evaluation.provenance.learned is not None and evaluation.provenance.learned.same == 0
    model, constant, near = evaluation.systems
    assert quick_scores(model.captions, part.captions)["cider"] == pytest.approx(model.figures["cider"].value)
    training = open_prepared(room / "clean").part(Split.TRAIN)
    assert set(constant.captions) < set(training.captions) and len(set(constant.captions)) == 1
    assert set(near.captions) <= set(training.captions)
    for system in (constant, near):
        figure = system.figures["rouge_l"]
        assert figure.over == pytest.approx(model.figures["rouge_l"].value - figure.value)
        assert figure.over_ci is not None and figure.over_ci.low <= figure.over <= figure.over_ci.high
    assert evaluation.ceiling == 1.0
    assert {example.kind for example in evaluation.examples} == set(ExampleKind)
    rows = [example.row for example in evaluation.examples]
    assert len(set(rows)) == len(rows)
    for example in evaluation.examples:
        np.testing.assert_array_equal(example.square, part.squares(np.array([example.row]))[0])


def test_captions_do_not_depend_on_the_batch(room, network):
    one, all_ = (evaluated(room, network, batch_size=size, baselines=Nearness.NONE) for size in (1, 8))
    assert one.judged.captions == all_.judged.captions


def test_the_test_split_is_read_and_no_other(room, network, tmp_path):
    alone = tmp_path / "alone"
    shutil.copytree(room / "clean", alone)
    for split in ("train", "valid"):
        shutil.rmtree(alone / split)
    bundle = open_bundle(room / "clean-model", Task.CAPTION)
    options = replace(CALM, baselines=Nearness.NONE)
    evaluation = evaluate_captions(open_prepared(alone), network, bundle, options)
    assert evaluation.judged.captions == evaluated(room, network).judged.captions
    assert "not asked for" in evaluation.not_computed["baselines"].template
    # With baselines the training split is needed, the validation split never.
    shutil.copytree(room / "clean" / "train", alone / "train")
    assert len(evaluate_captions(open_prepared(alone), network, bundle, CALM).systems) == 3


def test_test_captions_in_validation_are_left_out_and_counted(room, network):
    bundle = open_bundle(room / "leaky-model", Task.CAPTION)
    prepared = open_prepared(room / "leaky")
    with pytest.raises(DataError, match=rf"^{LEAKED} of the {TEST_ROWS} rows .*--learned-rows separate"):
        evaluate_captions(prepared, network, bundle, replace(CALM, treatment=LearnedTreatment.REFUSE))
    evaluation = evaluate_captions(prepared, network, bundle, CALM)
    assert (len(evaluation), evaluation.provenance.left_out) == (TEST_ROWS - LEAKED, LEAKED)
    assert not set(evaluation.references) & set(prepared.part(Split.VALID).captions)
    assert f"{LEAKED} of the {TEST_ROWS} rows" in evaluation.interpretation[0].in_language(Language.EN)
    assert evaluation.as_json()["learned_rows"]["same"] == LEAKED


def test_training_and_validation_rows_are_known_again(room):
    bundle = open_bundle(room / "clean-model", Task.CAPTION)
    prepared = open_prepared(room / "clean")
    for split, known in ((Split.TRAIN, True), (Split.VALID, True), (Split.TEST, False)):
        match = match_learned(prepared.part(split), bundle)
        assert match is not None and (match.same == known).all() and not match.near.any()
        assert not match.complete  # what the base had seen is not known


def test_learned_pictures_are_known_again_after_compression_and_scaling(room, tmp_path):
    """The same pictures in other files, under other captions."""
    table = [["file", "caption", "split"]]
    for number in range(16):
        large = Image.open(room / "clean-pictures" / f"{number}.png").resize(
            (90, 90), Image.Resampling.BICUBIC
        )
        large.save(tmp_path / f"{number}.jpg", quality=60)
        table.append([f"{number}.jpg", f"Something else {number}", "test"])
    with (tmp_path / "captions.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(table)
    options = PrepareOptions(base=str(room / "base"), workers=1)
    prepare(open_source(tmp_path / "captions.csv"), tmp_path / "again", options, silent)
    bundle = open_bundle(room / "clean-model", Task.CAPTION)
    match = match_learned(open_prepared(tmp_path / "again").part(Split.TEST), bundle)
    assert match is not None and match.near.all() and not match.same.any()


def test_validation_says_that_it_was_used_for_choosing(room, network):
    evaluation = evaluated(room, network, split=Split.VALID)
    assert "validation rows" in evaluation.interpretation[0].template
    assert evaluation.as_json()["split"] == "valid"
    training = evaluated(room, network, split=Split.TRAIN)
    assert "training rows" in training.interpretation[0].template and len(training.systems) == 1


def test_a_bundle_that_does_not_tell_is_warned_of(room, network, tmp_path):
    shutil.copytree(room / "clean-model", tmp_path / "model")
    (tmp_path / "model" / LEARNED).unlink()
    write_manifest(tmp_path / "model", read_manifest(tmp_path / "model"))
    bundle = open_bundle(tmp_path / "model", Task.CAPTION)
    evaluation = evaluate_captions(open_prepared(room / "clean"), network, bundle, CALM)
    assert any("could not be checked" in sentence.template for sentence in evaluation.interpretation)
    assert evaluation.as_json()["rows"]["checked_for_seen"] is False


def test_a_drawn_part(room, network):
    evaluation = evaluated(room, network, limit=5, baselines=Nearness.PIXELS)
    assert len(evaluation) == 5 and evaluation.provenance.limit == 5
    assert evaluation.ids == evaluated(room, network, limit=5, baselines=Nearness.NONE).ids
    assert evaluation.ids != evaluated(room, network, limit=5, seed=1, baselines=Nearness.NONE).ids


def test_images_of_another_kind_are_refused(room, network, tmp_path):
    source = open_source(room / "clean-pictures" / "captions.csv")
    prepare(source, tmp_path / "large", PrepareOptions(workers=1), silent)
    bundle = open_bundle(room / "clean-model", Task.CAPTION)
    with pytest.raises(DataError, match="images of another kind"):
        evaluate_captions(open_prepared(tmp_path / "large"), network, bundle, CALM)


# The command.


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["caption", "evaluate", *map(str, arguments)])
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout, result.stderr


def test_the_command_prints_the_keys_of_the_contract(room):
    model = ("--model", room / "clean-model", "--base", room / "base")
    quick = ("--no-meteor", "--beams", "1", "--max-tokens", "8", "--bootstrap", "20", "--json")
    status, said, _ = run(room / "clean", "--split", "test", *model, *quick)
    assert status == 0
    answer = json.loads(said)
    assert (answer["n"], answer["split"]) == (TEST_ROWS, "test")
    assert set(METRICS) <= set(answer)
    for name in ("meteor", "bertscore"):
        assert answer[name] is None and answer["not_computed"][name].endswith(".")
    for name in ("bleu1", "bleu4", "rouge_l", "cider"):
        assert 0 <= answer[name] <= 10
    assert set(answer["baselines"]) == {"constant", "nearest"}
    assert 0 < answer["captions"]["distinct"] <= 1


def test_the_command_prints_a_table_and_writes_a_page(room, tmp_path):
    quick = ("--no-meteor", "--beams", "1", "--max-tokens", "8", "--bootstrap", "20", "--baselines", "pixels")
    model = ("--model", room / "clean-model", "--base", room / "base", "--out", tmp_path / "out")
    status, said, warned = run(room / "clean", *model, *quick)
    assert status == 0 and "begin with report.html" in warned
    assert (tmp_path / "out" / "report.html").is_file()
    for word in ("CIDEr", "ROUGE-L", "one caption for", "nearest", "distinct", f"On {TEST_ROWS} images"):
        assert word in said


def test_an_interrupted_evaluation_goes_on_where_it_was(room, tmp_path, monkeypatch):
    from tetkik.caption.families.staged import StagedNetwork

    true, vision = evaluate._generate, StagedNetwork.vision_features
    seen: list[int] = []
    places: list[int] = []
    stop: list[int | None] = []

    def generate(network, squares, place, decoding):
        if place == stop[0]:
            raise UsageError("{count} images at once are too many.", count=3)
        places.append(place)
        return true(network, squares, place, decoding)

    def look(network, pixels):
        seen.append(len(pixels))
        return vision(network, pixels)

    monkeypatch.setattr(evaluate, "_generate", generate)
    monkeypatch.setattr(StagedNetwork, "vision_features", look)
    shutil.copytree(room / "clean", tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / evaluate.NEAREST_ROWS, ignore_errors=True)
    model = ("--model", room / "clean-model", "--base", room / "base", "--batch-size", "3")
    quick = (*model, "--no-meteor", "--beams", "1", "--max-tokens", "8", "--bootstrap", "20")
    figures = []
    for name, until, wanted, decoded, looked in (
        ("one", None, 0, [0, 3, 6], 16 + TEST_ROWS),
        # What was nearest is known from now on.
        ("two", 6, 2, [0, 3], 0),
        ("two", None, 0, [6], 0),
    ):
        places[:], seen[:], stop[:] = [], [], [until]
        status, _, _ = run(tmp_path / "data", *quick, "--out", tmp_path / name)
        assert (status, places, sum(seen)) == (wanted, decoded, looked)
        assert (tmp_path / f".{name}.evaluation").exists() is bool(wanted)
        if not wanted:
            figures.append((tmp_path / name / "captions.csv").read_bytes())
    assert len(set(figures)) == 1
    # Another vision tower sees otherwise.
    other = load_captioner(open_bundle(room / "clean-model", Task.CAPTION), base=str(room / "base"))
    with torch.no_grad():
        other.core.vision_model.post_layernorm.bias[0] += 1
    bundle = open_bundle(room / "clean-model", Task.CAPTION)
    evaluate_captions(open_prepared(tmp_path / "data"), other, bundle, CALM)
    assert sum(seen) == 16 + TEST_ROWS


def test_captions_of_another_base_are_not_taken_up(room, tmp_path):
    bundle = open_bundle(room / "clean-model", Task.CAPTION)
    base = shutil.copytree(room / "base", tmp_path / "base")
    judged = evaluate._chosen(open_prepared(room / "clean"), bundle, CALM)

    def known():
        network = load_captioner(bundle, base=str(base))
        return network, evaluate._identity(network, bundle, judged, CALM)

    network, first = known()
    assert known()[1] == first
    with torch.no_grad():
        network.core.language_projection.bias[0] += 1
    assert evaluate._identity(network, bundle, judged, CALM) != first
    # As if another language model had been put there.
    os.utime(base / "model.safetensors", (1, 1))
    assert known()[1] != first


def test_a_process_of_a_launch_loads_the_model_to_its_own_device(room, monkeypatch):
    # As on a machine with GPUs, under ACCELERATE_USE_CPU.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    mine = SimpleNamespace(**vars(ALONE), device=torch.device("cpu"))
    monkeypatch.setattr(precision, "launched_accelerator", lambda: nullcontext(mine))
    model = ("--model", room / "clean-model", "--base", room / "base", "--limit", "2")
    quick = ("--no-meteor", "--beams", "1", "--max-tokens", "4", "--bootstrap", "0", "--baselines", "none")
    assert run(room / "clean", *model, *quick)[0] == 0


def test_one_process_takes_the_processor_where_it_is_asked_to(room, monkeypatch):
    # A GPU that is not there: whoever chose it would fail.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    model = ("--model", room / "clean-model", "--base", room / "base", "--limit", "2")
    quick = ("--no-meteor", "--beams", "1", "--max-tokens", "4", "--bootstrap", "0", "--baselines", "none")
    assert run(room / "clean", *model, *quick)[0] == 0


def test_the_command_refuses_in_one_sentence(room, tmp_path):
    clean, leaky = (
        ("--model", room / f"{name}-model", "--base", room / "base") for name in ("clean", "leaky")
    )
    for arguments, status, fault in (
        ([room / "leaky", *leaky, "--learned-rows", "refuse"], 1, "--learned-rows separate"),
        ([room / "clean"], 2, "--model"),
        ([tmp_path, *leaky], 1, "is not a prepared folder"),
        ([room / "clean", *leaky, "--sample", "--beams", "3"], 2, "choose one of the two"),
        ([room / "clean", *leaky, "--top-p", "0.5"], 2, "add --sample"),
        ([room / "clean", *leaky, "--bertscore-layer", "3"], 2, "need --bertscore-model"),
        ([room / "clean", *clean, "--bertscore-model", tmp_path], 1, "cannot be had"),
        ([room / "clean", *clean, "--out", room / "clean" / "prepared.json"], 1, "is a file"),
    ):
        found, said, warned = run(*arguments)
        assert (found, said) == (status, "") and fault in warned, warned
        assert len(warned.splitlines()) == 1
