"""The list of common words by which typing errors are told (`triage/urgency/words.txt`).

    python benchmarks/triage_common_words.py data/invented-complaints/complaints.csv

prints it: the words of five letters or more that at least three writers of the training split use, and those
of the urgency rules' examples; without what is itself an error, by its looks and by a word three times as
frequent.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from tetkik import turkish
from tetkik.triage.urgency.rules import load_rules

_WORD = re.compile(r"[a-z]{5,}")
_WRITERS = 3
_RARER = 3
_ODD = re.compile(r"[^aeiou]{3}|^[^aeiou]{2}|[^aeiou]{2}$|[^aeiou]yo|yr")


def common_words(texts: Iterable[tuple[str, str]]) -> list[str]:
    """The list, the most frequent first.

    Args:
        texts: of each complaint, its writer and its text.
    """
    count: Counter[str] = Counter()
    writers: defaultdict[str, set[str]] = defaultdict(set)
    for writer, text in texts:
        for word in _WORD.findall(turkish.fold(text)):
            count[word] += 1
            writers[word].add(writer)
    exemplary = {word for rule in load_rules().rules for word in _WORD.findall(turkish.fold(rule.example))}
    words = {word for word, users in writers.items() if len(users) >= _WRITERS} | exemplary
    ordered = sorted(words, key=lambda word: (-count[word], word))
    lacking: dict[str, str] = {}
    kept: list[str] = []
    for word in ordered:
        swaps = (word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(1, len(word) - 1))
        meant = max(count[lacking.get(word, "")], *(count[other] for other in swaps if other in words), 0)
        if word in exemplary or not (_ODD.search(word) and meant >= _RARER * count[word]):
            kept.append(word)
            for i in range(1, len(word) - 1):
                lacking.setdefault(word[:i] + word[i + 1 :], word)
    return kept


if __name__ == "__main__":
    with Path(sys.argv[1]).open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    sys.stdout.writelines(f"{word}\n" for word in common_words((row["writer"], row["text"]) for row in rows))
