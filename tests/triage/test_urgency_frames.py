"""An emergency stays one whatever stands before and behind it; long ago, a relative's or denied, it is none.

Every example of a red rule is put into every frame; the frames are ordinary ways of telling.
"""

from __future__ import annotations

import cProfile
import re
from collections.abc import Callable
from functools import partial
from random import Random

import pytest

from tetkik.triage.urgency import assess
from tetkik.triage.urgency.assess import UrgencyReader
from tetkik.triage.urgency.rules import load_rules
from tetkik.values import UrgencyLevel

RED = [rule.example for rule in load_rules().rules if rule.level is UrgencyLevel.KIRMIZI and rule.example]
KEPT = 0.97
TURNED = 0.06
"""Ten of the examples say themselves that it is of today (“bugün”, “dünden beri”): those rightly stay."""
DENIED = 0.01
BEFORE = [
    "Az önce", "Demin", "Yarım saat önce", "On dakika evvel", "İki saat önce", "Bu sabah", "Sabaha karşı",
    "Dün gece", "2 saattir",
    "Yıllardır tansiyonum var,", "Tansiyon hastasıyım yıllardır,", "10 yıldır şeker hastasıyım,",
    "Kronik bronşitim var,", "Eskiden beri migrenim var.", "Uzun zamandır guatr ilacı kullanıyorum,",
    "5 yıl önce safra kesesi ameliyatı oldum,", "Geçen sene fıtıktan ameliyat olmuştum,",
    "2015 yılında bypass oldum.", "Üç yıl önce bacağım kırılmıştı,",
    "Merhaba hocam, kolay gelsin,", "Dün hiçbir şeyim yoktu,",
    "Annem için arıyorum,", "Komşum anlatıyor:", "Babamın durumu şöyle:", "Eşim yanımda, diyor ki:",
]  # fmt: skip
BEHIND = [
    "Yıllardır tansiyonum var.", "On senedir şeker hastasıyım.", "Ne yapmalıyım, hangi bölüme gideyim?",
    "Bu normal mi?", "Başka şikayetim yok.", "İshal, öksürük yok.",
]  # fmt: skip
ILL_STORY = (
    "Emekliyim, kızımla birlikte oturuyorum, sigarayı seneler önce bıraktım, düzenli yürüyüş yaparım, "
    "yediğime içtiğime dikkat ederim, tahlillerim geçen yıl temiz çıkmıştı, doktorum memnundu, ilaçlarımı "
    "aksatmam, tuzu az kullanırım, geceleri erken uyurum, pek hastaneye gelmem, bu yaşa kadar ciddi bir "
    "hastalık geçirmedim, çok şükür iyiydik, buralarda da kimsemiz yok."
)
STORY = (
    "Hafta sonu oğlumun düğünü vardı, bütün akrabalar köyden geldi, günlerce yemek yaptık, misafir "
    "ağırladık, sonra hepsini otogara bıraktık, evi temizledik, pazara gittik, bahçeyi suladık, "
    "komşularla çay içtik, televizyon seyrettik, torunu parka götürdük, akşam erkenden yattık, "
    "sabah kalkıp ekmek aldık, kahvaltı ettik."
)
TURNS = [
    "Beş yıl önce {} Sonra geçti, şimdi iyiyim.",
    "İki sene önce böyle olmuştu: {} Tedavi oldum geçti, şimdi kontrole geldim.",
    "Eskiden {} Şimdi hiçbir şikayetim yok.",
    "Rahmetli amcamda seneler önce olmuştu: {} Bende yok, tarama yaptırmak istiyorum.",
    "Rahmetli babamda yıllar önce olmuştu bu: {}",
    "Dedem on sene evvel böyle vefat etti: {}",
]
DENIALS = [
    "{} gibi bir durumum yok.", "{} diye bir şey olmadı.",
    "{} diye korkuyorum ama bende böyle bir şey yok.",
]  # fmt: skip


def small(text: str) -> str:
    """With a small first letter, as it stands behind other words."""
    return text[0].replace("İ", "i").replace("I", "ı").lower() + text[1:]


READER = UrgencyReader.load("urgency-linear-tr")


def share_of_red(texts: list[str]) -> float:
    """By rules and model together, as they ship."""
    return sum(assess(text, reader=READER).level is UrgencyLevel.KIRMIZI for text in texts) / len(texts)


@pytest.mark.parametrize("frame", BEFORE)
def test_behind_these_words_it_stays_red(frame):
    assert share_of_red([f"{frame} {small(text)}" for text in RED]) >= KEPT


@pytest.mark.parametrize("frame", [*BEHIND, STORY, ILL_STORY])
def test_before_these_words_it_stays_red(frame):
    assert share_of_red([f"{text} {frame}" for text in RED]) >= KEPT


@pytest.mark.parametrize("story", [STORY, ILL_STORY])
def test_behind_a_long_story_it_stays_red(story):
    assert share_of_red([f"{story} {text}" for text in RED]) >= KEPT


def lost(word: str, i: int) -> str:
    return word[:i] + word[i + 1 :]


def doubled(word: str, i: int) -> str:
    return word[:i] + word[i] + word[i:]


def swapped(word: str, i: int) -> str:
    return word[:i] + word[i + 1] + word[i] + word[i + 2 :]


@pytest.mark.parametrize(
    ("error", "kept"), [(lost, 0.95), (doubled, KEPT), (swapped, KEPT)], ids=["lost", "doubled", "swapped"]
)
def test_with_an_error_in_every_fifth_long_word_it_stays_red(error, kept):
    """A lost letter often leaves another word ("karnım", "kanım"; "durmuyor", "duruyor"), so it is less."""
    written = []
    for seed, text in enumerate(RED * 3):
        random = Random(seed)
        words = text.rstrip(".!").split(" ")
        long = [i for i, word in enumerate(words) if len(word.strip(",")) >= 6]
        for i in random.sample(long, max(1, len(long) // 5)) if long else ():
            words[i] = error(words[i], random.randrange(1, min(len(words[i].strip(",")) - 1, 6)))
        written.append(" ".join(words))
    assert share_of_red(written) >= kept


@pytest.mark.parametrize(
    "written",
    [
        lambda text: text.replace("i", "İ").upper(),
        lambda text: text.translate(str.maketrans("ıİğĞşŞçÇöÖüÜ", "iIgGsScCoOuU")),
        lambda text: re.sub(r"[.,!?;:]", "", text).lower(),
        lambda text: re.sub(r"yor(um)?\b", lambda found: "yom" if found[1] else "yo", text),
    ],
    ids=["capitals", "without Turkish letters", "without punctuation", "as spoken"],
)
def test_written_otherwise_it_stays_red(written):
    assert share_of_red([written(text) for text in RED]) >= KEPT


@pytest.mark.parametrize("turn", TURNS)
def test_of_long_ago_or_of_a_relative_it_is_not_red(turn):
    assert share_of_red([turn.format(small(text)) for text in RED]) <= TURNED


@pytest.mark.parametrize("turn", DENIALS)
def test_denied_it_is_not_red(turn):
    assert share_of_red([turn.format(text.rstrip(".!")) for text in RED]) <= DENIED


def test_what_is_over_since_today_still_counts():
    assert assess("Bu sabah kolum uyuştu, konuşamadım, şimdi geçti.").level is UrgencyLevel.KIRMIZI


@pytest.mark.parametrize(
    "text",
    [
        "Beş yıl önce bypass oldum. Göğsüm sıkışıyor, soğuk terliyorum, kontrole geldim.",
        "Beş yıl önce stent takıldı. Şimdi göğsüm sıkışıyor, soğuk terliyorum, yoksa iyiyim.",
        "Beş yıl önce stent takıldı. Göğsüm sıkışıyor, soğuk terliyorum, geçti sandım geçmedi.",
    ],
)
def test_an_old_illness_does_not_hide_a_new_one(text):
    assert assess(text).level is UrgencyLevel.KIRMIZI


def test_a_time_belongs_to_its_own_clause():
    assert assess("İki yıldır belim ağrıyor, bugün idrarımı tutamıyorum, bacaklarım uyuştu.").level is (
        UrgencyLevel.KIRMIZI
    )


def calls(work: Callable[[], object]) -> int:
    """How many functions `work` calls."""
    profile = cProfile.Profile()
    profile.runcall(work)
    return sum(entry.callcount for entry in profile.getstats())


@pytest.mark.parametrize(
    "word",
    [
        "iki ", "yaş ", "önce ", "göğsüm ağrıyor ", "yok, ", "5 yıl önce düştü ", "ve gibi yok ",
        "bende yok ", "internette okudum ölmüş ", "trliyrm ",
    ],
)  # fmt: skip
def test_work_grows_with_the_length_alone(word):
    """Function calls at 5,000 and 10,000 characters, at most a little more than twice as many."""
    short, long = (calls(partial(assess, (word * length)[:length])) for length in (5_000, 10_000))
    assert long < 2.5 * short
