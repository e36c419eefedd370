"""`tetkik report draft`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from tetkik.cli.console import err, language, note, out, print_json_line, shown, t, word, words
from tetkik.cli.findings.predict import percent_of
from tetkik.cli.options import AnswerAsJson, argument, option
from tetkik.documents.parts import heading
from tetkik.errors import InputError, UsageError
from tetkik.language import Language
from tetkik.report.deidentify import shareable
from tetkik.settings import settings
from tetkik.values.common import DISCLAIMER
from tetkik.values.finding_labels import label_name
from tetkik.values.report import Basis, BasisKind, Draft, DraftSentence, Mark, ReportInput, Section

if TYPE_CHECKING:
    from tetkik.report.llm.interface import LanguageModel
    from tetkik.workflow.reports import Reported


# A drafted report in a folder: the draft with its evidence as JSON, and the documents made of it.


DRAFT, FILLED = "draft.json", "report.filled.txt"


def draft_json(reported: Reported) -> dict[str, Any]:
    """The draft as JSON, which names no patient: only documents do."""
    return shareable(reported.drafted.draft, reported.document.identity).as_json()


def write_report(reported: Reported, folder: Path, filled: str | None = None) -> tuple[Path, ...]:
    """Write everything that is made of a draft, under names that say nothing of a patient."""
    from tetkik.documents.write import write_documents, write_files

    text = json.dumps(draft_json(reported), ensure_ascii=False, indent=2) + "\n"
    contents: Mapping[str, bytes] = {DRAFT: text.encode()}
    if filled is not None:
        contents = {**contents, FILLED: filled.encode()}
    files = (*write_documents(reported.document, folder), *write_files(contents, folder))
    order = list(words("file"))
    return tuple(sorted(files, key=lambda file: order.index(file.name)))


def show_files(files: Mapping[Path, str]) -> None:
    """Which files there are and what each is, on lines of their own."""
    width = max((len(str(file)) for file in files), default=0)
    for file, what in files.items():
        out.print(f"  {shown(file):<{width}}  {what}", soft_wrap=True)


def meaning(file: Path) -> str:
    return word("file", file.name)


# A draft on the terminal: the sentences as they will be read, and beneath each what it leans on.


_WIDEST = 100
"""A longer line is hard to read, however wide the terminal."""
_NARROWEST = 16
_SENTENCE, _BENEATH = 2, 4
_NAMED = frozenset({BasisKind.FINDING, BasisKind.ABSENCE, BasisKind.PRIOR})
"""Kinds whose key is a label."""


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What the sentences of a draft may cite, by the id that they cite it by; nothing for a bare text."""

    bases: Mapping[str, Basis] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, draft: Draft) -> _Evidence:
        places = {source: place for place, source in enumerate(_sources(draft), 1)}
        numbers = {f"{BasisKind.PASSAGE}:{passage.id}": places[passage.source] for passage in draft.passages}
        return cls({basis.id: basis for basis in draft.evidence}, numbers)


def show_draft(draft: Draft, *, disclaimer: bool = True) -> None:
    """State, notices, the parts with their sentences, the sources, and what stands in a signature's way."""
    words = "Exercise: about no patient" if draft.exercise else "Draft: not signed by a radiologist"
    out.print(Text(f" {t(words)} ", style="black on yellow"))
    for notice in draft.notices:
        _say(Text(shown(notice.in_language(language()))), "! ", style="yellow")
    evidence = _Evidence.of(draft)
    for section in Section:
        sentences = draft.section(section)
        if sentences:
            out.print()
            out.print(Text(heading(section, draft.language), style="bold cyan"))
            _show(sentences, evidence)
    if draft.passages:
        out.print()
        out.print(Text(t("Sources"), style="bold cyan"))
        for place, source in enumerate(_sources(draft), 1):
            _say(Text(shown(source)), f"  [{place}] ", style="dim")
    out.print()
    if draft.open_marks:
        warning = t("Marks that wait for a person: {count}. Nobody can sign before.", count=draft.open_marks)
        _say(Text(warning), "✗ ", style="bold red")
    writer = t("the built-in composer") if draft.writer == "composer" else draft.writer
    _say(Text(t("Written by: {writer}.", writer=writer)), style="dim")
    if draft.model:
        _say(Text(t("Findings by: {model}.", model=draft.model)), style="dim")
    if disclaimer:
        _say(Text(t(DISCLAIMER["en"])), style="dim")


def show_sentences(sentences: Sequence[DraftSentence]) -> None:
    """Each sentence of a text, and what the grounding check says against it."""
    _show(sentences, _Evidence())


def _show(sentences: Sequence[DraftSentence], evidence: _Evidence) -> None:
    for sentence in sentences:
        if sentence.marks:
            _say(_marked(sentence), "✗ ", style="bold red")
        else:
            _say(Text(shown(sentence.text)), " " * _SENTENCE)
        reference = _leaning(sentence, evidence)
        if reference:
            _say(Text(reference), " " * _BENEATH + "↳ ", style="dim")
        for mark in sentence.marks:
            _say(_objection(sentence, mark), " " * _BENEATH + "! ", style="red")


def _sources(draft: Draft) -> list[str]:
    """The references, each once, in the order in which they are numbered: that of the sentences."""
    known = {f"{BasisKind.PASSAGE}:{passage.id}": passage.source for passage in draft.passages}
    cited = (known[name] for sentence in draft.sentences for name in sentence.evidence if name in known)
    return list(dict.fromkeys((*cited, *known.values())))


def _leaning(sentence: DraftSentence, evidence: _Evidence) -> str:
    """What a sentence leans on, by kind; an id that stands for nothing is shown as it is cited."""
    groups: dict[BasisKind | str, list[str]] = {}
    for name in sentence.evidence:
        basis = evidence.bases.get(name)
        if name in evidence.numbers:
            groups.setdefault(BasisKind.PASSAGE, []).append(f"[{evidence.numbers[name]}]")
        elif basis is None:
            groups.setdefault(f"{shown(name)} ?", [])
        else:
            groups.setdefault(basis.kind, []).extend(_named(basis, sentence))
    parts = []
    for kind, names in groups.items():
        called = word("evidence", kind) if isinstance(kind, BasisKind) else kind
        parts.append(f"{called}: {', '.join(dict.fromkeys(names))}" if names else called)
    return " · ".join(parts)


def _named(basis: Basis, sentence: DraftSentence) -> list[str]:
    """The label of a basis with its figure, its word and its side; nothing for what has no label."""
    if basis.kind not in _NAMED or basis.key == "image":
        return []
    name = shown(label_name(basis.key, language()))
    if basis.kind is not BasisKind.FINDING:
        return [name]
    if basis.side is not None:
        name += " " + word("side", basis.side)
    if basis.probability is not None:
        name += " " + t("{percent}%", percent=percent_of(basis.probability))
    if sentence.certainty is not None:
        name += f" ({word('certainty', sentence.certainty)})"
    return [name]


def _marked(sentence: DraftSentence) -> Text:
    """The sentence with the words that are objected to underlined."""
    text = Text(shown(sentence.text))
    for mark in sentence.marks:
        text.stylize("underline", mark.start, mark.end)
    return text


def _objection(sentence: DraftSentence, mark: Mark) -> Text:
    words = " ".join(shown(sentence.text[mark.start : mark.end]).split())
    reason = shown(mark.reason.in_language(language()))
    text = Text(f"“{words}”: {reason}" if words else reason)
    if mark.decision is not None:
        text.append(f" ({word('decision', mark.decision)})")
    return text


def _say(text: Text, first: str = "", *, style: str = "") -> None:
    """A text in lines that are short enough to read, `first` before it and as much room before the others."""
    width = max(_NARROWEST, min(out.width, _WIDEST) - len(first))
    for number, line in enumerate(text.wrap(out, width)):
        line.rstrip()
        out.print(
            Text(first if number == 0 else " " * len(first)).append_text(line), style=style, soft_wrap=True
        )


# `tetkik report teach`.


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


# `tetkik report check`.


_LARGEST = 1_000_000
"""Characters, and bytes of a file: a report has a few thousand."""
_LONGEST_PATH = 1000
_ENDINGS = (".txt", ".md", ".text", ".json", ".pdf", ".docx", ".doc", ".hl7", ".rtf")


def check(
    text: Annotated[
        str, argument("A report, or a text file with one, or - for the standard input.", "TEXT_OR_FILE")
    ],
    *,
    findings: Annotated[
        Path, option("What was found, as `findings predict --json` prints it.", metavar="F.json")
    ],
    prior: Annotated[
        Path | None, option("The findings of an earlier image of the same patient.", metavar="F.json")
    ] = None,
    spoken: Annotated[
        Language | None,
        option("Language of the text. Default: that of each sentence, as far as it shows.", "--language"),
    ] = None,
    as_json: AnswerAsJson = False,
) -> None:
    """Sentences that the findings do not bear out are marked; the exit status is then 1."""
    from tetkik.report.facts import facts_of, read_findings
    from tetkik.report.grounding import check_text

    earlier = None if prior is None else read_findings(prior)
    facts = facts_of(read_findings(findings), prior=earlier)
    sentences = check_text(_report(text), facts, spoken)
    if not sentences:
        raise UsageError("There is no sentence to check; give a report, or a text file with one.")
    marked = sum(bool(sentence.marks) for sentence in sentences)
    if as_json:
        print_json_line({"sentences": [_as_json(item) for item in sentences], "marked": marked})
    else:
        show_sentences(sentences)
        out.print()
        out.print(t("Sentences: {all}; marked: {marked}.", all=len(sentences), marked=marked), style="bold")
        out.print(t(DISCLAIMER["en"]), style="dim")
    if marked:
        raise typer.Exit(1)


def _as_json(sentence: DraftSentence) -> dict[str, Any]:
    language = settings().language
    return {
        "text": sentence.text,
        "marks": [
            {
                "fault": mark.fault,
                "reason": mark.reason.in_language(language),
                "start": mark.start,
                "end": mark.end,
            }
            for mark in sentence.marks
        ],
    }


def _report(text: str) -> str:
    """The text itself, or what is in the file of that name."""
    if text == "-":
        found = _decoded(sys.stdin.buffer.read(_LARGEST + 1) if sys.stdin is not None else b"", "-")
    else:
        path = _file(text)
        if path is None:
            found = text
        else:
            with path.open("rb") as file:
                found = _decoded(file.read(_LARGEST + 1), text)
    if len(found) > _LARGEST:
        raise InputError(
            "The report is too long ({count} characters at most); give one report.", count=_LARGEST
        )
    return found


def _file(text: str) -> Path | None:
    """The file that is meant; a name that cannot be anything else but is not there is an error of its own.

    A mistyped name must not be checked as a report of one word, and pass.
    """
    try:
        path = Path(text)
        if text.strip() and len(text) < _LONGEST_PATH and path.exists():
            return path
    except (OSError, ValueError):
        return None
    alone: Sequence[str] = text.split()
    if len(alone) == 1 and text.lower().endswith(_ENDINGS):
        raise InputError("There is no file {file}; check the path.", file=text)
    return None


def _decoded(content: bytes, name: str) -> str:
    if len(content) > _LARGEST:
        raise InputError("{file} is too large to be a report; give the text of one.", file=name)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("{file} is no text in UTF-8; save it as such.", file=name) from None


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
    # Before anything is printed: whoever reads the output may close it after the first lines.
    written = {} if folder is None else write_report(reported, folder, filled)
    if as_json:
        print_json_line(draft_json(reported))
    elif filled is not None:
        out.print(shown(filled, "\n"), soft_wrap=True)
    else:
        show_draft(made)
    _say_what_it_took(reported)
    if as_json:  # a pipe gets the draft alone
        for file in written:
            err.print(shown(file), style="dim", soft_wrap=True)
    elif written:
        out.print()
        out.print(t("The documents:"))
        show_files({file: meaning(file) for file in written})


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
