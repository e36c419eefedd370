"""How soon a patient should be seen: red flags found by rules in the complaint's words.

`assess` gives the urgency of one text. The rules, the symptoms and the words they are made of are plain TOML
beside this file (`rules.toml`, `symptoms.toml`); a hospital may put its own rules in their place.
"""

from __future__ import annotations

from tetkik.triage.urgency.assess import assess
from tetkik.triage.urgency.clauses import Status
from tetkik.triage.urgency.rules import Rule, RuleSet, load_rules
from tetkik.triage.urgency.symptoms import Occurrence, Reading, Recogniser

__all__ = [
    "Occurrence",
    "Reading",
    "Recogniser",
    "Rule",
    "RuleSet",
    "Status",
    "assess",
    "load_rules",
]
