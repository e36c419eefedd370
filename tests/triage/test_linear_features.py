"""The features: NumPy and C agree, and nothing of a text but hashes is kept."""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from tests.programs import why_skipped
from tests.triage.sentences import invented
from tetkik.lab.triage.linear import fit
from tetkik.lab.triage.linear.fit import document_frequency, learn_features
from tetkik.triage.linear import compiled, features
from tetkik.triage.linear.features import Featuriser, Rows, Vocabulary, prepare, stems_of, words_of

pytestmark = pytest.mark.skipif(compiled.ngrams is None, reason=why_skipped("cc"))


@pytest.fixture(scope="module")
def featuriser() -> Featuriser:
    texts = [prepare(text) for text in invented(240).texts]
    return learn_features(texts, np.arange(len(texts)))


def dense(rows: Rows, columns: int) -> NDArray[np.float32]:
    made: NDArray[np.float32] = csr_matrix(
        (rows.values, rows.indices, rows.indptr), shape=(len(rows), columns)
    ).toarray()
    return made


def in_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (features, fit, fit):
        monkeypatch.setattr(module, "ngrams", None)


WORDS = "göğsüm ağrıyor bel fıtığı Kalp ÇARPINTISI sivilce 3 yaşında l4-l5 x çok"
TEXTS = st.one_of(
    st.text(max_size=60), st.lists(st.sampled_from(WORDS.split(" ")), max_size=20).map(" ".join)
)


@given(TEXTS)
@settings(max_examples=60, deadline=None)
def test_c_and_numpy_give_the_same_row(text: str) -> None:
    made = _shared()
    one = made.rows([prepare(text)])
    other = made._rows_in_numpy([prepare(text)])
    np.testing.assert_allclose(dense(one, made.columns), dense(other, made.columns), atol=2e-6)


@given(TEXTS)
@settings(max_examples=40, deadline=None)
def test_c_and_numpy_lead_back_to_the_same_characters(text: str) -> None:
    made = _shared()
    gain = np.random.default_rng(0).normal(size=made.columns).astype(np.float32)
    prepared = prepare(text)
    parts = np.zeros(len(prepared) + 1)
    for part in made.parts(prepared):
        slope = float(gain[part.column]) * part.value / (part.end - part.start)
        parts[part.start] += slope
        parts[part.end] -= slope
    np.testing.assert_allclose(made.attribute(prepared, gain), np.cumsum(parts)[:-1], atol=1e-5)


_MADE: list[Featuriser] = []


def _shared() -> Featuriser:
    if not _MADE:
        texts = [prepare(text) for text in invented(240).texts]
        _MADE.append(learn_features(texts, np.arange(len(texts))))
    return _MADE[0]


def test_frequencies_agree_and_count_groups_once(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [prepare(text) for text in ("sol gözüm ağrıyor", "sol gözüm ağrıyor", "başım dönüyor")]
    groups = np.array([0, 0, 2])
    compiled = document_frequency(texts, groups)
    in_numpy(monkeypatch)
    plain = document_frequency(texts, groups)
    for one, other in zip(compiled, plain, strict=True):
        np.testing.assert_array_equal(one, other)
    assert compiled[0].max() == 2  # the two groups share an ending, and a group counts once


def test_scores_are_rows_times_weights(featuriser: Featuriser, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [prepare(text) for text in invented(20, seed=5).texts]
    weights = np.random.default_rng(1).normal(size=(featuriser.columns, 32)).astype(np.float32)
    fused = featuriser.scores(texts, weights)
    np.testing.assert_allclose(fused, featuriser.rows(texts).times(weights), rtol=1e-5, atol=1e-4)
    in_numpy(monkeypatch)
    np.testing.assert_allclose(fused, featuriser.scores(texts, weights), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("loss", list(fit.Loss))
def test_both_solvers_find_the_same_classifier(
    featuriser: Featuriser, loss: fit.Loss, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = invented(120, seed=2)
    rows = featuriser.rows([prepare(text) for text in data.texts])
    labels = np.array([sorted(set(data.labels)).index(label) for label in data.labels], dtype=np.int32)
    half = len(rows) // 2
    chunks = [featuriser.rows([prepare(t) for t in part]) for part in (data.texts[:half], data.texts[half:])]
    settings_: dict[str, Any] = {
        "columns": featuriser.columns,
        "costs": [np.array(costs, dtype=np.float32) for costs in ([1.0, 1.5, 0.7], [0.1, 0.1, 0.2])],
        "regularisation": 1.0,
        "loss": loss,
    }
    monkeypatch.setattr(fit, "TOLERANCE", 1e-5)
    monkeypatch.setattr(fit, "MAX_PASSES", 500)
    ascent = fit.solve(chunks, [labels[:half], labels[half:]], **settings_)
    in_numpy(monkeypatch)
    lbfgs = fit.solve(chunks, [labels[:half], labels[half:]], **settings_)
    np.testing.assert_allclose(rows.times(ascent), rows.times(lbfgs), atol=5e-3)
    assert not ascent[:, 3:].any()


def test_capitals_and_missing_turkish_letters_change_nothing() -> None:
    expected = prepare("göğsüm ağrıyor, ışığa bakamıyorum")
    decomposed = unicodedata.normalize("NFD", "göğsüm ağrıyor ışığa bakamıyorum")
    for typed in ("GÖĞSÜM AĞRIYOR, IŞIĞA BAKAMIYORUM", "gogsum agriyor isiga bakamiyorum", decomposed):
        assert prepare(typed) == expected


@given(st.text(max_size=60))
def test_words_lead_back_to_the_text(text: str) -> None:
    prepared = prepare(text)
    words = words_of(text)
    assert prepared == b" " + b" ".join(prepared[w.start : w.end] for w in words) + b" "
    for word in words:
        assert 0 <= word.first < word.last <= len(text)


def test_a_feature_needs_five_groups(featuriser: Featuriser) -> None:
    texts = [prepare(f"ortak kelime {name}") for name in ("bir", "iki", "uc", "dort", "bes")]
    once = prepare("gizlisoyad burada")
    made = learn_features([*texts, once, once, once, once, once], np.array([0, 1, 2, 3, 4, *[5] * 5]))
    rare = {bucket for _, bucket, _, _ in features.grams(prepare("gizlisoyad"))}
    common = {bucket for _, bucket, _, _ in features.grams(prepare("kelime"))}
    kept = set(made.characters.buckets.tolist()) | set(made.words.buckets.tolist())
    shared = {bucket for _, bucket, _, _ in features.grams(prepare("ortak kelime bir"))}
    assert common & kept
    assert not (rare - shared) & kept


def test_a_vocabulary_refuses_disorder() -> None:
    with pytest.raises(ValueError, match="ascend"):
        Vocabulary(np.array([3, 1], np.uint32), np.ones(2, np.float32))
    with pytest.raises(ValueError, match="range"):
        Vocabulary(np.array([features.BUCKETS], np.uint32), np.ones(1, np.float32))


def test_the_c_code_refuses_arrays_that_do_not_fit(featuriser: Featuriser) -> None:
    rows = featuriser.rows([prepare("gözüm kızardı")])
    with pytest.raises(ValueError, match="fit"):
        rows.times(np.zeros((10, 16), np.float32))
    with pytest.raises(ValueError, match="fit"):
        compiled.ngrams.score(
            [b" a "], featuriser.tables, np.zeros((3, 16), np.float32), np.zeros((1, 16), np.float32), 16
        )


def test_terms_are_stems() -> None:
    assert stems_of("göz kapağ") == ("goz", "kapag")
    assert stems_of("l4-l5$") == ("l4", "l5$")
    small = features.build([("goz", "kapag"), ("ms$",)], np.array([[3, 0], [0, 2]], np.uint8))
    found = {hit.term for hit in features.hits(prepare("Göz kapağım ms'im MS değil"), small)}
    assert found == {0, 1}
    assert not features.hits(prepare("göz bebeğim mskt"), small)


def test_a_damaged_trie_is_refused() -> None:
    built = features.build([("goz",)], np.array([[1]], np.uint8))
    with pytest.raises(ValueError, match="leads out"):
        features.Lexicon(built.levels, built.keys, built.children + 9, built.node_term)
    with pytest.raises(ValueError, match="power of two"):
        features.Lexicon(built.levels, built.keys[:-1], built.children[:-1], built.node_term)
