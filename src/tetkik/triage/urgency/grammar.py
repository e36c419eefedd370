"""What a Turkish word does to the clause it closes: ends it, denies it, asks it, puts it in the past.

Turkish says these with the last word ("ağrım yok", "ateşi çıkmadı", "felç olur muyum"), so a clause is
read up to its verb, and the verb decides for all that stands before it. Words are folded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_VERBS = (
    "ol|basla|gel|cik|gecir|dus|gor|al|yap|ver|bayil|ban?|art|kal|kac|carp|kiril|sis|yan|et|isir|sok|ic|yut|yedi?|gec"
    "|kesil|bit|duzel|iyiles|azal|uyan|git|in|kullan|hisset|farket|karar|uyus|don|don?dur|ac|patla|kop|bog|kus|kayb"
    "|kaybet|kaybol|zehirlen|yarala|kes|yi[kg]il|cek|de|soyle|kon|konul|teshis|muayene|dogur|oldur|unut|birak|kapan|tikan"
    "|daral|sikis|tutul|bozul|yuksel|titre|terle|kasil|sark|yigil|cok|fenalas|kotules|agirlas|zorlan|bat|saplan|sapla|yirtil"
    "|ez|vur|carpil|kasin|kana|morar|sarar|beyazla|bulan|kaydi|tut|sars|agri|ates?len|kopar|yuvarlan|kizar|uyusu|halsizles"
)
_FINITE = re.compile(
    r"(?:[iu]yo(?:r|rum|rsun|ruz|rlar|rdu|rdum|rmus|m|z)?)$|^\w{2,}(?:acak|ecek)(?:ti|tim)?$|^\w{2,}(?:aca|ece)g(?:im|iz)$"
    r"|^\w{2,}d[iu]yd[iu](?:m|k|lar|ler)?$"
    rf"|^(?:{_VERBS})(?:[iu]?l|[iu]n|t[iu]r|d[iu]r)?(?:ma|me)?(?:(?:d|(?<=[pctkfhs])t)[iu](?:m|k|lar|ler|n|g\w+)?|m[iu]s(?:t[iu]|t[iu]m|[iu]m)?)$"
    r"|^(?:var(?:di|dir|mis|im)?|yok(?:tu|tur|mus)?|degil(?:im|dir|di)?|hastasiyim|hamileyim|gebeyim)$"
)
_NOW = frozenset(("simdi", "suan", "suanda", "artik", "hala", "halen", "bugun"))
_CONJUNCTION = frozenset(("ama", "fakat", "ancak", "lakin", "cunku", "oysa", "sonra", "yalniz"))
_NEGATOR = re.compile(
    r"^(?:yok|yoktu|yoktur|yokmus|yoook?"
    r"|(?:ol|yasa|hisset|gorul|cik|saptan|bulun|rastlan|rastla|cek|gecir|yap|ver|basla|kal|gel|izlen|goster|duy"
    r"|edil|konul|yuksel|farket|et)m[aeiu](?:yo\w*|d[iu](?:m|k|n|niz|lar|ler)?|mis\w*|z|zdi|dan|den)"
    r"|gormed[iu](?:m|k)?|olmaksizin)$"
)
_RESOLVED = re.compile(r"^(?:gecti|gecmisti|duzeldi\w*|iyilesti\w*|kesildi|bitti|kayboldu|atlattim|atlatti)$")
_NEGATIVE = re.compile(r"m[iu]yo|m[ae]d[iea]|m[ae]mis|m[ae]z(?:$|l|d|s)")
_PRIVATIVE = re.compile(r"^[iu]?s[iu]z(?:im|di|ce|dim)?$")
_PARTICLE = re.compile(r"^m[iu](?:y[iu]m|y[iu]z|d[iu]r|yd[iu]\w*|s[iu]n\w*|yim)?$")
_ATTACHED = re.compile(
    r"(?:[iu]r|ar|er|iyor|uyor|bilir|yuksek|dusuk|var|normal)m[iu](?:y[iu]m|d[iu]r|y[iu]z)?$"
)
_SUPPOSING = re.compile(
    r"^(?:olabil(?!ir$)\w*|olursa\w*|olsa\w*|olmaya(?:yim|lim|sin)|olurum|ihtimal\w*|risk\w*|suphe\w*|supel\w*|korku(?!nc)\w*|kork(?:uyor|ma|ar|tu)\w*|fobi\w*"
    r"|endise\w*|kaygi\w*|gerekirse|varsa|yoksa)$"
)
_ADVICE = re.compile(
    r"^(?:gitmeli|gitsem|gerek|gelmeli|yapmali|normal|tehlike|acil|basvur|gorun|gideyim|ciddi|onemli)"
)
_REPORTED = re.compile(
    r"^(?:teshis|tani(?:$|m$|si|lar|mla|y)|oyku|gecmis|onceden|onceleri|oncelerde|evvelden|evvelce|eskiden|ameliyat[iu]?nd)"
)
_FORMERLY = frozenset(("once", "evvel", "onceki"))
"""After "daha" these tell of the past; after a time, the time decides; alone they tell an order of events."""
_PRETERITE = re.compile(r"(?:[^m]|[^iu]s|[^s])[dt][iu](?:m|k|n|lar|ler|n[iu]z)?$")
_EVIDENTIAL = re.compile(r"m[iu]s(?:l[ae]r)?$")
_NOT_EVIDENTIAL = frozenset(("altmis", "yetmis", "gecmis", "yemis", "gumus"))
_HEARSAY = re.compile(
    r"^(?:internette|haber(?:ler)?de|gazetede|televizyonda|tvde|videoda|youtubeda|sitesinde|forumda|filmde|dizide"
    r"|okudu(?:m|k)|okumus|duydu(?:m|k)|duymus|izle(?:dim|dik|mis)|anlatti(?:lar)?|anlatmis|kahvede)$"
)
"""Where and how one hears of others' illnesses."""
_BEGINS = re.compile(r"^(?:basla|gir|tut|cik|sapland|vurd|cokt|yapist|dusup|gel)")
_PLUPERFECT = re.compile(r"m[iu]st[iu][mk]?$|d[iu]yd[iu][mk]?$|^vardi$")
_KIN = re.compile(
    r"^(?:anne|baba|dede|nine|babaanne|anneanne|abla|abim|abisi|agabey|kardes|amca|dayi|hala|teyze|kuzen|akraba|aile"
    r"|komsu|arkadas|kayinvalid|kayinpeder|nene)"
)
_KIN_FATE = re.compile(
    r"^(?:vefat|rahmet|kaybett|olen\b|olmus\w*|gecirmist\w*|vardi|genet|kalitsal|oykusu|hastasiydi|ailemde|ailede|ailemizde|ailesel)"
)


@dataclass(frozen=True, slots=True)
class WordForm:
    """What a folded word does in its clause.

    Attributes:
        ends: it is a finite verb (or "ama"): a clause stops here.
        opens: "şimdi", "artık": what was said of the past ends before it.
        denies: it says that what stands before it is not there ("yok", "olmadı").
        resolves: what stands before it is over ("geçti").
        negative_at: where its own negative suffix begins ("ağrı|mıyor"); -1 without one.
        ongoing: it is a verb of the writer's present ("geçiriyorum"): asked or not, it is happening.
        advises: "gitmeli", "normal": a question about these leaves the symptom standing.
        past: it tells of long ago ("önceden", "öyküsü").
        formerly: "önce": what was before, if "daha" stands before it.
        pluperfect: a verb of the pluperfect ("geçirmiştim").
        evidential: a verb of hearsay ("geçirmiş").
        hearsay: where one hears of others' illnesses ("internette okudum").
        dismisses: after "aklımdan" it denies what stands before ("geçmez"); alone it says that it goes on.
        evidential_form: any verb of hearsay ("yazmış"), whether it closes a clause or not.
        preterite: a verb of the past that does not say that something began ("düştüm", not "başladı").
        kin: a relative; `fate`: what is said of a relative's illness ("vefat", "genetik").
        privative: it may say "without" ("ağrısız").
        isnot: "değil", which denies only what stands right before it.
    """

    ends: bool
    opens: bool
    denies: bool
    resolves: bool
    negative_at: int
    asks: bool
    ongoing: bool
    supposes: bool
    advises: bool
    past: bool
    formerly: bool
    pluperfect: bool
    preterite: bool
    evidential: bool
    hearsay: bool
    dismisses: bool
    evidential_form: bool
    kin: bool
    fate: bool
    ne: bool
    isnot: bool
    privative: bool
    notable: bool


@lru_cache(maxsize=50_000)
def form_of(word: str) -> WordForm:
    negative = _NEGATIVE.search(word)
    isnot = word.startswith("degil") or word == "degl"
    flags = {
        "ends": bool(_FINITE.search(word)) or word in _CONJUNCTION,
        "opens": word in _NOW,
        "denies": bool(_NEGATOR.match(word)),
        "resolves": bool(_RESOLVED.match(word)),
        "asks": bool(_PARTICLE.match(word)) or bool(_ATTACHED.search(word)),
        "ongoing": word.endswith(("yorum", "yoruz")),
        "supposes": bool(_SUPPOSING.match(word)),
        "advises": bool(_ADVICE.match(word)),
        "past": bool(_REPORTED.match(word)),
        "formerly": word in _FORMERLY,
        "pluperfect": bool(_PLUPERFECT.search(word)),
        "hearsay": bool(_HEARSAY.match(word)),
        "dismisses": word.startswith(("gecmez", "gecmiyo", "gecirmem", "gecirmiyo", "gecmedi", "getirmem")),
        "evidential_form": bool(_EVIDENTIAL.search(word)) and len(word) > 4 and word not in _NOT_EVIDENTIAL,
        "kin": bool(_KIN.match(word)),
        "fate": bool(_KIN_FATE.match(word)),
        "ne": word == "ne",
        "isnot": isnot,
    }
    return WordForm(
        negative_at=negative.start() if negative else -1,
        notable=any(flags.values()),
        privative="siz" in word or "suz" in word,
        evidential=flags["ends"] and bool(_EVIDENTIAL.search(word)),
        preterite=flags["ends"] and bool(_PRETERITE.search(word)) and not _BEGINS.match(word),
        **flags,
    )


def lacks(word: str, stem_length: int) -> bool:
    """Whether the word says "without" what its stem names: "ağrısız", "ateşsiz"."""
    return bool(_PRIVATIVE.match(word[stem_length:]))


def denies_itself(form: WordForm, stem_length: int) -> bool:
    """Whether the word's own negative follows its stem: "ağrı|mıyor", "bayıl|madım"; not "alamı|yorum"."""
    return form.negative_at >= stem_length
