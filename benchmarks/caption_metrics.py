"""The metrics of captions against their reference programs, on any text: are they equal, and how fast?

    python benchmarks/caption_metrics.py --text captions.csv [--text more.csv.gz ...] [--column caption ...]

Counts on each text how many rows are cut into words as pycocoevalcap's PTBTokenizer (Java) cuts them. Then
every text stands for a reference and the text `--apart` rows on for its candidate, and BLEU, ROUGE-L, CIDEr
(pycocoevalcap) and ROUGE-1 and L (rouge-score) are computed by both sides in turns: the greatest difference
over all rows, and the seconds of each side. Needs Java; prints Markdown.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import os
import statistics
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402 - after the threads
from pycocoevalcap.bleu.bleu import Bleu  # noqa: E402
from pycocoevalcap.cider.cider import Cider  # noqa: E402
from pycocoevalcap.rouge.rouge import Rouge  # noqa: E402
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer  # noqa: E402
from rouge_score.rouge_scorer import RougeScorer  # noqa: E402

from figures import record  # noqa: E402
from tetkik.lab.caption.metrics import word_overlap  # noqa: E402
from tetkik.lab.caption.metrics.word_overlap import (  # noqa: E402
    Corpus,
    bleu_counts,
    bleu_of,
    cider_rows,
    coco_rouge_l,
    read_corpus,
    rouge_f,
)

ROUNDS = 3


def texts_of(path: Path, column: str) -> list[str]:
    """Every text of a CSV's column, or every string under that key in a JSON list; gzip where so named."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    decoded = content.decode("utf-8")
    if path.name.removesuffix(".gz").endswith(".json"):
        rows: list[dict[str, Any]] = json.loads(decoded)
    else:
        rows = list(csv.DictReader(io.StringIO(decoded, newline="")))
    found = [" ".join(str(row[column] or "").split("\n")) for row in rows]
    return [" ".join(text.splitlines()) for text in found if text.strip()]


def in_turns(ours: Callable[[], Any], theirs: Callable[[], Any]) -> tuple[Any, Any, float, float]:
    """What both sides give, and the median of their seconds."""
    taken: tuple[list[float], list[float]] = ([], [])
    given: list[Any] = [None, None]
    for _ in range(ROUNDS):
        for side, work in enumerate((ours, theirs)):
            start = time.perf_counter()
            given[side] = work()
            taken[side].append(time.perf_counter() - start)
    return given[0], given[1], statistics.median(taken[0]), statistics.median(taken[1])


def reference_words(texts: list[str]) -> list[str]:
    """Each text in words, joined by spaces, as the Java program has it."""
    with redirect_stdout(io.StringIO()):
        cut = PTBTokenizer().tokenize({at: [{"caption": text}] for at, text in enumerate(texts)})
    return [cut[at][0] for at in range(len(texts))]


def our_words(texts: list[str]) -> list[str]:
    """The same by our own; every round begins without what the round before kept."""
    word_overlap._cut.cache_clear()
    return [" ".join(found) for found in word_overlap.all_treebank_words(texts)]


def tokens_table(named: dict[str, list[str]], show: int) -> None:
    """The share of rows that are cut alike, and the seconds."""
    print("| text | rows | cut alike | share | ours, s | Java, s | times as fast |")
    print("|---|---|---|---|---|---|---|")
    unlike: list[tuple[str, str]] = []
    for title, texts in named.items():
        ours, theirs, mine, java = in_turns(partial(our_words, texts), partial(reference_words, texts))
        pairs = [(one, other) for one, other in zip(ours, theirs, strict=True) if one != other]
        unlike += pairs
        alike = len(texts) - len(pairs)
        print(
            f"| {title} | {len(texts)} | {alike} | {alike / len(texts):.4%} | {mine:.2f} | {java:.2f} | "
            f"{java / mine:.1f} |"
        )
        record("caption-metrics/tokenizer", {"reached": f"{alike / len(texts):.2%}", "n": f"{len(texts):,}"})
    for one, other in unlike[:show]:
        print(f"\nours: {one}\nJava: {other}")


def metrics_table(texts: list[str], apart: int) -> None:
    """Each metric by both sides on the same words."""
    candidates, references = texts[apart:] + texts[:apart], [[text] for text in texts]
    corpus = read_corpus(candidates, references)
    made = {at: [" ".join(found)] for at, found in enumerate(corpus.candidates)}
    true = {at: [" ".join(found)] for at, found in enumerate(corpus.references)}
    scorer = RougeScorer(["rouge1", "rougeL"])

    def rouge_score() -> list[list[float]]:
        found = [scorer.score(of_one[0], text) for text, of_one in zip(candidates, references, strict=True)]
        return [[item[name].fmeasure for item in found] for name in ("rouge1", "rougeL")]

    sides: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "BLEU-1 to 4": (
            lambda: bleu_of(bleu_counts(corpus, corpus.counted())).T,
            lambda: Bleu(4).compute_score(true, made, verbose=0)[1],
        ),
        "ROUGE-L": (lambda: coco_rouge_l(corpus), lambda: Rouge().compute_score(true, made)[1]),
        "CIDEr": (lambda: _cider(corpus), lambda: Cider().compute_score(true, made)[1]),
        "ROUGE-1 and L of rouge-score": (lambda: rouge_f(candidates, references), rouge_score),
    }
    print(f"\n| metric, {len(texts)} rows | greatest difference | ours, s | theirs, s | times as fast |")
    print("|---|---|---|---|---|")
    faster: dict[str, float] = {}
    for title, (ours, theirs) in sides.items():
        one, other, mine, others = in_turns(ours, theirs)
        apart_most = float(np.abs(np.asarray(one) - np.asarray(other)).max())
        print(f"| {title} | {apart_most:.1e} | {mine:.2f} | {others:.2f} | {others / mine:.1f} |")
        faster[title] = others / mine
    best = "; ".join(f"{faster[name]:.1f}" for name in ("CIDEr", "ROUGE-L", "BLEU-1 to 4"))
    record("caption-metrics/speed", {"reached": best, "n": f"{len(texts):,}"})


def _cider(corpus: Corpus) -> Any:
    return cider_rows(corpus, corpus.counted())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--text", type=Path, action="append", required=True, help="CSV or JSON; may be repeated"
    )
    parser.add_argument(
        "--column", action="append", help="its column, caption if not given; one for each text"
    )
    parser.add_argument("--rows", type=int, default=2000, help="rows of the first text for the metrics")
    parser.add_argument("--apart", type=int, default=1, help="how far on the candidate of a row stands")
    parser.add_argument("--show", type=int, default=0, help="print so many rows that are cut otherwise")
    arguments = parser.parse_args()
    columns = arguments.column or ["caption"] * len(arguments.text)
    named = {
        f"{path.name}, {column}": texts_of(path, column)
        for path, column in zip(arguments.text, columns, strict=True)
    }
    tokens_table(named, arguments.show)
    metrics_table(next(iter(named.values()))[: arguments.rows], arguments.apart)


if __name__ == "__main__":
    main()
