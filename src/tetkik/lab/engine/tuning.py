"""Hyperparameter search on validation by successive halving; the reported rows are never seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, get_args, get_type_hints

import numpy as np

from tetkik.bundle.card import card_words
from tetkik.lab.engine.card import cell, markdown_table
from tetkik.lab.engine.checkpoint import TRIALS, WorkFolder
from tetkik.lab.engine.options import EngineOptions

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_REDUCTION = 3

OptionsT = TypeVar("OptionsT", bound=EngineOptions)
TrialT = TypeVar("TrialT", bound="DataclassInstance")
ChoiceT = TypeVar("ChoiceT")
Draw = Callable[[OptionsT, np.random.Generator], OptionsT]
"""Other settings to try in the place of those asked for."""


class Column(NamedTuple):
    """The title of a field of a trial in the card, and its format."""

    title: str
    form: str = ""


def candidates(options: OptionsT, draw: Draw[OptionsT]) -> list[OptionsT]:
    """The settings to try: those asked for, then random ones, the same for the same seed."""
    random = np.random.default_rng((options.seed, 1))
    return [options, *(draw(options, random) for _ in range(options.tune - 1))][: options.tune]


def log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    """A number drawn evenly on a log scale, with two digits."""
    return float(f"{np.exp(random.uniform(np.log(low), np.log(high))):.2g}")


def choice(random: np.random.Generator, values: Sequence[ChoiceT]) -> ChoiceT:
    return values[int(random.integers(len(values)))]


def tuned(
    options: OptionsT,
    draw: Draw[OptionsT],
    run: Callable[[OptionsT], TrialT],
    score: Callable[[TrialT], float],
    trial: Callable[..., TrialT],
    work: WorkFolder,
    *,
    keep: bool = True,
) -> tuple[OptionsT, tuple[TrialT, ...]]:
    """The best of some settings, and all that was tried (successive halving, Jamieson and Talwalkar, 2016).

    All candidates, in an order that is the same in every process and after a resume, get one epoch, the best
    third of them three times as many, and so on up to the epochs asked for. `run` trains a setting for its
    epochs and returns its result, a dataclass of plain values. Finished trials are kept in the work folder,
    by the process that is to `keep` them, so that a resumed training does not repeat them.
    """
    file = work.path / TRIALS
    rows: list[dict[str, Any]] = json.loads(file.read_text("utf-8")) if file.is_file() else []
    done = [trial(**row) for row in rows]
    tried: list[TrialT] = []
    alive, given = candidates(options, draw), 1
    while True:
        results = []
        for candidate in alive:
            if len(tried) == len(done):
                done.append(run(replace(candidate, epochs=min(given, options.epochs))))
                if keep:
                    work.write(TRIALS, json.dumps([asdict(item) for item in done]).encode())
            tried.append(done[len(tried)])
            results.append(score(tried[-1]))
        # Of equal ones the first: the order must not depend on anything else.
        order = sorted(range(len(results)), key=lambda index: -results[index])
        if given >= options.epochs:
            return alive[order[0]], tuple(tried)
        survivors = sorted(order[: max(1, len(alive) // _REDUCTION)])
        alive, given = [alive[index] for index in survivors], given * _REDUCTION


def trials_table(trials: Sequence[DataclassInstance]) -> str:
    """What was tried as Markdown, by the `Column` that each field is annotated with; empty for nothing."""
    if not trials:
        return ""
    columns = [get_args(kind)[1] for kind in get_type_hints(type(trials[0]), include_extras=True).values()]
    rows = (
        [cell(value, column.form) for value, column in zip(astuple(row), columns, strict=True)]
        for row in trials
    )
    return markdown_table(card_words(*(column.title for column in columns)), rows)
