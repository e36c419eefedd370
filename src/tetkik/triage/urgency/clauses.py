"""A complaint cut into words, clauses and sentences, with what each clause says of its symptoms."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from tetkik import turkish

# What a Turkish word does to the clause it closes: ends it, denies it, asks it, puts it in the past.
#
# Turkish says these with the last word ("ağrım yok", "ateşi çıkmadı", "felç olur muyum"), so a clause is
# read up to its verb, and the verb decides for all that stands before it. Words are folded.


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


_WORD = re.compile(r"[a-z]+|[0-9]+")
_MARK = re.compile(r"(?<!\d)[.,/-]|[.,/-](?!\d)|[!?;:…\n()]")
"""What divides sentences and lists; not the point of 39.5 or the stroke of 12/8."""
_STOPS = frozenset(".!?;:…\n")
_LIST_ITEM = 2
_COMPARES = frozenset(("gibi", "diye"))
_DENIAL_REACH = 12
"""Clauses that a closing denial may speak of."""
_HEARSAY_REACH = 2
"""Sentences before "bende öyle bir şey yok" that tell of others."""
_OWN = ("ben", "biz", "simdi", "kendi")
_NONE_OF_IT = re.compile(
    r"\bhicbiri|\b(?:oyle|boyle) (?:bi|bir) ?(?:sey|dert|derd|sikayet|durum)|\b(?:oyle|boyle) (?:sey|dert)"
    r"|\b(?:bende|bizde|kendisinde|b[ei][nz]imkinde|onda) (?:hic )?yok$"
)
"""With "yok": what was told before is not the writer's."""


class Status(StrEnum):
    """What the writer says of a symptom."""

    PRESENT = "present"
    DENIED = "denied"
    PAST = "past"
    SUPPOSED = "supposed"
    OTHERS = "others"
    """A relative's, as family history."""


@dataclass(slots=True)
class Clause:
    """Words `first` to `last` (indexes), closed by a verb, a conjunction or a full stop."""

    first: int
    last: int
    denied: bool = False
    denied_from: int = 0
    denier: int = -1
    resolver: int = -1
    isnot_at: int = -1
    past: bool = False
    asked: bool = False
    supposed_at: int = -1
    others: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether it only states: nothing denied, over, supposed, asked or of others."""
        at_all = self.denied or self.past or self.others or self.asked
        return not at_all and max(self.isnot_at, self.resolver, self.supposed_at) < 0


@dataclass(frozen=True, slots=True)
class Text:
    """A complaint, read.

    Attributes:
        folded: the words with single spaces between.
        words: folded by `tetkik.turkish.fold`, as they were probably meant.
        starts: where each word begins in `folded`.
        spans: where each word stands in `original`: (start, end), in characters.
        comma: whether a comma (or a dash, a slash) stands before each word.
        sentence: the number of the sentence of each word.
        clause: the number of the clause of each word.
    """

    original: str
    folded: str
    words: list[str]
    starts: list[int]
    spans: list[tuple[int, int]]
    forms: list[WordForm]
    comma: list[bool]
    sentence: list[int]
    clause: list[int]
    clauses: list[Clause]

    def span_of(self, first: int, last: int) -> tuple[int, int]:
        """Where words `first` to `last` stand in the original text: (start, end), in characters."""
        return self.spans[first][0], self.spans[last][1]


def read(text: str, spelled: Callable[[str], str] = str) -> Text:
    """Cut a complaint into words and clauses.

    Args:
        spelled: what a folded word was probably meant to be.
    """
    folded = turkish.fold(text)
    # Most texts fold letter by letter; then a place is the same in both.
    places: Sequence[int] = range(len(text))
    if len(folded) != len(text):
        folded, places = turkish.fold_with_places(text)
    words: list[str] = []
    starts: list[int] = []
    spans: list[tuple[int, int]] = []
    forms: list[WordForm] = []
    comma: list[bool] = []
    sentence: list[int] = []
    clause: list[int] = []
    clauses: list[Clause] = []
    marks = [(mark.start(), mark[0] in _STOPS) for mark in _MARK.finditer(text)]
    marks.append((len(text), False))
    colons: set[int] = set()
    passed = sentences = place = 0
    for index, match in enumerate(_WORD.finditer(folded)):
        start = places[match.start()]
        word = spelled(match[0])
        form = form_of(word)
        has_comma = stopped = False
        while marks[passed][0] < start:
            if marks[passed][1]:
                stopped = True
                if text[marks[passed][0]] == ":":
                    colons.add(index)
            else:
                has_comma = True
            passed += 1
        sentences += stopped
        # The question particle belongs to the verb before it.
        if not index or stopped or form.opens or (forms[-1].ends and not form.asks):
            clauses.append(Clause(index, index))
        clauses[-1].last = index
        words.append(word)
        starts.append(place)
        spans.append((start, places[match.end() - 1] + 1))
        place += len(word) + 1
        forms.append(form)
        comma.append(has_comma and not stopped)
        sentence.append(sentences)
        clause.append(len(clauses) - 1)
    for item in clauses:
        _judge(item, words, forms, comma)
    _spread(clauses, words, forms, sentence, colons)
    return Text(text, " ".join(words), words, starts, spans, forms, comma, sentence, clause, clauses)


def _judge(clause: Clause, words: list[str], forms: list[WordForm], comma: list[bool]) -> None:
    ne_seen = 0
    kin = fate = past_fate = False
    for index in range(clause.first, clause.last + 1):
        form = forms[index]
        after_daha = index > 0 and words[index - 1] == "daha"
        if not form.notable:
            continue
        if form.isnot:
            clause.isnot_at = index
        elif form.denies or (form.dismisses and index and words[index - 1].startswith("akl")):
            clause.denied = True
            clause.denier = index
        if form.resolves:
            clause.resolver = index
        if form.past or (form.pluperfect and index >= clause.last - 1) or (form.formerly and after_daha):
            clause.past = True
        if form.asks:
            earlier = forms[index - 1] if index > clause.first else form
            clause.asked = clause.asked or not (form.advises or earlier.advises or forms[clause.last].ongoing)
        if form.supposes:
            clause.supposed_at = index
        kin = kin or form.kin
        # "vardı" is also what the writer had: a relative's only where one is named.
        fate = fate or (form.fate and not form.pluperfect)
        past_fate = past_fate or (form.fate and form.pluperfect)
        ne_seen += form.ne
    clause.others = (fate and (kin or clause.past)) or (past_fate and kin)
    if ne_seen >= 2:
        clause.denied = True
        clause.denier = -1
        clause.denied_from = clause.first
    elif clause.denied:
        clause.denied_from = _reach(clause, comma)


def _spread(
    clauses: list[Clause], words: list[str], forms: list[WordForm], sentence: list[int], colons: set[int]
) -> None:
    """A clause may speak of others: "… gibi bir şey yok" of those before, "dedemde olmuştu: …" after."""
    hearsay_in = neither = account_in = -1
    for number, clause in enumerate(clauses):
        at = sentence[clause.first]
        if any(form.hearsay for form in forms[clause.first : clause.last + 1]):
            hearsay_in = at
        elif words[clause.first].startswith(_OWN):
            hearsay_in = account_in = -1
        if number and clause.others is False:
            before = clauses[number - 1]
            same = at == sentence[before.first]
            if clause.first in colons and before.others:
                account_in = at
            brief = clause.last + 1 in colons and clause.last - clause.first < _LIST_ITEM
            clause.others = account_in == at or (
                before.others and same and (brief or forms[clause.last].evidential)
            )
        if 0 <= at - hearsay_in <= 1 and hearsay_in >= 0 and _is_hearsay(clause, forms):
            clause.others = True
        if words[clause.first] == "ne":
            if neither >= 0 and sentence[clauses[neither].first] == at:
                for item in (clauses[neither], clause):
                    item.denied, item.denied_from, item.denier = True, item.first, -1
            neither = number
        if clause.denied:
            _deny_before(clauses[max(0, number - _DENIAL_REACH) : number + 1], words, forms, sentence)


def _deny_before(clauses: list[Clause], words: list[str], forms: list[WordForm], sentence: list[int]) -> None:
    """What the denial that closes the last clause says of the clauses before it."""
    clause = clauses[-1]
    at = sentence[clause.first]
    own = words[clause.first : clause.last + 1]
    last = clause.denier if clause.denier >= 0 else clause.last
    same = [item for item in clauses if sentence[item.first] == at]
    if not _COMPARES.isdisjoint((own[0], *words[max(clause.first, last - 3) : last])):
        pass
    elif _NONE_OF_IT.search(" ".join(own)):
        for earlier in clauses[:-1]:
            near = at - sentence[earlier.first] <= _HEARSAY_REACH
            earlier.others = earlier.others or (near and _is_hearsay(earlier, forms))
        if own[-1] != "yok" or not any(item.supposed_at >= 0 for item in same[:-1]):
            return
    else:
        return
    for item in same:
        item.denied, item.denied_from, item.denier = True, item.first, clause.denier


def _is_hearsay(clause: Clause, forms: list[WordForm]) -> bool:
    return any(form.evidential_form for form in forms[clause.first : clause.last + 1])


def _reach(clause: Clause, comma: list[bool]) -> int:
    """How far back a "yok" reaches: over commas only through a bare list ("ateş, öksürük, balgam yok")."""
    commas = [i for i in range(clause.first + 1, clause.last + 1) if comma[i]]
    if not commas:
        return clause.first
    starts = [clause.first, *commas]
    ends = [*commas, clause.last]
    lengths = [b - a for a, b in zip(starts, ends, strict=True)]
    most = _LIST_ITEM if len(commas) > 1 else 1
    if all(length <= most for length in lengths):
        return clause.first
    return commas[-1]
