"""METEOR 1.5 (Denkowski and Lavie, 2014): the Java program that comes with pycocoevalcap counts the matches.

It runs once for all rows of all systems and gives 23 counts a row, which add up over rows; the score is
computed from them here, with its parameters for English, so that a bootstrap needs no Java.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tetkik.lab.caption.metrics.corpus import Corpus
from tetkik.language import Sentence
from tetkik.statistics import Floats

_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])
"""Of exact, stemmed, synonymous and paraphrased matches."""
_COUNTS = 23
_START, _A_ROW = 120.0, 0.1
"""Seconds for the start of the program and for a row, many times what they take."""


def meteor_counts(corpora: Sequence[Corpus], limit: float | None = None) -> list[Floats] | Sentence:
    """(n, 23) of each corpus, which add up over rows, or why there is none; `limit` in seconds."""
    package = find_spec("pycocoevalcap")
    if package is None or not package.submodule_search_locations:
        return Sentence("It needs the package pycocoevalcap: `pip install 'tetkik[caption]'`.")
    java = shutil.which("java")
    if java is None:
        return Sentence("It needs Java, and there is no program `java` here.")
    rows = sum(map(len, corpora))
    seconds = limit if limit is not None else _START + _A_ROW * rows
    # The reference program's own call (pycocoevalcap.meteor.meteor).
    command = [java, "-jar", "-Xmx2G", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm"]
    try:
        answer = subprocess.run(  # noqa: S603 - the package's own program, without a shell
            command,
            cwd=Path(package.submodule_search_locations[0]) / "meteor",
            input="".join(map(_questions, corpora)).encode("utf-8"),
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Sentence("Its Java program took more than {seconds:.0f} seconds.", {"seconds": seconds})
    except OSError as error:
        return Sentence("Its Java program could not be run ({fault}).", {"fault": error.strerror})
    counts = _read(answer.stdout.decode("utf-8", "replace"), rows)
    if isinstance(counts, Sentence):
        return counts
    return np.split(counts, np.cumsum([len(corpus) for corpus in corpora])[:-1])


def meteor_of(counts: Floats) -> Floats:
    """METEOR, 0 to 1, from a row of `meteor_counts` for that caption or their sum for a corpus."""
    words, function = counts[..., 0:2], counts[..., 2:4]
    # For each kind of match: content words of candidate and reference, then function words of both.
    by_kind = counts[..., 4:20].reshape(*counts.shape[:-1], len(_WEIGHTS), 2, 2)
    content, functional = by_kind[..., 0, :], by_kind[..., 1, :]
    matched = np.einsum("k,...ks->...s", _WEIGHTS, _DELTA * content + (1 - _DELTA) * functional)
    weight = _DELTA * (words - function) + (1 - _DELTA) * function
    both = np.divide(matched, weight, out=np.zeros_like(matched), where=weight > 0)
    precision, recall = both[..., 0], both[..., 1]
    below = _ALPHA * precision + (1 - _ALPHA) * recall
    mean = np.divide(precision * recall, below, out=np.zeros_like(below), where=below > 0)
    half = counts[..., 21:23].sum(axis=-1) / 2
    broken = np.divide(counts[..., 20], half, out=np.zeros_like(half), where=half > 0)
    score: Floats = mean * (1 - _GAMMA * broken**_BETA)
    return score


def _questions(corpus: Corpus) -> str:
    """A line for each row: its references, then its candidate."""
    of_row: list[list[str]] = [[] for _ in range(len(corpus))]
    for row, words in zip(corpus.owner.tolist(), corpus.references, strict=True):
        of_row[row].append(" ".join(words))
    lines = []
    for references, words in zip(of_row, corpus.candidates, strict=True):
        candidate = " ".join(words).replace("|||", "").replace("  ", " ")
        lines.append(" ||| ".join(("SCORE", *references, candidate)))
    return "\n".join(lines) + "\n"


def _read(answer: str, rows: int) -> Floats | Sentence:
    try:
        counts = np.array(
            [[float(value) for value in line.split()] for line in answer.splitlines() if line.strip()]
        )
    except ValueError:
        counts = np.empty(0)
    if counts.shape != (rows, _COUNTS):
        return Sentence("Its Java program gave no answer that can be read.")
    # A caption that is its reference word for word is in no piece, alone and in a sum.
    counts[(counts[:, 20] == 1) & (counts[:, 21:23] == counts[:, 0:2]).all(axis=1), 20] = 0
    return counts
