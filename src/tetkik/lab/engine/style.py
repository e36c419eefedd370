"""How every picture looks: calm, with Turkish letters, readable at a glance; and a picture as PNG."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, PALE = "#22303c", "#8a949e", "#d9dee3"
MAIN, ACCENT = "#1f6f8b", "#d1603d"
_STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib and has ğ, ş, ı, İ
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
_DPI = 144
_WRAP = 18
"""Characters of a label on one line."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture: its file name, its title (an English template) and its bytes (PNG)."""

    name: str
    title: str
    png: bytes


@contextmanager
def styled(changes: Any = MappingProxyType({})) -> Iterator[None]:
    """One style for what is drawn within the block; `changes` of it by the names of matplotlib's rcParams."""
    import matplotlib as mpl

    with mpl.rc_context():
        # A user's matplotlibrc must not change the pictures.
        mpl.rcdefaults()
        mpl.rcParams.update({**_STYLE, **changes})
        yield


def png(figure: Figure) -> bytes:
    """`figure` as PNG; the same figure gives the same bytes with the same matplotlib."""
    buffer = io.BytesIO()
    # No software version in the file.
    figure.savefig(buffer, format="png", dpi=_DPI, bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()


def axes(width: float, height: float, layout: Literal["constrained"] | None = None) -> tuple[Figure, Axes]:
    """A figure of `width` by `height` inches with one pair of axes."""
    # Not pyplot: it keeps figures alive and chooses a backend of its own.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)
    return figure, figure.add_subplot()


def wrapped(label: str) -> str:
    """`label` on lines short enough for the edge of a matrix."""
    return "\n".join(textwrap.wrap(label, _WRAP, break_long_words=False))


def shades() -> Any:
    """A colour map from nearly white to a dark blue."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("tetkik", ["#f4f6f8", "#9cc5d3", MAIN, "#0d3b4c"])


def diverging() -> Any:
    """A colour map from orange (less) over nearly white to blue (more)."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(
        "tetkik_diverging", [ACCENT, "#f6d9cd", "#f4f6f8", "#9cc5d3", MAIN]
    )


def series_colour(place: int) -> str:
    """The colour of the `place`th of several series (ten, then again)."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return to_hex(colormaps["tab10"](place % 10))
