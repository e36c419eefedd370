from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tetkik.lab.engine.duplicate_texts import duplicate_texts

WORDS = (  # noqa: SIM905
    "başım dizim karnım gözüm ağrıyor yanıyor şişti kaşınıyor üç gündür sabahları geceleri çok biraz "
    "ilaç kullandım geçmedi doktora gittim ne yapmalıyım hangi bölüme ateşim öksürük "
    "halsizlik bulantı var yok"
).split()


def _text(rng: random.Random, length: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(length))


def _partition(texts: list[str], groups: np.ndarray) -> set[frozenset[str]]:
    parts: dict[int, set[str]] = {}
    for text, group in zip(texts, groups.tolist(), strict=True):
        parts.setdefault(group, set()).add(text)
    return {frozenset(part) for part in parts.values()}


def test_exact_duplicates_ignore_case_space_and_normal_form() -> None:
    texts = ["DİZİM  ŞİŞTİ", "dizim şişti", "dizim s\u0327is\u0327ti", "dizim çok şişti"]
    assert duplicate_texts(texts, near=False).tolist() == [0, 0, 0, 3]


def test_turkish_capitals_are_not_mixed_up() -> None:
    assert duplicate_texts(["KIRIK", "kırık", "kirik"], near=False).tolist() == [0, 0, 2]


def test_text_without_turkish_letters_is_a_near_duplicate() -> None:
    texts = ["Dizim şişti, ağrıyor!", "dizim sisti agriyor", "gözüm şişti"]
    assert duplicate_texts(texts).tolist() == [0, 0, 2]
    assert duplicate_texts(texts, near=False).tolist() == [0, 1, 2]


def test_one_word_changed_in_a_long_text_joins_and_in_a_short_one_does_not() -> None:
    long = _text(random.Random(1), 40).split()
    changed = [*long[:20], "bambaşka", *long[21:]]
    assert duplicate_texts([" ".join(long), " ".join(changed)]).tolist() == [0, 0]
    assert duplicate_texts(["başım çok ağrıyor", "dişim çok ağrıyor"]).tolist() == [0, 1]
    assert duplicate_texts(
        ["başım çok ağrıyor ne yapmalıyım acaba", "dişim çok ağrıyor ne yapmalıyım acaba"]
    ).tolist() == [0, 1]


def test_being_a_duplicate_is_passed_on() -> None:
    words = [f"kelime{i}" for i in range(60)]
    chain = [" ".join([*(f"yeni{j}" for j in range(step)), *words[step:]]) for step in range(0, 25, 4)]
    assert set(duplicate_texts(chain).tolist()) == {0}
    assert duplicate_texts([chain[0], chain[-1]]).tolist() == [0, 1]


def test_texts_without_words_stay_apart() -> None:
    assert duplicate_texts(["", "...", "!!!", "...", " "]).tolist() == [0, 1, 2, 1, 0]


def test_no_text_and_one_text() -> None:
    assert duplicate_texts([]).tolist() == []
    assert duplicate_texts(["dizim ağrıyor ve çok şişti"]).tolist() == [0]
    assert duplicate_texts([]).dtype == np.int64


@pytest.mark.parametrize("threshold", [0, 1.5, -1])
def test_an_impossible_threshold_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        duplicate_texts(["a"], threshold=threshold)


def _brute_force(texts: list[str], threshold: float) -> list[int]:
    sets = [set(pairwise(["", *text.split(), ""])) for text in texts]
    groups = list(range(len(texts)))
    for i in range(len(texts)):
        for j in range(i):
            if len(sets[i] & sets[j]) / len(sets[i] | sets[j]) >= threshold and groups[i] != groups[j]:
                old, new = max(groups[i], groups[j]), min(groups[i], groups[j])
                groups = [new if group == old else group for group in groups]
    return groups


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95])
def test_equal_to_comparing_every_pair(threshold: float) -> None:
    rng = random.Random(7)
    texts = ["".join(_text(rng, 30)) for _ in range(60)]
    for _ in range(140):
        words = rng.choice(texts).split()
        for _ in range(rng.randrange(4)):
            words[rng.randrange(len(words))] = rng.choice(WORDS)
        texts.append(" ".join(words))
    folded = [t.translate(str.maketrans("çğıöşü", "cgiosu")) for t in texts]
    assert duplicate_texts(texts, threshold=threshold).tolist() == _brute_force(folded, threshold)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.data())
def test_the_order_of_rows_does_not_matter(seed: int, data: st.DataObject) -> None:
    rng = random.Random(seed)
    texts = [_text(rng, rng.choice([2, 5, 25])) for _ in range(15)]
    texts += [" ".join([*text.split()[:-1], "son"]) for text in texts]
    shuffled = data.draw(st.permutations(texts))
    groups = duplicate_texts(texts)
    assert _partition(texts, groups) == _partition(shuffled, duplicate_texts(shuffled))
    assert all(groups[group] == group and group <= row for row, group in enumerate(groups.tolist()))


def test_thousands_of_texts_from_one_form_letter_stay_bounded() -> None:
    letter = _text(random.Random(3), 40)
    texts = [f"{letter} dosya {number}" for number in range(3000)]
    assert set(duplicate_texts(texts).tolist()) == {0}
