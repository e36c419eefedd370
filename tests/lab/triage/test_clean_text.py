from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetkik.errors import DataError
from tetkik.lab.triage.clean import Repair, departments
from tetkik.lab.triage.clean.text import (
    has_words,
    is_no_label,
    plain,
    readable,
    tidy,
    without_adverts,
    without_markup,
)
from tetkik.turkish import flat
from tetkik.values import DEPARTMENTS

# ---- letters


def test_both_normal_forms_give_the_same_text() -> None:
    text = "göğsüm ağrıyor, çok şiş"
    assert plain(unicodedata.normalize("NFD", text)).text == text


def test_invisible_and_control_characters_go_and_are_counted() -> None:
    made = plain("\ufeffdi\u00adzim\u200b ağ\x00rıyor\u00a0çok\x07")
    assert made.text == "dizim ağrıyor çok"
    assert made.repairs == {Repair.CONTROL}


def test_the_dot_that_lower_leaves_behind() -> None:
    assert readable("İLAÇ İÇTİM".lower()) == "ilaç içti̇m".replace("i̇", "i")


def test_lone_surrogates_can_be_written_afterwards() -> None:
    readable("bel\ud83d ağrısı").encode("utf-8")


@given(st.text(max_size=200))
def test_any_text_becomes_plain(text: str) -> None:
    made = plain(text).text
    made.encode("utf-8")
    assert made == " ".join(made.split())
    assert unicodedata.is_normalized("NFC", made)


@given(st.text(max_size=100))
def test_flat_keeps_every_place(text: str) -> None:
    made = unicodedata.normalize("NFC", text)
    folded = flat(made)
    if made.isprintable() and all(len(char.lower()) == 1 for char in made if char != "İ"):
        assert len(folded) == len(made)


# ---- markup


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("karnım <b>ağ</b>rıyor<br>başım da", "karnım ağrıyor başım da"),
        ("<p>bir</p><p>iki</p>", "bir iki"),
        ("önce<script>alert('x')</script> sonra<style>a{}</style>", "önce sonra"),
        ("a<!-- gizli -->b", "ab"),
        ("şiş &amp; ağrı &#39;çok&#39; &lt;5", "şiş & ağrı 'çok' <5"),
        ("Mayıs&#39ta ba&#351;lad&#305;", "Mayıs'ta başladı"),
        ("&lt;br&gt;iki kez kaçmış&lt;/br&gt;", "iki kez kaçmış"),
        ('<a href="http://ornek.org">bağlantı</a> var', "bağlantı var"),
        ("HGB <12 ve CRP >5, TSH<a", "HGB <12 ve CRP >5, TSH<a"),
        ("sonuç.<iki değer sınırda<br>devam", "sonuç.<iki değer sınırda devam"),
        ("A&B Hastanesi, R&D", "A&B Hastanesi, R&D"),
    ],
)
def test_markup_goes_and_laboratory_values_stay(text: str, expected: str) -> None:
    assert " ".join(without_markup(text).split()) == expected


def test_deeply_nested_markup_is_read() -> None:
    assert without_markup("<div>" * 3000 + "son" + "</div>" * 3000).strip() == "son"


# ---- adverts


@pytest.mark.parametrize(
    "advert",
    [
        "Tüm ürünlerde %50 indirim!",
        "WhatsApp hattımızdan bize ulaşın.",
        "Kampanyamızdan yararlanmak için acele edin",
        "Detaylı bilgi için tıklayınız.",
        "Kapıda ödeme, ücretsiz kargo.",
        "Canlı bahis siteleri burada!",
        "Sent from my iPhone",
    ],
)
def test_an_advert_goes_and_the_rest_stays(advert: str) -> None:
    kept, adverts = without_adverts(f"Üç gündür başım ağrıyor. {advert}\nNe yapmalıyım?")
    assert " ".join(kept.split()) == "Üç gündür başım ağrıyor. Ne yapmalıyım?"
    assert adverts == (advert,)


@pytest.mark.parametrize(
    "text",
    [
        "Muayenede öğrenciye indirim yapılıyor mu?",
        "Okulda aşı kampanyası varmış, çocuğa yaptırayım mı?",
        "Size whatsapp'tan ulaşabilir miyim?",
        "Randevu için nereyi aramalıyım?",
        "Kasımda ameliyat oldum, kredi çektim.",
    ],
)
def test_what_a_patient_says_is_no_advert(text: str) -> None:
    assert without_adverts(text) == (text, ())


def test_words_are_letters_outside_the_tokens() -> None:
    assert has_words("[AD] dizim")
    assert not has_words("[TELEFON] [BAĞLANTI] 12 ... ?")
    assert not has_words("a b c")


# ---- labels


@pytest.mark.parametrize(
    ("label", "department"),
    [
        ("cildiye", "Dermatoloji"),
        ("DERİ VE ZÜHREVİ", "Dermatoloji"),
        ("KBB", "Kulak Burun Boğaz"),
        ("K.B.B. Polikliniği", "Kulak Burun Boğaz"),
        ("kadin dogum", "Kadın Hastalıkları ve Doğum"),
        ("Jinekoloji", "Kadın Hastalıkları ve Doğum"),
        ("İç Hastalıkları (Dahiliye)", "Dahiliye"),
        ("İÇ HASTALIKLARI ANABİLİM DALI", "Dahiliye"),
        ("Fizik Tedavi", "Fizik Tedavi ve Rehabilitasyon"),
        ("Nöroşirürji", "Beyin ve Sinir Cerrahisi"),
        ("Göz&nbsp;Hastalıkları", "Göz Hastalıkları"),
        ("GÃ¶ÄŸÃ¼s HastalÄ±klarÄ±", "Göğüs Hastalıkları"),
        ("Çocuk Sağlığı ve Hastalıkları", "Pediatri"),
        ("Ortopedi ve Travmatoloji Uzmanı", "Ortopedi"),
    ],
)
def test_spellings_of_a_department(label: str, department: str) -> None:
    assert departments().match(tidy(label)) == department


@pytest.mark.parametrize(
    "label",
    [
        "Kalp ve Damar Cerrahisi", "Psikoloji", "Çocuk Cerrahisi", "Göğüs Cerrahisi", "Gastroenteroloji",
        "Plastik Cerrahi", "x", "",
    ],
)  # fmt: skip
def test_a_neighbour_is_not_a_synonym(label: str) -> None:
    assert departments().match(label) is None


def test_sub_specialities_only_when_asked_for() -> None:
    asked = departments(sub_specialities=True)
    assert asked.match("Gastroenteroloji") == "Dahiliye"
    assert asked.match("Çocuk Kardiyolojisi") == "Pediatri"
    assert asked.match("Kalp ve Damar Cerrahisi") is None


def test_every_department_goes_by_its_own_name() -> None:
    assert [departments().match(name) for name in DEPARTMENTS] == list(DEPARTMENTS)


@pytest.mark.parametrize("label", ["", " ", "nan", "NULL", "None", "-", "belirsiz"])
def test_no_label(label: str) -> None:
    assert is_no_label(label)


def test_a_hospitals_own_list(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        '[[department]]\nname = "Dahiliye"\naliases = ["Poliklinik 4"]\n'
        '[[department]]\nname = "Kalp Merkezi"\naliases = ["Kardiyoloji", "KVC"]\n',
        encoding="utf-8",
    )
    own = departments(path)
    assert own.names == ("Dahiliye", "Kalp Merkezi")
    assert own.match("poliklinik 4") == "Dahiliye"
    assert own.match("iç hastalıkları") == "Dahiliye"
    assert own.match("kvc") == "Kalp Merkezi"
    assert own.match("kardiyoloji") == "Kalp Merkezi"
    assert own.match("Üroloji") is None


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("[[department]\n", "not a list of departments"),
        ("a = 1\n", "no 'department'"),
        ('[[department]]\nname = "A"\nalias = ["x"]\n', "unknown key alias"),
        ('[[department]]\nname = "A"\naliases = "x"\n', "list of strings"),
        ('[[department]]\nname = "A"\n', "at least two"),
        ('[[department]]\nname = "A"\n[[department]]\nname = "A"\n', "each once"),
        (
            '[[department]]\nname = "A"\naliases = ["x"]\n[[department]]\nname = "B"\naliases = ["X"]\n',
            "alias X to A and to B",
        ),
    ],
)
def test_a_wrong_list_is_refused(tmp_path: Path, content: str, fault: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=fault):
        departments(path)
