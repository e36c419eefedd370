"""Judging a triage model on a labelled table.

Everything is computed from the probabilities as `predict --json` prints them, so that anyone can have the
same figures from its output.
"""

from __future__ import annotations

import math
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from tetkik import turkish
from tetkik.errors import DataError
from tetkik.lab.engine.duplicate_texts import duplicate_texts
from tetkik.lab.engine.learned_rows import LearnedMatch, LearnedRows
from tetkik.lab.engine.options import LearnedTreatment
from tetkik.lab.engine.results import LearnedReport, divide
from tetkik.lab.triage.data import Complaints, fingerprint, numbered
from tetkik.lab.triage.evaluation_page import interpret
from tetkik.lab.triage.summaries import (
    DECISIONS,
    DecisionFigures,
    Evaluation,
    Judged,
    PerturbedFigures,
    abstention,
    coverage_figures,
    decision_figures,
    decisions,
    interval_of,
    label_figures,
    paired_interval,
    probability_figures,
    subgroup_figures,
)
from tetkik.language import Sentence
from tetkik.statistics.intervals import ClusterBootstrap, Floats, Interval, Ints
from tetkik.values.common import ProgressCallback

__all__ = ["PERTURBING", "SCORING", "Evaluation", "Scorer", "evaluate", "judge", "known_rows", "stepped"]


# The same complaints, as patients write too: without Turkish letters, mistyped, in capitals, cut short.
#
# Every perturbation depends on the text and the seed alone, not on the other rows or their order.


_PLAIN = str.maketrans("çğıöşüâîûÇĞİÖŞÜÂÎÛ", "cgiosuaiuCGIOSUAIU")
_UPPER = str.maketrans({"i": "İ", "ı": "I"})
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|\n+")
_WORD = re.compile(r"\w+")

TYPING_ERROR_SHARE = 0.1
"""The share of words that get one typing error."""


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One way to spoil a text: its key in `evaluate --json`, its title, and (text, seed) to the new text."""

    id: str
    title: str
    apply: Callable[[str, int], str]


def without_turkish_letters(text: str) -> str:
    """`"Göğsüm ağrıyor"` → `"Gogsum agriyor"`."""
    return unicodedata.normalize("NFC", text).translate(_PLAIN)


def capitals(text: str) -> str:
    """All capitals by the Turkish rule: `"ilaç ısırık"` → `"İLAÇ ISIRIK"`."""
    return unicodedata.normalize("NFC", text).translate(_UPPER).upper()


def first_sentence(text: str) -> str:
    """The first sentence; a greeting of one or two words before it comes along."""
    end = 0
    for match in [*_SENTENCE_END.finditer(text), None]:
        end = match.start() if match else len(text)
        if len(text[:end].split()) > 2:
            break
    return text[:end]


def first_words(text: str, count: int = 10) -> str:
    """The first `count` words."""
    return " ".join(text.split()[:count])


def _keyboard_neighbours() -> dict[str, str]:
    """For each letter of the Turkish Q layout the letters next to it."""
    rows = ("qwertyuıopğü", "asdfghjklşi", "zxcvbnmöç")
    near: dict[str, str] = {}
    for row, keys in enumerate(rows):
        for column, key in enumerate(keys):
            # Each row stands half a key to the right of the one above it.
            places = [(row, column - 1), (row, column + 1), (row + 1, column - 1), (row + 1, column)]
            places += [(row - 1, column), (row - 1, column + 1)]
            near[key] = "".join(rows[r][c] for r, c in places if 0 <= r < len(rows) and 0 <= c < len(rows[r]))
    return near


KEYBOARD = _keyboard_neighbours()


def typing_errors(text: str, seed: int) -> str:
    """One typing error in a share of the words, at least in one.

    An error is a neighbouring key of the Turkish Q keyboard, a letter left out, two letters swapped, or a
    letter typed twice. Words of one letter and numbers are left alone.
    """
    words = [match.span() for match in _WORD.finditer(text) if len(match[0]) > 1 and match[0].isalpha()]
    if not words:
        return text
    # A string as the seed is hashed by SHA-512: the same on every machine.
    chance = random.Random(f"{seed}:{text}")  # noqa: S311 - not for secrets
    for start, end in sorted(chance.sample(words, math.ceil(TYPING_ERROR_SHARE * len(words))), reverse=True):
        text = text[:start] + _mistype(text[start:end], chance) + text[end:]
    return text


def _mistype(word: str, chance: random.Random) -> str:
    place = chance.randrange(len(word))
    letter = word[place]
    near = KEYBOARD.get(turkish.lower(letter), "")
    swappable = [i for i in range(len(word) - 1) if word[i] != word[i + 1]]
    kinds = ["drop", "double", *(["near"] if near else []), *(["swap"] if swappable else [])]
    match chance.choice(kinds):
        case "drop":
            return word[:place] + word[place + 1 :]
        case "double":
            return word[: place + 1] + word[place:]
        case "near":
            typed = chance.choice(near)
            return word[:place] + (capitals(typed) if letter.isupper() else typed) + word[place + 1 :]
        case _:
            first = chance.choice(swappable)
            return word[:first] + word[first + 1] + word[first] + word[first + 2 :]


PERTURBATIONS: tuple[Perturbation, ...] = (
    Perturbation(
        "no_turkish_letters", "without Turkish letters", lambda text, _: without_turkish_letters(text)
    ),
    Perturbation("typing_errors", "a typing error in one word of ten", typing_errors),
    Perturbation("capitals", "all capitals", lambda text, _: capitals(text)),
    Perturbation("lower_case", "all lower case", lambda text, _: turkish.lower(text)),
    Perturbation("first_sentence", "first sentence only", lambda text, _: first_sentence(text)),
    Perturbation("first_ten_words", "first ten words only", lambda text, _: first_words(text)),
)
"""In the order of the report."""

SCORING = "complaints scored"
PERTURBING = "perturbed complaints scored"
"""The steps that `evaluate` reports as it goes."""

_BATCH = 512


class Scorer(Protocol):
    """What is judged, such as `Triage`: texts in, probabilities as `predict --json` prints them out."""

    @property
    def name(self) -> str: ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def abstain_threshold(self) -> float | None: ...

    @property
    def trained_on(self) -> str | None: ...

    def scores(self, texts: Sequence[str]) -> Floats:
        """(texts, labels), rounded to 6 decimals; a row of NaN for a text that cannot be read."""


def evaluate(
    scorer: Scorer,
    complaints: Complaints,
    *,
    learned: LearnedRows | None = None,
    treatment: LearnedTreatment = LearnedTreatment.SEPARATE,
    bootstrap: int = 1000,
    seed: int = 0,
    robustness: bool = True,
    progress: ProgressCallback | None = None,
) -> Evaluation:
    """Judge `scorer` on `complaints`.

    A text without an answer counts as wrong in every figure of decisions, and is left out of those of
    probabilities (ECE, Brier skill, AUROC). A label that the model does not have is in no figure; a label of
    the model that the data lacks is left out of the macro means.

    Args:
        learned: what the model learned; None where it does not tell.
        treatment: what is done with complaints that are among them.
        bootstrap: replicates of the bootstrap of groups; 0 for no intervals.
        robustness: whether to score the perturbed texts too (six times the work).

    Raises:
        DataError: no row has a label of the model; or there are learned rows and `treatment` refuses them, or
            no others.
    """
    rows, unknown = known_rows(complaints, scorer.labels)
    given = complaints.only(rows)
    groups = duplicate_texts(given.texts)
    match = match_learned(scorer, given, groups, learned)
    new, (report,) = divide([(scorer.name, match)], len(given), treatment)
    every = judge(scorer, given, groups, stepped(progress, SCORING, len(given)))
    kept, judged = given.only(np.flatnonzero(new)), every.only(new)
    draws = ClusterBootstrap(judged.groups, bootstrap, seed)
    figures, replicates = decisions(judged, draws)
    per_label, without_label = label_figures(judged, figures, replicates)
    ece_value, brier_value, without_probability = probability_figures(judged)
    values: dict[str, Any] = {name: float(getattr(figures, name)) for name in DECISIONS}
    evaluation = Evaluation(
        model=scorer.name,
        learned=report if new.all() else with_own_figures(report, every.only(~new)),
        judged=judged,
        **values,
        ece=ece_value,
        brier_skill=brier_value,
        ci={name: interval_of(replicates, name) for name in DECISIONS},
        per_label=per_label,
        coverage=coverage_figures(judged),
        abstain=abstention(judged, scorer.abstain_threshold),
        robustness=_robustness(scorer, kept, judged, draws, progress) if robustness else (),
        subgroups=tuple(subgroup_figures(judged, kept.texts, draws)),
        not_evaluated=unknown,
        left_out=complaints.left_out,
        not_computed=_not_computed(scorer.abstain_threshold, replicates, robustness)
        | without_label
        | without_probability,
        replicates=draws.replicates,
        seed=seed,
    )
    return replace(evaluation, interpretation=interpret(evaluation))


def known_rows(complaints: Complaints, labels: Sequence[str]) -> tuple[Ints, dict[str, int]]:
    """The rows whose label is among `labels`, and how many others there are by label, most first."""
    known = {unicodedata.normalize("NFC", label) for label in labels}
    rows = np.array([row for row, label in enumerate(complaints.labels) if label in known], dtype=np.int64)
    if not len(rows):
        raise DataError(
            "No row has a label of the model, which knows: {labels}; check the label column.",
            labels=", ".join(labels),
        )
    others = Counter(label for label in complaints.labels if label not in known)
    return rows, dict(sorted(others.items(), key=lambda item: (-item[1], item[0])))


def match_learned(
    scorer: Scorer, complaints: Complaints, groups: Ints, learned: LearnedRows | None
) -> LearnedMatch | None:
    """Which complaints the model learned, or copies of them by `groups`; None where nothing tells."""
    if learned is not None:
        return learned.match_texts(complaints.texts).with_copies(groups)
    if scorer.trained_on != fingerprint(complaints):
        return None
    same = np.ones(len(complaints), bool)
    return LearnedMatch(same, ~same)


def with_own_figures(report: LearnedReport, judged: Judged) -> LearnedReport:
    """The report with the figures of the learned rows alone."""
    figures = decision_figures(judged.columns.sum(axis=0))
    return report.with_figures(accuracy=float(figures.accuracy), macro_f1=float(figures.macro_f1))


def judge(scorer: Scorer, complaints: Complaints, groups: Ints, count: Callable[[int], None]) -> Judged:
    """Score `complaints`, every label of which the model must know; `groups`, (complaints,), by duplicate."""
    truth = numbered(complaints.labels, [unicodedata.normalize("NFC", label) for label in scorer.labels])
    return Judged(scorer.labels, truth, _scores(scorer, complaints.texts, count), groups)


def _scores(scorer: Scorer, texts: Sequence[str], count: Callable[[int], None]) -> Floats:
    parts = []
    for start in range(0, len(texts), _BATCH):
        batch = texts[start : start + _BATCH]
        scores = np.asarray(scorer.scores(batch), dtype=np.float64)
        if scores.shape != (len(batch), len(scorer.labels)):
            raise ValueError(f"{len(batch)} texts and {len(scorer.labels)} labels, but scores {scores.shape}")
        parts.append(scores)
        count(len(batch))
    return np.concatenate(parts)


def stepped(progress: ProgressCallback | None, step: str, total: int) -> Callable[[int], None]:
    """A counter of texts, which reports them as one step of `progress`."""
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(step, done, total)

    return count


def _robustness(
    scorer: Scorer,
    complaints: Complaints,
    clean: Judged,
    draws: ClusterBootstrap,
    progress: ProgressCallback | None,
) -> tuple[PerturbedFigures, ...]:
    count = stepped(progress, PERTURBING, len(PERTURBATIONS) * len(complaints))
    before, before_replicates = decisions(clean, draws)
    found = []
    for perturbation in PERTURBATIONS:
        texts = tuple(perturbation.apply(text, draws.seed) for text in complaints.texts)
        judged = replace(clean, probabilities=_scores(scorer, texts, count))
        after, after_replicates = decisions(judged, draws)
        ci: dict[str, Interval | None] = {}
        for name in ("accuracy", "macro_f1"):
            ci[name] = interval_of(after_replicates, name)
            ci[f"{name}_change"] = paired_interval(before_replicates, after_replicates, name)
        found.append(
            PerturbedFigures(
                id=perturbation.id,
                title=Sentence(perturbation.title),
                accuracy=float(after.accuracy),
                macro_f1=float(after.macro_f1),
                accuracy_change=float(after.accuracy - before.accuracy),
                macro_f1_change=float(after.macro_f1 - before.macro_f1),
                ci=ci,
            )
        )
    return tuple(found)


def _not_computed(
    threshold: float | None, replicates: DecisionFigures | None, robustness: bool
) -> dict[str, Sentence]:
    without = {}
    if replicates is None:
        without["ci"] = Sentence("An interval needs two groups of complaints or more, and a bootstrap.")
    if threshold is None:
        without["abstain"] = Sentence("The model has no threshold of its own.")
    if not robustness:
        without["robustness"] = Sentence("It was not asked for.")
    return without
