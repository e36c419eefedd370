"""The house style of pictures and pages. matplotlib and jinja2 are imported only where something is drawn."""

from tetkik.drawing.charts import Bar, Curve, bar_chart, curve_chart, matrix_chart
from tetkik.drawing.page import PAGE, check_target, page_environment, write_files, write_page
from tetkik.drawing.style import (
    ACCENT,
    GREY,
    INK,
    MAIN,
    PALE,
    Picture,
    axes,
    diverging,
    png,
    series_colour,
    shades,
    styled,
    wrapped,
)

__all__ = [
    "ACCENT",
    "GREY",
    "INK",
    "MAIN",
    "PAGE",
    "PALE",
    "Bar",
    "Curve",
    "Picture",
    "axes",
    "bar_chart",
    "check_target",
    "curve_chart",
    "diverging",
    "matrix_chart",
    "page_environment",
    "png",
    "series_colour",
    "shades",
    "styled",
    "wrapped",
    "write_files",
    "write_page",
]
