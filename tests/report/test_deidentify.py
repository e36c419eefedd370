"""What identifies stays out of a text, however it is typed; what a clinician asked stays in."""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report.made import facts
from tetkik.language import Language
from tetkik.report.deidentify import REMOVED, without_identifiers
from tetkik.report.llm.writing import make_prompt
from tetkik.turkish import flat
from tetkik.values import Identity

IDENTITY = Identity(
    patient_id="4711-A",
    patient_name="ŞAHİN^Gülçin^Nur",
    birth_date="19610423",
    study_date="20240312",
    accession="ACC20260042",
    study_uid="1.2.840.113619.2.55.3.604688119",
)


def cleaned(text: str) -> str:
    return without_identifiers(text, IDENTITY)


@pytest.mark.parametrize(
    "name",
    [
        "Gülçin", "gülçin", "GÜLÇİN", "gulcin", "GULCIN", "Gülçin'in", "Gülçin’e", "gulcinin",
        "Gülçin'dendir", "Gülçinden", "gulcinle", "Gülçin`in", "Şahin", "SAHIN", "şahinlerin", "Sahinler",
        "Nur", "nura",
        "Gu\u0308lc\u0327in", "Gül\u200bçin", "Ｇulcin",
    ],
)  # fmt: skip
def test_a_known_name_goes_in_every_spelling(name):
    assert cleaned(f"Hasta {name} öksürüyor") == f"Hasta {REMOVED} öksürüyor"


@pytest.mark.parametrize(
    "text",
    [
        "4711-A", "4711A", "4711 a", "ACC20260042", "acc 20260042", "1.2.840.113619.2.55.3.604688119",
        "1.2.826.0.1.3680043.8.498.1", "10000000146", "100 000 001 46", "0532 123 45 67", "(0532)1234567",
        "+90 532 123 45 67", "0532.123.45.67", "a.b@ornek.com", "12.03.2024", "12/03/24", "12-3-2024",
        "2024-03-12", "2024/03/12", "20240312", "3 Mart 2024", "3 mart", "March 3, 2024", "March 3rd",
        "3rd of March", "Mart 2024",
        "03/2024", "2019", "2019'da", "1961", "23.04.1961", "123456", "12 34 56 78",
        "\uff11\uff12.\uff10\uff13.\uff12\uff10\uff12\uff14",
    ],
)  # fmt: skip
def test_numbers_dates_and_addresses_go(text):
    found = cleaned(f"öksürük {text} var")
    assert found.startswith("öksürük ") and found.endswith(" var")
    assert not re.search(r"\d", found) and "@" not in found and "mar" not in flat(found).replace("var", "")


@pytest.mark.parametrize(
    "text",
    [
        "63 yaşında, 3 gündür nefes darlığı",
        "63 y, TA 120/80, nabız 90, ateş 38,5",
        "Sağ üst lobda nodül? Kalp yetmezliği ekarte?",
        "kaliteli görüntü alındı, nurlu",
        "Mayıs ayından beri",
        "parasetamol 2000 mg, 500 mg 2x1",
        "COVID-19 pnömonisi şüphesi, T2 sekans, L4-5",
        "40 paket-yıl sigara",
        "67-year-old man with dyspnoea; may have pneumonia",
    ],
)
def test_what_a_clinician_asks_stays(text):
    assert cleaned(text) == text


def test_short_words_are_not_cut_out_of_others():
    identity = Identity(patient_name="CAN^Ali", patient_id="7")
    text = "Kaliteli çekim alındı, canlı hasta, 7 gündür ağrı, alın bölgesi"
    assert without_identifiers(text, identity) == text
    assert without_identifiers("Ali'nin, Can'a, alinin, ali", identity).count(REMOVED) == 4


def test_all_words_of_a_double_name_go():
    identity = Identity(patient_name="O'BRIEN-YILMAZ^Mary=山田^太郎")
    found = without_identifiers("Mary O'Brien-Yılmaz, Bayan Yilmaz, 山田 太郎 geldi", identity)
    assert not re.search("mary|brien|y[ıi]lmaz|山田|太郎", found, re.IGNORECASE)


@pytest.mark.attack
@pytest.mark.parametrize("end", ["q", "'nın", "larda"])
def test_a_name_made_of_the_others_is_found_in_any_row_of_them(end):
    """One expression tried every way to read the row: it never came back from forty names."""
    identity = Identity(patient_name="FATMA^ZEHRA^FATMAZEHRA^AYŞE")
    found = without_identifiers("kitle, " + "fatmazehra" * 20 + end + " ve zehra_Fatmazehra.ayshe", identity)
    assert found == f"kitle, {'fatmazehra' * 20 + end if end == 'q' else REMOVED} ve […]"


KNOWN = Identity(patient_id="4711-A", patient_name="YILMAZ^Gülçe^Recep", other_ids=("88120455",))
CHANGED = {
    "endings": "Gülçecik Gülçemiz Gülçegilin Gülçeciğimizin Gülçelerdeymiş Gülçehanım Recebin",
    "letters lost": "Gulce GUELCE gulche G?l?e G\ufffdl\ufffde Y\ufffdlmaz Y?lmaz",
    "read in another set": "GÃ¼lÃ§e YÄ±lmaz Yýlmaz",
    "combining": "Gu\u0308lc\u0327e Gulce\u0301 G\u0307ulce",
    "look-alike": "Gülçе Gülçε Үılmaz Yılmаz Rесер Rεcεp",
    "taken apart": "G.ü.l.ç.e Y-I-L-M-A-Z",
    "joined": "gülçeyılmaz yilmaz_gulce",
    "numbers": "4711–A 4711.A 4711—a 4711-А 88.120.455 88–1204-55 88/12_04/55 88\u2011120455",
}


@pytest.mark.attack
@pytest.mark.parametrize("way", CHANGED)
def test_no_changed_form_of_an_identity_reaches_a_prompt(way):
    for word in CHANGED[way].split():
        known = facts({}, history=f"öksürük {word} ateş")
        sent = json.loads(make_prompt(known, (), Language.TR, KNOWN).user)
        assert sent["history"] == f"öksürük {REMOVED} ateş", word


@pytest.mark.attack
def test_spaces_within_a_name_or_a_number_hide_nothing():
    known = facts({}, history="öksürük Y I L M A Z, 4711\u00a0A, 88\u00a0120\u202f455 ve 88 – 120 - 455 ateş")
    sent = json.loads(make_prompt(known, (), Language.TR, KNOWN).user)
    assert sent["history"] == f"öksürük {REMOVED}, {REMOVED}, {REMOVED} ve {REMOVED} ateş"


def test_names_that_are_like_words_take_no_others():
    identity = Identity(patient_name="KARA^Deniz^Sarı", patient_id="471")
    text = "karaciğerde kitle? sarılık, denizanası; β-bloker, γ-GT 4, 7,1 cm; μg; idrarda kan? Karakter"
    assert without_identifiers(text, identity) == text


def test_without_an_identity_what_looks_personal_goes_all_the_same():
    found = without_identifiers("Adım Ayşe Demir, TC 10000000146, tel 0532 123 45 67. Öksürük.")
    assert found.endswith("Öksürük.") and not re.search(r"Ayşe|Demir|\d", found)


@pytest.mark.parametrize("text", ["", " ", "\n", "…"])
def test_nothing_stays_nothing(text):
    assert without_identifiers(text, IDENTITY).strip(" .…\n") == ""


def test_a_name_is_not_cut_in_two_by_the_length_of_a_history():
    identity = Identity(patient_name="Şahinbaşoğlu")
    for length in range(1985, 2002):
        history = "öksürük " * (length // 8) + "a" * (length % 8) + " Şahinbaşoğlu"
        known = facts({"Mass": "certain"}, history=history)
        sent = make_prompt(known, (), Language.TR, identity).user
        assert "Şahin" not in sent and "öksürük" in sent
    endless = facts({}, history="Şahinbaşoğlu" * 500)
    assert "Şahin" not in make_prompt(endless, (), Language.TR, identity).user


LETTERS = st.text("abcçdefgğhıijklmnoöprsştuüvyzABCÇDEFGĞHIİJKLMNOÖPRSŞTUÜVYZ", min_size=2, max_size=12)
SPELLING = st.sampled_from(
    [str, str.upper, str.lower, str.title, flat, lambda word: unicodedata.normalize("NFD", word)]
)
SUFFIX = st.sampled_from(["", "'in", "’e", "'den", "'nindir", "'ye", ","])
FILLER = st.lists(
    st.sampled_from(["hasta", "öksürük", "ve", "63 yaşında", "ağrı,", "(sağ)", "\n"]), max_size=4
)


def folded(text: str) -> list[str]:
    return re.findall(r"\w+", unicodedata.normalize("NFKD", flat(text)).encode("ascii", "ignore").decode())


@settings(max_examples=80, deadline=None)
@given(
    st.lists(LETTERS, min_size=1, max_size=3),
    st.integers(100, 10**12),
    st.dates(date(1800, 1, 1)),
    st.data(),
)
def test_no_word_of_the_identity_survives(names, number, day, data):
    identity = Identity(
        patient_name="^".join(names), patient_id=str(number), birth_date=day.strftime("%Y%m%d")
    )
    pieces = [data.draw(SPELLING)(name) + data.draw(SUFFIX) for name in names]
    forms = [
        f"{day.day:02}.{day.month:02}.{day.year:04}",
        f"{day:%Y%m%d}",
        f"{day.year:04}-{day.month:02}-{day.day:02}",
    ]
    pieces += [str(number), data.draw(st.sampled_from(forms))]
    words: list[str] = []
    for piece in data.draw(st.permutations(pieces)):
        words += [*data.draw(FILLER), piece]
    left = folded(without_identifiers(" ".join(words), identity).replace(REMOVED, " "))
    kept = set(folded("hasta öksürük ve 63 yaşında ağrı sağ"))
    assert set(left) <= kept, left
