"""The learned model beside the rules: it raises, lowers little, and sees only what the grammar leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.workflow.test_changed_models import changed
from tetkik.bundle import Task, open_bundle, resolve
from tetkik.errors import BundleCorrupt, BundleMismatch, DataError
from tetkik.language import Language
from tetkik.settings import settings
from tetkik.triage.predict import load_triage
from tetkik.triage.urgency import assess
from tetkik.triage.urgency.assess import UrgencyReader, UrgencyThresholds, level_of, standing_text
from tetkik.triage.urgency.rules import FLAG, load_rules, parse_rules
from tetkik.values import UrgencyLevel

KIRMIZI, SARI, YESIL = UrgencyLevel.KIRMIZI, UrgencyLevel.SARI, UrgencyLevel.YESIL
UNNAMED = "Babam sofrada birden çatalı düşürdü, bize boş boş baktı, ne sorsak anlamsız sesler çıkarıyor."
"""An emergency that no rule names."""


@pytest.fixture(scope="module")
def reader() -> UrgencyReader:
    return UrgencyReader.load("urgency-linear-tr")


def test_an_emergency_that_no_rule_names_is_red(reader):
    assert assess(UNNAMED).level is not KIRMIZI
    found = assess(UNNAMED, reader=reader)
    assert found.level is KIRMIZI
    flag = found.flags[0]
    assert (flag.id, flag.level, flag.source) == (FLAG, KIRMIZI, "urgency-linear-tr 1.0")
    assert 0 <= flag.span.start < flag.span.end <= len(UNNAMED)
    assert " " not in UNNAMED[flag.span.start : flag.span.end]
    assert "hemen görün" in flag.reason
    assert "see the patient now" in assess(UNNAMED, None, Language.EN, reader).flags[0].reason


@pytest.mark.parametrize(
    "text",
    [
        "Beş yıl önce babam sofrada çatalı düşürmüştü, konuşamamıştı. Sonra geçti, şimdi kontrole geldim.",
        "Nefes darlığı, göğüs ağrısı, bayılma yok. Gözlük numaramı değiştirmek istiyorum.",
        "Reçetemi yazdırmak istiyorum.",
    ],
)
def test_what_is_over_or_denied_is_not_raised(reader, text):
    assert assess(text, reader=reader).level is YESIL


def test_it_reads_what_the_grammar_leaves_standing():
    reading = load_rules().recogniser.read("Beş yıl önce bayılmıştım. Bugün belim ağrıyor, ateşim yok.")
    assert standing_text(reading) == "bugun belim agriyor"


@pytest.mark.parametrize(
    ("rules", "red", "yellow", "level"),
    [
        (0, 0.43, 0.1, KIRMIZI),
        (0, 0.41, 0.1, YESIL),
        (0, 0.3, 0.41, SARI),
        (1, 0.05, 0.11, SARI),
        (1, 0.05, 0.09, YESIL),
        (2, 0.02, 0.1, KIRMIZI),
        (2, 0.009, 0.1, SARI),
        (2, 0.0, 0.0, SARI),
    ],
)
def test_it_raises_and_lowers_by_one_level_at_most(rules, red, yellow, level):
    assert level_of(rules, red, yellow, UrgencyThresholds()) is level


class Doubting:
    """A model that takes every text for the same level."""

    def __init__(self, real, *chances):
        self.manifest, self._chances = real.manifest, chances

    def probabilities(self, texts):
        return np.array([self._chances] * len(texts), np.float32)

    def evidence(self, text, label):
        return ()


CHEST = "Göğsümde baskı var, soğuk terliyorum, kolum uyuşuyor."


def test_a_red_that_it_does_not_believe_comes_yellow_and_says_so(reader):
    doubting = replace(reader, model=Doubting(reader.model, 0.0, 0.1, 0.9))
    rules = assess(CHEST)
    assert rules.level is KIRMIZI
    found = assess(CHEST, reader=doubting)
    assert found.level is SARI
    assert (found.flags[0].id, found.flags[0].level) == (FLAG, SARI)
    assert found.flags[1:] == rules.flags  # what the rules say stays as it is


def test_what_counts_in_a_history_too_and_a_hospitals_own_rules_are_not_lowered(reader, tmp_path):
    doubting = replace(reader, model=Doubting(reader.model, 0.0, 0.1, 0.9))
    assert assess("İntihar etmeyi düşünüyorum.", reader=doubting).level is KIRMIZI
    file = tmp_path / "rules.toml"
    file.write_text(
        '[[rule]]\nid = "kizamik"\nlevel = "kirmizi"\nall = ["kizamik"]\nreason = "r"\nsource = "own"\n'
        '[symptoms]\nkizamik = ["kızamık"]\n',
        encoding="utf-8",
    )
    text = "Oğlum kızamık oldu galiba."
    assert assess(text, load_rules(file), reader=doubting).level is KIRMIZI


@pytest.mark.parametrize("text", ["ağrı yok", "yok yok", "ateşim yok", "birden", "göğsüm"])
@pytest.mark.parametrize("chances", [(0.9, 0.1, 0.0), (float("nan"),) * 3])
def test_of_nothing_said_of_now_no_model_makes_anything(reader, text, chances):
    eager = replace(reader, model=Doubting(reader.model, *chances))
    assert assess(text, reader=eager) == assess(text)


def test_a_model_that_answers_nonsense_changes_nothing(reader):
    broken = replace(reader, model=Doubting(reader.model, *[float("nan")] * 3))
    assert assess(CHEST, reader=broken) == assess(CHEST)


@pytest.mark.parametrize(
    "thresholds",
    [{"keep_red": 0.06}, {"red": 0.001}, {"red": 9.0}, {"keep_yellow": 0.8}, {"yellow": 1.5}],
)
def test_thresholds_out_of_order_are_refused(tmp_path, thresholds):
    real = resolve("urgency-linear-tr", Task.URGENCY)
    changed(real.path, tmp_path / "own", thresholds={**real.manifest.thresholds, **thresholds})
    with pytest.raises(BundleCorrupt, match="train it again"):
        UrgencyReader.load(open_bundle(tmp_path / "own", Task.URGENCY))


@pytest.mark.parametrize("name", ["a b", "learned", "Kızamık"])
def test_a_rule_may_not_be_called_so(name):
    with pytest.raises(DataError, match="needs another id"):
        parse_rules(
            f'[[rule]]\nid = "{name}"\nlevel = "sari"\nall = ["ates"]\nreason = "r"\nsource = "s"\n',
            Path("own.toml"),
        )


@pytest.mark.parametrize(
    "text",
    [
        "geçen sene kalp krizi geçirmiştim aynısı şimdi oluyor",
        "üç gündür gaita çıkmıyor gaz yok karnım davul",
        "vücudunun yarısı tutmuyor",
        "şekerim 40",
        "penisilin vuruldum her yerim kızardı nefes darlığı",
        "bu dünyadan gitmek istiyorum",
        "bıçağı aldı hepimizi keserim diyor",
        "pasli demir karnima girdi",
        "imdat",
        "tarla ilacı içmiş salyası akıyor",
    ],
)
def test_an_emergency_in_ordinary_words_is_red(reader, text):
    assert assess(text, reader=reader).level is KIRMIZI


@pytest.mark.parametrize(
    "text",
    [
        "başım döndü",
        "bebeğin salyası akıyor diş çıkarıyor",
        "tırnağım morardı çekiç vurdum",
        "inme nedir",
        "kalp krizi belirtileri nelerdir",
        "inme geçiren babamın ilaçlarını yazdıracağım",
        "karnım ağrıyor",
        "kolum uyuşuyor üstüne yatınca",
    ],
)
def test_an_ordinary_complaint_is_not_red(reader, text):
    assert assess(text, reader=reader).level is not KIRMIZI


def test_a_text_that_cannot_be_read_is_left_to_the_rules():
    triage = load_triage("triage-linear-tr")
    assert triage.reader is not None
    assert not triage.urgency("I have a terrible chest pain and cannot breathe at all").flags


def test_without_a_model_the_rules_judge_alone(monkeypatch):
    monkeypatch.setenv("TETKIK_TRIAGE_URGENCY_MODEL", "")
    settings.cache_clear()
    triage = load_triage("triage-linear-tr")
    assert triage.reader is None and triage.urgency(UNNAMED).level is not KIRMIZI


def test_a_model_of_departments_is_refused():
    with pytest.raises(BundleMismatch):
        UrgencyReader.load("triage-linear-tr")


@pytest.mark.parametrize(
    "change",
    [{"labels": ("yesil", "sari", "kirmizi")}, {"thresholds": {"abstain": 0.5}}, {"kind": "transformer"}],
)
def test_a_bundle_of_another_make_is_refused(tmp_path, change):
    changed(resolve("urgency-linear-tr", Task.URGENCY).path, tmp_path / "own", **change)
    with pytest.raises(BundleCorrupt, match="train it again"):
        UrgencyReader.load(open_bundle(tmp_path / "own", Task.URGENCY))
