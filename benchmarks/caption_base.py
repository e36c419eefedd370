"""Write a small BLIP-2 for dry runs: 10 to 20 million weights, for `tetkik caption train --learning full`.

    python benchmarks/caption_base.py PREPARED --out BASE [--backbone mobilenet_v2.pt] [--text FILE]...

PREPARED is the folder that `tetkik caption prepare` wrote. Without a backbone (a MobileNetV2 with folded
batch norm) the vision tower is a random transformer. Texts are captions without images that the language
model reads first: CSV with a column caption, or lines; .gz too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from small_blip2.base import write_base
from small_blip2.language import with_threads
from small_blip2.options import SmallBase
from small_blip2.texts import read_texts, without_held_out
from tetkik.caption.families.loading import require
from tetkik.errors import TetkikError
from tetkik.lab.caption.prepared import Split, open_prepared

SIZES = ("width", "layers", "qformer_layers", "queries", "vocabulary", "text_epochs", "dropout", "seed")


def main(words: Sequence[str] | None = None) -> None:
    """Write the base and say what it is."""
    usual = SmallBase()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--backbone", type=Path)
    parser.add_argument("--text", type=Path, action="append", default=[])
    parser.add_argument("--threads", type=int, default=0)
    for field in fields(SmallBase):
        if field.name in SIZES:
            default = getattr(usual, field.name)
            parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(default), default=default)
    arguments = parser.parse_args(words)
    try:
        write(arguments)
    except TetkikError as error:
        raise SystemExit(str(error)) from None


def write(arguments: argparse.Namespace) -> None:
    """Write the base.

    Raises:
        TetkikError: sizes, data or a backbone that cannot be used.
    """
    require("torch", "transformers")
    options = SmallBase(**{name: getattr(arguments, name) for name in SIZES})
    folder = open_prepared(arguments.prepared)
    read = [line for file in arguments.text for line in read_texts(file)]
    texts = without_held_out(read, folder)
    if len(texts) < len(read):
        note = "texts are captions of the validation or the test split and were left out."
        print(len(read) - len(texts), note, file=sys.stderr)
    with with_threads(arguments.threads):
        written = write_base(
            arguments.out,
            captions=folder.part(Split.TRAIN).captions,
            backbone=arguments.backbone,
            texts=texts,
            options=options,
            progress=lambda step, done, total: None,
        )
    print(
        f"A BLIP-2 of {written.weights / 1e6:.1f} million weights, {written.vision / 1e6:.1f} million of "
        f"them in the vision tower; {written.vocabulary:,} tokens, at {written.folder}."
    )
    if written.text_loss is not None:
        note = f"(loss {written.text_loss:.2f} nats a token)."
        print(f"Its language model has read {written.texts:,} texts {note}", file=sys.stderr)


if __name__ == "__main__":
    main()
