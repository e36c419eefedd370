"""Train the tagger of tetkik.privacy anew: its weights, its threshold, and the ordinary words that it knows.

    python benchmarks/deidentification_training.py [--file writer.jsonl]... [--out tagger.npz]

It learns from texts with marked spans (data/deidentification, or --file), from variants of them with other
names, cases and letters, and from sentences of this project that name nobody. Ordinary words come from those
sentences and from the word lists of the package, never from the marked texts, so that a word of theirs
that no list has stays new. The same inputs give the same file.
"""

from __future__ import annotations

import argparse
import csv
import random
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
from babel.messages.pofile import read_po
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from tetkik.privacy import rules as identifiers
from tetkik.privacy import tagger
from tetkik.privacy.rules import find_personal
from tetkik.report.deidentify import UID
from tetkik.turkish import flat

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.privacy.marked_texts import DEVELOPMENT, Spans, Text, read_texts

ROOT = Path(__file__).parents[1]
OUT = ROOT / "src" / "tetkik" / "privacy" / "tagger.npz"
FRAMES = DEVELOPMENT.with_name("frames.txt")
_FILLED = 12
_VARIANTS, _SENTENCES, _SEED = 6, 5000, 7
_WORD = re.compile(r"[^\W\d_]+")
_SYLLABLES = [
    a + b
    for a in "bcdfghkmnprstvyz"
    for b in ("a", "e", "i", "o", "u", "al", "er", "in", "an", "ur", "ak", "el", "as")
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--file", type=Path, action="append", help="marked texts instead of the development ones"
    )
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    texts = [text for file in arguments.file or [DEVELOPMENT] for text in read_texts(file)]
    train(texts, arguments.out)


def train(texts: Sequence[Text], out: Path, threshold: float = -0.2) -> None:
    sentences = list(plain_sentences())
    words = ordinary_words([*sentences, *vocabulary()])
    kept = tagger.model
    tagger.model = lambda: ([], 0.0, words)  # type: ignore[assignment]  # the rules ask for the words
    chance = random.Random(_SEED)
    marked = [(text.text, [(start, end) for start, end, _ in text.spans]) for text in texts]
    examples = [(item, 3.0) for item in marked]
    examples += [(variant(*item, chance), 0.5) for item in marked for _ in range(_VARIANTS)]
    examples += [(made, 0.5) for made in framed(chance)]
    chance.shuffle(sentences)
    examples += [((restyled(sentence, chance), []), 1.0) for sentence in sentences[:_SENTENCES]]
    rows: list[list[int]] = []
    truths: list[bool] = []
    shares: list[float] = []
    for (text, spans), share in examples:
        for row, truth in tokens_of(text, spans, words):
            rows.append(row)
            truths.append(truth)
            shares.append(share)
    places = np.cumsum([0, *map(len, rows)])
    columns = np.concatenate([np.asarray(row, np.int32) for row in rows])
    table = csr_matrix((np.ones(len(columns), np.float32), columns, places), (len(rows), 1 << tagger.BITS))
    model = LogisticRegression(C=0.3, max_iter=300)
    model.fit(table, truths, sample_weight=shares)
    weights = model.coef_[0]
    tagger.model = kept
    scale = np.abs(weights).max() / 127
    np.savez_compressed(
        out,
        weights=np.round(weights / scale).astype(np.int8),
        scale=np.float32(scale),
        threshold=np.float32(threshold - model.intercept_[0]),
        words=np.asarray(sorted(words), np.uint32),
    )
    print(f"{len(texts)} texts, {len(rows)} words, {len(words)} known, {out.stat().st_size / 1024:.0f} KiB")


def rules(text: str) -> list[tuple[int, int]]:
    """What is found without the tagger."""
    plain = flat(text)
    places = [(found.start, found.end) for found in find_personal(text)]
    places += [place for finder in identifiers.FINDERS for place in finder(plain, text)]
    return [*places, *(match.span() for match in UID.finditer(text))]


def tokens_of(text: str, spans: Spans, words: frozenset[int]) -> Iterator[tuple[list[int], bool]]:
    """Of each word that is in doubt its features and whether it goes, the decisions before it being right."""
    context = tagger.Context(text, rules(text), words)
    truth = tagger.covered(context.tokens, spans)
    first = second = False
    for i, goes in enumerate(truth):
        if first or goes or not context.is_plain(i):
            yield context.row(i, first, second), goes
        second, first = first, goes or context.found[i]


def plain_sentences() -> Iterator[str]:
    """Sentences of this project that name nobody: complaints, reports, terms, and what the pages say."""
    for file in sorted((ROOT / "data" / "invented-complaints").glob("*.csv")):
        with file.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                yield row.get("text") or row.get("phrase") or ""
    for file in sorted((ROOT / "data" / "report-sentences").glob("*.csv")):
        with file.open(encoding="utf-8", newline="") as lines:
            yield from (row["text"] for row in csv.DictReader(lines))
    with (ROOT / "src" / "tetkik" / "messages" / "tr.po").open("rb") as catalogue:
        for message in read_po(catalogue):
            yield from (str(message.id), str(message.string))
    for folder in ("triage", "report", "values"):
        for file in sorted((ROOT / "src" / "tetkik" / folder).rglob("*.toml")):
            yield from _strings(tomllib.loads(file.read_text("utf-8")))


def vocabulary() -> Iterator[str]:
    """More ordinary words: of `words.txt`, of the documentation, and of the meanings of DICOM's codes."""
    from pydicom.sr._concepts_dict import concepts

    for line in DEVELOPMENT.with_name("words.txt").read_text("utf-8").splitlines():
        yield "" if line.startswith("#") else line
    for file in sorted((ROOT / "docs").rglob("*.md")):
        yield from file.read_text("utf-8").split("\n")
    known: dict[str, dict[str, dict[str, tuple[str, object]]]] = concepts  # type: ignore[assignment]
    for keywords in known.values():
        yield from (entry[0] for codes in keywords.values() for entry in codes.values())


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if len(value) < 400 and not re.search(r"[\\|^$\[\]{}]", value):
            yield value
        else:
            yield from re.split(r"[\\|^$\[\]{}()?*+.]+", value)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def ordinary_words(sentences: Iterable[str]) -> frozenset[int]:
    """Digests of the words that stand in at least two of them; a given name must stand in many."""
    lists = tagger.word_lists()
    counts = Counter(
        word for sentence in sentences for word in set(_WORD.findall(flat(sentence))) if len(word) > 2
    )
    return frozenset(
        crc32(word.encode())
        for word, count in counts.items()
        if count >= (12 if word in lists["given"] or word in lists["family"] else 1)
    )


def variant(text: str, spans: Spans, chance: random.Random) -> tuple[str, list[tuple[int, int]]]:
    """The text with other names in its spans, or in other letters."""
    lists = tagger.word_lists()
    given, family = sorted(lists["given"]), sorted(lists["family"])
    pieces, places, done = [], [], 0
    length = 0
    for start, end in spans:
        if start < done:
            continue
        pieces.append(text[done:start])
        length += start - done
        made = _other(text[start:end], given, family, chance)
        places.append((length, length + len(made)))
        pieces.append(made)
        length += len(made)
        done = end
    whole = "".join((*pieces, text[done:]))
    how = chance.random()
    changed = (
        flat(whole)
        if how < 0.15
        else whole.upper()
        if how < 0.25 and len(whole.upper()) == len(whole)
        else whole
    )
    return changed, places


_SLOT = re.compile(r"\{([gfnicqk])\}")


def framed(chance: random.Random) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """Each frame of `frames.txt` with names in its slots, several times, in several ways of writing."""
    lists = tagger.word_lists()
    given, family, cities = (sorted(lists[name]) for name in ("given", "family", "cities"))

    def name(source: list[str]) -> str:
        made = (
            chance.choice(source)
            if chance.random() < 0.7
            else "".join(chance.choices(_SYLLABLES, k=chance.choice((2, 3, 3))))
        )
        return made[0].upper() + made[1:]

    def filled(slot: str) -> str:
        first = name(given) + (f" {name(given)}" if slot in "n" and chance.random() < 0.2 else "")
        last = name(family) + (f" {name(family)}" if slot in "n" and chance.random() < 0.07 else "")
        last = last.upper() if slot == "n" and chance.random() < 0.15 else last
        if slot in "qk":
            return " ".join(
                name(chance.choice((given, family, cities))) for _ in range(chance.choice((1, 1, 2)))
            )
        initial = f"{name(given)[0]}.{chance.choice((' ', ' ', ''))}{last}"
        return {"g": first, "f": last, "n": f"{first} {last}", "i": initial, "c": name(cities)}[slot]

    for line in FRAMES.read_text("utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        for _ in range(_FILLED if "{" in line else 2):
            text, places, done = "", [], 0
            for match in _SLOT.finditer(line):
                text += line[done : match.start()]
                made = filled(match[1])
                places.append((len(text), len(text) + len(made)))
                text += made
                done = match.end()
            text += line[done:]
            how = chance.random()
            if how < 0.25:
                text = flat(text)
            elif how < 0.35 and len(text.upper()) == len(text):
                text = text.upper()
            yield text, places


def _other(part: str, given: list[str], family: list[str], chance: random.Random) -> str:
    """A span with its words of letters replaced; numbers, words of streets and hosts stay."""
    lists = tagger.word_lists()
    if re.search(r"[@/]|\.\w{2,3}\b|www", part):
        return part
    words = list(_WORD.finditer(part))
    out, done = "", 0
    for index, match in enumerate(words):
        word = match[0]
        folded = flat(word)
        keep = (
            len(word) < 3
            or folded in lists["streets"]
            or folded in lists["institutions"]
            or re.match(identifiers.MONTH, folded)
        )
        if not keep and chance.random() < 0.85:
            source = given if index == 0 or index < len(words) - 1 else family
            made = (
                chance.choice(source)
                if chance.random() < 0.65
                else "".join(chance.choices(_SYLLABLES, k=chance.choice((2, 3, 3))))
            )
            word = made.upper() if word.isupper() else made.title() if word[0].isupper() else made
        out += part[done : match.start()] + word
        done = match.end()
    return out + part[done:]


def restyled(sentence: str, chance: random.Random) -> str:
    how = chance.random()
    return (
        sentence.upper()
        if how < 0.1
        else sentence.title()
        if how < 0.16
        else flat(sentence)
        if how < 0.3
        else sentence
    )


if __name__ == "__main__":
    main()
