"""Reading a report: which findings a text asserts, denies or leaves open, and on which side.

The rules are data (`rules/tr`, `rules/en`), compiled once. `read_report` reads any text, in Turkish or
English, sentence by sentence.
"""

from __future__ import annotations

from tetkik.report.labeler.read import read_report
from tetkik.report.labeler.rules import OTHER_LABELS, Context, Mention, Polarity, SentenceReading

__all__ = ["OTHER_LABELS", "Context", "Mention", "Polarity", "SentenceReading", "read_report"]
