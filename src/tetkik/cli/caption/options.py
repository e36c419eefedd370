"""Options that several commands of `tetkik caption` take: which captioner, and how it chooses its words."""

from __future__ import annotations

from typing import Annotated

import typer

from tetkik.caption.network import DecodingOptions
from tetkik.caption.options import Quantisation
from tetkik.cli.console import t
from tetkik.errors import UsageError

DECODING = DecodingOptions()
"""How words are chosen where nothing else is asked for."""

Model = Annotated[
    str | None,
    typer.Option(
        "--model", help=t("An imported id, a path, or a Hugging Face id. Default: the setting caption_model.")
    ),
]
Base = Annotated[
    str | None,
    typer.Option(
        "--base", help=t("The weights that the adapter was trained on, where its bundle cannot find them.")
    ),
]
Quantised = Annotated[
    Quantisation | None,
    typer.Option("--quantisation", help=t("Of the frozen weights. Default: as in the training.")),
]
BatchSize = Annotated[
    int, typer.Option("--batch-size", min=1, max=1024, help=t("Images that are captioned together."))
]
Beams = Annotated[
    int | None,
    typer.Option("--beams", min=1, max=64, help=t("Beams of the search; 1 is greedy. Default: 5.")),
]
Sample = Annotated[
    bool, typer.Option("--sample", help=t("Draw the words instead of searching for the best."))
]
Temperature = Annotated[
    float | None,
    typer.Option(
        "--temperature", min=0.01, max=10.0, help=t("With --sample: how daring the draw is. Default: 1.")
    ),
]
TopP = Annotated[
    float | None,
    typer.Option(
        "--top-p",
        min=0.01,
        max=1.0,
        help=t("With --sample: from the likeliest words with this probability together. Default: 0.9."),
    ),
]
MaxTokens = Annotated[int, typer.Option("--max-tokens", min=1, max=512, help=t("Most tokens of a caption."))]
Penalty = Annotated[
    float,
    typer.Option(
        "--length-penalty", min=-10.0, max=10.0, help=t("Of the search: above 0 favours long captions.")
    ),
]
NoRepeat = Annotated[
    int,
    typer.Option("--no-repeat", min=0, max=20, help=t("No run of so many tokens comes twice; 0 allows it.")),
]


def decoding_of(
    *,
    beams: int | None,
    sample: bool,
    temperature: float | None,
    top_p: float | None,
    max_tokens: int,
    seed: int,
    length_penalty: float = DECODING.length_penalty,
    no_repeat: int = DECODING.no_repeat,
) -> DecodingOptions:
    """How words are chosen; None leaves what is usual.

    Raises:
        UsageError: options of searching and of drawing at once.
    """
    if sample and beams is not None and beams > 1:
        raise UsageError("--sample draws words and --beams searches for them; choose one of the two.")
    if not sample and (temperature, top_p) != (None, None):
        raise UsageError("--temperature and --top-p say how words are drawn; add --sample.")
    return DecodingOptions(
        beams=1 if sample else beams or DECODING.beams,
        sample=sample,
        temperature=DECODING.temperature if temperature is None else temperature,
        top_p=DECODING.top_p if top_p is None else top_p,
        max_tokens=max_tokens,
        length_penalty=length_penalty,
        no_repeat=no_repeat,
        seed=seed,
    )
