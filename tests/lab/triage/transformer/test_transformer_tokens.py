from __future__ import annotations

import json

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from tetkik import turkish
from tetkik.triage.transformer import TextReader, padded, turkish_tokenizer


def tokenizer(words: list[str], **normalizer: bool) -> str:
    pieces = ["[PAD]", "[UNK]", "[CLS]", *words]
    built = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate(pieces)}, unk_token="[UNK]"))
    built.normalizer = normalizers.BertNormalizer(**normalizer)
    built.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return built.to_str()


def pieces(specification: str, text: str) -> list[str]:
    return Tokenizer.from_str(specification).encode(text).tokens


def test_a_cased_vocabulary_without_configuration_keeps_its_capitals_and_accents():
    plain = tokenizer(["Göğsüm", "ağrıyor", "İlaç"], lowercase=True)
    assert pieces(plain, "Göğsüm ağrıyor İlaç") == ["[UNK]", "[UNK]", "[UNK]"]
    safe, casing = turkish_tokenizer(plain)
    assert pieces(safe, "Göğsüm ağrıyor İlaç") == ["Göğsüm", "ağrıyor", "İlaç"]
    assert casing.cased and casing.changed


def test_an_uncased_vocabulary_is_lowered_by_the_turkish_rule():
    plain = tokenizer(["kırık", "göğsüm", "ilaç"], lowercase=True)
    safe, casing = turkish_tokenizer(plain)
    assert pieces(safe, "KIRIK GÖĞSÜM İLAÇ") == ["kırık", "göğsüm", "ilaç"]
    assert not casing.cased and casing.changed


def test_decomposed_letters_are_composed():
    safe, _ = turkish_tokenizer(tokenizer(["göğsüm"], lowercase=True))
    assert pieces(safe, "go\u0308g\u0306su\u0308m") == ["göğsüm"]


@pytest.mark.parametrize("text", ["KIRIK", "İĞNE", "Şişli'de", "ılık IŞIK", "ÇÖĞÜŞ Iİıi"])
def test_the_tokenizers_lowering_is_that_of_tetkik(text):
    safe, _ = turkish_tokenizer(tokenizer(["ağrı"], lowercase=True))
    assert Tokenizer.from_str(safe).normalizer.normalize_str(text) == turkish.lower(text)


@pytest.mark.parametrize(
    ("text", "share"),
    [("göğsüm ağrıyor", 0), ("göğsüm ağrıyordu", 0.5), ("göğsüm xyz", 0.5), ("xyz", 1), ("", 0)],
)
def test_words_that_the_vocabulary_does_not_hold_whole_are_told(text, share):
    reader = TextReader.from_json(tokenizer(["göğsüm", "ağrıyor", "##du"], strip_accents=False), 32, 0)
    assert reader.broken([text]).tolist() == [share]


def test_what_does_no_harm_is_left_alone():
    for specification in (
        tokenizer(["Göğsüm"], lowercase=False, strip_accents=False),
        tokenizer(["chest", "pain"], lowercase=True),
    ):
        unchanged, casing = turkish_tokenizer(specification)
        assert json.loads(unchanged) == json.loads(specification)
        assert not casing.changed


def test_reading_cuts_and_pads():
    reader = TextReader.from_json(tokenizer(["bir", "iki", "üç"]), max_length=2, pad_id=0)
    ids, mask = padded(reader.read(["bir iki üç", "bir"]), reader.pad_id)
    assert ids.tolist() == [[3, 4], [3, 0]]
    assert mask.tolist() == [[1, 1], [1, 0]]
