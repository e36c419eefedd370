"""The sizes of a small BLIP-2 and how its language model is warmed up."""

from __future__ import annotations

from dataclasses import dataclass

from tetkik.errors import UsageError


@dataclass(frozen=True, slots=True)
class SmallBase:
    """What `write_base` builds; the defaults give 10 to 20 million weights.

    Attributes:
        width: of the Q-Former and of the language model.
        layers: of the language model (OPT, Zhang et al., 2022).
        qformer_layers: of the Q-Former; each looks at the image.
        queries: of the Q-Former: what the language model gets of an image.
        heads: of attention; they divide the width.
        vocabulary: tokens at most.
        longest: most tokens of a caption with its prompt.
        size: side of the image in pixels.
        vision_width: of the vision transformer, where there is no backbone.
        vision_layers: the same.
        text_epochs: passes of the language model over the texts.
        text_rate: its highest learning rate there.
        dropout: in the language model and the Q-Former.
        seed: of the weights and of the order of the texts.
    """

    width: int = 256
    layers: int = 4
    qformer_layers: int = 2
    queries: int = 8
    heads: int = 4
    vocabulary: int = 5000
    longest: int = 512
    size: int = 224
    vision_width: int = 256
    vision_layers: int = 6
    text_epochs: int = 1
    text_rate: float = 1e-3
    dropout: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        least = {
            "width": 8,
            "layers": 1,
            "qformer_layers": 1,
            "queries": 1,
            "heads": 1,
            "vocabulary": 300,
            "longest": 16,
            "size": 32,
            "text_epochs": 1,
        }
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                raise UsageError(
                    "The option {name} cannot be {value}; the least is {lowest}.",
                    name=f"--{name.replace('_', '-')}",
                    value=getattr(self, name),
                    lowest=lowest,
                )
        if self.width % self.heads or self.vision_width % self.heads:
            raise UsageError(
                "A width of {width} cannot be shared by {heads} heads of attention; choose a multiple.",
                width=self.width if self.width % self.heads else self.vision_width,
                heads=self.heads,
            )
        if self.size % 32:
            raise UsageError(
                "An image of {size} pixels has no whole number of tokens; give --size a multiple of 32.",
                size=self.size,
            )
