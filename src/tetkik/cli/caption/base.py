"""`tetkik caption base`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tetkik.cli.console import note, out, progress, t, warn, writing
from tetkik.cli.tables import in_language
from tetkik.lab.caption.small.options import SmallBase

if TYPE_CHECKING:
    from tetkik.lab.caption.small.base import WrittenBase

_USUAL = SmallBase()
_LEAST, _MOST = 10_000_000, 20_000_000


def base(
    prepared: Annotated[
        Path, typer.Argument(help=t("The folder that `caption prepare` wrote."), metavar="DIR")
    ],
    *,
    target: Annotated[Path, typer.Option("--out", help=t("The folder of the base to write."))],
    backbone: Annotated[
        Path | None,
        typer.Option(
            "--backbone",
            help=t("A MobileNetV2 with folded batch norm, as vision tower; without it a random transformer."),
        ),
    ] = None,
    text: Annotated[
        list[Path] | None,
        typer.Option(
            "--text",
            help=t(
                "Captions without images that the language model reads first (CSV with a column caption, or "
                "lines; .gz too); may be given several times."
            ),
        ),
    ] = None,
    epochs: Annotated[
        int, typer.Option("--text-epochs", help=t("Passes of the language model over these texts."), min=1)
    ] = _USUAL.text_epochs,
    width: Annotated[
        int, typer.Option("--width", help=t("Width of the Q-Former and of the language model."))
    ] = _USUAL.width,
    layers: Annotated[int, typer.Option("--layers", help=t("Layers of the language model."))] = _USUAL.layers,
    qformer_layers: Annotated[
        int, typer.Option("--qformer-layers", help=t("Layers of the Q-Former."))
    ] = _USUAL.qformer_layers,
    queries: Annotated[int, typer.Option("--queries", help=t("Queries of the Q-Former."))] = _USUAL.queries,
    vocabulary: Annotated[
        int, typer.Option("--vocabulary", help=t("Tokens of the tokenizer at most."))
    ] = _USUAL.vocabulary,
    dropout: Annotated[
        float, typer.Option("--dropout", help=t("Dropout of both, while they learn."), min=0.0, max=0.9)
    ] = _USUAL.dropout,
    seed: Annotated[int, typer.Option("--seed", help=t("Seed of the random weights."))] = _USUAL.seed,
    threads: Annotated[
        int, typer.Option("--threads", help=t("CPU threads; 0 leaves torch's choice."), min=0)
    ] = 0,
) -> None:
    """A BLIP-2 of 10 to 20 million weights, for `caption train --base BASE --learning full`."""
    from tetkik.caption.families.loading import require
    from tetkik.lab.caption.data import Split
    from tetkik.lab.caption.prepared import open_prepared
    from tetkik.lab.caption.small.base import write_base
    from tetkik.lab.caption.small.texts import read_texts, without_held_out

    options = SmallBase(
        width=width,
        layers=layers,
        qformer_layers=qformer_layers,
        queries=queries,
        vocabulary=vocabulary,
        text_epochs=epochs,
        dropout=dropout,
        seed=seed,
    )
    require("torch", "transformers")
    folder = open_prepared(prepared)
    captions = folder.part(Split.TRAIN).captions
    read = [line for file in text or () for line in read_texts(file)]
    texts = without_held_out(read, folder)
    if len(texts) < len(read):
        warn(
            "{count} texts are captions of the validation or the test split and were left out.",
            count=len(read) - len(texts),
        )
    with progress("base") as report, writing(target), _threads(threads):
        written = write_base(
            target,
            captions=captions,
            backbone=backbone,
            texts=texts,
            options=options,
            progress=in_language(report),
        )
    _show(written)


def _threads(count: int) -> AbstractContextManager[None]:
    from tetkik.lab.caption.small.language import with_threads

    return with_threads(count)


def _show(written: WrittenBase) -> None:
    out.print(
        t(
            "A BLIP-2 of {all:.1f} million weights, {vision:.1f} million of them in the vision tower; "
            "{tokens} tokens.",
            all=written.weights / 1e6,
            vision=written.vision / 1e6,
            tokens=f"{written.vocabulary:,}",
        ),
        soft_wrap=True,
    )
    if written.text_loss is not None:
        note(
            "Its language model has read {count} texts (loss {loss:.2f} nats a token).",
            count=f"{written.texts:,}",
            loss=written.text_loss,
        )
    if not _LEAST <= written.weights <= _MOST:
        note("That is outside the 10 to 20 million weights which were tried.")
    out.print(t("The base is in {path}.", path=written.folder), soft_wrap=True)
    note(
        "It can say nothing yet: `tetkik caption train DIR --base {path} --learning full`.",
        path=written.folder,
    )
