"""`tetkik caption predict`."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer
from rich.padding import Padding
from rich.text import Text

from tetkik.cli.caption.options import (
    DECODING,
    Base,
    BatchSize,
    Beams,
    MaxTokens,
    Model,
    Quantised,
    Sample,
    Temperature,
    TopP,
    decoding_of,
)
from tetkik.cli.console import err, language, note, out, print_json_line, progress, show_error, shown, t
from tetkik.cli.findings.inputs import answered
from tetkik.cli.options import LinesAsJson, Paths
from tetkik.errors import TetkikError, UsageError
from tetkik.values import DISCLAIMER

if TYPE_CHECKING:
    from tetkik.values import CaptionResult


def predict(
    images: Annotated[
        list[str] | None,
        typer.Argument(help=t("Images, folders of them, or quoted patterns."), metavar="IMAGE"),
    ] = None,
    *,
    source: Paths = None,
    model: Model = None,
    base: Base = None,
    as_json: LinesAsJson = False,
    beams: Beams = None,
    sample: Sample = False,
    temperature: Temperature = None,
    top_p: TopP = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help=t("With --sample: of the draw."))] = 0,
    max_tokens: MaxTokens = DECODING.max_tokens,
    batch_size: BatchSize = 8,
    quantisation: Quantised = None,
) -> None:
    """One caption for each image, in order; a bad file costs that file alone."""
    decoding = decoding_of(
        beams=beams, sample=sample, temperature=temperature, top_p=top_p, max_tokens=max_tokens, seed=seed
    )
    if not images and source is None:
        raise UsageError("No image was given; name a file or a folder, or a list of files with --input.")
    from tetkik.caption.predict import load_caption

    captioner = load_caption(model, base=base, quantisation=quantisation)
    number, failed = 0, False
    answers = answered(
        images or [], source, lambda files: captioner.predict_many(files, decoding, batch_size)
    )
    with ExitStack() as stack:
        # Where the captions themselves scroll past on a terminal, a bar would only stand in their way.
        tell = stack.enter_context(progress("caption")) if err.is_terminal and not out.is_terminal else None
        for number, (path, item) in enumerate(answers, 1):
            if isinstance(item, TetkikError):
                failed = True
                _show_failure(path, item, as_json)
            elif as_json:
                print_json_line(item.as_json())
            else:
                _show(item, first=number == 1)
            if tell is not None:
                tell("images", number, None)
    if number == 0:
        note("There is no image in {name}.", name=t("standard input") if source == "-" else source)
    elif not as_json:
        _close(captioner.name)
    if failed:
        raise typer.Exit(1)


def _show_failure(path: str, error: TetkikError, as_json: bool) -> None:
    if as_json:
        print_json_line({"path": path or None, "error": error.in_language(language())})
    else:
        show_error(error)


def _show(result: CaptionResult, *, first: bool) -> None:
    if not first:
        out.print()
    out.print(Text(shown(result.path), style="bold"), soft_wrap=True)
    for sentence in result.notes:
        _say(sentence, "dim")
    if result.caption:
        _say(result.caption)
    else:
        _say(t("The model says nothing of this image."), "yellow")
    if result.confidence is not None:
        # Nobody has calibrated it, so it is not shown as a percentage.
        _say(t("sure of its words: {value}", value=f"{result.confidence:.2f}"), "dim")


def _say(sentence: str, style: str = "") -> None:
    """A sentence, indented on every line that it takes."""
    out.print(Padding(Text(shown(sentence), style=style), (0, 0, 0, 2)))


def _close(name: str) -> None:
    out.print()
    out.print(
        t(
            "A caption is no finding: it may name what is not there and miss what is. How sure the model is "
            "of its words says nothing of whether they are true."
        ),
        style="dim",
    )
    out.print(t("Model: {model}.", model=name), style="dim")
    out.print(t(DISCLAIMER["en"]), style="dim")
