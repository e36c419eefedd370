"""What identifies in a clinical text: every kind in spellings of its own, and what only looks like it."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.privacy.marked_texts import DEVELOPMENT, measure, read_texts, whole
from tetkik.privacy import Personal, identifying, mask


def left(text: str) -> str:
    """The text with what identifies cut out."""
    for start, end in reversed(identifying(text)):
        text = text[:start] + "…" + text[end:]
    return text


@pytest.mark.attack
@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("kayıtta AyşeYılmaz yazıyor", ["AyşeYılmaz"]),
        ("portalda mehmetyildirim diye açılmış", ["mehmetyildirim"]),
        ("twitter hesabı @kemal.kara_35 imiş", ["@kemal.kara_35"]),
        ("adres: Zafer Mah. Lale Sok. No:12 D:4 Bornova, pansuman", ["Zafer", "Lale", "12", "Bornova"]),
        ("yeni adres yildiz mah 104 sok no 7 kat 2 konak evde bakım", ["yildiz", "104", "7", "konak"]),
        ("araç plakası 34 ABC 123, hasta yaya", ["34", "ABC", "123"]),
        ("kapıda 06abc45 duruyor", ["06abc45"]),
        ("dosya no 553 018 bulunamadı", ["553", "018"]),
        ("prot: 2024/1187 tekrar", ["2024", "1187"]),
        ("eski numarası H-22317 idi", ["H-22317"]),
        ("hicri 1380 doğumlu", ["1380"]),
        ("23.VI.1987 doğumlu", ["1987", "VI"]),
        ("psp A 15 220 987 ile giriş", ["220", "987"]),
        ("IP 10.42.7.118 kapalı", ["10.42.7.118"]),
        ("ali.demir at yahoo.com adresine", ["ali", "demir", "yahoo"]),
        ("mail ayse(nokta)kaya@ornek(nokta)com", ["ayse", "kaya", "ornek"]),
        ("sayfası ornekklinik.com.tr/ali-veli üzerinden", ["ornekklinik", "ali"]),
        ("SGK 35 0117 2864 905 onaysız", ["0117", "2864", "905"]),
        ("TR65 0001 2068 5867 6737 6742 29 hesabına", ["0001", "6742", "29"]),
        ("93 yaşında, düşme", ["93"]),
        ("yaşı doksan dört, morfin alıyor", ["doksan", "dört"]),
        ("Özel Ufuk Koleji'nde okuyor", ["Ufuk", "Koleji"]),
        ("kod mavi ekibi: Dr. Ferhat, hmş Nurcan", ["Ferhat", "Nurcan"]),
        ("hst: ismail hakki cetin karin agrisi", ["ismail", "hakki", "cetin"]),
        ("YILMAZTÜRK, Ayşe omuz MR", ["YILMAZTÜRK", "Ayşe"]),
    ],
)
def test_what_a_text_left_before_goes(text: str, gone: list[str]) -> None:
    rest = left(text)
    assert not [part for part in gone if part in rest], rest


@pytest.mark.parametrize(
    "text",
    [
        "Hodgkin lenfoma, Ann Arbor evre 2, kemoterapi 3. kür",
        "PA akciğerde Kerley B çizgileri, kardiyotorasik oran artmış",
        "düşme sonrası colles kırığı, alçı yapıldı",
        "TA 120/80, nb 76, ateş 36.8, sat 98",
        "karaciğerde 12x8 mm lezyon, 3.4 cm kist",
        "L4-L5 protrüzyon, L5-S1 dejenere, Modic tip 2",
        "deniz suyu yutma sonrası öksürük",
        "üç gün önce başlamış, iki haftadır sürüyor",
        "WBC 12800, Plt 238000, D-dimer 3200",
        "parasetamol 500 mg 3x1, enoksaparin 0.6 ml",
        "82 yaşında kadın hasta, nefes darlığı",
        "doktor bey ilaç yazdı, hemşire hanım pansuman yaptı",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert left(text) == text


def test_the_development_texts_lose_what_identifies_and_little_else() -> None:
    """They were in view of the rules and of the tagger: a fall shows that something broke, no more."""
    score = measure(read_texts(DEVELOPMENT)[::5], whole)
    assert score.spans.total() > 100
    assert score.found.total() >= 0.98 * score.spans.total(), score.missed
    assert score.lost <= 0.01 * score.words, score.gone


def test_an_export_says_what_kind_of_thing_went() -> None:
    masked = mask("Dr. Ayşe Kaya, dosya no 48812, tel 0532 123 45 67", thorough=True)
    assert masked.text == "Dr. [DOKTOR], dosya no [KİMLİK], tel [TELEFON]"
    assert masked.counts == {Personal.DOCTOR: 1, Personal.OTHER: 1, Personal.PHONE: 1}


@given(st.text(max_size=200))
def test_the_places_are_apart_and_within_the_text(text: str) -> None:
    places = identifying(text)
    assert all(0 <= start < end <= len(text) for start, end in places)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(places))


@pytest.mark.parametrize(
    "piece", ["a.b@", "mah ", "no 1 ", "1.", "12 ", "A1", "Ali ", "a" * 50, "dosya no ", "(nokta)", "K. "]
)
def test_the_time_grows_with_the_length(piece: str) -> None:
    """Eight times the text may take eight times as long, not the 64 times of a quadratic search."""

    def took(size: int) -> float:
        text = (piece * (size // len(piece) + 1))[:size]
        start = time.process_time()
        identifying(text)
        return time.process_time() - start

    took(500)
    # The shortest of several: another process on the machine makes single ones longer.
    assert min(took(16_000) for _ in range(3)) < 32 * max(min(took(2_000) for _ in range(3)), 0.01)
