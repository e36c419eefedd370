"""The tables of the benchmarks of drift, the same for findings and triage."""

from __future__ import annotations

from collections.abc import Sequence

from figures import record
from tetkik.statistics import Movement, Stability, wilson_interval

_SPEAKS = (Stability.WATCH, Stability.SHIFTED)


def print_same_source_head() -> None:
    """Above `print_rates`."""
    print("| same source | pages | scores: watch or shifted | scores: shifted | inputs: watch or shifted |")
    print("|---|---|---|---|---|")


def print_rates(name: str, pages: Sequence[Movement], row: str = "") -> None:
    """How often pages say something, with Wilson's interval; recorded as the figure `row`, if given."""
    cells = [
        _share(sum(page.scores in _SPEAKS for page in pages), len(pages)),
        _share(sum(page.scores is Stability.SHIFTED for page in pages), len(pages)),
        _share(sum(page.seen in _SPEAKS for page in pages), len(pages)),
    ]
    print(f"| {name} | {len(pages)} | {' | '.join(cells)} |")
    if row:
        columns = ("scores: watch or shifted", "scores: shifted", "inputs: watch or shifted")
        record(row, {"pages": f"{len(pages)}", **dict(zip(columns, cells, strict=True))})


def print_other_source_head() -> None:
    """Above `print_moved`."""
    print("\n| what is sent | n | refused | scores | largest PSI | labels shifted | inputs | largest PSI |")
    print("|---|---|---|---|---|---|---|---|")


def print_moved(name: str, n: int, refused: int, moved: Movement, row: str = "") -> None:
    """What one page says; recorded as the figure `row`, if given."""
    labels = [one.shift for one in moved.labels if one.shift]
    scores = [*labels, *(one.shift for one in moved.answers if one.shift)]
    inputs = [(one.shift.psi, one.name) for one in moved.inputs if one.shift]
    cells = (
        moved.scores or "too few",
        f"{max(one.psi for one in scores):.2f}" if scores else "–",
        f"{sum(one.stability is Stability.SHIFTED for one in labels)} of {len(labels)}",
        moved.seen or "too few",
        "{:.2f} {}".format(*max(inputs)) if inputs else "–",
    )
    print(f"| {name} | {n} | {refused} | {' | '.join(cells)} |")
    if row:
        things = "departments shifted" if row.startswith("triage") else "labels shifted"
        columns = ("scores", "largest PSI of scores", things, "inputs", "largest PSI of inputs")
        record(row, {"n": f"{n:,}", **dict(zip(columns, cells, strict=True))})


def print_few_head(what: str) -> None:
    """Above `print_finds`."""
    print(f"\n| {what} | pages | scores: shifted | scores or inputs: shifted |")
    print("|---|---|---|---|")


def print_finds(name: str, pages: Sequence[Movement]) -> None:
    """How often pages say that another source is another one."""
    scores = sum(page.scores is Stability.SHIFTED for page in pages)
    either = sum(Stability.SHIFTED in (page.scores, page.seen) for page in pages)
    print(f"| {name} | {len(pages)} | {_share(scores, len(pages))} | {_share(either, len(pages))} |")


def _share(hits: int, total: int) -> str:
    found = wilson_interval(hits, total)
    assert found is not None
    return f"{hits / total:.1%} ({100 * found.low:.1f} to {100 * found.high:.1f})"
