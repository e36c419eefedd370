"""What identifies in a clinical text by its form or by the word before it: addresses, plates, files, dates,
hosts.

Stricter than `find_personal`, which serves complaints and reports: here a date or a number goes that a
clinical question does not need. Each function gives places as (start, end) and reads the text a bounded
number of times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from tetkik.privacy import tagger
from tetkik.privacy.tagger import known_word, list_of, word_lists
from tetkik.turkish import flat

MONTH = (
    r"(?:ocak|subat|mart|nisan|mayis|haziran|temmuz|agustos|eylul|ekim|kasim|aralik"
    r"|oca?|sub|nis|may|haz|tem|agu|eyl|eki|kas|ara"
    r"|jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?"
    r"|muharrem|safer|rebiulevvel|rebiulahir|cemaziyelevvel|cemaziyelahir|recep|saban|ramazan|sevval|zilkade|zilhicce)"
)
_YEAR = r"(?:19|20)\d\d"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_DOSE = r"(?![ ]?(?:mg|mcg|ug|ml|cc|gr?|kcal|iu|u|m|mm3?|mmhg|ng|pg|[x*]|kopya|hucre|metre)\b)"
_DATES = re.compile(
    rf"""(?<![\d.,/\-])(?:
        {_DAY}[ ]?([./\-])[ ]?(?:0?[1-9]|1[0-2])[ ]?\1[ ]?(?:\d{{4}}|\d\d)(?!\d|[.,/]\d)
      | (?:0?[1-9]|1[0-2])([./\-]){_DAY}\2{_YEAR}
      | {_DAY}[ ]?[./\-][ ]?[ivx]{{1,4}}[ ]?[./\-][ ]?{_YEAR}
      | {_YEAR}[ ]?[./\-][ ]?\d{{1,2}}(?:[ ]?[./\-][ ]?\d{{1,2}})?
      | \d{{1,2}}[./]{_YEAR}
      | {_DAY}(?:st|nd|rd|th|\.)?[ ]?(?:of[ ])?[\-/]?{MONTH}(?:['’]?(?:d[ae]n?|t[ae]n?|[iu]n))?(?![a-z])
        (?:[ ,/.\-]{{1,3}}'?(?:1[34]\d\d|(?:19|20)?\d\d)(?![\d]|[.,]\d|\s?(?:mg|ml|cc|gr|mm|cm|x)\b))?
      | {MONTH}[ ]{_DAY}(?:(?:st|nd|rd|th)(?:,?[ ]{_YEAR})?|,?[ ]{_YEAR})
      | {MONTH}[ ',]{{1,2}}{_YEAR}
      | (?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])
      | {_YEAR}[ ]{MONTH}(?![a-z])
      | {_YEAR}{_DOSE}
    )(?![\d])""",
    re.VERBOSE,
)
_NUMBER_WORD = (
    r"(?:sifir|bir|iki|uc|dort|bes|alti|yedi|sekiz|dokuz|on|yirmi|otuz|kirk|elli|altmis|yetmis"
    r"|seksen|doksan|yuz|bin)"
)
_SPOKEN = re.compile(
    rf"(?<![a-z])(?:{_NUMBER_WORD}[ ]?){{1,3}}[ ]?{MONTH}[ ](?:(?:iki[ ]?bin"
    rf"|bin[ ]?dokuz[ ]?yuz)(?:[ ]?{_NUMBER_WORD}){{0,3}}|{_YEAR})(?![a-z])"
    rf"|(?<![a-z])(?:{_NUMBER_WORD}[ ,]{{1,2}}){{3,}}(?:{_NUMBER_WORD}|\d[\d ]{{2,12}}\d)(?![a-z\d])"
)
_BORN = (
    r"(?:dogum(?:lu\w*|[ ]?t(?:ar(?:ih\w*)?)?)?|dogm\w{0,3}|dgm|dog|dt|d\.?[ ]?t(?:arih\w*)?|dob|born"
    r"|d[ ]?yili|yili)"
)
_BORN_NEAR = (
    re.compile(
        rf"(?<![a-z]){_BORN}\b[ .:;,=()\-]{{0,4}}(?:yili?[ :]{{0,2}})?"
        rf"((?:{_DAY}[./\- ]{{1,2}}){{0,2}}'?\d{{2,4}})(?![\d])"
    ),
    re.compile(
        r"(?<![\d.,])(1[34]\d\d|(?:19|20)?\d\d)['’]?[ ]?(?:l[iu]|d[ae]n?)?[ ]?(?:dogumlu|dog\b|dgm|dgml"
        r"|d\.?lu|dogdu|born)"
    ),
    re.compile(
        r"(?:hicri|rumi|miladi"
        r"|h\.)[ :]{0,2}((?:\d{1,2}[ ]?[./][ ]?){0,2}(?:\d{1,2}[ ]\w{3,14}[ ])?1[2-4]\d\d)(?!\d)"
    ),
    re.compile(r"(?<!\d)(1[2-4]\d\d)[ ](?:hicri|rumi)"),
)
# An age of 90 and more: as one or in words.
_OLD_WORDS = r"(?:doksan|yuz)(?:[ ]?(?:bir|iki|uc|dort|bes|alti|yedi|sekiz|dokuz|on))?"
_OLD = re.compile(
    r"(?<![\d.,/x])(?P<a>9\d|1[01]\d)(?=[ '’]{0,2}(?:y\b|yas|y/o|yo\b|yr|year|li[kg]|lu[kg]|lar\b|inda\b"
    r"|inde\b|unda\b|unde\b|una\b|sinda\b|y[ /.]?[ekmf]\b))"
    r"|(?<![a-z])(?:yasi?n?|age|aged)[ :=]{0,3}(?P<b>9\d|1[01]\d)(?!\d|[.,]\d)"
    rf"|(?<![a-z])(?P<c>{_OLD_WORDS})(?=[ ](?:yas|li[kg]))"
    rf"|(?<![a-z])yasi[ :]{{1,2}}(?P<d>{_OLD_WORDS})(?![a-z])"
)
_HANDLE = re.compile(
    r"(?<![\w.@/])@[\w][\w.]{1,39}"
    r"|(?<!\w)(?:instagram|insta|ig|twitter|tiktok|facebook|face|telegram|snapchat|kullanici[ ]adi|nick\w*"
    r"|rumuz\w*|hesab[iı])"
    r"[ ]?[:=][ ]?([\w.]{4,40})"
)
_DOT = r"(?:\.|[ ]?\((?:nokta|dot)\)[ ]?|[ ](?:nokta|dot)[ ])"
_EMAIL = re.compile(
    rf"(?<![\w.+\-])[\w.+\-]{{1,64}}+(?:\((?:nokta|dot)\)[\w\-]{{1,40}}){{0,3}}"
    rf"(?:@[ ]?|[ ]?(?:\(at\)|\[at\]|\(et\)|[ ]at[ ](?=[\w\-]{{2,40}}(?:\.|[ ]nokta))"
    rf"|[ ]et[ ](?=[\w\-]{{2,40}}(?:\.com|[ ]nokta)))[ ]?)"
    rf"[\w\-]{{1,63}}(?:{_DOT}[\w\-]{{2,63}}){{1,4}}"
)
_TLD = (
    r"(?:com|net|org|info|biz|edu|gov|k12|bel|pol|example|site|online|web|app|blog|link|page|xyz|tr|de"
    r"|uk|nl|fr|ru|io|me|co|gl|ly|be|tv)"
)
_HOST = re.compile(
    rf"(?<![\w@.])(?:https?://|www\.)[^\s<>\"]{{3,300}}"
    rf"|(?<![\w@.\-])(?:[a-z0-9][a-z0-9\-]{{0,62}}\.){{1,4}}{_TLD}(?:\.tr)?(?:/[^\s<>\"]{{1,200}}|(?![\w.]*\w))"
)
_ADDRESSES = re.compile(
    r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d]|\.\d)"
    r"|(?<![\w:])(?:[0-9a-f]{1,4}:){4,7}[0-9a-f]{1,4}(?![\w:])"
    r"|(?<![\w:])(?:[0-9a-f]{1,4}:){1,6}:(?:[0-9a-f]{1,4}:?){1,5}(?![\w:])"
    r"|(?<![\w:\-])(?:[0-9a-f]{2}[:\-]){5}[0-9a-f]{2}(?![\w:\-])"
)
_IBAN = re.compile(
    r"(?<![a-z0-9])tr[ .\-]?(?:\d[ .\-]{0,2}){23}\d(?!\d)"
    r"|(?<![a-z0-9])tr[ .\-]?\d\d[ .\-]?(?:\d{4}[ .\-]?){2,5}\d{0,4}"
)
# A province's number, one to three letters, two to five digits; not a dose, a vertebra or a point of time.
_PLATE = re.compile(
    r"(?<![\w.,/])(?:0[1-9]|[1-7]\d|8[01])(?P<g>[ .\-]?)(?P<l>[A-Za-z]{1,3})[ .\-]?\d{2,5}(?![\w]|[.,/]\d)"
)
_VEHICLE = re.compile(
    r"(?i:plaka\w*|ara[cç]\w{0,3}|oto(?:su)?)[ ]?(?:no"
    r"|numara\w*)?[ :]{1,3}(?P<v>[A-Za-z]{0,3}[ .\-]?\d{1,4}[ .\-]?[A-Za-z]{0,3}[ .\-]?\d{2,5})(?!\w)"
)
_UNITS = frozenset(
    """
    mg ml cc gr g kg cm mm m mcg ug iu u ui l lt dl mm ng pg kcal hz db x ay gun hf hft yil yas dk sn
    saat sa st pa ap ve de da f fr ch g t l c s e k y no
    """.split()  # noqa: SIM905
)
_ID_WORD = (
    r"(?:dosya(?:si|sinin)?|arsiv|prot(?:okol\w{0,4})?|prt|evrak|versicherten\w*|belge(?=[ ]no)|order"
    r"|istem(?=[ ](?:no|num|nr|id)|[ ]?[:#])|acc(?:ession)?|barkod\w{0,3}|kayit(?=[ ](?:no|num|nr|id)"
    r"|[ ]?[:#])"
    r"|sicil\w{0,2}|tescil|tahsis|police|ehliyet\w{0,3}|surucu[ ]belgesi|(?:pas(?:aport|port)|ps?sprt"
    r"|pspt?|pass(?:port)?)\w{0,4}"
    r"|sgk\w{0,5}|ssk\w{0,3}|bag-?kur\w{0,3}|mrn|pid|hasta[ ](?:no|id|num\w*)|hst[ ](?:no|id|#)|numune"
    r"|biyopsi[ ]no|fatura|makbuz|karne\w{0,4}|recete(?=[ ]no)"
    r"|rapor(?=[ ]no)|sevk(?=[ ]no)|randevu(?=[ ]no)|ruhsat|seri(?=[ ]no)|sigorta\w{0,3}|vergi"
    r"|kart(?=[ ]no)|id|kimlik\w{0,3}|koruma|tckn?\w{0,3}|t\.c\.\w{0,3}|kupa|provizyon|takip(?=[ ]no)"
    r"|basvuru(?=[ ]no)|sisli|yupass|yabanci|ykn|diploma|tesc)"
)
_ID = re.compile(
    rf"(?<![a-z0-9]){_ID_WORD}(?![a-z])"
    r"(?:[ ]?(?:no(?:su|lu|m|'su)?|numara\w{0,3}|num|nr|id|kodu|number|sicil\w{0,2}|tescil|dosya\w{0,3}"
    r"|eski|yeni|isyeri|kimlik|'?si|basvuru|yatis|order|study|acc)(?![a-z])){0,5}"
    r"[ ]?[.:=#()\-–/]{0,3}[ ]?"
    r"(?P<v>(?:(?<![a-z])[a-z]{1,3}[ \-./]{1,2})?(?:(?<![a-z])(?:[a-z]{1,5}[\-./]?"
    r"|[a-z]{1,2}[ ]))?\d[a-z0-9]*(?:[./\-_][a-z0-9]+)*(?:[ ]\d[\d./\-]+(?![a-z%]))*)"
)
_NUMBERED = re.compile(
    r"(?<![a-z])no(?:su|lu|m)?[ .:]{1,3}((?:[a-z]{1,3}[ \-])?\d{4,}(?:[./\-]\d+)*)(?![\d])"
)
_MIXED = re.compile(
    r"(?<![A-Za-z0-9])(?=[A-Z0-9]{6,14}(?![A-Za-z0-9]))(?!(?:[A-Z]\d{1,2})+(?![A-Z0-9]))(?:[A-Z]+\d+|\d+[A-Z]+){2,}[A-Z]*(?![A-Za-z0-9])"
)
_SLASHED = re.compile(r"(?<![A-Za-z0-9])[A-Z]{1,4}/[A-Z]{1,4}\d{0,4}[\-/]\d{3,}|(?<!\w)s\.\d{1,4}/k\.\d{1,4}")
_CODE = re.compile(  # H-2231, ORD558213, BT-7741903, A/2019-06643, P24-11873
    r"(?<![a-zA-Z0-9.\-/])(?:[A-Za-z]{1,5}[\-./_]?\d{5,12}|[A-Z]{1,5}-\d{3,12}|[A-Za-z]{1,4}[\-/]?(?:19|20)?\d\d[\-/]\d{3,8}|\d{2,4}[\-/]\d{4,10}|#\d{4,12}"
    r"|[A-Z](?=[A-Z0-9]{7,10}(?![A-Za-z0-9]))(?:[A-Z]*\d){4}[A-Z0-9]*)(?![A-Za-z0-9]|[.,]\d)"
)
_LONG = re.compile(
    r"(?<![\d.,])(?:\d{6,}|\d{5}(?!\d)|\d\d(?:[ ]\d\d){3,}|\d{4}(?:[ ]\d{4}){2,4}(?:[ ]\d{1,4})?"
    r"|\d{3,4}(?:[ \-.]\d{2,4}){2,6}|\d{2,4}[ ]\d{4,}(?:[ ]\d+)*|[2-5]\d\d[ ]\d{3}(?:[ ]?\d){4})(?![\d:]"
    r"|[.,]\d)"
)
_DOTTED = re.compile(r"(?<![\d.,/\-])\d{1,4}(?:[.\-/]\d{1,9}){2,8}(?![\d])")
_MEASURED = re.compile(
    r"(?:plt|wbc|trombosit|lokosit|eritrosit|ck|bnp|probnp|hcg|ferritin|dimer|lenf\w*|notrofil|troponin|b12|bakteri|koloni|crp|odyo|ast|alt|ldh|cpk|trigliserid|amilaz|lipaz|hucre)\W{0,4}(?:\w{1,6}\W{1,3})?$"
)
_OF_MEASURE = re.compile(
    r"[ ]?(?:/|mg|ml|mm|iu|u/|ng|pg|adet|koloni|cfu|hz|x|kcal|tl\b|cc|gr|hucre|k/|10\^|unite|lira|euro|ohm)"
)
_PHONE_CUE = re.compile(
    r"(?:tel|tlf|tlfn|telefon\w*|gsm|cep\w*|numara\w*|ev|is|fax|faks|dahili|aray\w*|ara|whatsapp|wp"
    r"|no)\W{0,4}((?:\+?\d[\d ()./\-]{5,18}\d))(?!\d)"
)


def _all(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, int]]:
    return (match.span() for match in pattern.finditer(text))


def dates(plain: str, _: str) -> Iterator[tuple[int, int]]:
    """Dates and years, full or not, and what stands beside a word of birth."""
    yield from _all(_DATES, plain)
    yield from _all(_SPOKEN, plain)
    for pattern in _BORN_NEAR:
        yield from (match.span(1) for match in pattern.finditer(plain))


def ages(plain: str, _: str) -> Iterator[tuple[int, int]]:
    """Ages of ninety and more (45 CFR 164.514(b)(2)(i)(C))."""
    for match in _OLD.finditer(plain):
        yield match.span(match.lastgroup or 0)


def handles(plain: str, _: str) -> Iterator[tuple[int, int]]:
    for match in _HANDLE.finditer(plain):
        start, end = match.span(1) if match[1] else match.span()
        yield start, end - (plain[end - 1] == ".")


def hosts(plain: str, _: str) -> Iterator[tuple[int, int]]:
    """Links with or without their scheme, addresses of machines, and mail however its signs are spelt."""
    for match in _HOST.finditer(plain):
        yield match.start(), match.start() + len(match[0].rstrip(".,;:)'\"”]"))
    for pattern in (_EMAIL, _ADDRESSES):
        yield from _all(pattern, plain)


def plates(_: str, text: str) -> Iterator[tuple[int, int]]:
    for match in _PLATE.finditer(text):
        spaced = bool(match["g"])
        many = sum(map(str.isdigit, match[0])) > 4
        if flat(match["l"]) not in _UNITS or (
            match["l"].isupper() and (many or (spaced and len(match[0]) > 7))
        ):
            yield match.span()
    for match in _VEHICLE.finditer(text):
        yield match.span("v")


def numbers(plain: str, text: str) -> Iterator[tuple[int, int]]:
    """Numbers of files, orders, passes and accounts: after the word for one, or written as one."""
    yield from _all(_IBAN, plain)
    yield from (match.span("v") for match in _ID.finditer(plain) if sum(map(str.isdigit, match["v"])) > 2)
    yield from (match.span(1) for match in _PHONE_CUE.finditer(plain))
    for pattern in (_CODE, _MIXED, _SLASHED):
        yield from _all(pattern, text)
    yield from (match.span(1) for match in _NUMBERED.finditer(plain))
    for match in _DOTTED.finditer(plain):
        if sum(map(str.isdigit, match[0])) > 8:
            yield match.span()
    for match in _LONG.finditer(plain):
        start, end = match.span()
        if not (
            _MEASURED.search(plain[max(0, start - 24) : start]) or _OF_MEASURE.match(plain[end : end + 8])
        ):
            yield start, end


_STREET = (
    r"(?:mah(?:alle\w*)?|mh|cad(?:de\w*)?|cd|sok(?:ak|ag\w*)?|sk|bulv?(?:ar\w*)?|blv|cikmaz\w*"
    r"|yokusu|meydan\w*|apt|apartman\w*|sitesi|sit|koyu|beldesi|mevkii?|kume[ ]evleri)"
)
_ENTRANCE = r"(?:no|numara|kapi|daire|d|kat|k|blok|bl|ic[ ]?kapi|dis[ ]?kapi|apt|pk)"
_WORD = r"[a-z0-9][\w'’/\-]{0,24}"
_STREETS = re.compile(
    rf"(?<![a-z]){_STREET}(?![a-z])\.?(?:[ ,.]{{1,3}}(?:{_WORD}[ ]){{0,3}}?{_STREET}(?![a-z])\.?){{0,4}}"
    rf"(?:[ ,.]{{0,3}}(?:{_ENTRANCE}[ .:]{{0,2}}\d{{1,4}}(?:[/\-]?[a-z0-9]{{1,4}})?(?![a-z0-9])"
    rf"|\d{{1,4}}(?:[/\-]\w{{1,4}}){{0,2}}(?![\w%]|[.,]\d)|[a-f][ ]blok|(?:zemin|bodrum)[ ]kat))*"
)


def addresses(plain: str, text: str) -> Iterator[tuple[int, int]]:
    """From the names before a word for a street or a quarter to the last number, or a town
    behind it."""
    yield from _all(_ABROAD, text)
    towns = word_lists()["cities"]
    for match in _STREETS.finditer(plain):
        start, end = match.span()
        numbered = (
            any(char.isdigit() for char in match[0])
            or plain[max(0, start - 4) : start].rstrip()[-1:].isdigit()
        )
        low = max(0, start - 80)
        first = start
        for word in reversed(list(_PLACE_WORD.finditer(text, low, start))[-6:]):
            between = text[word.end() : first]
            named = word[0][0].isupper() or word[0][0].isdigit() or plain[word.start() : word.end()] in towns
            if between.strip(" ,./-") or "\n" in between or not (named or first == start):
                break
            if between.strip(" .") and word[0][0].isdigit():
                break  # a number of what went before
            first = word.start()
        last = end
        for word in _PLACE_WORD.finditer(text, end, min(len(text), end + 60)):
            folded = plain[word.start() : word.end()].split("'", maxsplit=1)[0]
            if text[last : word.start()].strip(" ,./-()") or not (
                folded in towns or _TOWN.fullmatch(folded) or re.sub(r"[dt][ae]n?$", "", folded) in towns
            ):
                break
            last = word.start() + len(folded)
        if numbered or last > end or (first < start and text[first].isupper()):
            yield first, last


_ABROAD = re.compile(
    r"(?<!\w)\w{3,30}(?:stra(?:ß|ss)e|str\.|weg|platz|gasse)[ ]\d{1,4}\w?(?:,?[ ]\d{4,5}[ ]\w{3,20})?",
    re.IGNORECASE,
)
_PLACE_WORD = re.compile(r"[\w'’]+")
_TOWN = re.compile(r"(?:ilce|merkez|koy)\w{0,5}")
# The head of a school's or a firm's name; units of a hospital (klinik, servis, merkez) are none.
_HEAD = (
    r"(?:okulu|[iİ]lkokulu|ortaokulu|anaokulu|lisesi|ihl|koleji|kreşi|üniversitesi|fakültesi|yüksekokulu|mektebi|fabrikası|fabrikasi|otel|oteli|hotel|huzurevi|bakımevi|yurdu|holding|ltd"
    r"|şti|a\.ş|san|tic|sanayi|sitesi|döküm|tekstil|konfeksiyon|mobilya|makarna|inşaat|lojistik|nakliyat|kargo|market|kuaför|kuaförü|eczanesi|lokantası|restoran|restaurant|fırını|pastanesi"
    r"|matbaası|madencilik|gıda|makina|makine|metal|plastik|kimya|otomotiv|oto|petrol|belediyesi|karakolu|cezaevi|vakfı|derneği|kooperatifi|şirketi|bankası|sigorta|dershanesi|kulübü|çiftliği"
    r"|tersanesi|atölyesi|haddehanesi|işletmesi|asm|osb|avm|plaza|camii|turizm|yapı|enerji|elektrik|seramik|cam|boya|ambalaj|süt|et|un|yem|tarım|spor|ajansı|gazetesi|akademi|akademisi|kampüsü|kışlası)"
)
_CAPITAL = r"[A-ZÇĞİÖŞÜ][\wçğıöşü.&'’\-]*"
_INSTITUTION = re.compile(
    rf"(?<![\w.])(?:(?:{_CAPITAL}"
    rf"|\d{{1,3}}\.)[ ]){{1,5}}(?=[A-ZÇĞİÖŞÜ])(?i:{_HEAD})(?!\w)\.?(?:[ ](?:{_CAPITAL}\.?)){{0,3}}"
    r"|(?<!\w)[A-ZÇĞİÖŞÜ][a-zçğıöşü]+spor(?!\w)"
)


_LEADING = frozenset(("hastamiz", "hasta", "oglum", "kizim", "ogrenci", "sayin"))


def institutions(_: str, text: str) -> Iterator[tuple[int, int]]:
    """Schools, firms and homes by name: capitals that end in a word for one, in a text that is not all
    capitals."""
    if not text.isupper():
        for match in _INSTITUTION.finditer(text):
            start = match.start()
            first = flat(match[0].split(" ")[0])
            if first in _LEADING or first in word_lists()["kin"]:
                start += len(first) + 1
            yield start, match.end()


_LOGIN = re.compile(r"(?<![\w@./])[a-z]{1,15}[._\-][a-z]{3,20}\d{0,4}(?![\w@/]|\.\w)")
_USER = re.compile(r"(?:user(?:name)?|login|kullanici(?:[ ]adi)?|uid)[ ]?[=:][ ]?([a-z][\w.\-]{3,40})")


def logins(plain: str, text: str) -> Iterator[tuple[int, int]]:
    """Names of accounts: of two parts with a sign between, one of them a name; and names written as one
    word."""
    names = word_lists()["given"] | word_lists()["family"]
    for match in _LOGIN.finditer(plain):
        parts = re.split(r"[._\-]", match[0].rstrip("0123456789"))
        known = [part for part in parts if part in names and part not in word_lists()["common"]]
        if len(known) == 2 or (known and "-" not in match[0]) or (len(parts[0]) == 1 and parts[1] in names):
            yield match.span()
    yield from (match.span(1) for match in _USER.finditer(plain))
    for match in _JOINED.finditer(text):
        if flat(match[1]) in names or flat(match[2]) in word_lists()["family"]:
            yield match.span()
    for match in _LONG_WORD.finditer(plain):
        if "joined" in list_of(match[0]):
            yield match.span()


_JOINED = re.compile(r"(?<!\w)([A-ZÇĞİÖŞÜ][a-zçğıöşü]{2,14})([A-ZÇĞİÖŞÜ][a-zçğıöşü]{2,18})(?!\w)")
_LONG_WORD = re.compile(r"(?<![\w@.])[a-z]{9,30}(?![\w@.])")


_INITIAL = re.compile(r"(?<![\w.])[a-z]\.[ ]?([a-z]{3,20})(?![a-z])")
_PAIR = re.compile(r"(?<![a-z])(?=([a-z]{3,16})[ ]{1,2}([a-z]{3,20})(?![a-z]))")


def listed_names(plain: str, text: str) -> Iterator[tuple[int, int]]:
    """An initial before a family name, and a given name before one, both in the lists, in any letters."""
    lists = word_lists()
    words = tagger.model()[2]
    for match in _INITIAL.finditer(plain):
        word = match[1]
        if (
            word in lists["family"]
            and word not in lists["eponyms"]
            and (text[match.start(1)].isupper() or word not in lists["common"])
        ):
            yield match.span()
    for match in _PAIR.finditer(plain):
        first, second = match[1], match[2]
        given = first in lists["given"] and first not in lists["common"] and known_word(first, words) != "w"
        if given and second in lists["family"] and second not in lists["never"] | lists["kin"]:
            yield match.start(1), match.end(2)


FINDERS: tuple[Callable[[str, str], Iterator[tuple[int, int]]], ...] = (
    dates,
    ages,
    handles,
    hosts,
    plates,
    numbers,
    addresses,
    institutions,
    logins,
    listed_names,
)
"""Each takes the text folded by `flat`, and the text."""
