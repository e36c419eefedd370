"""What every image-text model takes and gives, whichever family it is of.

A captioner is a frozen part, whose output for an image is computed once, and what comes after it: with LoRA
in the language model alone the cut lies behind the Q-Former, with a Q-Former that learns before that.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class Cut(StrEnum):
    """The stage whose output is cached; all up to it is frozen."""

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
    """Captions as the language model reads them: prompt, caption and end, (n, length), int64.

    Filled up on the right; `mask` is 1 for a token, and `targets` are -100 where none is to be learned.
    """

    ids: Tensor
    mask: Tensor
    targets: Tensor


@dataclass(frozen=True, slots=True)
class DecodingOptions:
    """How words are chosen: by beam search, greedily with one beam, or drawn with `sample`.

    They are drawn from the smallest set of tokens of probability `top_p`. A length penalty above 0 favours
    longer captions, a repetition penalty above 1 makes words that were said less likely, and no run of
    `no_repeat` tokens comes twice; 0 allows it.
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
