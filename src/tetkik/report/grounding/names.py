"""The names of what a model assesses, where they stand in a text as they are printed.

The labeler knows the shared labels in all their wordings. A model may have labels of its own, which a draft
names as the model spells them: those are found word for word.
"""

from __future__ import annotations

from tetkik.language import Language
from tetkik.report.facts import Facts
from tetkik.turkish import flat
from tetkik.values import FINDING_LABELS, label_name


def own_names(text: str, facts: Facts, language: Language) -> dict[str, tuple[int, int]]:
    """The labels beyond the shared ones that `text` names, with the place of the first time."""
    own = facts.labels - set(FINDING_LABELS)
    plain = flat(text) if own else ""
    found = {}
    for label in sorted(own):
        for name in (label_name(label, language), label.replace("_", " ")):
            place = plain.find(flat(name))
            if place >= 0:
                found[label] = (place, place + len(name))
                break
    return found
