"""Retrieval of passages against scikit-learn's TF-IDF cosine, in one run.

    python benchmarks/report_retrieval.py [--definitions finding_definitions.json]

First, 200 questions in Turkish and English with the passage that answers each. They were written after the
passages, by the same hand, in other words on purpose, and before retrieval was built; the other names of
labels and topics were written after them, so expect somewhat less from other people's questions. The
development half was in view while constants were chosen, the held-out half was not. Both sides search the
passages of the question's language. TF-IDF gets the titles and texts, and in a second row also the other
names, so that what the names bring can be separated from what the ranking brings.

Second, with a list of finding definitions (JSON: `id`, `title`, `synonyms`, `text`), material of others:
from a title or synonym to its own text among all texts, by text alone. Constants were chosen on the findings
whose SHA-1 of the id is even.

Intervals are percentile bootstraps over whole groups (passages of one label; queries of one finding) with the
same draws for every side.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from figures import judged, record
from tetkik.language import Language
from tetkik.report.passages import library
from tetkik.report.retrieval import Retriever
from tetkik.report.retrieval.search import LexicalIndex, asked_as, other_names
from tetkik.statistics import ClusterBootstrap, percentile_interval
from tetkik.values import Passage

Floats = NDArray[np.float64]
QUESTIONS = Path(__file__).parent.parent / "tests" / "report" / "data"
DRAWS = 2000
DEPTH = 5


@dataclass(frozen=True)
class Question:
    """A query with the one document that answers it."""

    text: str
    answer: str
    group: str
    part: str
    language: Language | None = None


def questions() -> list[Question]:
    """The 200 questions; those about one label are a group."""
    labels = {passage.id: passage.label or passage.id for passage in library()}
    return [
        Question(entry["text"], entry["passages"][0], labels[entry["passages"][0]], entry["part"], language)
        for language in Language
        for entry in tomllib.loads((QUESTIONS / f"questions_{language.value}.toml").read_text("utf-8"))[
            "question"
        ]
    ]


def ranks_of(scores: Sequence[Floats], places: Sequence[int]) -> Floats:
    """The place of each right document; infinite where it has nothing in common with the query."""
    found = []
    for row, place in zip(scores, places, strict=True):
        better = int((row > row[place]).sum()) + int((row[:place] == row[place]).sum())
        found.append(1.0 + better if row[place] > 0 else np.inf)
    return np.array(found)


def cosine(texts: Sequence[str], queries: Sequence[str], **options: object) -> list[Floats]:
    """TF-IDF cosines, one row a query."""
    vectorizer: Any = TfidfVectorizer(**options)
    matrix: Any = vectorizer.fit_transform(texts)
    asked: Any = vectorizer.transform(queries)
    return [(asked[number] @ matrix.T).toarray()[0] for number in range(len(queries))]


def by_language(
    asked: Sequence[Question], score: Callable[[Sequence[Passage], Sequence[str]], list[Floats]]
) -> Floats:
    """The ranks of the answers, each question among the passages of its language."""
    ranks = np.full(len(asked), np.inf)
    for language in Language:
        passages = library(language)
        place = {passage.id: number for number, passage in enumerate(passages)}
        mine = [number for number, item in enumerate(asked) if item.language is language]
        rows = score(passages, [asked[number].text for number in mine])
        ranks[mine] = ranks_of(rows, [place[asked[number].answer] for number in mine])
    return ranks


def ours(passages: Sequence[Passage], queries: Sequence[str]) -> list[Floats]:
    """Scores of the product's own search, over the whole library as it is used."""
    language = passages[0].language
    retriever = Retriever(library())
    rows = []
    for query in queries:
        hits = retriever.search(query, language=language, limit=len(passages))
        scores = {hit.passage.id: hit.score for hit in hits}
        rows.append(np.array([scores.get(passage.id, 0.0) for passage in passages]))
    return rows


def plain(passages: Sequence[Passage], queries: Sequence[str]) -> list[Floats]:
    """TF-IDF over titles and texts."""
    return cosine([f"{item.title} {item.text}" for item in passages], queries)


RECORDED = {
    "recall5": ("Questions, held-out, both languages", f"recall@{DEPTH}"),
    "recall5-all": ("Questions, all", f"recall@{DEPTH}"),
    "recall1-descriptions": ("Definitions, held-out", "recall@1"),
    "mrr-descriptions": ("Definitions, held-out", "MRR"),
}
"""The rows in docs/figures.json: table and figure."""


def named(passages: Sequence[Passage], queries: Sequence[str]) -> list[Floats]:
    """TF-IDF over titles, texts and the other names."""
    texts = [f"{item.title} {item.text} {other_names(item)} {asked_as(item)}" for item in passages]
    return cosine(texts, queries)


def table(title: str, asked: Sequence[Question], sides: dict[str, Floats], deep: bool) -> None:
    """One row a side; the difference is that of the first side and each other. Some are recorded."""
    numbers = {group: number for number, group in enumerate(dict.fromkeys(item.group for item in asked))}
    groups = np.array([numbers[item.group] for item in asked])
    draws = ClusterBootstrap(groups, DRAWS)
    figures: dict[str, Callable[[Floats], Any]] = {
        "recall@1": lambda ranks: ranks == 1,
        "MRR": lambda ranks: 1 / ranks,
    }
    if deep:
        figures = {f"recall@{DEPTH}": lambda ranks: ranks <= DEPTH} | figures
    print(f"\n**{title}** (n = {len(asked)}, {len(numbers)} groups)\n")
    print("| search | " + " | ".join(f"{name} | ours minus it" for name in figures) + " |")
    print("|---|" + "---|---|" * len(figures))
    first = next(iter(sides.values()))
    for name, ranks in sides.items():
        cells = []
        for figure in figures.values():
            mine, other = figure(first).astype(float), figure(ranks).astype(float)
            cells.append(with_interval(other, draws))
            cells.append("" if ranks is first else with_interval(mine - other, draws, "+.3f"))
        print(f"| {name} | " + " | ".join(cells) + " |")
    for row, (part, name) in RECORDED.items():
        if part == title:
            record_row(row, figures[name], sides, draws, len(asked))


def record_row(
    row: str, figure: Callable[[Floats], Any], sides: dict[str, Floats], draws: ClusterBootstrap, n: int
) -> None:
    """Record a figure of ours beside that of TF-IDF."""
    means = {name: float(figure(ranks).astype(float).mean()) for name, ranks in sides.items()}
    own, bounds = with_interval(figure(sides["Tetkik"]).astype(float), draws).rstrip("]").split(" [")
    theirs = means["TF-IDF cosine"]
    cells = {
        "reached": judged(own, met=means["Tetkik"] >= (0.95 if row.startswith("recall5") else theirs)),
        "95% interval": bounds.replace(", ", " to "),
        "TF-IDF": f"{theirs:.3f}",
        "n": f"{n:,}",
    }
    if row == "recall5":
        cells["TF-IDF"] += f" ({means['TF-IDF cosine with the other names']:.3f} with our synonyms)"
    record(f"passage-retrieval/{row}", cells)


def with_interval(values: Floats, draws: ClusterBootstrap, form: str = ".3f") -> str:
    """A mean with its 95% interval."""
    sums = draws.sums(np.stack([values, np.ones_like(values)], axis=1))
    interval = percentile_interval(sums[:, 0] / sums[:, 1])
    bounds = f" [{interval.low:{form}}, {interval.high:{form}}]" if interval else ""
    return f"{values.mean():{form}}{bounds}"


def definitions(file: Path) -> None:
    """The second table."""
    entries = json.loads(file.read_text("utf-8"))
    texts = [entry["text"] for entry in entries]
    place = {entry["id"]: number for number, entry in enumerate(entries)}
    asked = [
        Question(query, entry["id"], entry["id"], part_of(entry["id"]))
        for entry in entries
        for query in dict.fromkeys([entry["title"], *entry["synonyms"]])
    ]
    queries, places = [item.text for item in asked], [place[item.answer] for item in asked]
    start = time.perf_counter()
    index = LexicalIndex([[(text, 1.0)] for text in texts])
    built = time.perf_counter() - start
    start = time.perf_counter()
    rows = [np.array(index.scores(query)) for query in queries]
    each = (time.perf_counter() - start) / len(queries)
    characters = {"analyzer": "char_wb", "ngram_range": (2, 5), "sublinear_tf": True}
    sides = {
        "Tetkik": ranks_of(rows, places),
        "TF-IDF cosine": ranks_of(cosine(texts, queries), places),
        "TF-IDF cosine, English stop words": ranks_of(cosine(texts, queries, stop_words="english"), places),
        "TF-IDF cosine, letters (2 to 5)": ranks_of(cosine(texts, queries, **characters), places),
    }
    for part in ("held-out", "development"):
        chosen = np.array([item.part == part for item in asked])
        some = [item for item in asked if item.part == part]
        table(f"Definitions, {part}", some, {name: ranks[chosen] for name, ranks in sides.items()}, False)
    table("Definitions, all", asked, sides, False)
    print(f"\n{len(texts)} texts: index {built:.2f} s, a query {1000 * each:.1f} ms.")


def part_of(key: str) -> str:
    """The half of a finding, by the SHA-1 of its id."""
    last = hashlib.sha1(key.encode(), usedforsecurity=False).digest()[-1]
    return "development" if last % 2 == 0 else "held-out"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--definitions", type=Path)
    arguments = parser.parse_args()
    asked = questions()
    sides = {
        "Tetkik": by_language(asked, ours),
        "TF-IDF cosine": by_language(asked, plain),
        "TF-IDF cosine with the other names": by_language(asked, named),
    }
    halves = [("held-out", language) for language in Language]
    for part, language in [*halves, ("held-out", None), ("development", None)]:
        chosen = np.array([item.part == part and language in {None, item.language} for item in asked])
        some = [item for item, taken in zip(asked, chosen, strict=True) if taken]
        spoken = {None: "both languages", Language.TR: "Turkish", Language.EN: "English"}[language]
        table(f"Questions, {part}, {spoken}", some, {key: row[chosen] for key, row in sides.items()}, True)
    table("Questions, all", asked, sides, True)
    if arguments.definitions:
        definitions(arguments.definitions)


if __name__ == "__main__":
    main()
