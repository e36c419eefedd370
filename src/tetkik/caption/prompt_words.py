"""What stands in the prompt about each image: names of concepts, then captions of similar images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tetkik.caption.concepts import ConceptHead, read_concepts
from tetkik.caption.neighbours import NeighbourIndex, embedding, read_neighbours

if TYPE_CHECKING:
    from torch import Tensor

    from tetkik.bundle import Bundle
    from tetkik.caption.families.staged import Contexts, StagedNetwork


@dataclass(frozen=True, slots=True)
class Wording:
    """What stands before, between and after the texts, each of which is cut after `longest` tokens."""

    before: str
    between: str
    after: str
    longest: int

    def length(self, count: int) -> int:
        """Most tokens that `count` texts take in a prompt of English words."""
        return count * (self.longest + 2) + 8 if count else 0


# Without a line break, which ends a caption of OPT.
SIMILAR = Wording("Similar images: ", " | ", " | This image: ", 32)
CONCEPTS = Wording("Concepts: ", ", ", " | ", 12)


def context_length(neighbours: int, concepts: int) -> int:
    """Most tokens that so many captions and names take."""
    return SIMILAR.length(neighbours) + CONCEPTS.length(concepts)


def contexts_of(
    network: StagedNetwork, texts: Sequence[Sequence[str]], wording: Wording = SIMILAR
) -> Contexts:
    """The tokens that say the texts of each image; none where it has none."""
    before, between, after = (
        part.tolist() for part in network.encode([wording.before, wording.between, wording.after])
    )
    known = sorted({text for of_one in texts for text in of_one})
    tokens = dict(zip(known, (row[: wording.longest].tolist() for row in network.encode(known)), strict=True))
    contexts = []
    for of_one in texts:
        words = [token for text in of_one for token in (*between, *tokens[text])]
        contexts.append([*before, *words[len(between) :], *after] if of_one else [])
    return contexts


@dataclass(frozen=True, slots=True, eq=False)
class PromptWords:
    """Whatever a captioner says to itself of an image before it captions it."""

    concepts: ConceptHead | None = None
    neighbours: NeighbourIndex | None = None

    def of(self, network: StagedNetwork, pixels: Tensor) -> tuple[Tensor, Contexts | None]:
        """The features of `pixels` at the cut, and what stands before their prompts."""
        if self.concepts is None and self.neighbours is None:
            return network.frozen_features(pixels), None
        seen = network.vision_features(pixels)
        means = embedding(seen)
        parts = []
        if self.concepts is not None:
            parts.append(contexts_of(network, self.concepts.names_of(means), CONCEPTS))
        if self.neighbours is not None:
            parts.append(contexts_of(network, self.neighbours.nearest(means)))
        contexts = [[token for part in of_one for token in part] for of_one in zip(*parts, strict=True)]
        return network.frozen_features(pixels, seen), contexts

    def write(self, folder: Path) -> None:
        for part in (self.concepts, self.neighbours):
            if part is not None:
                part.write(folder)


NO_WORDS = PromptWords()


def read_prompt_words(bundle: Bundle) -> PromptWords:
    """What a bundle carries for them.

    Raises:
        BundleCorrupt: it cannot be read.
    """
    return PromptWords(read_concepts(bundle), read_neighbours(bundle))
