"""The urgency of a complaint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tetkik.language import Language
from tetkik.triage.urgency.rule_file import load_rules
from tetkik.triage.urgency.rules import Rule, RuleSet
from tetkik.triage.urgency.symptoms import Occurrence, Reading
from tetkik.values import RedFlag, Span, Urgency, UrgencyLevel

if TYPE_CHECKING:
    from tetkik.triage.urgency.reader import UrgencyReader

_WHOLE_SPAN = 12
"""Words: symptoms of one rule further apart are shown by the first of them."""


def assess(
    text: str,
    rules: RuleSet | None = None,
    language: Language = Language.TR,
    reader: UrgencyReader | None = None,
) -> Urgency:
    """How soon the writer of a complaint should be seen, by the rules and, where given, a model beside them.

    Returns:
        The level and the rules that fired, worst first, each with its place in `text`.
    """
    rules = rules or load_rules()
    reading = rules.recogniser.read(text)
    fired = rules.matches(reading)
    flags = tuple(_flag(rule, chosen, reading, language) for rule, chosen in fired)
    if reader is not None:
        # What a hospital has signed, and what counts in a history too, no model lowers.
        may_lower = not rules.own and not any(rule.anytime for rule, _ in fired)
        return Urgency(*reader.weigh(reading, flags, language, may_lower=may_lower))
    level = max((flag.level for flag in flags), key=lambda lv: lv.severity, default=UrgencyLevel.YESIL)
    return Urgency(level, flags)


def _flag(rule: Rule, chosen: tuple[Occurrence, ...], reading: Reading, language: Language) -> RedFlag:
    first = min(o.first for o in chosen)
    last = max(o.last for o in chosen)
    if last - first > _WHOLE_SPAN:
        first, last = chosen[0].first, chosen[0].last
    reason = rule.reason_en if language is Language.EN and rule.reason_en else rule.reason
    return RedFlag(rule.id, rule.level, reason, Span(*reading.text.span_of(first, last)), rule.source)
