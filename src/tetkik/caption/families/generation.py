"""How tokens are drawn from a language model, and where a caption ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from tetkik.caption.network import DecodingOptions
from tetkik.errors import UsageError


def generation_config(options: DecodingOptions, special: Mapping[str, int | None]) -> Any:
    """`GenerationConfig` for `options` and the tokens that a language model starts and ends with."""
    from transformers import GenerationConfig

    if options.sample and options.beams != 1:
        raise UsageError("Sampling takes no beams ({beams}); use --beams 1.", beams=options.beams)
    if options.min_tokens > options.max_tokens:
        raise UsageError(
            "A caption cannot have at least {least} tokens and at most {most}; correct one of them.",
            least=options.min_tokens,
            most=options.max_tokens,
        )
    drawn = {"temperature": options.temperature, "top_p": options.top_p, "top_k": 0} if options.sample else {}
    # With one beam there is no length to favour, and transformers would warn.
    beam = {"length_penalty": options.length_penalty} if options.beams > 1 else {}
    return GenerationConfig(
        num_beams=options.beams,
        do_sample=options.sample,
        max_new_tokens=options.max_tokens,
        min_new_tokens=options.min_tokens,
        no_repeat_ngram_size=options.no_repeat,
        repetition_penalty=options.repetition_penalty,
        **drawn,
        **beam,
        **special,
    )


@contextmanager
def drawing(seed: int, device: torch.device) -> Iterator[None]:
    """Draws from `seed` within; the state of the generators is as before afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def until_end(row: list[int], end: int, pad: int | None) -> tuple[list[int], bool]:
    """The tokens of a generated row before its end, and whether it had one rather than being cut off."""
    if end in row:
        return row[: row.index(end)], True
    while row and row[-1] == pad:
        row = row[:-1]
    return row, False
