"""The learned model beside the rules: it raises, lowers little, and sees only what the grammar leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.workflow.test_changed_models import changed
from tetkik.bundle import Task, open_bundle, resolve
from tetkik.errors import BundleCorrupt, BundleMismatch
from tetkik.language import Language
from tetkik.settings import settings
from tetkik.triage.predict import load_triage
from tetkik.triage.urgency import assess
from tetkik.triage.urgency.reader import (
    FLAG,
    UrgencyReader,
    UrgencyThresholds,
    level_of,
    standing_text,
)
from tetkik.triage.urgency.rule_file import load_rules
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


def test_a_red_that_it_does_not_believe_is_shown_as_yellow(reader):
    doubting = replace(reader, thresholds=UrgencyThresholds(red=1.1, keep_red=1.1))
    text = "Göğsümde baskı var, soğuk terliyorum, kolum uyuşuyor."
    assert assess(text).level is KIRMIZI
    found = assess(text, reader=doubting)
    assert found.level is SARI and {flag.level for flag in found.flags} == {SARI}


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
