"""What a report says of each label: the radiologist's word where they gave one, the model's where not.

Every format that codes findings starts here, so that none of them calls present what a radiologist rejected.
The model's own answer stays beside it, as the model's.
"""

from __future__ import annotations

from dataclasses import dataclass

from tetkik.values import (
    FINDING_LABELS,
    NORMAL_LABELS,
    BasisKind,
    Finding,
    Judgement,
    ReportDocument,
    Side,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """What is said of one label; whether it is there a radiologist's judgement decides, else the model."""

    label: str
    present: bool
    judgement: Judgement | None  # None where no radiologist judged it
    finding: Finding | None  # what the model said; None where it did not assess the label
    side: Side | None  # where it is, if it is there and that was measured


def statements(document: ReportDocument) -> tuple[Statement, ...]:
    """All that a document may code: what the model may say, and what a radiologist said of it or beside it.

    A signed report says of labels what a radiologist judged, and nothing else.

    Normality beside something that is there is left out, unless the radiologist rejected it: no document
    contradicts itself.
    """
    judged = {item.label: item.judgement for item in document.judgements}
    only_judged = document.signature is not None
    findings = () if document.result is None else document.result.findings
    known = {item.label: item for item in findings}
    added = [label for label in judged if label not in known]
    added.sort(key=lambda label: FINDING_LABELS.index(label) if label in FINDING_LABELS else -1)
    stated = []
    for label in (*known, *added):
        finding = known.get(label)
        if finding is not None and not finding.assessed:
            finding = None
        present = _present(finding, judged.get(label))
        if present is not None and (label in judged or not only_judged):
            side = _side(document, label) if present else None
            stated.append(Statement(label, present, judged.get(label), finding, side))
    ill = any(item.present and item.label not in NORMAL_LABELS for item in stated)
    return tuple(
        item
        for item in stated
        if not ill or item.label not in NORMAL_LABELS or item.judgement is Judgement.REJECTED
    )


def _present(finding: Finding | None, judgement: Judgement | None) -> bool | None:
    """Whether a label is there; None where nobody may say."""
    if judgement is Judgement.ADDED:
        return True
    if judgement is Judgement.REJECTED:
        return False
    if finding is None:
        return None
    if judgement is Judgement.ACCEPTED:
        return finding.positive
    return finding.asserted if finding.asserted or finding.rules_out else None


def _side(document: ReportDocument, label: str) -> Side | None:
    """Where it is, as far as the draft's evidence says."""
    wanted = (BasisKind.FINDING, label)
    return next((item.side for item in document.draft.evidence if (item.kind, item.key) == wanted), None)
