"""Files in, one clean table out: read, make plain, mask, match labels, find duplicates, judge labels, report.

Only one row is in hand while reading; what stays in memory is the masked text of the rows kept. Every row
read is either in the clean table or in `rejected.csv` with its reason.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import numpy as np

from tetkik.errors import NO_ROOM, InputError, MissingExtra, TetkikError, UsageError, as_fault_of, file_fault
from tetkik.lab.engine.charts import axes, page_environment, styled
from tetkik.lab.engine.duplicate_texts import canonical, duplicate_texts, text_similarity
from tetkik.lab.triage.clean.read import Columns, RawRow, Reason, Repair, read_rows
from tetkik.lab.triage.clean.summary import (
    FileCount,
    LabelConflict,
    LabelCount,
    RowRef,
    Summary,
    SuspectRow,
    Suspicion,
    by_count,
)
from tetkik.lab.triage.clean.text import Departments, has_words, is_no_label, plain, tidy
from tetkik.language import Language, translate
from tetkik.privacy.rules import Personal, mask
from tetkik.statistics.intervals import Ints
from tetkik.values.common import ProgressCallback

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure


# The cleaning as one HTML page: counts before and after, the label table, conflicts, suspects, pictures.


_EXAMPLES = 15
_SHOWN_LABELS = 40
_LONGEST = 260
"""Letters of a complaint shown in an example."""


def check_report() -> None:
    """Fail before the long work where writing the page would fail after it."""
    for module, package in (("matplotlib", "matplotlib"), ("jinja2", "jinja2"), ("bs4", "beautifulsoup4")):
        if find_spec(module) is None:
            raise MissingExtra("Cleaning needs {package}; run `{extra}`.", extra="data", package=package)


def write_report(summary: Summary, path: Path, language: Language) -> None:
    """Write the page to `path`; it needs nothing beside it. Needs jinja2 and matplotlib."""
    path.write_text(render(summary, language), encoding="utf-8", errors="backslashreplace")


def render(summary: Summary, language: Language) -> str:
    return (
        _environment(language)
        .get_template("report.html.jinja")
        .render(
            s=summary,
            pictures=pictures(summary, language),
            spellings={
                label.name: [(spelled, count) for spelled, count in label.spellings if spelled != label.name]
                for label in summary.labels
            },
            empty=[label.name for label in summary.labels if not label.read],
            examples=_EXAMPLES,
            shown=_SHOWN_LABELS,
        )
    )


def _environment(language: Language) -> Environment:
    environment = page_environment("tetkik.lab.triage.clean", language)
    environment.filters["n"] = lambda value: number(value, language)
    environment.filters["share"] = lambda value, whole: f"{100 * value / whole:.1f}" if whole else "0"
    environment.filters["decimal"] = lambda text: text.replace(".", ",") if language is Language.TR else text
    environment.filters["percent"] = lambda value: (
        f"%{100 * value:.0f}" if language is Language.TR else f"{100 * value:.0f}%"
    )
    environment.filters["brief"] = lambda text: (
        text if len(text) <= _LONGEST else text[:_LONGEST].rstrip() + " …"
    )
    environment.filters["file"] = lambda source: Path(source).name
    return environment


@dataclass(frozen=True, slots=True)
class ReportPicture:
    """A picture: its title (an English template), and a data URI for each kind of page."""

    title: str
    light: str
    dark: str


@dataclass(frozen=True, slots=True)
class _Palette:
    ink: str
    muted: str
    pale: str
    main: str
    page: str


_LIGHT = _Palette("#22303c", "#8a949e", "#d9dee3", "#1f6f8b", "#ffffff")
_DARK = _Palette("#dfe5ea", "#8a96a1", "#35424d", "#5fb3cf", "#151b20")


def pictures(summary: Summary, language: Language) -> tuple[ReportPicture, ...]:
    """Every picture that the summary allows. Needs matplotlib."""
    wanted: list[tuple[str, Callable[[Summary, _Palette, Language], Figure]]] = [
        ("Rows by department, before and after", _labels),
        ("Length of the complaints kept", _lengths),
    ]
    if summary.suspects:
        wanted.append(("Suspected labels: given and suggested", _suspects))
    return tuple(
        ReportPicture(title, *(_uri(draw, summary, palette, language) for palette in (_LIGHT, _DARK)))
        for title, draw in wanted
    )


def _uri(
    draw: Callable[[Summary, _Palette, Language], Figure],
    summary: Summary,
    palette: _Palette,
    language: Language,
) -> str:
    # Glyphs as paths and fixed identifiers: the same table gives the same page everywhere.
    changes = {
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), palette.ink),
        "axes.edgecolor": palette.muted,
        "axes.facecolor": "none",
        "svg.fonttype": "path",
        "svg.hashsalt": "tetkik",
    }
    with styled(changes):
        figure = draw(summary, palette, language)
        file = io.BytesIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _labels(summary: Summary, palette: _Palette, language: Language) -> Figure:
    shown = [label for label in summary.labels if label.read or label.kept][:40][::-1]
    figure, plot = axes(9, 0.9 + 0.34 * len(shown), "constrained")
    places = np.arange(len(shown))
    read, kept = translate("read", language), translate("kept", language)
    plot.barh(places, [label.read for label in shown], 0.66, color=palette.pale, label=read)
    plot.barh(places, [label.kept for label in shown], 0.66, color=palette.main, label=kept)
    most = max((label.read for label in shown), default=1)
    for place, label in enumerate(shown):
        counts = number(label.kept, language)
        if label.kept != label.read:
            counts += " / " + number(label.read, language)
        end = max(label.read, label.kept) + most * 0.01
        plot.text(end, place, counts, va="center", fontsize=9)
    plot.set_yticks(places, [label.name[:40] for label in shown])
    plot.set_xlim(0, most * 1.16)
    plot.set_ylim(-0.6, len(shown) - 0.4)
    plot.tick_params(axis="y", length=0)
    plot.set_xticks([])
    plot.spines[["left", "bottom"]].set_visible(False)
    plot.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return figure


def _lengths(summary: Summary, palette: _Palette, language: Language) -> Figure:
    from matplotlib.ticker import MaxNLocator

    figure, plot = axes(9, 2.8, "constrained")
    last = max(20, int(np.percentile(summary.words, 99)))
    plot.hist(np.minimum(summary.words, last), bins=min(60, last), range=(0, last), color=palette.main)
    median = int(np.median(summary.words))
    plot.axvline(median, color=palette.ink, linewidth=1, linestyle=(0, (4, 3)))
    plot.annotate(
        translate("median {count} words", language, count=median),
        (median, 1),
        xycoords=("data", "axes fraction"),
        xytext=(6, 0),
        textcoords="offset points",
        va="top",
        fontsize=9,
    )
    plot.set_xlabel(translate("words (the last bar: {count} and more)", language, count=last))
    plot.xaxis.set_major_locator(MaxNLocator(integer=True))
    plot.set_yticks([])
    plot.margins(y=0.16)
    plot.spines["left"].set_visible(False)
    plot.set_xlim(0, last)
    return figure


def _suspects(summary: Summary, palette: _Palette, language: Language) -> Figure:
    from matplotlib.colors import LinearSegmentedColormap

    pairs = Counter((item.row.label, item.suggested) for item in summary.suspects)
    present = {name for pair in pairs for name in pair}
    names = [label.name for label in summary.labels if label.name in present][:25]
    counts = np.array([[pairs[given, suggested] for suggested in names] for given in names])
    figure, plot = axes(min(9, 3 + 0.6 * len(names)), 1.6 + 0.36 * len(names), "constrained")
    shades = LinearSegmentedColormap.from_list("shades", [palette.page, palette.main])
    plot.imshow(np.sqrt(counts), cmap=shades, aspect="auto")
    dark = counts > 0.4 * max(1, counts.max())
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = palette.page if dark[row, column] else palette.ink
        plot.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=8, color=colour)
    short = [name if len(name) <= 22 else name[:21] + "…" for name in names]
    plot.set_xticks(range(len(names)), short, rotation=40, ha="right", rotation_mode="anchor", fontsize=8.5)
    plot.set_yticks(range(len(names)), short, fontsize=8.5)
    plot.set_xlabel(translate("suggested", language))
    plot.set_ylabel(translate("given", language))
    plot.tick_params(length=0)
    plot.spines[:].set_visible(False)
    return figure


def number(value: int, language: Language) -> str:
    """An integer with its thousands set apart: `12.345` in Turkish, `12,345` in English."""
    grouped = f"{value:,}"
    return grouped.replace(",", ".") if language is Language.TR else grouped


_TELL_EVERY = 10_000
_LONGEST_RAW = 50
"""A raw text of this many times the longest complaint is not even cleaned."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to clean."""

    departments: Departments
    columns: Columns = field(default_factory=Columns)
    keep_duplicates: bool = False
    keep_other_labels: bool = False
    suspects: bool = True
    max_chars: int = 20_000


@dataclass(slots=True)
class _Tally:
    """Counts that grow while reading."""

    read: int = 0
    rejected: Counter[Reason] = field(default_factory=Counter)
    repairs: Counter[Repair] = field(default_factory=Counter)
    masked: Counter[Personal] = field(default_factory=Counter)
    masked_rows: int = 0
    adverts: int = 0
    by_label: Counter[str] = field(default_factory=Counter)
    spellings: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    others: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Row(RowRef):
    """A row that may be kept, with the input it belongs to."""

    file: int


def clean_files(
    paths: Sequence[Path],
    out: Path,
    report: Path,
    options: Options,
    *,
    language: Language = Language.EN,
    progress: ProgressCallback = lambda step, done, total: None,
) -> Summary:
    """Clean `paths` into the table `out`, CSV in UTF-8, with a report.

    Writes `out` (`text`, `label`, `group`, `source`, `row`) and, in the folder `report`, `report.html`,
    `rejected.csv`, `adverts.csv`, `conflicts.csv` and `suspects.csv`. Files appear only when they are whole.
    A file that could not be read is in the summary's `files` with its failure; the others are cleaned.

    Raises:
        TetkikError: no file could be read, no row is left, or `out` is one of the inputs.
    """
    _check_targets(paths, out, report)
    check_report()
    with tables(out, report) as written:
        tally = _Tally()
        rows, files = _read_all(paths, options, tally, written, progress)
        rows = _without_copies(rows, options, tally, written)
        if not tally.read:
            raise InputError(
                "{path} has no rows below its header; give files with complaints.",
                path=", ".join(map(str, paths))[:200],
            )
        if not rows:
            raise InputError(
                "None of the {count} rows is left after cleaning (most often: {reason}); check the columns "
                "and labels.",
                count=tally.read,
                reason=next(iter(by_count(tally.rejected))),
            )
        progress("near duplicates", 0, 1)
        texts = [row.text for row in rows]
        found_groups = duplicate_texts(texts)
        groups = np.unique(found_groups, return_inverse=True)[1].astype(np.int64) + 1
        progress("near duplicates", 1, 1)
        conflicts = _conflicts(rows, groups)
        found = _suspects_of_pipeline(rows, groups, options, progress)
        for row, group in zip(rows, groups.tolist(), strict=True):
            written.write("clean", row.text, row.label, group, row.source, row.number)
        _write_findings(written, conflicts, found.suspects)
        sizes, kept = np.bincount(groups), Counter(row.file for row in rows)
        summary = Summary(
            out=out,
            report=report,
            files=tuple(replace(file, kept=kept[number]) for number, file in enumerate(files)),
            read=tally.read,
            kept=len(rows),
            rejected=by_count(tally.rejected),
            repairs=by_count(tally.repairs),
            masked=by_count(tally.masked),
            masked_rows=tally.masked_rows,
            adverts=tally.adverts,
            labels=_label_counts(tally, rows, options),
            other_labels=tuple(by_count(tally.others).items()),
            groups=int((sizes > 0).sum()),
            in_groups=int(sizes[sizes > 1].sum()),
            conflicts=conflicts,
            suspects=found.suspects,
            judged=found.judged,
            agreement=found.agreement,
            words=np.array([len(text.split()) for text in texts], np.int64),
        )
        progress("report", 0, 1)
        write_report(summary, written.stage / "report.html", language)
        progress("report", 1, 1)
    return summary


def _check_targets(paths: Sequence[Path], out: Path, report: Path) -> None:
    """Fail before the long work where writing would fail after it, or would destroy an input."""
    if out.is_dir():
        raise UsageError("{path} is a folder; name a file for the clean table.", path=out)
    if report.exists() and not report.is_dir():
        raise UsageError("{path} is a file; name a folder for the report.", path=report)
    if out.exists() and any(path.exists() and path.samefile(out) for path in paths):
        raise UsageError("{path} is an input as well; write the clean table elsewhere.", path=out)


def _read_all(
    paths: Sequence[Path], options: Options, tally: _Tally, written: Tables, progress: ProgressCallback
) -> tuple[list[_Row], list[FileCount]]:
    rows: list[_Row] = []
    files: list[FileCount] = []
    for number, path in enumerate(paths):
        before = tally.read
        failure: TetkikError | None = None
        try:
            for raw in read_rows(
                path, options.columns, lambda cell: options.departments.match(cell) is not None
            ):
                tally.read += 1
                row = _kept(raw, number, options, tally, written)
                if row is not None:
                    rows.append(row)
                if tally.read % _TELL_EVERY == 0:
                    progress("reading", tally.read, None)
        except InputError as error:
            failure = error
        except OSError as error:
            if error.errno in NO_ROOM:  # for the tables, not of the input
                raise
            error.filename = error.filename or str(path)
            failure = file_fault(error)
        files.append(FileCount(str(path), tally.read - before, 0, failure))
    progress("reading", tally.read, tally.read)
    failures = [file.failure for file in files if file.failure is not None]
    if len(failures) == len(files):
        raise failures[0]
    return rows, files


def _kept(raw: RawRow, file: int, options: Options, tally: _Tally, written: Tables) -> _Row | None:
    """The row made plain and masked, or None once it is written down as rejected."""
    label = tidy(raw.label)
    department = options.departments.match(label)
    if department is not None:
        tally.by_label[department] += 1
        tally.spellings[department][label] += 1
    reason, text = raw.fault, ""
    tally.repairs.update(raw.repairs)
    if len(raw.text) > _LONGEST_RAW * options.max_chars:
        reason = Reason.TOO_LONG
    else:
        made = plain(raw.text)
        found = mask(made.text)
        text = found.text
        tally.repairs.update(made.repairs)
        tally.masked.update(found.counts)
        tally.masked_rows += bool(found.counts)
        tally.adverts += len(made.adverts)
        for advert in made.adverts:
            written.write("adverts", raw.source, raw.number, mask(advert).text)
        reason = reason or _text_fault(raw.text, text, bool(made.adverts), options)
    if reason is None and department is None:
        if is_no_label(label):
            reason = Reason.NO_LABEL
        else:
            tally.others[label[:200]] += 1
            if options.keep_other_labels:
                tally.by_label[label] += 1
                return _Row(raw.source, raw.number, label, text, file)
            reason = Reason.OTHER_LABEL
    if reason is not None:
        tally.rejected[reason] += 1
        written.write(
            "rejected", raw.source, raw.number, reason.value, label[:200], text[: options.max_chars]
        )
        return None
    assert department is not None
    return _Row(raw.source, raw.number, department, text, file)


def _text_fault(raw: str, text: str, advertised: bool, options: Options) -> Reason | None:
    if len(text) > options.max_chars:
        return Reason.TOO_LONG
    if has_words(text):
        return None
    if advertised:
        return Reason.ADVERT
    return Reason.NO_WORDS if raw.strip() else Reason.EMPTY


def _without_copies(rows: list[_Row], options: Options, tally: _Tally, written: Tables) -> list[_Row]:
    """The rows without those that repeat an earlier text under the same label."""
    if options.keep_duplicates:
        return rows
    seen: set[bytes] = set()  # digests: the texts themselves would double the memory
    kept: list[_Row] = []
    for row in rows:
        same = hashlib.blake2b(f"{row.label}\0{canonical(row.text)}".encode(), digest_size=16).digest()
        if same in seen:
            tally.rejected[Reason.DUPLICATE] += 1
            written.write("rejected", row.source, row.number, Reason.DUPLICATE.value, row.label, row.text)
        else:
            seen.add(same)
            kept.append(row)
    return kept


def _conflicts(rows: Sequence[_Row], groups: Ints) -> tuple[LabelConflict, ...]:
    """Each row of a group against the first row of every other label in it: nothing quadratic."""
    firsts: defaultdict[int, dict[str, _Row]] = defaultdict(dict)
    found: list[LabelConflict] = []
    for row, group in zip(rows, groups.tolist(), strict=True):
        for other in firsts[group].values():
            if other.label != row.label:
                found.append(LabelConflict(group, text_similarity(other.text, row.text), other, row))
        firsts[group].setdefault(row.label, row)
    return tuple(sorted(found, key=lambda pair: (-pair.similarity, pair.group)))


def _suspects_of_pipeline(
    rows: Sequence[_Row], groups: Ints, options: Options, progress: ProgressCallback
) -> Suspicion:
    if not options.suspects:
        return Suspicion((), None, 0.0)
    from tetkik.lab.triage.clean.summary import find_suspects

    return find_suspects(rows, groups, progress)


def _write_findings(
    written: Tables, conflicts: Iterable[LabelConflict], suspects: Iterable[SuspectRow]
) -> None:
    for pair in conflicts:
        sides = [(side.label, side.text, side.source, side.number) for side in (pair.left, pair.right)]
        written.write("conflicts", pair.group, f"{pair.similarity:.3f}", *sides[0], *sides[1])
    for item in suspects:
        row, own, other = item.row, f"{item.own:.4f}", f"{item.other:.4f}"
        place = (row.text, row.source, row.number)
        written.write("suspects", row.label, item.suggested, own, other, item.group, *place)


def _label_counts(tally: _Tally, rows: Sequence[_Row], options: Options) -> tuple[LabelCount, ...]:
    kept = Counter(row.label for row in rows)
    names = [
        *options.departments.names,
        *(name for name in by_count(kept) if name not in options.departments.names),
    ]
    counts = [
        LabelCount(name, tally.by_label[name], kept[name], tuple(by_count(tally.spellings[name]).items()))
        for name in names
    ]
    return tuple(sorted(counts, key=lambda count: -count.kept))


HEADERS = {
    "clean": ("text", "label", "group", "source", "row"),
    "rejected": ("source", "row", "reason", "label", "text"),
    "adverts": ("source", "row", "text"),
    "conflicts": (
        "group", "similarity",
        "label_a", "text_a", "source_a", "row_a", "label_b", "text_b", "source_b", "row_b",
    ),
    "suspects": ("label", "suggested", "p_label", "p_suggested", "group", "text", "source", "row"),
}  # fmt: skip
"""The tables of a cleaning, each `NAME.csv`, and their columns."""


class Tables:
    """Every table of one cleaning, being written in the folder `stage`."""

    def __init__(self, stage: Path, files: ExitStack) -> None:
        self.stage = stage
        self._writers = {}
        for name, header in HEADERS.items():
            file = (stage / f"{name}.csv").open("w", encoding="utf-8", errors="backslashreplace", newline="")
            self._writers[name] = csv.writer(files.enter_context(file), lineterminator="\n")
            self.write(name, *header)

    def write(self, name: str, *cells: object) -> None:
        self._writers[name].writerow(cells)


@contextmanager
def tables(out: Path, report: Path) -> Iterator[Tables]:
    """Open every table; they reach `out` and the folder `report` only where the block ends well."""
    out.parent.mkdir(parents=True, exist_ok=True)
    report.parent.mkdir(parents=True, exist_ok=True)
    with as_fault_of(report):
        stage = Path(mkdtemp(prefix=f".{report.name}.", dir=report.parent))
    try:
        with ExitStack() as files:
            yield Tables(stage, files)
        report.mkdir(exist_ok=True)
        partial = out.with_name(f".{out.name}.partial")
        shutil.move(stage / "clean.csv", partial)
        for file in stage.iterdir():
            file.replace(report / file.name)
        partial.replace(out)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
