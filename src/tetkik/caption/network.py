"""What every image-text model takes and gives, whichever family it is of.

A captioner is a frozen part, whose output for an image never changes and is computed once, and a part that
learns. Where the cut lies depends on what learns: with LoRA in the language model alone, everything up to the
language projection is frozen; a Q-Former that learns moves the cut before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class Cut(StrEnum):
    """The last frozen stage, whose output is cached."""

    VISION = "vision"
    """The vision tower: (image tokens, vision width); BLIP-2's is 257 x 1408."""
    BRIDGE = "bridge"
    """The Q-Former (families that have one): (queries, Q-Former width); BLIP-2's is 32 x 768."""
    PROJECTION = "projection"
    """The projection: (queries or image tokens, width of the language model)."""
    NOTHING = "nothing"
    """The vision tower itself learns: pixels go in."""


@dataclass(frozen=True, slots=True)
class CaptionBatch:
    """Captions as the language model reads them, without the image.

    Attributes:
        ids: (n, length), int64: prompt, caption, end of text, filled up on the right.
        mask: (n, length), int64: 1 where there is a token.
        targets: (n, length), int64: `ids` where a token is to be learned (the caption and its end), else
            -100.
    """

    ids: Tensor
    mask: Tensor
    targets: Tensor


@dataclass(frozen=True, slots=True)
class DecodingOptions:
    """How words are chosen.

    Attributes:
        beams: of beam search; 1 is greedy.
        sample: draw tokens instead of searching; `beams` must then be 1.
        top_p: the smallest set of tokens with this probability is drawn from.
        length_penalty: above 0 favours longer captions in beam search.
        no_repeat: no run of so many tokens comes twice; 0 allows it.
        repetition_penalty: above 1 makes words that were said less likely.
    """

    beams: int = 5
    sample: bool = False
    temperature: float = 1.0
    top_p: float = 0.9
    max_tokens: int = 80
    min_tokens: int = 1
    length_penalty: float = 1.0
    no_repeat: int = 0
    repetition_penalty: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Generated:
    """A caption that was made, and the geometric mean of its tokens' probabilities; None where not known."""

    text: str
    confidence: float | None
