"""Self-critical training (Rennie et al., CVPR 2017): what a caption scores changes the weights.

Several captions are drawn for each image, and each is compared with the mean score of the others (Luo,
A better variant of self-critical sequence training, 2020), which needs no greedy caption beside them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tetkik.caption.families.numerics import IGNORED, token_losses
from tetkik.caption.network import DecodingOptions
from tetkik.lab.caption.metrics.tokens import treebank_words
from tetkik.lab.caption.metrics.word_overlap import ORDERS, longest_common, rouge_l_of
from tetkik.lab.caption.training.options import DRAWN, CaptionTraining, StopBy
from tetkik.lab.caption.training.trainer import CaptionTrainer
from tetkik.lab.engine.batches import Rows
from tetkik.lab.engine.options import ScheduleKind, learning_rate_factor
from tetkik.lab.engine.precision import autocast
from tetkik.statistics import Floats

_SIGMA = 6.0
_END = ("</s>",)
"""Stands behind a caption that ended, so that one that breaks off scores less."""


class Reward:
    """CIDEr-D or ROUGE-L of captions against that of their training row, as pycocoevalcap has them.

    Both have a mark at their end, but for a caption that was cut off.

    Rarity of n-grams is that of all `references`, so a score does not depend on who else is in the step.
    """

    def __init__(self, references: Sequence[str], metric: StopBy) -> None:
        self._words = [[*_cut(text), *_END] for text in references]
        self._by_rarity = metric is not StopBy.ROUGE_L
        self._rows = math.log(len(references))
        self._known = Counter(gram for words in self._words for gram in _grams(words))
        self._vectors: dict[int, list[dict[tuple[str, ...], float]]] = {}

    def of(self, row: int, caption: str, ended: bool) -> float:
        """The score of `caption` for a row of the references; CIDEr-D is 0 to 10, ROUGE-L 0 to 1."""
        mine, theirs = [*_cut(caption), *(_END if ended else ())], self._words[row]
        if not self._by_rarity:
            common = longest_common(theirs or [""], mine or [""])
            shares = common / np.array([[len(mine) or 1], [len(theirs) or 1]])
            return float(rouge_l_of(*shares)[0])
        if row not in self._vectors:
            self._vectors[row] = self._vector(theirs)
        similarity = 0.0
        for ours, true in zip(self._vector(mine), self._vectors[row], strict=True):
            norm = _norm(ours) * _norm(true)
            shared = sum(min(value, true[gram]) * true[gram] for gram, value in ours.items() if gram in true)
            similarity += shared / norm if norm else 0.0
        longer = max(len(mine) - 1, 0) - max(len(theirs) - 1, 0)
        return similarity * math.exp(-(longer**2) / (2 * _SIGMA**2)) * 10 / ORDERS

    def _vector(self, words: Sequence[str]) -> list[dict[tuple[str, ...], float]]:
        """The weighted n-grams of each length, 1 to 4."""
        vectors: list[dict[tuple[str, ...], float]] = [{} for _ in range(ORDERS)]
        for gram, count in _grams(words).items():
            vectors[len(gram) - 1][gram] = count * (self._rows - math.log(max(1, self._known[gram])))
        return vectors


def _cut(text: str) -> list[str]:
    return " ".join(treebank_words(text)).split()


def _grams(words: Sequence[str]) -> Counter[tuple[str, ...]]:
    return Counter(
        tuple(words[start : start + n]) for n in range(1, ORDERS + 1) for start in range(len(words) - n + 1)
    )


def _norm(vector: dict[tuple[str, ...], float]) -> float:
    return math.sqrt(sum(value * value for value in vector.values()))


def advantages(rewards: Floats) -> Floats:
    """(n, drawn): how much better each caption is than the others of its image are in the mean."""
    drawn = rewards.shape[1]
    others: Floats = (rewards.sum(axis=1, keepdims=True) - rewards) / (drawn - 1)
    return rewards - others


def self_critical_options(options: CaptionTraining) -> CaptionTraining:
    """Those of the second training: its own epochs and rate, and the same metric for reward and choice."""
    return replace(
        options,
        epochs=options.self_critical,
        learning_rate=options.learning_rate * options.self_critical_rate,
        stop_by=options.reward,
    )


class SelfCriticalTrainer(CaptionTrainer):
    """As `CaptionTrainer`, from captions that the network draws itself.

    The training loss of the log is the mean score of what was drawn, negative.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._reward = Reward(self._data.training.captions, self._options.reward)

    def _log_file(self) -> str:
        return "self_critical.csv"

    def _warn_of_overfitting(self) -> None:
        """Not here: the loss on true captions rises where others score more."""

    def _train_step(self, rows: Rows, batch: list[tuple[Rows, Tensor]]) -> Tensor:
        options = self._options
        self._seed_step()
        losses, score = [], 0.0
        for which, stored in batch:
            loss, found = self._drawn(which, stored)
            score += found
            self._scaler.scale(loss / (len(rows) * DRAWN)).backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        norm = self._reduce_gradients()
        self._check(rows, [which for which, _ in batch], losses, norm)
        steps = options.epochs * self._steps_per_epoch
        self._update_weights(
            learning_rate_factor(self._state.step, steps, options.warm_up, ScheduleKind.CONSTANT)
        )
        self._state.loss_count += len(rows)
        return self._scalar(-score)

    def _drawn(self, which: Rows, stored: Tensor) -> tuple[Tensor, float]:
        """The loss over captions drawn for some rows, and the sum over the rows of their mean score."""
        network, training, device = self._network, self._data.training, self._device
        options = self._options
        features = training.features.at_cut(network, stored, device)
        of_row = np.repeat(which, DRAWN)
        contexts = training.contexts_of(of_row)
        seed = int(
            np.random.SeedSequence((self._seed, self._state.step, *which.tolist())).generate_state(1)[0]
        )
        decoding = DecodingOptions(
            beams=1,
            sample=True,
            temperature=options.self_critical_temperature,
            top_p=1.0,
            max_tokens=options.max_tokens,
            seed=seed,
        )
        with torch.no_grad(), network.judging(), autocast(device, self._options.precision):
            seen = network.to_language(features).repeat_interleave(DRAWN, dim=0)
            rows = network.draw(seen, decoding, contexts)
        rewards = np.array(
            [
                self._reward.of(row, network.words.decode(tokens), ended)
                for row, (tokens, ended) in zip(of_row.tolist(), rows, strict=True)
            ]
        ).reshape(-1, DRAWN)
        weight = torch.from_numpy(advantages(rewards).ravel()).to(device, torch.float32)
        batch = network.batch_of(rows, contexts)
        ids, mask, targets = (part.to(device) for part in (batch.ids, batch.mask, batch.targets))
        learned = targets != IGNORED
        with autocast(device, self._options.precision):
            image = network.to_language(features).repeat_interleave(DRAWN, dim=0)
            hidden = network.hidden(image, ids, mask, targets)
            # The gradient of what was drawn: at another temperature the model is another.
            losses = token_losses(
                hidden, lambda part: network.logits(part) / decoding.temperature, targets[learned]
            )
        return (losses * weight.repeat_interleave(learned.sum(dim=1))).sum(), float(
            rewards.mean(axis=1).sum()
        )
