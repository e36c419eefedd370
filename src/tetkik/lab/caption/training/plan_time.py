"""How long a training takes on a card, from counted operations and what cards reach of their data sheets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tetkik.lab.caption.training.cards import Card
from tetkik.lab.caption.training.options import CaptionTraining
from tetkik.lab.caption.training.plan_step import PassBytes

REACHED = 0.30
"""Share of a card's fp16 operations that training reaches: an assumption. Matrices of some hundred rows and
heat keep a T4 well below its data sheet."""
REACHED_MEMORY = 0.70
"""Share of a card's memory bandwidth that writing out quantised weights reaches: an assumption."""
_PACKED = {"nf4": 2.0, "int8": 1.0}
"""Weights in a byte, near enough."""
_WRITTEN = 4
"""Bytes moved for each weight that is written out: 2 are written and read again by the product."""
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Hours:
    """The reasoning, line by line.

    Attributes:
        caption_flops: operations of one caption, forward and backward.
        image_flops: of one image through the frozen part, once; 0 without a cache.
        rows: training captions.
        compute: hours of an epoch's operations on one card.
        moved: bytes that an epoch moves to write out quantised weights.
        unpacking: hours of that on one card.
        images: hours of the one-off pass over the images on one card.
        epochs: most passes over the data.
    """

    caption_flops: float
    image_flops: float
    rows: int
    compute: float
    moved: float
    unpacking: float
    images: float
    epochs: int

    def epoch(self, cards: int) -> float:
        """Hours of one epoch without the pass over the images."""
        return (self.compute + self.unpacking) / cards

    def all(self, cards: int) -> float:
        """Hours of the pass over the images and all epochs."""
        return self.images / cards + self.epochs * self.epoch(cards)


def hours_of(
    card: Card,
    options: CaptionTraining,
    flops: float,
    captions: int,
    frozen: Mapping[str, int],
    images: PassBytes | None,
    rows: int,
) -> Hours:
    """Estimate them.

    Args:
        card: with known speed.
        options: the settings.
        flops: operations of one part of a step.
        captions: in it.
        frozen: bytes of frozen weights by their numbers.
        images: the pass over the images; None without a cache.
        rows: training captions.
    """
    assert card.flops is not None and card.bandwidth is not None
    speed = card.flops * REACHED * _HOUR
    each = flops / captions
    # Forward, backward, and forward once more with checkpoints.
    times = 3 if options.checkpointing else 2
    packed = sum(size for name, size in frozen.items() if name in _PACKED)
    weights = sum(size * _PACKED[name] for name, size in frozen.items() if name in _PACKED)
    moved = times * (packed + _WRITTEN * weights) * rows / captions
    image = images.flops if images is not None else 0.0
    if not options.cache_features:
        # Without a cache the frozen part runs in every epoch.
        each, image = each + image, 0.0
    return Hours(
        each,
        image,
        rows,
        rows * each / speed,
        moved,
        moved / (card.bandwidth * REACHED_MEMORY * _HOUR),
        rows * image / speed,
        options.epochs,
    )
