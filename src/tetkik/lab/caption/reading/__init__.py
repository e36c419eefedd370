"""An evaluation in words, and as a page."""

from tetkik.lab.caption.reading.page import write_evaluation
from tetkik.lab.caption.reading.words import METRIC_NAMES, read

__all__ = ["METRIC_NAMES", "read", "write_evaluation"]
