"""What complaints are found urgent, and why."""

from __future__ import annotations

import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetkik import turkish
from tetkik.triage.urgency import assess, load_rules
from tetkik.values import RedFlag, UrgencyLevel

KIRMIZI, SARI, YESIL = UrgencyLevel.KIRMIZI, UrgencyLevel.SARI, UrgencyLevel.YESIL


def sentences() -> list[tuple[UrgencyLevel, str]]:
    lines = Path(__file__).with_name("urgency_sentences.tsv").read_text("utf-8").splitlines()
    pairs = [line.split("\t") for line in lines if not line.startswith("#")]
    return [(UrgencyLevel(level), text) for level, text in pairs]


def level(text: str) -> UrgencyLevel:
    found = assess(text).level
    assert found is not None
    return found


def ids(text: str) -> set[str]:
    return {flag.id for flag in assess(text).flags}


def test_invented_complaints_get_their_level():
    said = Counter((truth, level(text)) for truth, text in sentences())
    red = {truth: said[truth, KIRMIZI] for truth in UrgencyLevel}
    assert red[KIRMIZI] >= 0.98 * sum(n for (truth, _), n in said.items() if truth is KIRMIZI)
    assert red[YESIL] == 0
    whole = Counter(truth for truth, _ in sentences())
    assert said[YESIL, YESIL] >= 0.95 * whole[YESIL]
    assert said[SARI, YESIL] <= 0.1 * whole[SARI]


@pytest.mark.parametrize("without_letters", [False, True])
def test_spelling_does_not_change_the_level(without_letters: bool):
    changed = []
    for _, text in sentences():
        other = turkish.fold(text) if without_letters else text.replace("i", "İ").replace("ı", "I").upper()
        if level(other) != level(text):
            changed.append(text)
    # Folding takes the commas with it, so a clause or two may be read otherwise.
    assert len(changed) <= (6 if without_letters else 0), changed


def test_decomposed_letters_are_read_the_same():
    text = "Göğsümde şiddetli ağrı var, nefes alamıyorum."
    urgency = assess(unicodedata.normalize("NFD", text))
    assert urgency.level is KIRMIZI
    assert {flag.id for flag in urgency.flags} == ids(text)


@pytest.mark.parametrize("rule", load_rules().rules, ids=lambda rule: rule.id)
def test_every_rule_is_fired_by_its_own_example(rule):
    urgency = assess(rule.example)
    assert rule.id in {flag.id for flag in urgency.flags}
    assert level(rule.example).severity >= rule.level.severity
    assert rule.reason.endswith(".") and rule.reason_en.endswith(".")


def test_every_symptom_is_used_by_a_rule():
    rules = load_rules()
    used = {symptom for rule in rules.rules for group in rule.all for symptom in group}
    used |= {symptom for rule in rules.rules for symptom in rule.none} | {"su_anda", "anlatilan_gecmis"}
    assert set(rules.recogniser.symptoms) == used


@pytest.mark.parametrize(
    "text",
    [
        "Nefes alamıyorm",
        "Nefes alamiyrum",
        "Göğsümde şidetli ağrı var",
        "Bililncini kaybetti",
        "intihra etmeyi düşünüyorum",
        "Menejit oldu galiba",
        "Babam bayldı, kendine gelmiyor",
        "Oğlum hvale geçirdi, bilicni kapalı",
        "Bugün bayldım",
        "Göğsümde ağrı var, trliyorum",
        "Nefes alamıyrm",
        "Nefes alamiorm",
        "Annemin kolu tutmyor",
        "Kızım hap yuttuuu, kendine gelmiyooor",
    ],
)
def test_one_typing_error_is_forgiven(text: str):
    assert level(text) is KIRMIZI


@pytest.mark.parametrize(
    "text",
    ["Karnım acıktı, uyuma saatim de geçti.", "Grip oldum, burnum akıyor.", "Çenemde basit bir kist var."],
)
def test_other_words_are_no_errors(text: str):
    assert level(text) is YESIL


@pytest.mark.parametrize(
    "text",
    [
        "Göğüs ağrım yok.",
        "Göğsüm ağrımıyor, nefesim daralmıyor.",
        "Nefes darlığım olmuyor.",
        "Bulantım yok, kusmuyorum.",
        "Hiç ateşim çıkmadı.",
        "Ne kusma ne ateş var.",
        "Ateş, öksürük, balgam yok.",
        "Kanama yok, sadece kaşıntı var.",
        "Bilinç kaybım olmadı, bayılmadım.",
        "İntihar düşüncem yok.",
        "Çarpıntım yok.",
        "Koltuğumda oturunca ağrısız bir çıtlama oluyor.",
        "Bayılma ya da nöbet geçirmedim.",
        "Nefes darlığım yok, nefesimde sorun yok.",
        "Görmemde sorun yok.",
        "Ne bayıldım ne kasıldım.",
        "Canıma kıymak aklımdan geçmez.",
        "Makattan kanamıyor.",
    ],
)
def test_what_is_denied_does_not_count(text: str):
    assert level(text) is YESIL


@pytest.mark.parametrize(
    "text",
    [
        "Geçen yıl kalp krizi geçirdim, kontrol için gelmek istiyorum.",
        "İki yıl önce kafamı çarpmıştım, bayılmıştım.",
        "Çocukken havale geçirmişim.",
        "Daha önce nöbet geçirmiştim, beş yıldır yok.",
        "10 yıl önce intihar etmeyi düşünmüştüm, şimdi iyiyim.",
        "Babam kalp krizinden öldü, bende de olur mu?",
        "Annem felçten vefat etti.",
        "Dedem felç geçirmişti, bende genetik mi?",
        "Ailemde kalp krizi geçiren çok kişi var.",
        "Üç yıldır ara sıra göğsüm ağrıyor, tetkiklerim temiz.",
        "Bebekken havale geçirmişim, askerlik için kâğıt istiyorlar.",
        "İki yıllık felçliyim, seans istiyorum.",
        "İnternette okudum, adamın ağzı kaymış, bende öyle bir şey yok.",
        "Kahvede anlattılar, birinin göğsüne öküz oturmuş, soğuk soğuk terlemiş.",
        "Komşunun oğlu yere düşüp bayılmış, benimkinde öyle bir şey yok.",
    ],
)
def test_what_is_past_or_another_persons_does_not_count(text: str):
    assert level(text) is YESIL


@pytest.mark.parametrize(
    "text",
    [
        "Felç olur muyum?",
        "Kanser olabilir miyim?",
        "Kalp krizi riski var mı?",
        "Kalp krizi geçirmekten korkuyorum.",
        "Beyin kanaması olabilir mi diye korkuyorum.",
        "Elektrik çarpmış gibi bir his oluyor bazen.",
        "Kanser taraması yaptırmak istiyorum.",
        "Kan tahlilim temiz çıktı.",
        "Kanalda daralma var dediler, belim ara sıra ağrıyor.",
        "Bana yardım eder misiniz, psikolojim bozuldu.",
        "Tansiyonum 12'ye 8.",
        "Nabzım 68, 40 yaşındayım.",
        "Şeker hastasıyım, 55 yaşındayım, rapor istiyorum.",
    ],
)
def test_what_is_supposed_or_only_sounds_alike_does_not_count(text: str):
    assert level(text) is YESIL


@pytest.mark.parametrize(
    "text",
    [
        "Nefes alamıyorum, acile gitmeli miyim?",
        "Göğsümde sıkışma var, kalp krizi mi geçiriyorum?",
        "Ateşim yok ama nefes alamıyorum.",
        "Bulantım yok ama göğsüm çok ağrıyor ve terliyorum.",
        "Daha önce astım teşhisi kondu, şimdi nefes alamıyorum.",
        "Ağrıdan nefes alamıyorum.",
        "Geçen hafta hafif bir öksürüğüm vardı, önemsemedim, işime devam ettim, şimdi nefes alamıyorum.",
        "İdrar gelmiyor.",
        "Aniden nefesim kesildi.",
        "Üç yıldır tansiyon hastasıyım, dünden beri kolum uyuştu ve konuşamıyorum.",
    ],
)
def test_a_denial_or_a_question_nearby_does_not_silence_an_emergency(text: str):
    assert level(text) is KIRMIZI


def test_time_decides():
    assert level("Bugün bayıldım.") is KIRMIZI
    assert level("Bir haftadır ara ara bayılıyorum.") is SARI
    assert level("Altı ay önce bir kez bayıldım.") is YESIL
    assert level("Göğsümde aniden şiddetli ağrı başladı.") is KIRMIZI
    assert level("Beş yıldır göğsümde şiddetli ağrı oluyor.") is YESIL


HISTORY = (
    "Merhaba hocam, aklımı kurcalayan bir konuyu sormak istiyorum, umarım cevap alırım. Doktora gittim, "
    "tahlil ve tomografi sonuçlarım temiz çıktı, ilaçları düzenli kullandım, kontrollerime de gidiyorum. "
)
QUESTION = " Sizce bunun nedeni ne olabilir, hangi bölüme gitmeliyim, çok teşekkür ederim hocam, iyi günler."


def test_a_long_history_must_tell_of_now():
    assert level("Nefes alamıyorum.") is KIRMIZI
    result = HISTORY + "Geceleri nefes alamıyorum." + QUESTION
    assert level(result) is SARI
    assert "nefes_alamama" in ids(result)
    assert level(result.replace("Geceleri", "Sabahtan beri")) is KIRMIZI
    assert level(result.replace("Geceleri", "Şu an")) is KIRMIZI


def test_a_long_text_without_a_history_needs_no_word_of_now():
    crowd = (
        "Evde hepimiz başında bekliyoruz, kapıyı açık bıraktık, komşular da geldi, ne yapalım bilmiyoruz. "
        * 3
    )
    assert level("Babam nefes almıyor, kalbi durdu. " + crowd) is KIRMIZI


def test_wanting_to_die_counts_in_any_text():
    assert level(HISTORY + "Artık yaşamak istemiyorum." + QUESTION) is KIRMIZI


def test_a_last_k_softens_before_a_vowel():
    assert "kemik_gorunen" in {o.symptom for o in load_rules().recogniser.read("Kemiğim görünüyor.").found}


def test_a_denial_that_belongs_to_the_symptom_counts_as_one():
    assert level("Dedem kendinde değil.") is KIRMIZI
    assert level("Annem kimseyi tanımıyor.") is KIRMIZI


def test_age_decides():
    assert "kucuk_bebek_ates" in ids("40 günlük bebeğimin ateşi çıktı")
    assert level("40 günlük bebeğimin ateşi çıktı") is KIRMIZI
    assert level("6 yaşındaki oğlumun ateşi çıktı") is SARI
    assert level("82 yaşındaki dedem başını çarptı") is KIRMIZI
    assert level("30 yaşındayım, başımı çarptım") is SARI


def test_pregnancy_decides():
    assert "gebelik_kanama" in ids("28 haftalık hamileyim, kanamam başladı.")
    assert "gebelik_kanama" not in ids("Hamile kalamıyorum, adet kanamam düzensiz.")


def test_symptoms_far_apart_do_not_make_one_picture():
    filler = " ".join(["sonra uzun uzun dinlendim ve işe devam ettim"] * 6)
    assert level(f"Göğsümde sıkışma hissettim {filler} koşunca terliyorum") is not KIRMIZI


def test_a_flag_shows_its_own_words():
    text = "Merhaba hocam. GÖĞSÜMDE baskı var, soğuk soğuk terliyorum! Teşekkürler."
    flag = next(flag for flag in assess(text).flags if flag.id == "gogus_agrisi_yayilan")
    assert text[flag.span.start : flag.span.end] == "GÖĞSÜMDE baskı var, soğuk soğuk terliyorum"
    assert flag.level is KIRMIZI
    assert "ESI" in flag.source


def test_places_hold_where_folding_drops_characters():
    text = "\u200bNe\u200bfes a\u0301lamıyorum"
    flags = assess(text).flags
    assert flags and text[flags[0].span.start : flags[0].span.end] == "Ne\u200bfes a\u0301lamıyorum"


def test_worst_flags_come_first():
    flags = assess("Nefes alamıyorum, ateşim var, ishalim.").flags
    severities = [flag.level.severity for flag in flags]
    assert severities == sorted(severities, reverse=True)
    assert set(severities) == {2, 1}


@pytest.mark.parametrize(
    "text", ["", " ", "\n", "...", "???", "12", "🙂", "a" * 5000, "nefes " * 2000, "ı̇" * 50]
)
def test_odd_texts_are_answered(text: str):
    assert_sound(text, assess(text).flags)


PHRASE = (
    "göğsüm ağrıyor nefes alamıyorum yok değil mi , . ? ne ateşim 3 yıldır önce bebeğim 39.5 kan kusuyorum"
)


@given(st.one_of(st.text(max_size=200), st.lists(st.sampled_from(PHRASE.split()), max_size=40).map(" ".join)))
def test_any_text_gives_spans_inside_it(text: str):
    assert_sound(text, assess(text).flags)


def assert_sound(text: str, flags: tuple[RedFlag, ...]) -> None:
    for flag in flags:
        assert 0 <= flag.span.start < flag.span.end <= len(text)
        assert text[flag.span.start].isalnum()


@pytest.mark.parametrize(
    "text",
    [
        "Tansiyonum 7'ye 4, ayakta duramıyorum, soğuk soğuk terliyorum.",
        "Annemin tansiyonu altı ölçüldü.",
        "Nabzım 150, başım dönüyor, bayılacağım.",
        "Parmağına taktılar, alet 82 gösteriyor.",
        "38 haftalığım, bebek hiç kıpırdamıyor.",
        "3 haftalık bebeğimin makattan ateşini ölçtük, 38,3 çıktı.",
        "Başıma balyoz indi, kusuyorum.",
        "Babamı zor uyandırıyoruz.",
        "Sol yanım tutmuyor.",
        "Veda mektubu yazmış.",
        "Yemek yerken tıkandı, ses çıkaramıyor.",
    ],
)
def test_emergencies_without_their_textbook_word(text: str):
    assert level(text) is KIRMIZI
