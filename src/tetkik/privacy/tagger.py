"""Names, places and numbers that no rule knows, found by the words around them: a linear model over words.

For each word or number of a text some fifty questions are asked (its spelling, its beginning and end, the
lists of `lexicon.toml`, its neighbours, what the rules found), each answer has a weight, and a sum above a
threshold says that it goes. The weights stand in `tagger.npz`, hashed, and come from
benchmarks/deidentification_training.py.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from zlib import crc32

import numpy as np

from tetkik.turkish import flat

BITS = 16
_MASK = (1 << BITS) - 1
_TOKEN = re.compile(r"[^\W\d_]+|\d+")
_APOSTROPHE = "'’`´ʼ‘′"
_ENDING = re.compile(
    r"(?:l[ae]r|gil)?(?:[yn]?[aeiu]|[yns]?[iu]n|[dt][ae]n?|[nd]?[dt][ae]n?|y?l[ae]|[iu]m|s[iu]|s[iu]n[iae]?n?|l[iu]|c[ae]|h?n?m)"
)
_FAMILY = re.compile(
    r"(?:ak|kara|oz|er|demir|gul|gok|gun|kaya|tas|yildiz|yilmaz|bay|koc|kor|kur|kut|sar[iı]|tek|tun|tur|uz|ulu|yal|celik|altin"
    r"|ay|boz|cetin|dag|dogan|du|erd|guner|gur|ince|koca|ozt|ozk|sahin|ser|sen|son|soy|tan|top|turk|un|uzun|yesil|kizil|uc|kilic)"
    r".{0,6}(?:oglu|ogullari|gil|soy|kaya|tas|turk|kan|tekin|alp|han|can|dogan|gun|bas|goz|dag|tepe|su|ay|er|men|man|ci|cu|li|lu|kurt|aslan|"
    r"demir|polat|kul|kus|el|ol|mez|maz|gul|ok|yurt|bilir|sever|lar|ler|en|in|un|el|ir|ar|an|al|as|ak|ik|uk|ek)"
    r"|\w{2,}(?:oglu|ogullari|zade|giller|soy|turk|tekin|ov|ova|ev|eva|yan|ian|idis|vic|berg|mann|sson|ski|dze|shvili|pour|zadeh)"
)
_FAR = 4


@cache
def word_lists() -> dict[str, frozenset[str]]:
    """The lists of `lexicon.toml`, with those of `names.toml`."""
    package = resources.files(__package__)
    own, names = (
        tomllib.loads(package.joinpath(f"{name}.toml").read_text("utf-8")) for name in ("lexicon", "names")
    )
    lists = {name: frozenset(words.split()) for name, words in own.items()}
    given = frozenset(names["given"].split())
    common = frozenset(names["ambiguous"].split()) | frozenset(names["common_family"].split())
    return {
        **lists,
        "given": lists["given"] | given | frozenset(names["ambiguous"].split()),
        "family": lists["family"]
        | frozenset(names["family"].split())
        | frozenset(names["common_family"].split()),
        "common": common,
        "never": frozenset(names["never"].split()),
    }


Model = tuple[list[float], float, frozenset[int]]
"""The weights by feature, the threshold, and the digests of ordinary words."""


@cache
def model() -> Model:
    with resources.as_file(resources.files(__package__).joinpath("tagger.npz")) as file:
        return read_model(file)


def read_model(file: Path) -> Model:
    with np.load(file, allow_pickle=False) as held:
        weights = (held["weights"].astype(np.float32) * float(held["scale"])).tolist()
        return weights, float(held["threshold"]), frozenset(held["words"].tolist())


def known_word(word: str, words: frozenset[int]) -> str:
    """Whether an ordinary text has this word, or one that begins alike: `w`, `s` (a stem) or `n`."""
    if crc32(word.encode()) in words:
        return "w"
    for cut in range(1, min(7, len(word) - 3)):
        if crc32(word[:-cut].encode()) in words:
            return f"s{min(cut, 4)}"
    return "n"


@lru_cache(maxsize=8192)
def list_of(word: str) -> tuple[str, ...]:
    """In which lists a word stands, as it is or without an ending (then in capitals)."""
    lists = word_lists()
    found = [name for name, words in lists.items() if word in words]
    for cut in range(1, 6):
        stem = word[:-cut]
        if len(stem) < 3:
            break
        if _ENDING.fullmatch(word[-cut:]):
            found += [
                name.upper()
                for name in (
                    "given",
                    "family",
                    "cities",
                    "institutions",
                    "streets",
                    "eponyms",
                    "kin",
                    "staff",
                    "ids",
                )
                if stem in lists[name]
            ]
    if len(word) > 7 and not found and _joined(word, lists):
        found.append("joined")
    if len(word) > 5 and not found and word[1:] in lists["family"]:
        found.append("account")
    if _FAMILY.fullmatch(word):
        found.append("f-shape")
    return tuple(dict.fromkeys(found))


def _joined(word: str, lists: dict[str, frozenset[str]]) -> bool:
    """Whether it is a given name and a family name written as one word: `ayseyilmaz`."""
    return any(
        word[:cut] in lists["given"] and word[:cut] not in lists["common"] and word[cut:] in lists["family"]
        for cut in range(4, len(word) - 3)
    )


@dataclass(frozen=True, slots=True)
class Tokens:
    """The words and numbers of a text, folded, with what stands between them."""

    text: str
    spans: list[tuple[int, int]]
    folded: list[str]
    gaps: list[str]
    """Before each word, and behind the last."""

    @classmethod
    def of(cls, text: str) -> Tokens:
        plain = flat(text)
        spans = [match.span() for match in _TOKEN.finditer(text)]
        ends = [0, *(end for _, end in spans)]
        starts = [*(start for start, _ in spans), len(text)]
        gaps = [_gap(text[end:start]) for end, start in zip(ends, starts, strict=True)]
        return cls(text, spans, [plain[start:end] for start, end in spans], gaps)


def _gap(between: str) -> str:
    """One sign for what stands between two words."""
    if not between:
        return "0"
    if between.isspace():
        return "n" if "\n" in between else "_"
    sign = between.strip()[0]
    side = "l" if between[0].isspace() else ""
    return (
        side
        + ("'" if sign in _APOSTROPHE else sign)
        + ("_" if between[-1].isspace() and len(between) > 1 else "")
    )


def shape_of(word: str) -> str:
    if word[0].isdigit():
        return f"d{min(len(word), 12)}"
    if len(word) == 1:
        return "A" if word.isupper() else "a"
    return (
        "AA"
        if word.isupper()
        else "Aa"
        if word[0].isupper() and word[1:].islower()
        else "a"
        if word.islower()
        else "aA"
    )


_SUMMED = ("streets", "institutions", "ids", "kin", "staff", "named", "born", "cities", "after")
_PAST = frozenset(("streets", "institutions", "ids", "kin", "staff", "named", "born"))
_NAMING = frozenset(
    name
    for kind in ("given", "family", "cities", "institutions", "streets", "joined", "account")
    for name in (kind, kind.upper())
)


class Context:
    """What is asked of each word of a text: its own lists and form, its neighbours', what the rules found."""

    def __init__(self, text: str, places: Sequence[tuple[int, int]], words: frozenset[int]) -> None:
        self.tokens = tokens = Tokens.of(text)
        self.found = covered(tokens, places)
        self.shapes = [shape_of(text[start:end]) for start, end in tokens.spans]
        letters = [shape for shape in self.shapes if shape[0] != "d" and len(shape) > 1]
        self.style = "U" if sum(shape == "AA" for shape in letters) > 0.6 * max(1, len(letters)) else ""
        self.lists = [list_of(word) if word[0].isalpha() else () for word in tokens.folded]
        self.known = [
            known_word(word, words) if len(word) > 2 and word[0].isalpha() else "-" for word in tokens.folded
        ]
        self.kinds = [_kind(*about) for about in zip(self.shapes, self.lists, self.known, strict=True)]

    def __len__(self) -> int:
        return len(self.shapes)

    def is_plain(self, i: int) -> bool:
        """Whether it is an ordinary word without a capital, of no list of names, with nothing found
        beside it."""
        return (
            self.known[i] == "w"
            and self.shapes[i] == "a"
            and _NAMING.isdisjoint(self.lists[i])
            and not any(self.found[max(0, i - 1) : i + 2])
        )

    def row(self, i: int, first: bool, second: bool) -> list[int]:
        """The features of a word, after the two decisions before it: places in the weights."""
        tokens, found, lists, kinds, shapes = self.tokens, self.found, self.lists, self.kinds, self.shapes
        word, shape, known, mine = tokens.folded[i], self.style + shapes[i], self.known[i], kinds[i]
        before, behind = tokens.gaps[i], tokens.gaps[i + 1]
        opens = i == 0 or before == "n" or (before != "_" and before.strip("l_")[:1] in ".!?:;-–—(")
        names = [
            f"w={word}", f"p3={word[:3]}", f"p4={word[:4]}", f"p5={word[:5]}",
            f"s2={word[-2:]}", f"s3={word[-3:]}", f"s4={word[-4:]}", f"sh={shape},o={opens}",
            f"k={mine},sh={shape},o={opens}", f"k={known},sh={shape}", f"n={len(word)}",
            f"g={before},{behind}", f"g-={before},sh={shape}", f"g+={behind},sh={shape}", f"r={found[i]}",
            f"kn={known},o={opens}", f"d={first},{second},{shape}", f"d={first},{before},{shape}",
            *(f"l={name},sh={shape}" for name in lists[i]), *(f"l={name},kn={known}" for name in lists[i]),
        ]  # fmt: skip
        for sign in (-2, -1, 1, 2):
            place = i + sign
            if not 0 <= place < len(shapes):
                names += (f"{sign}w=|", f"{sign}k=|,{mine}", f"{sign}k=|,sh={shape}")
                continue
            gap = before if sign == -1 else behind if sign == 1 else ""
            kind = kinds[place]
            names += (
                f"{sign}w={tokens.folded[place]}", f"{sign}k={kind}{gap},{mine}",
                f"{sign}k={kind},sh={shape}", f"{sign}r={found[place]},{mine}",
                f"{sign}sh={shapes[place]}{gap},sh={shape},k={known}",
                *(f"{sign}l={name}{gap},sh={shape[-2:]}" for name in lists[place]),
            )  # fmt: skip
        near = {
            name
            for around in (lists[max(0, i - _FAR) : i], lists[i + 1 : i + _FAR + 1])
            for each in around
            for name in each
        }
        names += [f"~{name},{mine}" for name in _SUMMED if name in near or name.upper() in near]
        past = {name for each in lists[max(0, i - 3) : i] for name in each} & _PAST
        names += [f"<{name},{shape}" for name in past]
        return [crc32(name.encode()) & _MASK for name in names]


def _kind(shape: str, lists: tuple[str, ...], known: str) -> str:
    """The most telling thing about a word, as its neighbours see it."""
    if shape[0] == "d":
        return shape
    for name in (
        "streets",
        "ids",
        "staff",
        "kin",
        "institutions",
        "after",
        "eponyms",
        "named",
        "born",
        "given",
        "family",
        "cities",
        "joined",
    ):
        if name in lists or name.upper() in lists:
            mixed = name in ("given", "family", "cities") and ("common" in lists or known == "w")
            return f"{name}{'?' if mixed else ''}{'^' if shape[0] == 'A' else ''}"
    return f"{known}{'f' if 'f-shape' in lists else ''}{'^' if shape[0] == 'A' else ''}"


_NUMBER_MARGIN = 1.0
"""Numbers are the rules' matter; the sum must be surer of one."""


def _stays(tokens: Tokens, i: int) -> bool:
    """Whether a word only leads to what identifies: "doktor", "oğlu", "adresi", "T.C."."""
    lists, word = word_lists(), tokens.folded[i]
    if word in ("t", "c"):
        other = "c" if word == "t" else "t"
        return other in tokens.folded[max(0, i - 1) : i + 2]
    if word in lists["given"] or word in lists["family"]:
        return False
    return word in lists["leads"] or any(
        word in lists[name] for name in ("kin", "staff", "named", "born", "ids")
    )


def tagged(text: str, places: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Where words and numbers stand that go by their sum; `places` are what the rules found."""
    weights, threshold, words = model()
    context = Context(text, places, words)
    first = second = False
    for i, (start, end) in enumerate(context.tokens.spans):
        goes = False
        if not (_stays(context.tokens, i) or (not first and context.is_plain(i))):
            limit = threshold + (_NUMBER_MARGIN if text[start].isdigit() else 0)
            goes = sum(weights[place] for place in context.row(i, first, second)) > limit
        second, first = first, context.found[i] or goes
        if goes:
            yield start, end


def covered(tokens: Tokens, places: Sequence[tuple[int, int]]) -> list[bool]:
    """Whether each word has a sign within one of `places`."""
    ordered = sorted(places)
    out, at, reach = [], 0, 0
    for start, end in tokens.spans:
        while at < len(ordered) and ordered[at][0] < end:
            reach = max(reach, ordered[at][1])
            at += 1
        out.append(reach > start)
    return out


_BRIDGE = 3


def close_gaps(text: str, places: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The places, united; of an address also the up to three words that are left between two of its parts."""
    tokens = Tokens.of(text)
    gone = covered(tokens, places)
    streets = word_lists()["streets"]
    last = -1
    made = list(places)
    for i, goes in enumerate(gone):
        if not goes:
            continue
        if last >= 0 and 1 < i - last <= _BRIDGE + 1:
            around = range(max(0, last - 3), min(len(gone), i + 4))
            if sum(gone[k] and tokens.folded[k] in streets for k in around) >= 2 and "." not in "".join(
                tokens.gaps[last + 2 : i]
            ):
                made.append((tokens.spans[last][1], tokens.spans[i][0]))
        last = i
    united: list[tuple[int, int]] = []
    for start, end in sorted(made):
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], end))
        else:
            united.append((start, end))
    return united
