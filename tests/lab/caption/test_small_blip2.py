"""A small BLIP-2 is written, opened as any other base, learns, and says something."""

from __future__ import annotations

import gzip
import json
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.caption.tiny import SENTENCES
from tests.lab.caption.train_kit import draw, make_prepared, quick_options, silent
from tetkik.bundle import Task
from tetkik.caption.families import image_spec_of, load_base, tokenizer_of
from tetkik.caption.families.blip2 import WIDTH, MobileNetTower, SmallBlip2, _to_one
from tetkik.caption.image_spec import ImageSpec
from tetkik.caption.network import Cut, DecodingOptions
from tetkik.caption.options import Learning
from tetkik.caption.storage import load_captioner
from tetkik.errors import DataError, InputError, OutputError, UsageError
from tetkik.lab.caption.prepared import Split, open_prepared
from tetkik.lab.caption.train import train_caption

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))
import caption_base
import caption_small
from small_blip2.base import DETAILS, read_backbone, write_base
from small_blip2.language import warm_up
from small_blip2.options import SmallBase
from small_blip2.texts import read_texts, without_held_out
from small_blip2.tokenizer import train_tokenizer

TINY = SmallBase(
    width=16,
    layers=1,
    qformer_layers=1,
    queries=2,
    heads=2,
    vocabulary=320,
    longest=140,
    size=32,
    vision_width=16,
    vision_layers=1,
    text_epochs=2,
    dropout=0.0,
)
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as it is published, with a classifier that is of no use here; its weights are random."""
    torch.manual_seed(7)
    file = tmp_path_factory.mktemp("backbone") / "mobilenet.pt"
    torch.save({**MobileNetTower().state_dict(), "fc.weight": torch.zeros(3, 1280)}, file)
    return file


@pytest.fixture(scope="module")
def tiny_base(tmp_path_factory: pytest.TempPathFactory, backbone: Path) -> Path:
    folder = tmp_path_factory.mktemp("base") / "tiny"
    write_base(folder, captions=SENTENCES, backbone=backbone, options=TINY, progress=silent)
    return folder


@pytest.mark.parametrize("with_backbone", [True, False])
def test_the_usual_sizes_give_10_to_20_million_weights(tmp_path, backbone, with_backbone):
    # As many tokens as the usual vocabulary has: one for each made-up word.
    words = [f"w{number:05d}x" for number in range(4000)]
    written = write_base(
        tmp_path / "base",
        captions=[" ".join(words), " ".join(words)],
        backbone=backbone if with_backbone else None,
        progress=silent,
    )
    assert 10_000_000 <= written.weights <= 20_000_000
    network = load_base(str(tmp_path / "base"))
    assert sum(weight.numel() for weight in network.model.parameters()) == written.weights
    assert isinstance(network.model, SmallBlip2) is with_backbone


def test_a_base_is_opened_as_it_was_written(tiny_base, backbone):
    network = load_base(str(tiny_base))
    kept = read_backbone(backbone)
    assert kept.keys() == network.model.vision_model.state_dict().keys()
    for name, weight in network.model.vision_model.state_dict().items():
        assert torch.equal(weight, kept[name])
    assert network.family == "blip2"
    assert network.image == image_spec_of(str(tiny_base))
    # As for any BLIP-2, so that a folder prepared without a base fits.
    assert network.image == ImageSpec(32)
    details = json.loads((tiny_base / DETAILS).read_text())
    assert (details["backbone"], details["texts"], details["options"]["width"]) == ("mobilenet.pt", 0, 16)


def test_generation_is_that_of_transformers(tiny_base):
    network = load_base(str(tiny_base))
    pixels = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    said = network.generate(network.frozen_features(pixels), DecodingOptions(beams=2, max_tokens=6))
    own = network.model.generate(pixel_values=pixels, num_beams=2, max_new_tokens=6, do_sample=False)
    texts = tokenizer_of(str(tiny_base)).tokenizer.batch_decode(own, skip_special_tokens=True)
    assert [caption.text for caption in said] == [" ".join(text.split()) for text in texts]


def test_a_token_looks_at_its_own_place():
    torch.manual_seed(0)
    tower = MobileNetTower().eval()
    image = torch.zeros(1, 3, 96, 320)
    other = image.clone()
    other[:, :, :, :32] = 1.0
    with torch.no_grad():
        before, after = tower(image).last_hidden_state, tower(other).last_hidden_state
    assert before.shape == (1, 30, WIDTH)
    change = (after - before).abs().sum(-1)[0].view(3, 10).mean(0)
    assert change[0] > 2 * change[-1]
    places = before[0, :, -16:]
    assert len({tuple(place.tolist()) for place in places}) == 30


def test_black_and_white_are_minus_one_and_one_to_the_network():
    squares = np.stack([np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)])
    scaled = _to_one(torch.from_numpy(ImageSpec(32).normalised(squares)))
    assert torch.allclose(scaled[0], torch.tensor(-1.0), atol=1e-6)
    assert torch.allclose(scaled[1], torch.tensor(1.0), atol=1e-6)


def test_padding_is_that_of_tensorflow():
    # `same` with stride 2 on 4 columns pads the far side alone: the kernel's middle falls on columns 1 and 3.
    convolution = MobileNetTower().features[0][0]  # type: ignore[index]
    assert isinstance(convolution, torch.nn.Conv2d) and convolution.bias is not None
    with torch.no_grad():
        convolution.weight.zero_()
        convolution.weight[:, :, 1, 1] = 1.0
        convolution.bias.zero_()
        row = torch.arange(4.0).expand(1, 3, 4, 4) / 3
        assert convolution(row)[0, 0, 0].tolist() == [1.0, 3.0]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    return make_prepared(draw(folder / "drawn", train=16, valid=6, test=4), tiny_base, folder / "data")


def test_it_learns_and_says_something(tmp_path, tiny_base, prepared):
    options = replace(
        quick_options(tiny_base), learning=Learning.FULL, base=str(tiny_base), learning_rate=5e-3
    )
    bundle = train_caption(open_prepared(prepared), tmp_path / "model", options, silent)
    assert bundle.manifest.task is Task.CAPTION
    before, network = load_base(str(tiny_base)), load_captioner(bundle)
    assert isinstance(network.model, SmallBlip2)
    same = [
        torch.equal(a, b) for a, b in zip(before.model.parameters(), network.model.parameters(), strict=True)
    ]
    frozen = len(list(network.model.vision_model.parameters()))
    names = [name.startswith("vision_model.") for name, _ in network.model.named_parameters()]
    assert [kept for kept, vision in zip(same, names, strict=True) if vision] == [True] * frozen
    others = [kept for kept, vision in zip(same, names, strict=True) if not vision]
    assert sum(others) < len(others) / 10
    squares = open_prepared(prepared).part(Split.VALID).squares(np.arange(2))
    pixels = torch.from_numpy(network.image.normalised(squares))
    said = network.generate(
        network.frozen_features(pixels), DecodingOptions(beams=1, sample=True, max_tokens=8, min_tokens=4)
    )
    assert len(said) == 2 and all(caption.text for caption in said)


def test_with_full_learning_the_vision_tower_is_cached(tiny_base):
    from tetkik.caption.adapters import make_trainable
    from tetkik.caption.options import AdapterOptions

    network = load_base(str(tiny_base))
    make_trainable(network, Learning.FULL, AdapterOptions())
    assert network.cut is Cut.VISION
    assert network.feature_shape() == (1, WIDTH)
    assert tuple(network.frozen_features(torch.zeros(2, 3, 32, 32)).shape) == (2, 1, WIDTH)


def test_texts_make_the_language_model_less_surprised(tmp_path):
    plain = write_base(tmp_path / "plain", captions=SENTENCES, options=TINY, progress=silent)
    steps: list[tuple[int, int | None]] = []
    options = replace(TINY, text_epochs=12, text_rate=3e-2)
    read = write_base(
        tmp_path / "read",
        captions=SENTENCES,
        texts=[f"{text} Again." for text in SENTENCES],
        options=options,
        progress=lambda _, done, total: steps.append((done, total)),
    )
    assert plain.text_loss is None and read.texts == len(SENTENCES)
    assert read.text_loss is not None and read.text_loss < 5.0 < np.log(read.vocabulary)
    assert steps == [(done, 12) for done in range(1, 13)]


def test_the_same_seed_gives_the_same_language_model():
    tokenizer = train_tokenizer(SENTENCES, 320)
    rows = tokenizer(list(SENTENCES), add_special_tokens=False)["input_ids"]
    losses = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        from small_blip2.base import _model

        model = _model(TINY, len(tokenizer), None).language_model
        losses.append(warm_up(model, rows, replace(TINY, seed=seed), silent))
    assert losses[0] == losses[1] != losses[2]


@given(st.text(min_size=1, max_size=60).filter(lambda text: "<" not in text))
def test_any_text_survives_the_tokenizer(text):
    tokenizer = _TOKENIZER
    numbers = tokenizer(text, add_special_tokens=False)["input_ids"]
    said = tokenizer.decode(numbers, clean_up_tokenization_spaces=False)
    assert said.removeprefix(" ") == text.removeprefix(" ")


_TOKENIZER = train_tokenizer(SENTENCES, 320)


def test_a_word_is_one_token_wherever_it_stands():
    first, later = (_TOKENIZER(text, add_special_tokens=False)["input_ids"] for text in ("CT of", "a CT of"))
    assert later[-len(first) :] == first


def test_texts_are_read_from_tables_and_lines(tmp_path):
    table = tmp_path / "a.csv.gz"
    with gzip.open(table, "wt", encoding="utf-8") as file:
        file.write('id,Caption\n1,"Axial CT,\n of the  head"\n2,\n3,Chest\n4,Chest\n')
    lines = tmp_path / "b.txt"
    lines.write_text("One\n\nTwo\n", encoding="utf-8")
    assert read_texts(table) == ["Axial CT, of the head", "Chest"]
    assert read_texts(lines) == ["One", "Two"]


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.csv", b"id,words\n1,x\n", "no column caption"),
        ("a.txt", b"\xff\xfe\x00", "cannot be read as text"),
        ("a.csv.gz", b"no archive", "cannot be read as text"),
    ],
)
def test_texts_that_cannot_be_read(tmp_path, name, content, fault):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=fault):
        read_texts(tmp_path / name)


def test_captions_that_are_judged_are_not_read_first(prepared):
    folder = open_prepared(prepared)
    held_out = [*folder.part(Split.VALID).captions, *folder.part(Split.TEST).captions]
    long = [caption for caption in held_out if len(caption.split()) >= 8]
    texts = ["An invented caption that is in no split of this data.", *(text.upper() for text in long)]
    assert long and without_held_out(texts, folder) == texts[:1]


@pytest.mark.parametrize("content", [b"nothing", None])
def test_a_backbone_of_another_kind(tmp_path, content):
    file = tmp_path / "other.pt"
    if content is None:
        torch.save({"convs.0.weight": torch.zeros(1)}, file)
    else:
        file.write_bytes(content)
    with pytest.raises(InputError, match=r"other\.pt"):
        read_backbone(file)
    with pytest.raises(InputError, match="There is no file"):
        read_backbone(tmp_path / "none.pt")


def test_a_pickle_with_code_is_not_run(tmp_path):
    import pickle

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",))

    (tmp_path / "bomb.pt").write_bytes(pickle.dumps({"convs.0.weight": Bomb()}))
    with pytest.raises(InputError, match=r"bomb\.pt"):
        read_backbone(tmp_path / "bomb.pt")
    assert not (tmp_path / "ran").exists()


def test_nothing_else_is_overwritten_and_nothing_half_written_stays(tmp_path, tiny_base):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError):
        write_base(tmp_path / "full", captions=SENTENCES, options=TINY, progress=silent)
    with pytest.raises(InputError):
        write_base(
            tmp_path / "new", captions=SENTENCES, backbone=tmp_path / "none", options=TINY, progress=silent
        )
    with pytest.raises(DataError, match="no training caption"):
        write_base(tmp_path / "new", captions=["", " "], options=TINY, progress=silent)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"width": 30, "heads": 4}, "cannot be shared"),
        ({"size": 100}, "multiple of 32"),
        ({"vocabulary": 100}, "--vocabulary cannot be 100"),
    ],
)
def test_impossible_sizes(change, fault):
    with pytest.raises(UsageError, match=fault):
        SmallBase(**change)


def test_the_script(tmp_path, backbone, prepared, capsys):
    texts = tmp_path / "texts.txt"
    held_out = next(
        text for text in open_prepared(prepared).part(Split.TEST).captions if len(text.split()) >= 8
    )
    texts.write_text(f"Coronal MRI of the knee.\n{held_out}\n", encoding="utf-8")
    arguments = [
        *(prepared, "--out", tmp_path / "base", "--backbone", backbone, "--text", texts),
        *("--text-epochs", 1, "--width", 16, "--layers", 1, "--qformer-layers", 1, "--queries", 2),
        *("--vocabulary", 320, "--threads", 1),
    ]
    caption_base.main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    assert "A BLIP-2 of 2.3 million weights, 2.2 million of them in the vision tower" in said.out
    assert "1 texts are captions of the validation or the test split" in said.err
    assert "has read 1 texts" in said.err
    assert load_base(str(tmp_path / "base")).feature_shape() == (2, 16)


def test_the_script_says_what_is_wrong_in_one_sentence(tmp_path):
    with pytest.raises(SystemExit, match="is not a prepared folder"):
        caption_base.main([str(tmp_path), "--out", str(tmp_path / "base")])


def test_the_benchmark_refuses_a_folder_with_the_first_test(tmp_path):
    for share in (None, 0.1):
        (tmp_path / "prepared.json").write_text(json.dumps({"source": {"set_aside": share}}))
        with pytest.raises(SystemExit, match="name a new --work") if share else nullcontext():
            caption_small.check_test(tmp_path)
