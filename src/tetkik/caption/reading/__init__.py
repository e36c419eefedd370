"""An evaluation in words, and as a page."""

from tetkik.caption.reading.page import write_evaluation
from tetkik.caption.reading.words import METRIC_NAMES, read

__all__ = ["METRIC_NAMES", "read", "write_evaluation"]
