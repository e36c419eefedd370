"""A head that names concepts, in the prompt: fitted without leaks, kept where validation says so."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.caption.tiny import tiny_blip2
from tests.lab.caption.train_kit import SIZE, draw, make_prepared, quick_options, silent
from tetkik.bundle.push import TRAINING_CAPTIONS
from tetkik.caption.concepts import NAMES, WEIGHTS, read_concepts
from tetkik.caption.network import DecodingOptions
from tetkik.caption.predict import _plain, load_caption
from tetkik.caption.prompt_words import SIMILAR, read_prompt_words
from tetkik.caption.storage import load_captioner
from tetkik.errors import BundleCorrupt, DataError, UsageError
from tetkik.lab.caption.data import Split
from tetkik.lab.caption.evaluate import EvaluationOptions, evaluate_captions
from tetkik.lab.caption.prepared import open_prepared
from tetkik.lab.caption.train import train_caption
from tetkik.lab.caption.training import concepts, run, validation
from tetkik.lab.caption.training.concepts import concept_figures, fit_concepts, hot_of, names_in
from tetkik.lab.caption.training.kept import CONCEPTS, NEIGHBOURS, Comparison
from tetkik.lab.caption.training.plan import plan_training
from tetkik.lab.caption.training.prompts import add_prompt_words

SHADES = ("dark", "bright")
GREEDY = DecodingOptions(beams=1, max_tokens=8)


@pytest.fixture(autouse=True, scope="module")
def short():
    """The tiny model has 128 places, and a token is little more than a letter."""
    object.__setattr__(SIMILAR, "longest", 12)
    yield
    object.__setattr__(SIMILAR, "longest", 32)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_blip2(tmp_path_factory.mktemp("base") / "tiny-base")


@pytest.fixture(scope="module")
def prepared(base, tmp_path_factory):
    """Textures whose brightness is a concept; none is a copy of another, and all have one in common."""
    parent = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    folder = parent / "drawn"
    folder.mkdir()
    with (folder / "captions.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "file", "caption", "split", "case", "concepts"])
        for number, split in enumerate(["train"] * 48 + ["valid"] * 16 + ["test"] * 8):
            bright = number // 2 % 2
            texture = random.integers(0, 90, (SIZE // 4, SIZE // 4)) + 120 * bright
            name = f"{number:03d}.png"
            Image.fromarray(np.kron(texture, np.ones((4, 4))).astype(np.uint8)).save(folder / name)
            words = f"Picture {number} of a texture."
            cells = (f"case-{number // 2}", f"{SHADES[bright]};image")
            writer.writerow([f"row-{number}", name, words, split, *cells])
    return open_prepared(make_prepared(folder / "captions.csv", base, parent / "prepared"))


@pytest.fixture(scope="module")
def trained(base, prepared, tmp_path_factory):
    """A captioner with concepts and a neighbour in its prompt, both kept."""
    out = tmp_path_factory.mktemp("trained") / "model"
    options = quick_options(base, epochs=1, concepts=2, neighbours=1, judged=6, max_tokens=12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Comparison, "kept", True)
        return train_caption(prepared, out, options, silent)


def test_a_head_finds_what_can_be_told_and_rows_of_a_case_do_not_teach_one_another():
    random = np.random.default_rng(0)
    kinds = np.arange(200) % 4
    seen = np.eye(4, 12, dtype=np.float32)[kinds] + random.normal(0, 0.05, (200, 12)).astype(np.float32)
    hot = np.zeros((200, 5), np.bool_)
    hot[np.arange(200), kinds] = True
    names = ("a", "b", "c", "d", "never")
    head, said = fit_concepts(seen, hot, np.arange(200), names, 3)
    assert said == [[names[kind]] for kind in kinds]
    assert head.names_of(seen[:4]) == [["a"], ["b"], ["c"], ["d"]]
    rows = [frozenset({names[kind]}) for kind in kinds[:3]]
    assert concept_figures(head, seen[:3], [*rows[:2], frozenset({"c", "x"})]).recall == 0.75
    assert concept_figures(head, seen[:0], []).f1 is None
    # Rows that nothing but their case tells apart: a head without the case knows nothing of them.
    alone = np.repeat(np.eye(20, 20, dtype=np.float32), 10, axis=0)
    drawn = random.random((20, 1)) < 0.5
    truth = np.repeat(drawn, 10, axis=0)
    by_case = fit_concepts(alone, truth, np.repeat(np.arange(20), 10), ("x",), 1)[1]
    by_row = fit_concepts(alone, truth, np.arange(200), ("x",), 1)[1]
    right = [
        np.mean([bool(one) == true for one, true in zip(said, truth[:, 0], strict=True)])
        for said in (by_case, by_row)
    ]
    assert right[1] == 1 and right[0] < 0.8


def test_a_concept_without_a_name_is_not_said():
    part: Any = SimpleNamespace(concepts=(("C0000001", "C0000002"), ("tag",), ()))
    known: Any = SimpleNamespace(concept_names=lambda: {"C0000002": "X-ray\n of  chest"})
    assert names_in(known, part) == [{"X-ray of chest"}, {"tag"}, set()]


def test_the_threshold_is_that_of_the_best_f1():
    scores = np.array([[0.9, 0.1], [0.8, 0.3], [0.7, 0.2]], np.float32)
    right = np.array([[True, False], [True, False], [False, False]])
    assert concepts._threshold(scores, right, 2) == pytest.approx((1.0, 0.8))


def test_a_bundle_says_of_new_images_what_its_head_sees(trained, base, prepared):
    assert {WEIGHTS, NAMES, TRAINING_CAPTIONS} <= set(trained.manifest.files)
    kept = trained.manifest.training["kept"]
    assert [one["part"] for one in kept] == [CONCEPTS, NEIGHBOURS]
    network = load_captioner(trained, base=str(base))
    words = read_prompt_words(trained)
    assert words.concepts is not None and set(words.concepts.names) == {*SHADES, "image"}
    part = prepared.part(Split.TEST)
    images = torch.from_numpy(network.image.normalised(part.squares(np.arange(len(part)))))
    features, contexts = words.of(network, images)
    said = [network.words.decode(context) for context in contexts or ()]
    assert all(text.startswith("Concepts: ") and "Similar images: " in text for text in said)
    shades = [next(one for one in row if one != "image") for row in names_in(prepared, part)]
    right = np.mean([shade in text.partition("|")[0] for shade, text in zip(shades, said, strict=True)])
    assert right >= 0.75
    figures = trained.manifest.training["concept_figures"]
    assert figures["concepts"] == 3 and figures["rows"] == 16 and figures["f1"] > 0.75
    # Evaluation and prediction say it too.
    expected = [one.text for one in network.generate(features, GREEDY, contexts)]
    options = EvaluationOptions(decoding=GREEDY, meteor=False, bootstrap=0, batch_size=3)
    assert list(evaluate_captions(prepared, network, trained, options).systems[0].captions) == expected
    captioner = load_caption(trained, base=str(base))
    files = [prepared.folder.parent / "drawn" / name for name in part.files]
    assert [captioner.predict(file, GREEDY).caption for file in files] == list(map(_plain, expected))
    card = (trained.path / "README.md").read_text("utf-8")
    assert f"F1 {figures['f1']:.3f} over all names" in card and NAMES in card


def test_each_part_is_decided_by_itself_and_what_is_dropped_leaves_the_bundle(
    base, prepared, tmp_path, monkeypatch
):
    monkeypatch.setattr(Comparison, "kept", property(lambda one: one.part == NEIGHBOURS))
    options = quick_options(base, epochs=1, concepts=2, neighbours=1, judged=4, max_tokens=12)
    generated: list[tuple[str, ...]] = []
    true = validation.make_captions

    def counted(accelerator, network, part, *rest, **more):
        generated.append(tuple(part.contexts))
        return true(accelerator, network, part, *rest, **more)

    monkeypatch.setattr(run, "make_captions", counted)
    made = train_caption(prepared, tmp_path / "model", options, silent)
    # With both, without concepts, and without either; nothing twice.
    assert generated == [(CONCEPTS, NEIGHBOURS), (NEIGHBOURS,), ()]
    words = read_prompt_words(made)
    assert words.concepts is None and words.neighbours is not None
    assert WEIGHTS not in made.manifest.files and NAMES not in made.manifest.files
    card = (made.path / "README.md").read_text("utf-8")
    assert "no, dropped" in card and "words left out" in card and NAMES not in card


def test_training_prompts_are_those_of_a_head_without_the_row_and_some_rows_go_without(
    base, prepared, tmp_path
):
    from tetkik.lab.caption.training.data import make_training_data
    from tetkik.lab.caption.training.model import new_network
    from tetkik.lab.caption.training.trainer import CaptionTrainer
    from tetkik.lab.engine.precision import Precision, accelerator_for

    options = quick_options(base, concepts=2, neighbours=1, max_tokens=12)
    with accelerator_for(Precision.FP32, threads=1) as (accelerator, _):
        network = new_network(options, prepared.image, torch.device("cpu"))
        plain = make_training_data(
            accelerator, network, prepared, options, tmp_path, progress=silent, notify=lambda _: None
        )
        data, words, _ = add_prompt_words(accelerator, network, prepared, plain, options, silent)
        trainer = CaptionTrainer(
            accelerator, network, data, options, run="any", work=None, notify=lambda _: None
        )
        rows = np.arange(len(data.training))
        left = trainer._without_context(rows)
    assert {part for part, _ in left} == {CONCEPTS, NEIGHBOURS}
    assert 0.1 < len(left) / (2 * len(rows)) < 0.4
    part = prepared.part(Split.TRAIN)
    names = words.concepts.names if words.concepts else ()
    hot = hot_of(names_in(prepared, part), names)
    assert hot[:, names.index("image")].all() and hot.sum() == 2 * len(rows)
    both = data.training.contexts_of(rows)
    some = data.training.contexts_of(rows, left)
    assert both is not None and some is not None
    for row in rows.tolist():
        assert both[row] == [*data.training.contexts[CONCEPTS][row], *data.training.contexts[NEIGHBOURS][row]]
        assert ((CONCEPTS, row) in left or (NEIGHBOURS, row) in left) == (len(some[row]) < len(both[row]))
    bare = data.without_context(CONCEPTS)
    assert list(bare.training.contexts) == list(bare.validation.contexts) == [NEIGHBOURS]


def test_an_interrupted_training_goes_on_with_what_was_decided(base, prepared, tmp_path):
    from tetkik.lab.caption.training import bundle

    options = quick_options(base, epochs=1, concepts=2, judged=4, max_tokens=12)
    whole = train_caption(prepared, tmp_path / "whole", options, silent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "write_network", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train_caption(prepared, tmp_path / "model", options, silent)
        patch.undo()
        patch.setattr(run, "compare", lambda *_: 1 / 0)
        made = train_caption(prepared, tmp_path / "model", replace(options, resume=True), silent)
    assert made.manifest.training["kept"] == whole.manifest.training["kept"]
    assert made.manifest.training["concept_figures"] == whole.manifest.training["concept_figures"]
    files = [one.path / "adapter_model.safetensors" for one in (whole, made)]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.attack
def test_a_damaged_head_is_refused(trained, tmp_path):
    names = json.dumps(["a"] * 3)
    for content in ("{}", "[", f'{{"names": {names}, "threshold": 0, "count": 0}}', '{"names": ["a"]}'):
        folder = shutil.copytree(trained.path, tmp_path / str(len(content)))
        (folder / NAMES).write_text(content, encoding="utf-8")
        with pytest.raises(BundleCorrupt, match="head for concepts"):
            read_concepts(replace(trained, path=folder))


def test_what_cannot_be_is_refused_at_once(base, prepared, tmp_path):
    steps: list[str] = []

    def refused(folder, options, fault, kind=UsageError):
        with pytest.raises(kind, match=fault):
            train_caption(folder, tmp_path / "model", options, lambda step, *_: steps.append(step))
        with pytest.raises(kind, match=fault):
            plan_training(options, folder, "t4")

    t5 = quick_options(tiny_blip2(tmp_path / "t5", "t5"), concepts=1)
    refused(prepared, t5, "leave out --neighbours and --concepts")
    refused(prepared, quick_options(base, concepts=9), "places for 128")
    plain = open_prepared(make_prepared(draw(tmp_path / "drawn"), base, tmp_path / "plain"))
    refused(plain, quick_options(base, concepts=1), "no concept with a name", DataError)
    assert not steps, "no feature is computed for it"


def test_the_plan_has_room_for_the_names(base, prepared):
    options = quick_options(base, max_tokens=12)
    with_names, without = (
        plan_training(replace(options, concepts=count), prepared, "t4").setting.step for count in (2, 0)
    )
    assert with_names.working > without.working
