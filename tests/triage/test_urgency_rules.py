"""A hospital's own rules: read, checked, and used in place of the built-in ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tetkik.errors import DataError, SettingError
from tetkik.language import Language
from tetkik.settings import settings
from tetkik.triage.urgency import assess, load_rules, symptoms
from tetkik.values import UrgencyLevel

RULE = """
[[rule]]
id = "bizim"
level = "sari"
all = ["ates", "oksuruk"]
reason = "Ateş ve öksürük."
source = "Hastane"
"""


@pytest.fixture
def rule_file(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "kurallar.toml"
        path.write_text(text, "utf-8")
        return path

    return write


def test_own_rules_stand_in_place_of_the_built_in_ones(rule_file):
    rules = load_rules(rule_file(RULE))
    assert [flag.id for flag in assess("Ateşim ve öksürüğüm var.", rules).flags] == ["bizim"]
    assert assess("Nefes alamıyorum.", rules).level is UrgencyLevel.YESIL


def test_the_setting_names_the_hospitals_file(rule_file, monkeypatch):
    monkeypatch.setenv("TETKIK_TRIAGE_RULES", str(rule_file(RULE.replace("sari", "kirmizi"))))
    settings.cache_clear()
    try:
        assert assess("Ateşim ve öksürüğüm var.").level is UrgencyLevel.KIRMIZI
    finally:
        settings.cache_clear()


def test_own_words_and_symptoms(rule_file):
    own = """
[words]
zurna = "zurna"
[symptoms]
zurna_calar = ["@zurna & çal"]
""" + RULE.replace('"ates", "oksuruk"', '"zurna_calar|ates"')
    rules = load_rules(rule_file(own))
    assert assess("Evde zurnam çalıyor.", rules).level is UrgencyLevel.SARI
    assert assess("Evde zurnam çalmıyor.", rules).level is UrgencyLevel.YESIL
    assert assess("Ateşim var.", rules).level is UrgencyLevel.SARI


def test_conditions_of_age_time_window_and_absence(rule_file):
    conditions = RULE + 'none = ["kusma"]\nmin_age = 60\nmax_days = 3\nwindow = 6\n'
    rules = load_rules(rule_file(conditions))

    def fires(text: str) -> bool:
        return bool(assess(text, rules).flags)

    assert fires("70 yaşındayım, dünden beri ateşim ve öksürüğüm var.")
    assert not fires("Ateşim ve öksürüğüm var.")
    assert not fires("50 yaşındayım, dünden beri ateşim ve öksürüğüm var.")
    assert not fires("70 yaşındayım, üç haftadır ateşim ve öksürüğüm var.")
    assert not fires("70 yaşındayım, ateşim ve öksürüğüm var, kusuyorum.")
    assert not fires("70 yaşındayım, ateşim var, evde uzun zaman boyunca tek başıma kaldım ve öksürüğüm var.")


def test_worst_rules_come_first_whatever_the_files_order(rule_file):
    second = RULE.replace("bizim", "kotu").replace("sari", "kirmizi")
    assert [rule.id for rule in load_rules(rule_file(RULE + second)).rules] == ["kotu", "bizim"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["no [[rule]]"]),
        ("rule = 3", ["no [[rule]]"]),
        (RULE + RULE, ["two rules bizim"]),
        (RULE.replace("sari", "mavi"), ["bizim", "mavi", "kirmizi, sari, yesil"]),
        (RULE.replace('"ates"', '"olmayan"'), ["bizim", "olmayan"]),
        (RULE.replace('"ates"', '"ates|"'), ["bizim"]),
        (RULE.replace('"ates", "oksuruk"', "1"), ["bizim", "all"]),
        (RULE.replace('["ates", "oksuruk"]', '"ates"'), ["bizim", "all"]),
        (RULE.replace('["ates", "oksuruk"]', "[]"), ["bizim", "all"]),
        (RULE.replace('reason = "Ateş ve öksürük."', ""), ["bizim", "no reason"]),
        (RULE.replace('id = "bizim"', ""), ["no. 1", "no id"]),
        (RULE + "max_days = true", ["bizim", "max_days"]),
        (RULE + 'min_age = "on"', ["bizim", "min_age"]),
        (RULE + "child = 1", ["bizim", "child"]),
        (RULE + "min_age = -1", ["bizim", "min_age"]),
        (RULE + "window = nan", ["bizim", "window"]),
        (RULE + "max_days = inf", ["bizim", "max_days"]),
        (RULE + "min_age = 60\nmax_age = 18", ["bizim", "min_age", "max_age"]),
        (RULE + RULE.replace("bizim", "kotu") + "window = -3", ["kurallar.toml:9", "kotu", "window"]),
        ('[symptoms]\nx = ["||"]\n' + RULE, ["x (", "kurallar.toml:2", "||"]),
        ('[symptoms]\nx = ["(ateş|.*)"]\n' + RULE, ["x", "(ateş|.*)"]),
        ('[symptoms]\nx = ["ateş var /900"]\n' + RULE, ["x", "/900"]),
        (RULE + "colour = 1", ["bizim", "colour"]),
        ("words = 3\n" + RULE, ["[words]"]),
        ('[symptoms]\nx = "y"\n' + RULE, ["[symptoms]"]),
        ('[symptoms]\nx = ["@yok_boyle"]\n' + RULE, ["x", "@yok_boyle"]),
        ('[symptoms]\nx = ["ateş &"]\n' + RULE, ["x", "empty pattern"]),
    ],
)
def test_a_wrong_rule_is_named(rule_file, text: str, words: list[str]):
    with pytest.raises(DataError) as caught:
        load_rules(rule_file(text))
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert caught.value.in_language(Language.TR) != str(caught.value)


def test_a_file_that_cannot_be_read(rule_file, tmp_path):
    for path in (tmp_path / "yok.toml", rule_file("[[rule")):
        with pytest.raises(SettingError, match="cannot be read"):
            load_rules(path)


def test_rules_are_read_once(rule_file):
    path = rule_file(RULE)
    assert load_rules(path) is load_rules(path)
    assert load_rules() is load_rules()


def test_the_list_of_common_words_is_made_from_the_data_set():
    root = Path(__file__).parents[2]
    program = [root / "benchmarks/triage_common_words.py", root / "data/invented-complaints/complaints.csv"]
    printed = subprocess.run([sys.executable, *program], check=True, capture_output=True, text=True)
    assert printed.stdout.split() == list(symptoms.common_words())
