"""How single mentions stand to the facts: agreed or not, on which side, with which course."""

from __future__ import annotations

from tetkik.report.facts import ChangeKind, Facts
from tetkik.report.grounding.concepts import named_in
from tetkik.report.labeler import Context, Mention, Polarity
from tetkik.values import NORMAL_LABELS, Route, Side, narrower

_OPPOSITE = {Polarity.PRESENT: Polarity.ABSENT, Polarity.ABSENT: Polarity.PRESENT}


def as_image(mention: Mention, facts: Facts) -> tuple[str, Polarity]:
    """Label and polarity of a mention on this kind of image: a tumour of the chest is a mass."""
    here = "Mass" if facts.route is Route.CHEST else "No_Tumor"
    if facts.route is not None and mention.label in ("Mass", "No_Tumor") and mention.label != here:
        return here, _OPPOSITE.get(mention.polarity, mention.polarity)
    return mention.label, mention.polarity


def verdict(mention: Mention, facts: Facts, *, earlier: bool = False) -> str:
    """Whether a mention agrees with the facts: `ok`, `bad`, `unk`; `free` where it claims nothing.

    Args:
        earlier: whether it is said of the earlier image.
    """
    label, polarity = as_image(mention, facts)
    if mention.context is not Context.CURRENT:
        return "free"
    if label == "Lung_Opacity" and facts.route is Route.BRAIN_MRI:
        return "free"
    if label == "Support_Devices" and "line" in named_in(facts.question):
        return "free"
    status = status_of(label, facts)
    if label in NORMAL_LABELS:
        if polarity is Polarity.ABSENT or (polarity is Polarity.UNCERTAIN and status != "F"):
            return "bad" if status == "F" else "ok"
        return {"F": "ok", "A": "bad", "U": "bad" if facts.abnormal else "unk"}[status]
    if earlier:
        before = {facts.before[name] for name in narrower(label) if name in facts.before}
        agrees = (True in before) is (polarity is not Polarity.ABSENT)
        return "unk" if not before else "ok" if agrees else "bad"
    if status == "U":
        return "unk"
    if polarity is Polarity.UNCERTAIN:
        return "ok" if status == "F" else "bad"
    return "ok" if (status == "F") is (polarity is Polarity.PRESENT) else "bad"


def status_of(label: str, facts: Facts) -> str:
    """`F` found, `A` may be denied, `U` not known."""
    return "F" if facts.may_assert(label) else "A" if facts.may_deny(label) else "U"


def side_of(side: Side | None, label: str, facts: Facts) -> str:
    """`s` the measured side, `o` the other, `p` one of both, `u` where none was measured."""
    if side is None:
        return ""
    measured = facts.sides_of(label)
    if not measured:
        return "u"
    if side in measured or (side is Side.BOTH and {Side.LEFT, Side.RIGHT} <= measured):
        return "s"
    return "p" if Side.BOTH in measured else "o"


def change_of(label: str, facts: Facts) -> str:
    """`N` new, `P` persists, `G` gone, `B` on neither image, `x` not assessed before, `0` no earlier one."""
    if not facts.compared:
        return "0"
    kinds = {facts.changes[name] for name in narrower(label) if name in facts.changes}
    for kind, letter in ((ChangeKind.NEW, "N"), (ChangeKind.PERSISTS, "P"), (ChangeKind.GONE, "G")):
        if kind in kinds:
            return letter
    before = {facts.before[name] for name in narrower(label) if name in facts.before}
    return "x" if not before else "W" if True in before else "B"
