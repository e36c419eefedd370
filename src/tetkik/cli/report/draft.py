"""`tetkik report draft`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tetkik.cli.console import err, note, out, print_json_line, shown, t
from tetkik.cli.options import AnswerAsJson, argument, option
from tetkik.cli.report.answer import show_draft
from tetkik.errors import UsageError
from tetkik.language import Language
from tetkik.settings import settings
from tetkik.values import ReportInput

if TYPE_CHECKING:
    from tetkik.report.llm import LanguageModel
    from tetkik.workflow import Reported


def draft(
    image: Annotated[Path | None, argument("The image that the report is about.", "IMAGE")] = None,
    *,
    findings: Annotated[
        Path | None,
        option(
            "Findings that are known already, as `findings predict --json` prints them.", metavar="F.json"
        ),
    ] = None,
    history: Annotated[str, option("The clinical question.", metavar="TEXT")] = "",
    prior: Annotated[
        Path | None, option("The findings of an earlier image of the same patient.", metavar="F.json")
    ] = None,
    caption: Annotated[str, option("The words of a captioner; they add no finding.", metavar="TEXT")] = "",
    spoken: Annotated[
        Language | None,
        option("Language of the report: tr or en. Default: the setting report_language.", "--language"),
    ] = None,
    llm: Annotated[
        str | None,
        option(
            "A language model that writes: an address up to /v1, or gemini. Default: the setting "
            "llm_url; without one the built-in composer writes.",
            metavar="URL",
        ),
    ] = None,
    template: Annotated[
        Path | None,
        option("A hospital's own report with slots such as {findings}.", metavar="FILE"),
    ] = None,
    model: Annotated[str | None, option("The model of findings: an id or a path.")] = None,
    folder: Annotated[Path | None, option("The folder for the documents.", "--out", metavar="DIR")] = None,
    as_json: AnswerAsJson = False,
) -> None:
    """A draft with its evidence; nothing is final before a radiologist signs."""
    from tetkik.report.draft import fill, read_template
    from tetkik.report.facts import read_findings
    from tetkik.report.llm import open_model
    from tetkik.workflow import report_findings, report_image

    if (image is None) is (findings is None):
        raise UsageError("A draft is made from an image or from --findings; give one of the two.")
    if findings is not None and model is not None:
        raise UsageError("--model finds in an image, and --findings is found already; leave one of them out.")
    # What can be wrong with a small file, a server's address or a folder is said before the long work.
    form = None if template is None else read_template(template)
    earlier = None if prior is None else read_findings(prior)
    known = None if findings is None else read_findings(findings)
    writer = open_model(llm)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    if writer is not None:
        note(
            "A language model is asked; where no draft comes within {seconds:.0f} seconds, the composer "
            "writes.",
            seconds=settings().llm_seconds,
        )
    with _listening(writer) as on_text:
        how: dict[str, Any] = {"prior": earlier, "language": spoken, "writer": writer, "on_text": on_text}
        if known is None:
            how["before_sending"] = _say_what_is_sent
        if known is not None:
            inputs = ReportInput(history=history, caption=caption)
            reported = report_findings(known, inputs, settings(), **how)
        else:
            assert image is not None
            reported = report_image(image, settings(), history=history, caption=caption, model=model, **how)
    made = reported.drafted.draft
    filled = None if form is None else fill(form, made, reported.document.identity)
    if as_json:
        from tetkik.cli.report.files import draft_json

        print_json_line(draft_json(reported))
    elif filled is not None:
        out.print(shown(filled, "\n"), soft_wrap=True)
    else:
        show_draft(made)
    _say_what_it_took(reported)
    if folder is not None:
        _write(reported, folder, filled, as_json=as_json)


def _say_what_is_sent(host: str) -> None:
    note("{host} gets the image, without its file and with the text in it blackened.", host=host)


@contextmanager
def _listening(writer: LanguageModel | None) -> Iterator[Callable[[str], None] | None]:
    """On a terminal, how much a language model has written so far: its pieces mean nothing to a reader."""
    if writer is None or not err.is_terminal:
        yield None
        return
    with err.status(t("Waiting for the language model")) as status:
        count = 0

        def on_text(piece: str) -> None:
            nonlocal count
            count += len(piece)
            status.update(t("The language model is writing: {count} characters", count=count))

        yield on_text


def _say_what_it_took(reported: Reported) -> None:
    usage, chosen = reported.drafted.usage, settings()
    if not usage.calls:
        return
    note(
        "The language model read {tokens_in} tokens and wrote {tokens_out}.",
        tokens_in=usage.tokens_in,
        tokens_out=usage.tokens_out,
    )
    if chosen.llm_price_in or chosen.llm_price_out:
        note(
            "At the prices of the settings that costs {cost:.4f}.",
            cost=usage.cost(chosen.llm_price_in, chosen.llm_price_out),
        )


def _write(reported: Reported, folder: Path, filled: str | None, *, as_json: bool) -> None:
    """Write the documents; beside JSON they are named on standard error: a pipe gets the draft alone."""
    from tetkik.cli.report.files import meaning, show_files, write_report

    files = write_report(reported, folder, filled)
    if as_json:
        for file in files:
            err.print(shown(file), style="dim", soft_wrap=True)
    else:
        out.print()
        out.print(t("The documents:"))
        show_files({file: meaning(file) for file in files})
