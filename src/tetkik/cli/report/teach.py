"""`tetkik report teach`."""

from __future__ import annotations

from typing import Annotated

from tetkik.cli.console import print_json_line
from tetkik.cli.options import AnswerAsJson, argument, option
from tetkik.cli.report.answer import show_draft
from tetkik.language import Language
from tetkik.settings import settings


def teach(
    findings: Annotated[
        list[str] | None, argument("Findings, such as Effusion or Effusion:left.", "LABEL[:SIDE]")
    ] = None,
    *,
    spoken: Annotated[
        Language | None,
        option("Language of the report: tr or en. Default: the setting report_language.", "--language"),
    ] = None,
    as_json: AnswerAsJson = False,
) -> None:
    """The report that Tetkik would draft for an invented image with just these findings."""
    from tetkik.report.draft import example_report, parse_example

    chosen = [parse_example(text) for text in findings or ()]
    draft = example_report(chosen, spoken or settings().report_language)
    if as_json:
        print_json_line(draft.as_json())
    else:
        show_draft(draft)
