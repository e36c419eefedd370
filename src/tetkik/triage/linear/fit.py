"""Fitting the linear model: choose by cross-validation, calibrate on what was not seen, fit on everything.

Two classifiers are fitted on the same features: multinomial logistic regression, which calibrates well, and a
squared-hinge machine with labels weighted by their rarity, which is the more accurate. Their scores are
added (softmax forgets a row's constant, so the sum is one matrix), the labels' log frequencies are taken off
in part (logit adjustment: Menon et al., ICLR 2021), and a temperature makes the sum a probability.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from tetkik.triage.calibration import abstain_threshold, fit_temperature, softmax
from tetkik.triage.data import folds
from tetkik.triage.linear.features import Featuriser, Rows, prepare
from tetkik.triage.linear.learn import learn_features
from tetkik.triage.linear.lexicon import Lexicon, builtin
from tetkik.triage.linear.solver import Loss, solve, stride_of
from tetkik.triage.metrics import confusion

INNER_FOLDS = 8
"""Many, so that the temperature is fitted on models of nearly as many rows as the last one."""
HOLDOUT_FROM = 20_000
"""From this many rows on, one tenth is held out to choose and calibrate on, instead of cross-validation."""
_CHUNK = 20_000
_RARITY = 0.4
"""The hinge machine weights a label by (rows / its rows) to this power."""

Remember = Callable[[str, Callable[[], NDArray[np.float32]]], NDArray[np.float32]]
"""Gives the array of that name, from disk where an interrupted training left it, else by calling."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The settings that are chosen on held-out rows.

    Attributes:
        softmax: regularisation of the logistic regression.
        hinge: regularisation of the squared-hinge machine.
        mix: how many times the machine's score counts beside the regression's.
        prior: the share of the labels' log frequencies that is taken off.
    """

    softmax: float = 1.0
    hinge: float = 2.0
    mix: float = 2.0
    prior: float = 0.25

    def as_json(self) -> dict[str, float]:
        """For the manifest."""
        return asdict(self)


SOFTMAX = (0.5, 1.0)
HINGE = (2.0, 4.0)
MIX = (0.0, 1.0, 2.0, 3.0)
PRIOR = (0.0, 0.15, 0.3)
DEFAULT = Choice()


@dataclass(frozen=True, slots=True)
class Corpus:
    """Texts ready to learn from.

    Attributes:
        texts: prepared (`features.prepare`).
        truth: (texts,), int64, index of the label.
        groups: (texts,), int64, duplicate group.
        folds: (texts,), int64, inner fold by group.
        labels: the departments.
    """

    texts: tuple[bytes, ...]
    truth: NDArray[np.int64]
    groups: NDArray[np.int64]
    folds: NDArray[np.int64]
    labels: tuple[str, ...]

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        truth: NDArray[np.int64],
        groups: NDArray[np.int64],
        labels: tuple[str, ...],
    ) -> Corpus:
        """Prepare texts and deal them out into inner folds."""
        inner = folds(texts, groups, 10 if len(texts) >= HOLDOUT_FROM else INNER_FOLDS)
        return cls(tuple(prepare(text) for text in texts), truth, groups, inner, labels)

    def __len__(self) -> int:
        return len(self.texts)

    def only(self, rows: NDArray[np.int64]) -> Corpus:
        """These rows."""
        return Corpus(
            tuple(self.texts[i] for i in rows),
            self.truth[rows],
            self.groups[rows],
            self.folds[rows],
            self.labels,
        )

    @property
    def log_frequency(self) -> NDArray[np.float64]:
        """(labels,): the log of each label's share, with one row added to each."""
        count = np.bincount(self.truth, minlength=len(self.labels)) + 1.0
        frequency: NDArray[np.float64] = np.log(count / count.sum())
        return frequency

    def costs(self, rarity: float) -> NDArray[np.float32]:
        """(labels,), float32: the weight of a row by its label, with mean 1 over rows."""
        count = np.maximum(np.bincount(self.truth, minlength=len(self.labels)), 1).astype(np.float64)
        weight = (len(self) / count) ** rarity
        costs: NDArray[np.float32] = (weight / weight[self.truth].mean()).astype(np.float32)
        return costs


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted model and how it did on rows that it had not seen.

    Attributes:
        featuriser: text to row.
        weights: (columns, stride), float32, prior shift and temperature in them.
        choice: the settings chosen.
        temperature: what the scores were divided by.
        abstain: the top probability under which to abstain.
        held_out: (rows,), the rows that chose and calibrated.
        probabilities: (held-out rows, labels), float64, of models that had not seen those rows.
    """

    featuriser: Featuriser
    weights: NDArray[np.float32]
    choice: Choice
    temperature: float
    abstain: float
    held_out: NDArray[np.int64]
    probabilities: NDArray[np.float64]


class _Solver:
    """The rows of one training part, and its classifiers."""

    def __init__(self, corpus: Corpus, lexicon: Lexicon) -> None:
        self.corpus = corpus
        self.featuriser = learn_features(corpus.texts, corpus.groups, lexicon)
        parts = [slice(start, start + _CHUNK) for start in range(0, len(corpus), _CHUNK)]
        self.rows: list[Rows] = [self.featuriser.rows(corpus.texts[part]) for part in parts]
        self.truth = [corpus.truth[part].astype(np.int32) for part in parts]

    def weights(self, loss: Loss, regularisation: float) -> NDArray[np.float32]:
        costs = self.corpus.costs(_RARITY if loss is Loss.SQUARED_HINGE else 0.0)
        return solve(
            self.rows,
            self.truth,
            columns=self.featuriser.columns,
            costs=costs,
            regularisation=regularisation,
            loss=loss,
        )


def fit(
    corpus: Corpus,
    *,
    lexicon: Lexicon | None = None,
    remember: Remember = lambda name, compute: compute(),
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Fitted:
    """Choose, calibrate and fit.

    Args:
        corpus: what to learn from; from 20,000 rows on a tenth of it is only chosen and calibrated on.
        lexicon: the terms; None takes the built-in ones.
        remember: keeps finished pieces across an interruption.
        tick: told (pieces done, pieces in all).
    """
    lexicon = lexicon or builtin()
    large = len(corpus) >= HOLDOUT_FROM
    candidates = [(Loss.SOFTMAX, value) for value in ((DEFAULT.softmax,) if large else SOFTMAX)]
    candidates += [(Loss.SQUARED_HINGE, value) for value in ((DEFAULT.hinge,) if large else HINGE)]
    inner = [0] if large else sorted(set(corpus.folds.tolist()))
    total = len(candidates) * len(inner) + (0 if large else 2)
    scores = {key: np.zeros((len(corpus), len(corpus.labels)), np.float32) for key in candidates}
    done, solver, kept = 0, None, {}
    for fold in inner:
        held = np.flatnonzero(corpus.folds == fold)
        part = corpus.only(np.flatnonzero(corpus.folds != fold))
        solver = None
        for loss, regularisation in candidates:

            def score(loss: Loss = loss, regularisation: float = regularisation) -> NDArray[np.float32]:
                nonlocal solver
                solver = solver or _Solver(part, lexicon)  # noqa: B023 - used before the loop goes on
                weights = solver.weights(loss, regularisation)
                if large:
                    kept[loss] = weights
                found = solver.featuriser.scores([corpus.texts[i] for i in held], weights)  # noqa: B023
                return found[:, : len(corpus.labels)]

            name = f"fold{fold}-{loss.name.lower()}-{regularisation}"
            scores[loss, regularisation][held] = score() if large else remember(name, score)
            done += 1
            tick(done, total)
    held_out = np.flatnonzero(np.isin(corpus.folds, inner))
    choice = _choose(corpus, scores, held_out)
    logits = _mixed(scores, choice, corpus.log_frequency)[held_out]
    temperature = fit_temperature(logits, corpus.truth[held_out])
    probabilities = softmax(logits, temperature)
    if not large:
        solver = _Solver(corpus, lexicon)
        for number, (loss, regularisation) in enumerate(
            ((Loss.SOFTMAX, choice.softmax), (Loss.SQUARED_HINGE, choice.hinge))
        ):
            kept[loss] = solver.weights(loss, regularisation)
            tick(done + number + 1, total)
    assert solver is not None
    weights = (kept[Loss.SOFTMAX] + choice.mix * kept[Loss.SQUARED_HINGE]).astype(np.float32)
    shift = np.zeros(stride_of(len(corpus.labels)))
    shift[: len(corpus.labels)] = choice.prior * corpus.log_frequency
    weights[-1] -= (shift / solver.featuriser.bias).astype(np.float32)
    return Fitted(
        solver.featuriser,
        (weights / temperature).astype(np.float32),
        choice,
        temperature,
        abstain_threshold(probabilities.max(axis=1)),
        held_out,
        probabilities,
    )


Scores = dict[tuple[Loss, float], NDArray[np.float32]]


def _mixed(scores: Scores, choice: Choice, log_frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    machine = choice.mix * scores[Loss.SQUARED_HINGE, choice.hinge].astype(np.float64)
    mixed: NDArray[np.float64] = scores[Loss.SOFTMAX, choice.softmax] + machine - choice.prior * log_frequency
    return mixed


def _choose(corpus: Corpus, scores: Scores, held_out: NDArray[np.int64]) -> Choice:
    """The settings that do best on rows that the classifiers had not seen.

    Best is the highest accuracy + macro-F1 - log-loss at the best temperature: the first two are what the
    model is used for, and the third, which every row moves a little, keeps the choice from following noise.
    """
    regressions = [value for loss, value in scores if loss is Loss.SOFTMAX]
    machines = [value for loss, value in scores if loss is Loss.SQUARED_HINGE]
    truth, frequency = corpus.truth[held_out], corpus.log_frequency

    def worth(choice: Choice) -> float:
        logits = _mixed(scores, choice, frequency)[held_out]
        found = softmax(logits, fit_temperature(logits, truth))
        log_loss = -np.log(np.maximum(found[np.arange(len(truth)), truth], 1e-12)).mean()
        counts = confusion(truth, found.argmax(axis=1), len(corpus.labels))
        return _accuracy_and_f1(counts) - float(log_loss)

    return max((Choice(*values) for values in product(regressions, machines, MIX, PRIOR)), key=worth)


def _accuracy_and_f1(counts: NDArray[np.int64]) -> float:
    right, true, chosen = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    f1 = 2 * right / np.maximum(true + chosen, 1)
    return float(right.sum() / counts.sum() + f1[true > 0].mean())
