"""`tetkik caption predict`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from rich.text import Text

from tetkik.cli.caption.options import Base, BatchSize, Decoding, Model, Quantised
from tetkik.cli.console import out, print_json_line, shown, t
from tetkik.cli.findings.inputs import Images, require_images, show_answers
from tetkik.cli.findings.predict import say_indented
from tetkik.cli.options import LinesAsJson, Paths, option, with_options
from tetkik.values import DISCLAIMER

if TYPE_CHECKING:
    from tetkik.values import CaptionResult


@with_options
def predict(
    images: Images = None,
    *,
    source: Paths = None,
    model: Model = None,
    base: Base = None,
    as_json: LinesAsJson = False,
    decoding: Decoding,
    seed: Annotated[int, option("With --sample: of the draw.", min=0)] = 0,
    batch_size: BatchSize = 8,
    quantisation: Quantised = None,
) -> None:
    """One caption for each image, in order; a bad file costs that file alone."""
    chosen = decoding.chosen(seed)
    require_images(images, source)
    from tetkik.caption.predict import load_caption

    captioner = load_caption(model, base=base, quantisation=quantisation)

    def show(result: CaptionResult, first: bool) -> None:
        if as_json:
            print_json_line(result.as_json())
        else:
            _show(result, first=first)

    show_answers(
        images,
        source,
        lambda files: captioner.predict_many(files, chosen, batch_size),
        show,
        lambda: _close(captioner.name),
        label="caption",
        as_json=as_json,
    )


def _show(result: CaptionResult, *, first: bool) -> None:
    if not first:
        out.print()
    out.print(Text(shown(result.path), style="bold"), soft_wrap=True)
    for sentence in result.notes:
        say_indented(sentence, "dim")
    if result.caption:
        say_indented(result.caption)
    else:
        say_indented(t("The model says nothing of this image."), "yellow")
    if result.confidence is not None:
        # Nobody has calibrated it, so it is not shown as a percentage.
        say_indented(t("sure of its words: {value}", value=f"{result.confidence:.2f}"), "dim")


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
