"""`tetkik report passages`: what a report may cite."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tetkik.cli.console import (
    for_each,
    language,
    note,
    out,
    print_json_line,
    print_line,
    shown,
    t,
    words,
)
from tetkik.cli.options import LinesAsJson, argument, option
from tetkik.cli.tables import listing, table
from tetkik.errors import UsageError
from tetkik.language import Language
from tetkik.values import FINDING_LABELS, Passage, PassageKind, label_name

if TYPE_CHECKING:
    from tetkik.report.passages import Added

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

_Label = Annotated[str | None, option("Only about this finding, such as Effusion.", "--label", metavar="L")]
_Spoken = Annotated[Language | None, option("Only in this language.", "--language")]


@app.command("add", help=t("Take in a hospital's documents (Markdown, text, PDF, DOCX)."))
def add(
    files: Annotated[list[Path], argument("The documents.", "FILE")],
    *,
    label: Annotated[
        str | None, option("The finding that they are about; none for general ones.", metavar="L")
    ] = None,
    spoken: Annotated[
        Language | None, option("Language of the documents; without it each is looked at.", "--language")
    ] = None,
) -> None:
    """One line a file; the others are taken in though one cannot be read."""
    from tetkik.report.passages import add_document

    _check_label(label)
    for_each(files, lambda file: _say_added(add_document(file, label=label, language=spoken)))


def _say_added(added: Added) -> None:
    document = added.document
    count = len(document.chunks)
    if not added.new:
        line = t(
            "{name} is there already as version {version}.", name=document.name, version=document.version
        )
    elif document.version > 1:
        line = t(
            "{name} is now version {version}, passages: {count}; the earlier one is no longer cited.",
            name=document.name,
            version=document.version,
            count=count,
        )
    else:
        line = t("{name} is taken in, passages: {count}.", name=document.name, count=count)
    out.print(line, soft_wrap=True)
    if added.duplicates:
        note(
            "Passages that are there already elsewhere: {count}; each is cited once.", count=added.duplicates
        )
    if added.masked:
        note("Names, numbers and addresses taken out: {count}.", count=added.masked)


@app.command("list", help=t("What a report may cite, by finding; the hospital's documents."))
def list_passages(label: _Label = None, spoken: _Spoken = None, as_json: LinesAsJson = False) -> None:
    """A table by label; with a label, its passages."""
    from tetkik.report.passages import all_passages

    _check_label(label)
    passages = [item for item in all_passages(spoken) if label in {None, item.label}]
    if as_json:
        for item in passages:
            print_json_line(_entry(item))
    elif label is None:
        out.print(_by_label(passages))
        out.print()
        _show_documents()
    else:
        made = listing("id", t("title"), t("source"))
        made.columns[0].no_wrap = True
        for item in passages:
            made.add_row(item.id, shown(item.title), Text(shown(item.source), style="dim"))
        out.print(made)


def _by_label(passages: list[Passage]) -> Table:
    made = table(t("finding"), *map(t, words("passage").values()), t("all"))
    for column in made.columns[1:]:
        column.no_wrap = False
    made.columns[0].no_wrap = True
    for label in (*FINDING_LABELS, None):
        about = [item for item in passages if item.label == label]
        name = t("general") if label is None else label_name(label, language())
        counts = [sum(item.kind == kind for item in about) for kind in words("passage")]
        made.add_row(name, *(str(count or "–") for count in counts), str(len(about)))
    return made


def _show_documents() -> None:
    from tetkik.report.passages import documents

    found = documents()
    if not found:
        note("No documents of a hospital yet; `tetkik report passages add` takes them in.")
        return
    made = listing(t("document"), t("version"), t("language"), t("finding"), t("passages"), t("added"))
    for item in found:
        about = t("general") if item.label is None else label_name(item.label, language())
        version, count = str(item.version), str(len(item.chunks))
        made.add_row(item.name, version, item.language.value, about, count, shown(item.added[:10]))
    out.print(made)


@app.command("search", help=t("The passages that answer a question, the best first."))
def search_passages(
    query: Annotated[list[str], argument("Words or a question, in Turkish or English.", "QUERY")],
    *,
    label: _Label = None,
    spoken: _Spoken = None,
    kind: Annotated[PassageKind | None, option("Only of this kind.")] = None,
    limit: Annotated[int, option("How many at most.", min=1, max=100)] = 5,
    as_json: LinesAsJson = False,
) -> None:
    """Each with its id, its score, its text and its source."""
    from tetkik.report.retrieval import search

    _check_label(label)
    hits = search(" ".join(query), language=spoken, label=label, kind=kind, limit=limit)
    if as_json:
        for hit in hits:
            print_json_line({**_entry(hit.passage), "score": round(hit.score, 6)})
        return
    if not hits:
        note("Nothing was found; try other words, or fewer filters.")
    for number, hit in enumerate(hits):
        if number:
            out.print()
        out.print(Text.assemble((hit.passage.id, "bold"), (f"  {hit.score:.3g}", "dim")))
        for text, style in ((hit.passage.text, ""), (hit.passage.source, "dim")):
            out.print(Padding(Text(shown(text), style=style), (0, 0, 0, 2), expand=False))


@app.command("remove", help=t("Take out a hospital's documents with all their versions."))
def remove(
    names: Annotated[list[str], argument("As `list` names them, or the names of the files.", "NAME")],
) -> None:
    """The library that ships cannot be removed."""
    from tetkik.report.passages import remove_document

    def take_out(name: str) -> None:
        gone = remove_document(name)
        print_line("{name} is removed, versions: {count}.", name=gone[-1].name, count=len(gone))

    for_each(names, take_out)


def _check_label(label: str | None) -> None:
    if label is not None and label not in FINDING_LABELS:
        raise UsageError(
            "There is no finding {label}; the findings are: {labels}.",
            label=label,
            labels=", ".join(FINDING_LABELS),
        )


def _entry(passage: Passage) -> dict[str, str | None]:
    return {
        "id": passage.id,
        "language": passage.language.value,
        "label": passage.label,
        "kind": passage.kind.value,
        "title": passage.title,
        "text": passage.text,
        "source": passage.source,
    }
