"""The small language model reads texts first: it need not learn to write from captions alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from small_blip2.tokenizer import END, PAD

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from small_blip2.options import SmallBase
    from tetkik.values import ProgressCallback

_BATCH = 32
_POOL = 16
"""Batches whose texts are sorted by length together."""
_DECAY = 0.05
_WARM_UP = 0.06
_IGNORED = -100


def warm_up(
    model: Any, rows: Sequence[Sequence[int]], options: SmallBase, progress: ProgressCallback
) -> float:
    """Teach a causal language model to go on with texts (next-token prediction), in place.

    Args:
        model: an `OPTForCausalLM`, float32.
        rows: the tokens of each text, without special ones.
        options: passes, learning rate, seed, and how many queries will stand before the words: the texts take
            the places that captions will have.
        progress: called with how far it is.

    Returns:
        The mean loss of the last pass, nats a token.
    """
    import torch

    random = np.random.default_rng(options.seed)
    torch.manual_seed(options.seed)
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    others = [weight for weight in model.parameters() if weight.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": _DECAY}, {"params": others, "weight_decay": 0.0}],
        lr=options.text_rate,
    )
    steps = options.text_epochs * math.ceil(len(rows) / _BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    done, loss = 0, 0.0
    model.train()
    for _ in range(options.text_epochs):
        total, tokens = 0.0, 0
        for batch in _batches(rows, random):
            summed, count = _loss(model, [rows[row] for row in batch], options)
            (summed / count).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            total, tokens, done = total + summed.item(), tokens + count, done + 1
            progress("texts", done, steps)
        loss = total / tokens
    model.eval()
    return loss


@contextmanager
def with_threads(count: int) -> Iterator[None]:
    """So many CPU threads for torch within; 0 leaves its own choice."""
    import torch

    before = torch.get_num_threads()
    if count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _rate(step: int, steps: int) -> float:
    rise = min(1.0, (step + 1) / max(1.0, _WARM_UP * steps))
    return rise * (0.05 + 0.95 * (0.5 + 0.5 * math.cos(math.pi * step / steps)))


def _batches(rows: Sequence[Sequence[int]], random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Texts of about the same length together, in random order."""
    order = random.permutation(len(rows))
    lengths = np.array([len(row) for row in rows])
    batches: list[NDArray[np.int64]] = []
    for start in range(0, len(order), _BATCH * _POOL):
        pool = order[start : start + _BATCH * _POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[at : at + _BATCH] for at in range(0, len(pool), _BATCH)]
    for number in random.permutation(len(batches)):
        yield batches[number]


def _loss(model: Any, rows: Sequence[Sequence[int]], options: SmallBase) -> tuple[torch.Tensor, int]:
    """The summed cross-entropy of a batch and how many tokens it is over."""
    import torch

    most = options.longest - 2
    texts = [[END, *row[:most], END] for row in rows]
    length = max(map(len, texts))
    ids = torch.tensor([text + [PAD] * (length - len(text)) for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (length - len(text)) for text in texts])
    places = (torch.arange(length) + options.queries).expand(len(texts), -1)
    logits = model(input_ids=ids, attention_mask=mask, position_ids=places, use_cache=False).logits
    targets = ids.masked_fill(mask == 0, _IGNORED)[:, 1:]
    summed = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), targets.flatten(), ignore_index=_IGNORED, reduction="sum"
    )
    return summed, int((targets != _IGNORED).sum())
