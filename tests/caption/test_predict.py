"""Images in, captions out, by a real BLIP-2 of two layers: in order, in batches, a fault at its own file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.caption.tiny import tiny_blip2
from tests.imaging.files import as_bytes, dataset, picture
from tetkik.caption.families import load_base
from tetkik.caption.network import DecodingOptions, Generated
from tetkik.caption.predict import Captioner, open_picture
from tetkik.errors import BundleCorrupt, InputError, TetkikError
from tetkik.language import Language
from tetkik.values import CaptionResult

GREEDY = DecodingOptions(beams=1, max_tokens=6)
BEAMS = DecodingOptions(beams=3, max_tokens=6)
DRAWN = DecodingOptions(beams=1, sample=True, temperature=2.0, max_tokens=6, seed=1)


@pytest.fixture(scope="module")
def captioner(tmp_path_factory):
    folder = tiny_blip2(tmp_path_factory.mktemp("base") / "tiny")
    return Captioner(load_base(str(folder)), "tiny 1.0", Language.EN)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Five images of three formats."""
    folder = tmp_path_factory.mktemp("films")
    random = np.random.default_rng(0)
    paths = []
    for number in range(5):
        pixels = random.integers(0, 256, (30 + number, 40, 3), dtype=np.uint8)
        path = folder / f"{number}{('.png', '.jpg', '.dcm')[number % 3]}"
        if number % 3 == 2:
            tags = {"PatientName": "SECRET^NAME", "PatientID": "12345678901"}
            path.write_bytes(as_bytes(dataset(picture(seed=number), 12, **tags)))
        else:
            Image.fromarray(pixels).save(path)
        paths.append(path)
    return paths


def results(items):
    found = list(items)
    assert all(isinstance(item, CaptionResult) for item in found), found
    return found


def test_one_image(captioner, films):
    answer = captioner.predict(films[0], GREEDY)
    assert (answer.path, answer.model) == (str(films[0]), "tiny 1.0")
    assert isinstance(answer.caption, str) and "\n" not in answer.caption
    assert 0 < answer.confidence <= 1
    assert answer == captioner.predict(str(films[0]), GREEDY)


@pytest.mark.parametrize("decoding", [GREEDY, BEAMS, None], ids=["greedy", "beams", "default"])
def test_many_are_as_one_by_one_whatever_the_batch(captioner, films, decoding):
    alone = [captioner.predict(path, decoding) for path in films]
    for size in (1, 2, 5, 64):
        together = results(captioner.predict_many(films, decoding, size))
        assert [item.path for item in together] == [str(path) for path in films]
        assert [item.caption for item in together] == [item.caption for item in alone]
        assert [item.confidence for item in together] == pytest.approx(
            [item.confidence for item in alone], rel=1e-4
        )


def test_drawn_captions_follow_the_seed(captioner, films):
    first = results(captioner.predict_many(films, DRAWN, 2))
    assert first == results(captioner.predict_many(films, DRAWN, 2))
    other = results(captioner.predict_many(films, replace(DRAWN, seed=2), 2))
    assert [item.caption for item in first] != [item.caption for item in other]
    # The same image twice, in two batches, gets two draws.
    twice = results(captioner.predict_many([films[0], films[0]], DRAWN, 1))
    assert twice[0].caption != twice[1].caption


def test_a_bad_file_costs_that_file_alone(captioner, films, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    named = [films[0], tmp_path / "bad.png", tmp_path / "missing.jpg", films[1]]
    found = list(captioner.predict_many(named, GREEDY, 3))
    assert [isinstance(item, TetkikError) for item in found] == [False, True, True, False]
    assert "bad.png" in str(found[1]) and "There is no file" in str(found[2])
    assert found[3] == captioner.predict(films[1], GREEDY)
    with pytest.raises(InputError, match=r"bad\.png"):
        captioner.predict(tmp_path / "bad.png", GREEDY)


def test_files_are_taken_as_they_are_needed(captioner, films):
    taken: list[int] = []

    def endless():
        while True:
            taken.append(len(taken))
            yield films[0]

    answers = captioner.predict_many(endless(), GREEDY, 2)
    for _ in range(3):
        next(answers)
    assert len(taken) == 4
    answers.close()
    assert list(captioner.predict_many([], GREEDY)) == []


def test_nothing_of_the_patient_is_in_the_answer(captioner, films):
    said = str(captioner.predict(films[2], GREEDY).as_json()) + repr(captioner.predict(films[2], GREEDY))
    assert "SECRET" not in said and "12345678901" not in said


def test_the_network_sees_the_square_of_the_picture(captioner, films, monkeypatch):
    seen = []
    given = captioner.network.frozen_features

    def note(pixels):
        seen.append(pixels)
        return given(pixels)

    monkeypatch.setattr(captioner.network, "frozen_features", note)
    results(captioner.predict_many(films, GREEDY, 5))
    spec = captioner.network.image
    squares = [spec.square(open_picture(path.read_bytes(), "a").image) for path in films]
    assert torch.equal(seen[0], torch.from_numpy(spec.normalised(np.stack(squares))))


def test_what_was_done_to_an_image_is_told_in_the_language(captioner, tmp_path):
    frames = np.stack([picture(seed=seed) for seed in range(3)])
    (tmp_path / "frames.dcm").write_bytes(as_bytes(dataset(frames, 12)))
    answer = captioner.predict(tmp_path / "frames.dcm", GREEDY)
    assert answer.notes == ("The file has 3 frames; this is frame 2.",)
    assert answer.as_json()["notes"] == list(answer.notes)
    turkish = replace(captioner, language=Language.TR).predict(tmp_path / "frames.dcm", GREEDY)
    assert turkish.notes != answer.notes and "3" in turkish.notes[0]


def test_a_full_card_goes_on_in_halves(captioner, films, monkeypatch):
    sizes = []
    given = captioner.network.generate

    def small_card(features, options):
        sizes.append(len(features))
        if len(features) > 2:
            raise torch.cuda.OutOfMemoryError("no room")
        return given(features, options)

    alone = results(captioner.predict_many(films, GREEDY, 1))
    monkeypatch.setattr(captioner.network, "generate", small_card)
    assert [item.caption for item in captioner.predict_many(films, GREEDY, 5)] == [
        item.caption for item in alone
    ]
    assert sizes == [5, 2, 3, 1, 2]


def test_one_image_too_many_is_one_sentence(captioner, films, monkeypatch):
    def no_room(*_):
        raise torch.cuda.OutOfMemoryError("no room")

    monkeypatch.setattr(captioner.network, "generate", no_room)
    with pytest.raises(TetkikError, match="fewer --beams"):
        list(captioner.predict_many(films, GREEDY))


@pytest.mark.parametrize("place", ["query_tokens", "language_model.model.decoder.final_layer_norm.weight"])
def test_damaged_weights_are_no_captions(tmp_path, films, place):
    network = load_base(str(tiny_blip2(tmp_path / "tiny")))
    weight = dict(network.core.named_parameters())[place]
    with torch.no_grad():
        weight.fill_(float("nan"))
    with pytest.raises(BundleCorrupt, match="no finite numbers"):
        list(Captioner(network, "tiny 1.0").predict_many(films, GREEDY))


def test_a_result_is_valid_once_made():
    with pytest.raises(ValueError, match="0 to 1"):
        CaptionResult("a", "b", float("nan"), "c")
    with pytest.raises(ValueError, match="0 to 1"):
        CaptionResult("a", "b", 1.5, "c")
    assert CaptionResult("a", "b", None, "c").as_json() == {
        "path": "a",
        "caption": "b",
        "confidence": None,
        "model": "c",
        "notes": [],
    }


def test_a_caption_is_plain_text(captioner, films, monkeypatch):
    said = [Generated("Chest \x1b[31mfilm\n\u202e of \x07a  child", 1.0000001), Generated("", None)]
    monkeypatch.setattr(captioner.network, "generate", lambda *_: said)
    first, second = results(captioner.predict_many(films[:2], GREEDY, 2))
    assert (first.caption, first.confidence) == ("Chest [31mfilm of a child", 1.0)
    assert (second.caption, second.confidence) == ("", None)
