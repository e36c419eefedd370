from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tetkik.privacy import Personal, find_personal, mask
from tetkik.privacy.rules import is_iban, is_tckn


def tckn(first_nine: str) -> str:
    """The first nine digits with the check digits as NVI publishes them."""
    d = [int(char) for char in first_nine]
    tenth = ((d[0] + d[2] + d[4] + d[6] + d[8]) * 7 - (d[1] + d[3] + d[5] + d[7])) % 10
    return f"{first_nine}{tenth}{(sum(d) + tenth) % 10}"


def turkish_iban(account: str) -> str:
    check = 98 - int(account + "292700") % 97
    return f"TR{check:02d}{account}"


nine_digits = st.integers(100_000_000, 999_999_999).map(str)
words = st.text(alphabet="abcçdefgğhıijklmnoöprsştuüvyzABCÇDEFGĞHIİ .,;:!?'\n", max_size=60)


# ---- identity numbers and accounts


def test_the_published_example_is_an_identity_number() -> None:
    assert is_tckn("10000000146")
    assert not is_tckn("10000000147")
    assert not is_tckn("00000000000")
    assert not is_tckn("1000000014")


@given(words, nine_digits, words, st.sampled_from(["", " ", ":", "no", "TC", "/"]))
def test_no_valid_identity_number_survives(before: str, nine: str, after: str, glue: str) -> None:
    number = tckn(nine)
    masked = mask(f"{before}{glue}{number} {after}").text
    runs = re.findall(r"\d+", masked)
    assert not any(is_tckn(run) for run in runs)
    assert "[TCKN]" in masked or "[TELEFON]" in masked or "[" in masked


@given(nine_digits, st.sampled_from([" ", ".", "-"]), st.lists(st.integers(1, 10), min_size=1, max_size=4))
def test_an_identity_number_in_groups_is_masked(nine: str, mark: str, cuts: list[int]) -> None:
    number = tckn(nine)
    ends = sorted({0, *cuts, 11})
    spread = mark.join(number[a:b] for a, b in itertools.pairwise(ends))
    masked = mask(f"kimlik numaram {spread} idi").text
    assert not is_tckn(re.sub(r"\D", "", masked))
    assert masked.startswith("kimlik numaram [") and masked.endswith("] idi")


@given(nine_digits, st.integers(0, 99))
def test_eleven_digits_with_wrong_check_digits_stay(nine: str, check: int) -> None:
    number = f"{nine}{check:02d}"
    assume(not is_tckn(number) and not number.startswith(("90", "0")))
    assert mask(f"dosya {number} idi").text == f"dosya {number} idi"


@given(st.text(alphabet="0123456789", min_size=22, max_size=22), st.booleans(), st.booleans())
def test_a_valid_iban_is_masked_whole(account: str, spaced: bool, lower: bool) -> None:
    iban = turkish_iban(account)
    assert is_iban(iban)
    written = " ".join(iban[i : i + 4] for i in range(0, 26, 4)) if spaced else iban
    written = written.lower() if lower else written
    assert mask(f"hesabım {written} buraya").text == "hesabım [IBAN] buraya"


def test_an_iban_with_wrong_check_digits_is_not_an_iban() -> None:
    iban = turkish_iban("0006100519786457841326")
    wrong = iban[:-1] + str((int(iban[-1]) + 1) % 10)
    assert is_iban("TR330006100519786457841326")
    assert not is_iban(wrong)
    assert "[IBAN]" not in mask(f"hesap {wrong}").text


# ---- telephones, e-mails, links


@pytest.mark.parametrize(
    "number",
    [
        "05321234567", "0532 123 45 67", "0 532 123 45 67", "0 (532) 123 45 67", "(0532) 123 45 67",
        "0532-123-45-67", "0532.123.45.67", "0532/1234567", "+905321234567", "+90 532 123 45 67",
        "+90 (532) 123 45 67", "0090 532 123 45 67", "5321234567", "532 123 45 67", "(532) 1234567",
        "0212 555 44 33", "0(212)5554433", "(212) 555 44 33", "905321234567", "0850 222 33 44", "444 1 234",
        "0 5 3 2 1 2 3 4 5 6 7", "+49 171 1234567",
    ],
)  # fmt: skip
def test_telephones_as_they_are_written(number: str) -> None:
    assert mask(f"bana {number} numaradan ulaşın").text == "bana [TELEFON] numaradan ulaşın"


def test_a_number_that_is_called_a_telephone_is_one() -> None:
    assert mask("tel: 555 44 33").text == "tel: [TELEFON]"


@pytest.mark.parametrize(
    "text",
    [
        "tansiyonum 140/90, nabız 72, ateş 38,5",
        "TSH 2.45 T4 1.33 HGB 11,2 PLT 250000 WBC 7800",
        "05.03.2020 tarihinde MR çekildi, 12.30 randevu",
        "500 mg günde 3 kez 10 gün kullandım",
        "boy 175 kilo 82 yaş 41",
        "hastane protokol 20231547 sıra 118",
        "ilk 3 ay 120 80 olan tansiyon 150 95 oldu",
    ],
)
def test_medical_numbers_stay(text: str) -> None:
    assert mask(text).text == text


def test_emails_and_links() -> None:
    masked = mask("mail: ayse.k@ornek.com.tr ya da veli(at)gmail, resim https://ornek.org/a/b?c=1 burada")
    assert masked.text == "mail: [E-POSTA] ya da [E-POSTA], resim [BAĞLANTI] burada"
    assert masked.counts == {Personal.EMAIL: 2, Personal.LINK: 1}


def test_an_identity_number_inside_an_address_leaves_nothing_behind() -> None:
    assert mask("yaz: 10000000146@ornek.com").text == "yaz: [E-POSTA]"


# ---- birth dates


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("doğum tarihim 12.03.1985", "doğum tarihim [DOĞUM TARİHİ]"),
        ("Doğum Tarihi: 12/03/1985 boy", "Doğum Tarihi: [DOĞUM TARİHİ] boy"),
        ("dogum tarihi 1985-03-12", "dogum tarihi [DOĞUM TARİHİ]"),
        ("D.T. 12.3.85", "D.T. [DOĞUM TARİHİ]"),
        ("kızım 4 Mayıs 2013 doğumlu", "kızım [DOĞUM TARİHİ] doğumlu"),
        ("12.03.1985'te doğdum", "[DOĞUM TARİHİ]'te doğdum"),
        ("1985 doğumluyum", "1985 doğumluyum"),
        ("12.03.2020 doğum kontrol hapına başladım", "12.03.2020 doğum kontrol hapına başladım"),
        ("12.03.2020 tarihinde ameliyat oldum", "12.03.2020 tarihinde ameliyat oldum"),
    ],
)
def test_full_dates_next_to_a_word_of_birth(text: str, expected: str) -> None:
    assert mask(text).text == expected


# ---- names of persons


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Merhaba adım Ayşe, dizim ağrıyor", "Merhaba adım [AD], dizim ağrıyor"),
        ("Adım: Ayşe Yılmaz yaşım 35", "Adım: [AD] yaşım 35"),
        ("benim adim mehmet 40 yasindayim", "benim adim [AD] 40 yasindayim"),
        ("ismim Songül'dür, karnım şiş", "ismim [AD]'dür, karnım şiş"),
        ("Benim ismim Ece Naz Korkmaz.", "Benim ismim [AD]."),
        ("ismim tarık özkaya 61 yaşındayım", "ismim [AD] 61 yaşındayım"),
        ("İYİ AKŞAMLAR ADIM FERİDE ÖZDEMİR KULAĞIM TIKALI", "İYİ AKŞAMLAR ADIM [AD] KULAĞIM TIKALI"),
        ("adım soyadım Ali Veli, midem yanıyor", "adım soyadım [AD], midem yanıyor"),
        ("Adı Soyadı : Gülsüm Karaca Tanı: reflü", "Adı Soyadı : [AD] Tanı: reflü"),
        ("oğlumun adı Emir ve öksürüyor", "oğlumun adı [AD] ve öksürüyor"),
        ("hocam adım zülbiye nefesim daralıyor", "hocam adım [AD] nefesim daralıyor"),
        ("İyi pazarlar ben tayfun, belim tutuldu", "İyi pazarlar ben [AD], belim tutuldu"),
        ("geçmiş olsun diyen çıkmadı. Sevgiler Berna Aydemir", "geçmiş olsun diyen çıkmadı. Sevgiler [AD]"),
    ],
)
def test_names_of_patients(text: str, expected: str) -> None:
    assert mask(text).text == expected


@pytest.mark.parametrize(
    "text",
    [
        "iki adım atınca nefesim kesiliyor",
        "her adim attigimda kalcam sizliyor",
        "adım atamıyorum, topallıyorum",
        "ilk adım olarak hangi doktora gideyim",
        "saatime göre üç bin adım olmuş",
        "adım adım anlatayım",
        "ilacın adı Majezik, hastalığın adı reflü",
        "ismim gizli kalsın lütfen",
        "ben daha önce ameliyat oldum",
        "ben can yakıcı bir ağrı hissediyorum",
        "sağ adım atarken ayağı dönüyor",
    ],
)
def test_steps_and_other_words_are_no_names(text: str) -> None:
    assert mask(text).text == text


# ---- names of doctors


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dr. Ahmet Yılmaz ameliyat etti", "Dr. [DOKTOR] ameliyat etti"),
        ("Op.Dr.Zeynep KAYA dedi ki", "Op.Dr.[DOKTOR] dedi ki"),
        ("Sayın Prof. Dr. Kerem Aksoy; babam", "Sayın Prof. Dr. [DOKTOR]; babam"),
        ("Doktor Selim Bey muayene etti", "Doktor [DOKTOR] Bey muayene etti"),
        ("aylin hanım merhaba", "[DOKTOR] hanım merhaba"),
        ("Merhaba Zülbiye Hanım, dişim ağrıyor", "Merhaba [DOKTOR] Hanım, dişim ağrıyor"),
        ("iyi günler mehmet bey", "iyi günler [DOKTOR] bey"),
        ("Mehmet Ali Beye gittim", "[DOKTOR] Beye gittim"),
        ("İYİ BAYRAMLAR TEOMAN BEY ÖKSÜRÜĞÜM GEÇMEDİ", "İYİ BAYRAMLAR [DOKTOR] BEY ÖKSÜRÜĞÜM GEÇMEDİ"),
        ("Sayın Ahmet Hocam", "Sayın [DOKTOR] Hocam"),
        ("dr ahmete gittim", "dr [DOKTOR] gittim"),
        ("sevgili ayse hanim", "sevgili [DOKTOR] hanim"),
    ],
)
def test_names_of_doctors(text: str, expected: str) -> None:
    assert mask(text).text == expected


@pytest.mark.parametrize(
    "text",
    [
        "merhaba doktor bey iyi günler",
        "doktor hanım merhaba",
        "Dr. Bey kolay gelsin",
        "Sayın hocam merhaba",
        "dr.a sordum beklememi söyledi",
        "dr ne dediyse yaptım",
        "doktor antibiyotik yazdı",
        "Doktor MR istedi",
        "beyin cerrahına gittim, acil beyin tomografisi çekildi",
        "ben ev hanımıyım",
        "Prof. Dr. olan biri baktı",
        "kadın doktor var mı",
        "kayın hanım teyzem",
        "BENİ MUAYENE EDEN DOKTOR AĞRI KESİCİ VERDİ",
    ],
)
def test_forms_of_address_stay(text: str) -> None:
    assert mask(text).text == text


# ---- the whole


@given(st.text(max_size=300))
@example("adım Ayşe. Dr. Ali Bey! 0532 123 45 67")
def test_everything_outside_the_finds_keeps_its_place(text: str) -> None:
    found = find_personal(text)
    assert all(0 <= a.start < a.end <= len(text) for a in found)
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))
    rebuilt, done = "", 0
    for item in found:
        rebuilt += text[done : item.start] + item.kind.token
        done = item.end
    masked = mask(text)
    assert masked.text == rebuilt + text[done:]
    assert masked.counts.total() == len(found)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 60_000,
        "1 " * 30_000,
        "a.b@" * 15_000,
        "5" * 60_000,
        "Dr. " * 15_000,
        "ali bey " * 8_000,
        "(0" * 20_000,
    ],
)
def test_hostile_texts_take_no_longer_than_their_length(text: str) -> None:
    mask(text)
