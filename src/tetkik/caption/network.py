"""The interface of an image-text model, whichever family it is of.

A captioner is a frozen part, whose output for an image never changes and is computed once, and a part that
learns. Where the cut lies depends on what learns: with LoRA in the language model alone, everything up to the
language projection is frozen; a Q-Former that learns moves the cut before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from tetkik.caption.image_spec import ImageSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn


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
    """A caption that was made.

    Attributes:
        text: without special tokens, spaces joined.
        confidence: geometric mean of the probabilities of its tokens, 0 to 1; None where not known.
    """

    text: str
    confidence: float | None


class CaptionNetwork(Protocol):
    """An image-text model of some family, loaded."""

    image: ImageSpec
    model: Any
    """The transformers (or peft) model."""
    prompt: str
    """Words before the caption; may be set before anything is encoded."""

    @property
    def family(self) -> str:
        """`blip2`, `paligemma`."""

    @property
    def base(self) -> str:
        """The public name of the base: a hub id, or the last part of its path."""

    @property
    def revision(self) -> str | None:
        """The commit of the hub that the base was taken from; None for a folder."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the tokenizer's `tokenizer.json`."""

    @property
    def cut(self) -> Cut:
        """Where the frozen part ends, from which weights learn."""

    def trainable(self) -> nn.Module:
        """The module that is wrapped for several GPUs.

        Called as `module(features, ids, mask, targets, smoothing)` it returns the sum of the cross-entropy
        over the tokens to learn, a float32 scalar.
        """

    def frozen_features(self, pixels: Tensor) -> Tensor:
        """The output of the frozen part, (n, tokens, width), from (n, 3, size, size), float32, normalised."""

    def vision_features(self, pixels: Tensor) -> Tensor:
        """The output of the vision tower alone, (n, tokens, vision width), wherever the cut is."""

    def feature_shape(self) -> tuple[int, int]:
        """(tokens, width) of one image's features."""

    def drop_frozen(self) -> None:
        """Free the memory of the frozen part before the cut; `frozen_features` cannot be called any more."""

    def checkpoint_activations(self) -> None:
        """Compute activations of what learns again in the backward pass instead of storing them."""

    def encode(self, captions: Sequence[str]) -> list[NDArray[np.int32]]:
        """Token numbers of each caption, without prompt and special tokens."""

    def batch(self, rows: Sequence[NDArray[np.int32]]) -> CaptionBatch:
        """Encoded captions with prompt, special tokens and filling, on the CPU."""

    def generate(self, features: Tensor, options: DecodingOptions) -> list[Generated]:
        """A caption for each image, from its features at the cut."""
