"""Options that several commands of `tetkik caption` take: which captioner, and how it chooses its words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

from pydantic import Field

from tetkik.caption.network import DecodingOptions
from tetkik.caption.options import Quantisation
from tetkik.cli.options import option
from tetkik.errors import UsageError

_USUAL = DecodingOptions()

Model = Annotated[
    str | None,
    option("An imported id, a path, or a Hugging Face id. Default: the setting caption_model.", "--model"),
]
Base = Annotated[
    str | None,
    option("The weights that the adapter was trained on, where its bundle cannot find them.", "--base"),
]
Quantised = Annotated[
    Quantisation | None, option("Of the frozen weights. Default: as in the training.", "--quantisation")
]
BatchSize = Annotated[int, option("Images that are captioned together.", "--batch-size", min=1, max=1024)]


@dataclass(frozen=True, slots=True)
class Decoding:
    """How words are chosen; None leaves what is usual."""

    beams: Annotated[
        int | None, Field(ge=1, le=64, description="Beams of the search; 1 is greedy. Default: 5.")
    ] = None
    sample: Annotated[bool, Field(description="Draw the words instead of searching for the best.")] = False
    temperature: Annotated[
        float | None,
        Field(ge=0.01, le=10.0, description="With --sample: how daring the draw is. Default: 1."),
    ] = None
    top_p: Annotated[
        float | None,
        Field(
            ge=0.01,
            le=1.0,
            description="With --sample: from the likeliest words with this probability together. Default: "
            "0.9.",
        ),
    ] = None
    max_tokens: Annotated[int, Field(ge=1, le=512, description="Most tokens of a caption.")] = (
        _USUAL.max_tokens
    )

    def chosen(self, seed: int) -> DecodingOptions:
        if self.sample and self.beams is not None and self.beams > 1:
            raise UsageError("--sample draws words and --beams searches for them; choose one of the two.")
        if not self.sample and (self.temperature, self.top_p) != (None, None):
            raise UsageError("--temperature and --top-p say how words are drawn; add --sample.")
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return DecodingOptions(**{**({"beams": 1} if self.sample else {}), **given, "seed": seed})


@dataclass(frozen=True, slots=True)
class SearchDecoding(Decoding):
    length_penalty: Annotated[
        float, Field(ge=-10.0, le=10.0, description="Of the search: above 0 favours long captions.")
    ] = _USUAL.length_penalty
    no_repeat: Annotated[
        int, Field(ge=0, le=20, description="No run of so many tokens comes twice; 0 allows it.")
    ] = _USUAL.no_repeat
