"""The whole answer to a complaint, by the model that ships."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tetkik.errors import SettingError
from tetkik.language import Language
from tetkik.triage.linear.model import _EMPTY
from tetkik.triage.predict import (
    ADULT_ONLY,
    Triage,
    clinic_of,
    load_clinics,
    load_triage,
    open_questions,
    questions,
    read_priors,
)
from tetkik.triage.text_quality import Unreadable, unreadable_reason
from tetkik.turkish import fold
from tetkik.values import DEPARTMENTS, Destination, DestinationKind, UrgencyLevel

CLEAR = {
    "Sigara içiyorum, koah hastasıyım, balgamım arttı, akciğer filminde leke var": "Göğüs Hastalıkları",
    "gozum kizardi cok sulaniyor isiga bakamiyorum lens kullaniyorum": "Göz Hastalıkları",
    "YÜZÜMDE ÇOK SİVİLCE VAR, ROACCUTANE KULLANDIM AMA LEKELERİ KALDI": "Dermatoloji",
    "8 haftalık hamileyim, kasıklarım ağrıyor, ultrasonda kese var": "Kadın Hastalıkları ve Doğum",
    "Bel fıtığım var, l5-s1 diskte basma diyor, sağ bacağımda uyuşma var": "Beyin ve Sinir Cerrahisi",
    "Sürekli kaygılıyım, panik atak geçiriyorum, antidepresan başladılar": "Psikiyatri",
    "Burnum hep tıkalı, septum deviasyonu dediler, horluyorum": "Kulak Burun Boğaz",
    "Varikosel ameliyatı oldum, sperm sayım düşük çıktı": "Üroloji",
}
VAGUE = (
    "Merhaba, kendimi iyi hissetmiyorum, ne yapmalıyım?",
    "Ağrım var",
    "Başım dönüyor, halsizim, ne yapmalıyım?",
    "Verem temaslısıymışım, öksürüğüm ateşim yok",
    "patoloji sonucum çıkmış, kime göstereceğim",
)


@pytest.fixture(scope="module")
def triage() -> Triage:
    return load_triage("triage-linear-tr", Language.TR)


@pytest.mark.parametrize(("text", "department"), list(CLEAR.items()))
def test_clear_complaints_reach_their_department(triage: Triage, text: str, department: str) -> None:
    result = triage.predict(text)
    assert result.departments[0].name == department
    assert not result.abstain
    assert sum(item.probability for item in result.departments) == pytest.approx(1, abs=1e-4)
    probabilities = [item.probability for item in result.departments]
    assert probabilities == sorted(probabilities, reverse=True)
    assert {item.name for item in result.departments} == set(DEPARTMENTS)
    assert result.evidence
    for item in result.evidence:
        assert text[item.span.start : item.span.end] == item.text


def test_the_answer_is_the_same_without_turkish_letters(triage: Triage) -> None:
    typed = "göğsümde çarpıntı var, tansiyonum düşmüyor"
    plain = triage.predict("gogsumde carpinti var, tansiyonum dusmuyor")
    assert [d.as_json() for d in plain.departments] == [
        d.as_json() for d in triage.predict(typed).departments
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", Unreadable.EMPTY),
        (" \n\t ", Unreadable.EMPTY),
        ("😀😀😀 🤒", Unreadable.NO_LETTERS),
        ("12345 67", Unreadable.NO_LETTERS),
        ("ağrı " * 20_001, Unreadable.TOO_LONG),
        ("I have had a headache since yesterday and my chest hurts", Unreadable.NOT_TURKISH),
        ("У меня болит голова", Unreadable.NOT_TURKISH),
        ("عندي صداع شديد", Unreadable.NOT_TURKISH),
        ("mi fa male la testa", Unreadable.NOT_TURKISH),
        ("blurred vision in left eye after accident", Unreadable.NOT_TURKISH),
        ("Zarokê min şeş salî ye, du roj in zikê wî diêşe", Unreadable.NOT_TURKISH),
        ("Ürəyim ağrıyır, nəfəs ala bilmirəm", Unreadable.NOT_TURKISH),
        ("galbi youja3ni wa ma agdar atnafas", Unreadable.NOT_TURKISH),
        ("asdf qwer zxcv", Unreadable.NO_COMPLAINT),
        ("asdasdasd asdasdasda asd asd as", Unreadable.NO_COMPLAINT),
        ("şlkşlk ığpığp", Unreadable.NO_COMPLAINT),
        ("Ayşe Yılmaz", Unreadable.NO_COMPLAINT),
        ("Yusuf Kurt", Unreadable.NO_COMPLAINT),
        ("Merhaba hocam", Unreadable.NO_COMPLAINT),
        ("test", Unreadable.NO_COMPLAINT),
        ("\x00\x01\ufffd", Unreadable.NO_LETTERS),
    ],
)
def test_what_cannot_be_read_gets_an_answer_and_no_department(
    triage: Triage, text: str, why: Unreadable
) -> None:
    assert unreadable_reason(text, most_characters=20_000) is why
    result = triage.predict(text)
    assert result.departments == ()
    assert result.abstain
    assert result.reason
    assert result.urgency.level is None
    assert result.destination is None
    assert np.isnan(triage.scores([text])).all()


@pytest.mark.parametrize(
    "text",
    [
        *("sivilce", "basim agriyo", "Göz", "karnm ağryor cok", "doctor karnım", "bel ağrısı", "gozum kanli"),
        *("BEL AGRISI", "tansyon yüksek", "nefs alamyorm", "diş", "iğne", "arı soktu", "kriz", "ateş 39"),
        *("ASD kapatıldı", "iyi değilim", "Merhaba hocam başım ağrıyor", "Gül Bacak ağrısı"),
        "Kocma et yerken tıkndı 75 yaşnda sesi çıkmyor ellrini boğzına götrdü mosmr oldu nolur çabk",
    ],
)
def test_short_complaints_are_read(text: str) -> None:
    assert unreadable_reason(text, most_characters=20_000) is None


def test_a_child_goes_to_pediatrics_and_is_told_so(triage: Triage) -> None:
    adult = triage.predict("45 yaşındayım, iki gündür midem bulanıyor, ishalim var, kansızlık çıktı")
    assert adult.departments[0].name == "Dahiliye"
    child = triage.predict("5 yaşındaki oğlumun iki gündür midesi bulanıyor, ishali var, kansızlık çıktı")
    assert child.departments[0].name == "Pediatri"
    assert child.departments[0].clinic == "Çocuk Sağlığı ve Hastalıkları"
    assert child.reason
    assert "çocuk" in child.reason.lower()
    eyes = triage.predict("6 yaşındaki kızımın gözü kayıyor, şaşılık var, gözlük numarası büyüdü")
    assert eyes.departments[0].name == "Göz Hastalıkları"


def test_without_a_child_pediatrics_stays_behind(triage: Triage) -> None:
    text = "Üç haftadır geçmeyen kuru öksürüğüm var, geceleri ateşim çıkıyor"
    own = triage.labels.index("Pediatri")
    assert triage.scores([text])[0, own] < triage.model.probabilities([text])[0, own]
    assert triage.scores([text])[0].sum() == pytest.approx(1, abs=1e-5)


def test_an_unsure_model_asks(triage: Triage) -> None:
    result = triage.predict("Merhaba, kendimi iyi hissetmiyorum, ne yapmalıyım?")
    assert result.abstain
    assert result.question in {question.text[Language.TR] for question in questions()}
    assert triage.abstain_threshold is not None
    assert result.departments[0].probability < triage.abstain_threshold


def test_a_question_is_asked_only_where_an_answer_changes_the_first_two(triage: Triage) -> None:
    answers = {question.id: question.answers for question in questions()}
    asked = 0
    for text in VAGUE:
        result = triage.predict(text)
        if result.question_id is None:
            continue
        asked += 1
        first_two = [item.name for item in result.departments[:2]]
        after = triage.predict_many(f"{text}. {answer.sentence}" for answer in answers[result.question_id])
        assert any([item.name for item in one.departments[:2]] != first_two for one in after)
        denied = triage.predict(text, denied=[result.question_id])
        assert denied.question_id != result.question_id
        assert denied.departments == result.departments
    assert asked >= 3
    everything = triage.predict(VAGUE[0], denied=list(answers))
    assert everything.question is None
    assert "%" in (everything.reason or "")
    assert "soru" not in (everything.reason or "")


def test_an_emergency_has_its_place_and_no_question(triage: Triage) -> None:
    red = triage.predict("Babam bir saattir konuşamıyor, sağ kolunu kaldıramıyor, ağzı kaydı")
    assert (red.urgency.level, red.question) == (UrgencyLevel.KIRMIZI, None)
    assert red.destination == Destination(DestinationKind.EMERGENCY, "Acil Servis ya da 112")
    hospital = replace(triage, in_hospital=True, language=Language.EN).predict(red.text)
    assert hospital.destination == Destination(DestinationKind.EMERGENCY, "Emergency department")
    clear = triage.predict("YÜZÜMDE ÇOK SİVİLCE VAR, ROACCUTANE KULLANDIM AMA LEKELERİ KALDI")
    clinic = clear.departments[0].clinic
    assert clinic is not None
    assert clear.destination == Destination(DestinationKind.DEPARTMENT, clinic)
    assert triage.predict(VAGUE[0]).destination is None
    assert list(red.as_json()) == [
        *("text", "departments", "urgency", "abstain", "reason", "question", "destination", "evidence"),
        "model",
    ]


def test_the_question_tells_the_candidates_apart() -> None:
    def ask(*likely: str) -> str:
        belief = np.array([0.5 if label in likely else 0.0 for label in DEPARTMENTS])
        return open_questions("agrim var", DEPARTMENTS, belief)[0].id

    assert ask("Kardiyoloji", "Göğüs Hastalıkları") in {"heart", "cough"}
    assert ask("Dahiliye", "Genel Cerrahi") == "surgery"
    assert ask("Kadın Hastalıkları ve Doğum", "Üroloji") in {"pregnancy", "urine"}
    everyone = {name for question in questions() for name in question.yes | question.no}
    assert everyone == set(DEPARTMENTS)


def test_red_flags_are_not_silenced(triage: Triage) -> None:
    sure = triage.predict(
        "Gözüm kızardı, gözümden ameliyat oldum. Yarım saattir göğsümde baskı var, sol koluma vuruyor"
    )
    assert sure.urgency.level is UrgencyLevel.KIRMIZI
    assert sure.urgency.flags
    unread = triage.predict("help please the my and is — nefes alamıyorum")
    assert unread.departments == ()
    assert unread.urgency.level is UrgencyLevel.KIRMIZI
    assert unread.destination is not None


def test_clinics_follow_the_appointment_system() -> None:
    for department in DEPARTMENTS:
        clinic = clinic_of(department, child=False)
        assert clinic is not None
        assert clinic.referral(Language.TR) is None
    assert clinic_of("Psikiyatri", child=True).name == "Çocuk ve Ergen Ruh Sağlığı ve Hastalıkları"  # type: ignore[union-attr]
    referred = clinic_of("Gastroenteroloji", child=False)
    assert referred is not None
    assert "İç Hastalıkları (Dahiliye)" in (referred.referral(Language.EN) or "")
    assert clinic_of("Bilinmeyen", child=False) is None
    assert set(DEPARTMENTS) > ADULT_ONLY


def test_a_hospital_brings_its_own_clinics(tmp_path: Path) -> None:
    own = tmp_path / "clinics.toml"
    own.write_text(
        '[[department]]\nname = "Kardiyoloji"\nclinic = "Kalp Merkezi"\n'
        '[[clinic]]\nname = "Kalp Merkezi"\nfirst = ["Aile"]\n[[clinic]]\nname = "Aile"\n',
        encoding="utf-8",
    )
    done = run(
        "kalbim çarpıyor, ekg çekildi", "--json", env={**os.environ, "TETKIK_TRIAGE_CLINICS": str(own)}
    )
    first = json.loads(done.stdout)["departments"][0]
    assert (first["name"], first["clinic"]) == ("Kardiyoloji", "Kalp Merkezi")
    assert "Aile" in first["referral"]
    for text in (
        "[[clinic]]",
        "not toml [",
        '[[department]]\nname = "X"\nclinic = "Y"\n[[clinic]]\nname = "Z"',
    ):
        own.write_text(text, encoding="utf-8")
        with pytest.raises(SettingError, match="list of clinics"):
            load_clinics.__wrapped__(own)


@given(st.text(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_text_gets_an_answer(text: str) -> None:
    result = _LOADED[0].predict(text)
    json.dumps(result.as_json(), ensure_ascii=False)
    for flag in result.urgency.flags:
        assert 0 <= flag.span.start < flag.span.end <= len(text)
    for item in result.evidence:
        assert text[item.span.start : item.span.end] == item.text


_LOADED: list[Triage] = []


@pytest.fixture(scope="module", autouse=True)
def _load_once() -> None:
    _LOADED.append(load_triage("triage-linear-tr", Language.EN))


def test_scores_are_what_the_answers_print(triage: Triage) -> None:
    texts = [*CLEAR, "", "3 aylık bebeğim çok kusuyor, kilo almıyor"]
    scores = triage.scores(texts)
    for row, result in zip(scores, triage.predict_many(texts), strict=True):
        printed = {d["name"]: d["probability"] for d in result.as_json()["departments"]}
        for label, value in zip(triage.labels, row, strict=True):
            assert printed.get(label) == (None if np.isnan(value) else pytest.approx(value, abs=1e-9))


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tetkik", "triage", "predict", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        **options,
    )


def test_files_pipes_and_bad_lines(tmp_path: Path) -> None:
    table = tmp_path / "in.csv"
    table.write_text("id;text\n1;gözüm kızardı\n2;\n3;sivilcelerim var\n", encoding="utf-8")
    done = run("--input", str(table), "--json")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert [answer["text"] for answer in answers] == ["gözüm kızardı", "", "sivilcelerim var"]
    assert answers[1]["abstain"] is True
    broken = (
        "text\ngözüm kızardı\nbaşım ağrıyor, göğsüm sıkışıyor\n".encode() + b"a\xf0r\xfd\nates\n\x00\nx\n"
    )
    table.write_bytes(broken)
    done = run("--input", str(table), "--json")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [answer.get("text") for answer in answers] == ["gözüm kızardı", None, None, "ates", None, "x"]
    assert ["line 3" in answer.get("error", "") for answer in answers] == [
        False,
        True,
        False,
        False,
        False,
        False,
    ]
    lines = tmp_path / "in.jsonl"
    lines.write_bytes(
        '{"text": "belim ağrıyor"}\n{broken\n{"text": 5}\n'.encode() + b'\xff\xfe\n{"text": "ates"}\n'
    )
    done = run("--input", str(lines), "--json")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert ["error" in answer for answer in answers] == [False, True, True, True, False]
    done = run("--input", "-", "--json", input="başım ağrıyor\nkulağım çınlıyor\n")
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == [
        "başım ağrıyor",
        "kulağım çınlıyor",
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--input", "missing.csv"), 1, "missing.csv"),
        (("x", "--model", "missing-model"), 2, "missing-model"),
        (("x", "--json", "--nonsense"), 2, "nonsense"),
    ],
)
def test_wrong_use_is_one_sentence(arguments: tuple[str, ...], status: int, words: str) -> None:
    done = run(*arguments)
    assert done.returncode == status
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_it_works_with_the_network_switched_off(tmp_path: Path) -> None:
    guard = tmp_path / "sitecustomize.py"
    guard.write_text(
        "import socket\n"
        "def refuse(*a, **k):\n    raise OSError('the network is off')\n"
        "socket.socket.connect = refuse\nsocket.getaddrinfo = refuse\nsocket.create_connection = refuse\n"
    )
    done = run("üç gündür öksürüyorum", "--json", env={"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["departments"]
    code = (
        "import sys, tetkik.workflow as w; w.triage('başım ağrıyor', 'triage-linear-tr'); "
        "print([m for m in ('torch', 'sklearn', 'scipy') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_the_built_in_model_is_small_and_sound(triage: Triage) -> None:
    from tetkik.bundle import resolve

    bundle = resolve("triage-linear-tr")
    size = sum((bundle.path / name).stat().st_size for name in bundle.manifest.files)
    assert size < 12e6
    assert triage.labels == DEPARTMENTS


def test_the_terminal_names_the_emergency_department_first() -> None:
    done = run("Yarım saattir göğsümde baskı var, sol koluma vuruyor", "asdf qwer zxcv")
    red, unread = done.stdout.split("\n\n")
    assert red.splitlines()[0].strip() == "Emergency department or 112"
    assert "RED: at once" in red
    assert "Afterwards: Kardiyoloji" in red
    assert "Book" not in red
    assert "NOT ASSESSED: see the patient" in unread
    assert "GREEN" not in done.stdout


def test_script_in_a_complaint_is_shown_not_run() -> None:
    done = run("\x1b[31mgözüm kızardı\x1b]0;title\x07 [bold]sulanıyor[/bold]")
    assert done.returncode == 0
    assert "\x1b]0" not in done.stdout
    assert "[bold]" in done.stdout


def test_a_hospital_that_sees_more_of_a_department_says_so(monkeypatch, triage: Triage) -> None:
    text = "Belim ağrıyor, bacağıma vuruyor, hangi bölüme gideyim"
    plain = triage.scores([text])[0]
    priors = read_priors("Fizik Tedavi ve Rehabilitasyon = 10, Ortopedi=0.5", triage.labels)
    scores = replace(triage, priors=priors).scores([text, "!!!"])
    ftr, brain = (triage.labels.index(name) for name in ("Fizik Tedavi ve Rehabilitasyon", DEPARTMENTS[6]))
    assert scores[0].sum() == pytest.approx(1, abs=1e-5)
    assert scores[0, ftr] / scores[0, brain] == pytest.approx(10 * plain[ftr] / plain[brain], rel=1e-2)
    assert np.isnan(scores[1]).all()


@pytest.mark.parametrize("written", ["Kardioloji=2", "Kardiyoloji", "Kardiyoloji=0", "Kardiyoloji=nan", ","])
def test_priors_that_cannot_be(written: str) -> None:
    with pytest.raises(SettingError, match="triage_priors"):
        read_priors(written, DEPARTMENTS)


def test_words_that_mean_nothing_are_no_evidence(triage: Triage) -> None:
    text = "Merhaba hocam, üç gündür çok öksürüyorum, bir de balgam geldi, nefes darlığım var"
    shown = {item.text for item in triage.predict(text).evidence}
    assert {"öksürüyorum", "balgam"} <= shown
    assert shown.isdisjoint({"Merhaba", "hocam", "üç", "gündür", "çok", "bir", "de", "geldi", "var"})
    for word in ("varislerim", "sızı", "güneş", "benlerim", "öldürmek"):  # these do mean something
        assert not _EMPTY.fullmatch(fold(word))
