"""Captions of similar images in the prompt, and self-critical training: kept where validation says so."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from tests.caption.network_kit import opened, pixels
from tests.caption.tiny import SENTENCES, tiny_blip2, tiny_paligemma
from tests.lab.caption.train_kit import make_prepared, quick_options, silent
from tetkik.bundle import Task, open_bundle
from tetkik.bundle.push import TRAINING_CAPTIONS
from tetkik.caption import neighbours
from tetkik.caption.families.numerics import token_losses
from tetkik.caption.families.staged import StagedNetwork
from tetkik.caption.neighbours import FEATURES, NeighbourIndex, embedding
from tetkik.caption.network import DecodingOptions
from tetkik.caption.options import AdapterOptions
from tetkik.caption.predict import _plain, load_caption
from tetkik.caption.prompt_words import SIMILAR, PromptWords, contexts_of
from tetkik.caption.storage import load_captioner
from tetkik.cli.app import app
from tetkik.errors import BundleCorrupt, UsageError
from tetkik.lab.caption.data import Split
from tetkik.lab.caption.evaluate import EvaluationOptions, evaluate_captions
from tetkik.lab.caption.metrics.scores import quick_measures
from tetkik.lab.caption.prepared import open_prepared
from tetkik.lab.caption.train import train_caption
from tetkik.lab.caption.training import bundle, run, self_critical, validation
from tetkik.lab.caption.training.copies import copy_groups
from tetkik.lab.caption.training.data import make_training_data
from tetkik.lab.caption.training.features import LiveFeatures
from tetkik.lab.caption.training.kept import NEIGHBOURS, SELF_CRITICAL, Comparison
from tetkik.lab.caption.training.model import new_network
from tetkik.lab.caption.training.options import StopBy
from tetkik.lab.caption.training.plan import plan_training
from tetkik.lab.caption.training.prompts import add_prompt_words
from tetkik.lab.caption.training.self_critical import Reward, SelfCriticalTrainer, advantages
from tetkik.lab.engine.precision import Precision, accelerator_for
from tetkik.language import Language, Sentence

SIZE = 28
TOWER = ("vision_model.encoder.layers.0.mlp.fc1",)
GREEDY = DecodingOptions(beams=1, max_tokens=8)


def draw(folder: Path) -> Path:
    """Random textures: 20 for training, 6 for validation, 4 for the test.

    2 and 3 are nearly one, and so are 8 and 20, of training and validation.
    """
    random = np.random.default_rng(0)
    folder.mkdir()
    pictures: list[np.ndarray] = []
    lines = [["id", "file", "caption", "split", "case"]]
    for number, split in enumerate(["train"] * 20 + ["valid"] * 6 + ["test"] * 4):
        copied = {3: 2, 20: 8}.get(number)
        picture = random.integers(0, 256, (SIZE, SIZE), dtype=np.uint8)
        pictures.append(picture if copied is None else pictures[copied] // 2 + 9)
        if number == 21:
            # Like 10, and no copy of it.
            pictures[-1][: SIZE - 7] = pictures[10][: SIZE - 7]
        Image.fromarray(pictures[-1]).save(folder / f"{number}.png")
        words = f"Image {number} of this set shows {('chest', 'jaw')[number % 2]} and nothing else at all."
        # 4 and 5 are of one case; 6 and 7 say the same, and so do 10 and 21 in few words.
        case = "case-4" if number in {4, 5} else f"case-{number}"
        words = {7: lines[-1][2], 10: "10 is it.", 21: "10 is it"}.get(number, words)
        lines.append([f"row-{number}", f"{number}.png", words, split, case])
    table = folder / "captions.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(lines)
    return table


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
    parent = tmp_path_factory.mktemp("data")
    return open_prepared(make_prepared(draw(parent / "drawn"), base, parent / "prepared"))


@pytest.fixture(scope="module")
def trained(base, prepared, tmp_path_factory):
    """A captioner with two neighbours in its prompt and self-critical training, all of it kept."""
    out = tmp_path_factory.mktemp("trained") / "model"
    options = quick_options(
        base, epochs=1, neighbours=2, self_critical=1, stop_by="rouge_l", judged=6, max_tokens=12
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Comparison, "kept", True)
        return train_caption(prepared, out, options, silent)


@pytest.mark.parametrize("family", [tiny_blip2, tiny_paligemma])
def test_contexts_of_unlike_length_do_not_touch_one_another(family, tmp_path):
    network = opened(family(tmp_path / "base"))
    contexts = contexts_of(network, [[SENTENCES[0]], [], [SENTENCES[1], SENTENCES[2]]])
    assert contexts[1] == [] and len(contexts[2]) > len(contexts[0]) > 0
    with torch.no_grad():
        features = network.frozen_features(pixels())
        together = network.generate(features, GREEDY, contexts)
        alone = [network.generate(features[[at]], GREEDY, [contexts[at]])[0] for at in range(3)]
        plain = network.generate(features, GREEDY)
    assert [one.text for one in together] == [one.text for one in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.confidence == pytest.approx(other.confidence, rel=1e-4)
    assert together[1].confidence == pytest.approx(plain[1].confidence, rel=1e-4)
    assert together[0].confidence != pytest.approx(plain[0].confidence, rel=1e-4)


def test_the_nearest_captions_come_first_and_none_twice_or_of_ones_own_case():
    features = np.array([[1, 0], [0.9, 0.1], [0.8, 0.3], [0, 1]], np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    index = NeighbourIndex(features, ("a", "a", "b", "c"), 3)
    assert index.nearest(features[:1]) == [["a", "b", "c"]]
    groups = np.array([0, 0, 1, 2])
    assert index.nearest(features, groups, groups) == [["b", "c"], ["b", "c"], ["a", "c"], ["b", "a"]]
    assert replace(index, count=1).nearest(features, groups, np.full(4, 9)) == [["a"], ["a"], ["b"], ["c"]]
    # A caption of the same words is no help, however few they are.
    assert index.nearest(features[:2], captions=["A.", "b"]) == [["b", "c"], ["a", "c"]]


@pytest.mark.attack
def test_no_image_is_shown_the_caption_of_its_case_its_copy_or_its_own_words(prepared):
    groups = copy_groups([prepared.part(split) for split in (Split.TRAIN, Split.VALID)])
    pairs = {
        (2, 3): "nearly one picture",
        (8, 20): "nearly one picture of two splits",
        (4, 5): "one case",
        (6, 7): "the same caption",
    }
    for (one, other), reason in pairs.items():
        assert groups[one] == groups[other], reason
    assert len(np.unique(groups)) == 26 - len(pairs)


@pytest.mark.attack
def test_no_prompt_of_training_or_validation_tells_its_own_caption(base, prepared, tmp_path):
    options = quick_options(base, neighbours=3)
    with accelerator_for(Precision.FP32, threads=1) as (accelerator, _):
        network = new_network(options, prepared.image, torch.device("cpu"))
        data = make_training_data(
            accelerator, network, prepared, options, tmp_path, progress=silent, notify=lambda _: None
        )
        live = replace(data.training, features=LiveFeatures(prepared.part(Split.TRAIN), network.image))
        seen = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(StagedNetwork, "vision_features", lambda *_: seen.append(1))
            data, words, _ = add_prompt_words(accelerator, network, prepared, data, options, silent)
        assert not seen, "what it sees is kept beside the features"
        again, others, _ = add_prompt_words(
            accelerator, network, prepared, replace(data, training=live), options, silent
        )
        assert again.training.contexts == data.training.contexts
        index, other = words.neighbours, others.neighbours
        assert index is not None and other is not None
        np.testing.assert_allclose(other.features, index.features, atol=1e-3)
    groups = copy_groups([prepared.part(split) for split in (Split.TRAIN, Split.VALID)])
    shown = 0
    for start, part in ((0, data.training), (20, data.validation)):
        contexts = part.contexts[NEIGHBOURS]
        assert len(contexts) == len(part) > 0
        for row, context in enumerate(contexts):
            said = network.words.decode(context)
            shown += said.count("|")
            alike = np.flatnonzero(groups[:20] == groups[start + row]).tolist()
            # What a prompt has of each caption that would give the answer away.
            for caption in (part.captions[row], *(index.captions[one] for one in alike)):
                told = network.words.decode(network.encode([caption.rstrip(".")])[0][:12].tolist())
                assert told.strip() not in said, (start + row, said)
    assert shown == 26 * 3


def test_a_bundle_retrieves_what_it_was_trained_with(trained, base, prepared):
    part = prepared.part(Split.TRAIN)
    assert {FEATURES, TRAINING_CAPTIONS} <= set(trained.manifest.files)
    assert [one["part"] for one in trained.manifest.training["kept"]] == [NEIGHBOURS, SELF_CRITICAL]
    network = load_captioner(trained, base=str(base))
    index = neighbours.read_neighbours(trained)
    assert index is not None and index.captions == part.captions and index.count == 2
    squares = prepared.part(Split.TEST).squares(np.arange(4))
    images = torch.from_numpy(network.image.normalised(squares))
    features, contexts = PromptWords(neighbours=index).of(network, images)
    assert torch.equal(features, network.frozen_features(images))
    nearest = (embedding(network.vision_features(images)) @ index.features.T).argmax(axis=1)
    assert contexts is not None and len(contexts) == 4
    for context, row in zip(contexts, nearest.tolist(), strict=True):
        said = network.words.decode(context)
        assert said.startswith(f"Similar images: {part.captions[row][:14]}") and said.count("|") == 2
    # Evaluation and prediction put them into the prompt too.
    expected = [one.text for one in network.generate(features, GREEDY, contexts)]
    options = EvaluationOptions(decoding=GREEDY, meteor=False, bootstrap=0, batch_size=3)
    judged = evaluate_captions(prepared, network, trained, options)
    assert list(judged.systems[0].captions) == expected
    captioner = load_caption(trained, base=str(base))
    files = [prepared.folder.parent / "drawn" / name for name in prepared.part(Split.TEST).files]
    assert [captioner.predict(file, GREEDY).caption for file in files] == list(map(_plain, expected))
    card = (trained.path / "README.md").read_text("utf-8")
    assert "Ramos" in card and "Rennie" in card and TRAINING_CAPTIONS in card
    assert part.captions[0] not in card


@pytest.mark.attack
def test_a_damaged_index_is_refused(trained, tmp_path):
    captions = json.dumps([*map(str, range(20))])
    for content in ("{}", f'{{"count": 0, "captions": {captions}}}', '{"count": 2, "captions": ["a"]}', "["):
        folder = shutil.copytree(trained.path, tmp_path / str(len(content)))
        (folder / TRAINING_CAPTIONS).write_text(content, encoding="utf-8")
        with pytest.raises(BundleCorrupt, match="index of neighbours"):
            neighbours.read_neighbours(replace(trained, path=folder))


def test_what_validation_does_not_want_is_dropped_and_said(base, prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(Comparison, "kept", False)
    losses: list[tuple[object, float]] = []
    said: list[Sentence] = []
    true = validation.loss_per_token

    def measured(accelerator, network, part, *rest):
        losses.append((part.contexts, true(accelerator, network, part, *rest)))
        return losses[-1][1]

    monkeypatch.setattr(run, "loss_per_token", measured)
    options = quick_options(base, epochs=1, judged=6, max_tokens=12)
    plain = train_caption(prepared, tmp_path / "plain", replace(options, neighbours=2), silent)
    further = replace(options, neighbours=2, self_critical=1)
    both = train_caption(prepared, tmp_path / "both", further, silent, said.append)
    assert FEATURES not in both.manifest.files and TRAINING_CAPTIONS not in both.manifest.files
    files = [one.path / "adapter_model.safetensors" for one in (plain, both)]
    assert files[0].read_bytes() == files[1].read_bytes(), "the weights from before are back"
    card = (both.path / "README.md").read_text("utf-8")
    assert card.count("no, dropped") == 2 and "neighbours.json" not in card
    assert "Ramos" in card and "Rennie" not in card
    assert "same weights with the words left out" in card and "losses of the epochs above" in card
    assert any("Train again without --neighbours" in one.in_language(Language.EN) for one in said)
    # The loss is that of the model that was written, whose prompts are bare.
    assert [contexts for contexts, _ in losses] == [{}, {}]
    (loss,) = (metric.value for metric in both.manifest.metrics if metric.name == "loss")
    assert loss == losses[1][1]


def test_a_part_is_kept_where_the_whole_interval_is_above_nothing():
    one = Comparison(NEIGHBOURS, "cider", 0.3, 0.2, -0.01, 0.2, 50)
    assert not one.kept and not replace(one, low=None, high=None).kept
    assert replace(one, low=0.01).kept


def test_what_was_finished_is_not_trained_or_decided_again(base, prepared, tmp_path):
    steps: list[str] = []
    options = quick_options(base, epochs=1, neighbours=1, self_critical=1, max_tokens=12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "write_network", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train_caption(prepared, tmp_path / "model", options, silent)
        patch.undo()
        patch.setattr(run, "compare", lambda *_: 1 / 0)
        resumed = replace(options, resume=True)
        made = train_caption(prepared, tmp_path / "model", resumed, lambda step, *_: steps.append(step))
    assert "training" not in steps and len(made.manifest.training["kept"]) == 2


def test_the_command_says_what_it_kept(base, prepared, tmp_path):
    words = [
        "--base",
        str(base),
        "--epochs",
        "1",
        "--neighbours",
        "1",
        "--judged",
        "4",
        "--threads",
        "1",
        "--max-tokens",
        "40",
    ]
    out = tmp_path / "model"
    said = CliRunner().invoke(app, ["caption", "train", str(prepared.folder), "--out", str(out), *words])
    assert said.exit_code == 0, said.output
    (one,) = open_bundle(out, Task.CAPTION).manifest.training["kept"]
    assert one["n"] == 4 and one["metric"] == "cider"
    assert NEIGHBOURS in said.output and ("no, dropped" in said.output) != one["kept"]


@pytest.mark.parametrize(
    ("language", "changes", "fault"),
    [
        ("t5", {"neighbours": 1}, "leave out --neighbours"),
        ("opt", {"neighbours": 9}, "places for 128"),
        (
            "opt",
            {"neighbours": 1, "adapter": AdapterOptions(targets=TOWER)},
            "vision tower of .* would learn",
        ),
    ],
)
def test_a_base_that_cannot_do_it_is_refused_at_once(language, changes, fault, prepared, tmp_path):
    steps: list[str] = []
    options = quick_options(tiny_blip2(tmp_path / language, language), **changes)
    with pytest.raises(UsageError, match=fault):
        train_caption(prepared, tmp_path / "model", options, lambda step, *_: steps.append(step))
    assert not steps, "no feature is computed for it"
    with pytest.raises(UsageError, match=fault):
        plan_training(options, prepared, "t4")


def test_a_reward_is_the_metric_where_the_rows_are_the_same():
    made = [SENTENCES[1], SENTENCES[0].replace("small", "large"), SENTENCES[3], "", "A cyst in the kidney."]
    true = [SENTENCES[1], *SENTENCES[:4]]
    for metric, measure in zip((StopBy.CIDER, StopBy.ROUGE_L), quick_measures(made, true), strict=True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self_critical, "_END", ())
            reward = Reward(true, metric)
            found = [reward.of(row, text, True) for row, text in enumerate(made)]
        assert found == pytest.approx(measure.rows.tolist(), abs=1e-9), metric


@pytest.mark.parametrize("metric", [StopBy.CIDER, StopBy.ROUGE_L])
def test_a_caption_that_breaks_off_scores_less(metric):
    reward = Reward(SENTENCES, metric)
    assert reward.of(0, SENTENCES[0], True) > reward.of(0, SENTENCES[0], False) > 0
    assert reward.of(0, SENTENCES[0], True) == pytest.approx(10.0 if metric is StopBy.CIDER else 1.0)


def test_a_caption_is_weighed_against_the_others_of_its_image():
    found = advantages(np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]]))
    assert found == pytest.approx(np.array([[-1.5, 0.0, 1.5], [0.0, 0.0, 0.0]]))


def test_the_gradient_is_that_of_the_temperature_the_words_were_drawn_at(
    base, prepared, tmp_path, monkeypatch
):
    options = quick_options(base, neighbours=0, max_tokens=12, self_critical=1, self_critical_temperature=0.5)
    heads: list[torch.Tensor] = []

    def seen(hidden, head, targets):
        heads.append(head(hidden).detach() * 0.5 - trainer._network.logits(hidden).detach())
        return token_losses(hidden, head, targets)

    monkeypatch.setattr(self_critical, "token_losses", seen)
    with accelerator_for(Precision.FP32, threads=1) as (accelerator, _):
        network = new_network(options, prepared.image, torch.device("cpu"))
        data = make_training_data(
            accelerator, network, prepared, options, tmp_path, progress=silent, notify=lambda _: None
        )
        trainer = SelfCriticalTrainer(
            accelerator, network, data, options, run="any", work=None, notify=lambda _: None
        )
        rows = np.arange(2)
        trainer._drawn(rows, data.training.features.fetch(rows))
    assert len(heads) == 1 and float(heads[0].abs().max()) < 1e-5


def test_what_scores_more_is_said_more(base, prepared, tmp_path, monkeypatch):
    # A reward for one letter: whatever the pictures show, the model must come to say it.
    monkeypatch.setattr(Reward, "of", lambda _, __, caption, ___: float(caption.count("e")))
    monkeypatch.setattr(Comparison, "kept", True)
    options = quick_options(
        base, epochs=1, learning="full", self_critical=4, self_critical_rate=0.5, patience=9, max_tokens=12
    )
    made = train_caption(prepared, tmp_path / "model", options, silent)
    log = tmp_path / "model-log" / "self_critical.csv"
    with log.open(encoding="utf-8") as file:
        scores = [-float(row["training_loss"]) for row in csv.DictReader(file)]
    assert len(scores) == 4 and scores[-1] > 2 * scores[0]
    assert made.manifest.training["kept"][0]["part"] == SELF_CRITICAL
