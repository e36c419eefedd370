"""What a report may say: the findings sorted by the right to say them, each with an id to cite.

Everything that writes (the composer, a hospital's template, a language model) and everything that checks
starts here, so that they cannot disagree about what was found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, ValidationError

from tetkik.errors import DataError
from tetkik.language import Language, Sentence
from tetkik.report.labeler.read import UNPAIRED, read_report
from tetkik.values.common import one_line
from tetkik.values.finding import Finding, FindingsResult, ThresholdOn
from tetkik.values.finding_labels import FINDING_LABELS, NORMAL_LABELS, narrower, route_of
from tetkik.values.radiograph import Flaw, Route
from tetkik.values.report import Basis, BasisKind, Certainty, ReportInput, Side

CERTAIN, PROBABLE = 0.9, 0.6
"""Where the scale of words begins, on the calibrated probability."""


def certainty_of(probability: float | None, *, graded: bool = True) -> Certainty:
    """The word for a finding that is stated; the least that can be said without a probability.

    The scale follows the proposals for radiology reports that tie few words to ranges of probability
    (Panicek and Hricak, AJR 2016, "How sure are you, doctor?"), cut down to what a calibrated model can mean.

    Args:
        graded: whether held-out precision bears the words out; where it does not, one word stands for all.
    """
    if probability is None or not graded or probability < PROBABLE:
        return Certainty.POSSIBLE
    return Certainty.CERTAIN if probability >= CERTAIN else Certainty.PROBABLE


_WORD = re.compile(r"(?!\b(?:ve|veya|plevral|and|or|a|pleural)\b)\b\w+", re.IGNORECASE)
LONGEST_QUESTION = 2000
"""Characters of a history that are read."""


class ChangeKind(StrEnum):
    """What became of a finding since an earlier image."""

    NEW = "new"
    PERSISTS = "persists"
    GONE = "gone"
    """Stated before, and its absence may be stated now."""


@dataclass(frozen=True, slots=True)
class Present:
    """A finding that a draft states, and what a sentence about it cites, with side and probability."""

    label: str
    basis: Basis
    certainty: Certainty

    @property
    def side(self) -> Side | None:
        return self.basis.side


@lru_cache(maxsize=64)
def _question(history: str) -> str:
    # Only so much is looked at: a history may be a whole record.
    line = one_line(history[: 2 * LONGEST_QUESTION])
    if len(line) <= LONGEST_QUESTION:
        return line
    return line[:LONGEST_QUESTION].rstrip() + " […]"


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a draft may rest on.

    Attributes:
        suggested: positive, but below the operating point of drafts: the reader sees them beside the draft,
            and may take them up; they are among `unproven` too.
        changes: what became of labels since the prior image, as far as the same model measured both.
    """

    route: Route | None  # what kind of image it is; None where it was refused
    present: tuple[Present, ...]
    absent: tuple[Basis, ...]
    suggested: tuple[str, ...]
    unproven: tuple[str, ...]  # assessed, neither stated nor deniable, in the order of the labels
    not_assessed: tuple[str, ...]  # labels of this route that the model was never taught
    changes: Mapping[str, ChangeKind]
    warnings: tuple[Sentence, ...]  # what the reader must know of the image
    refused: bool
    inputs: ReportInput
    model: str
    before: Mapping[str, bool] = field(default_factory=dict)
    """Of the labels that the earlier image was assessed for, whether it was found."""
    compared: bool = False  # whether an earlier image was given in which the same model assessed anything

    @property
    def question(self) -> str:
        """The history on one printable line, cut where it is no question any more."""
        return _question(self.inputs.history)

    @property
    def asked(self) -> tuple[str, ...]:
        """The findings that the history asks for by name and by nothing else, as in *Pnömoni?*.

        Anything longer is the patient's story or the referrer's: it is shown as it is, and no report has it.
        """
        asked: dict[str, None] = {}
        for part in re.findall(r"[^.!?…:;“”]+\?", self.question):
            mentions = [item for reading in read_report(part) for item in reading.mentions]
            rest = part
            for item in mentions:
                rest = rest.replace(item.words, " ", 1)
            labels = [item.label for item in mentions]
            if labels and set(labels) <= set(FINDING_LABELS) - {*NORMAL_LABELS} and not _WORD.search(rest):
                asked |= dict.fromkeys(labels)
        return tuple(asked)

    @property
    def normal(self) -> bool:
        """Whether the model calls the image normal and found nothing else."""
        return bool(self.present) and all(item.label in NORMAL_LABELS for item in self.present)

    @property
    def abnormal(self) -> tuple[Present, ...]:
        return tuple(item for item in self.present if item.label not in NORMAL_LABELS)

    @property
    def labels(self) -> frozenset[str]:
        """Every label that a sentence may be about."""
        stated = {item.label for item in self.present} | {item.key for item in self.absent}
        return frozenset(stated | {*self.unproven, *self.not_assessed, *self.changes})

    def assessed(self, label: str) -> bool:
        """Whether the model was asked for this very label."""
        return label in self.labels and label not in self.not_assessed

    def may_assert(self, label: str) -> bool:
        """Whether `label`, which may be wider than what is stated, is true of the image."""
        return any(item.label in narrower(label) for item in self.present)

    def may_suggest(self, label: str) -> bool:
        """Whether a person who states `label` has the model on their side: stated, or suggested."""
        return self.may_assert(label) or not narrower(label).isdisjoint(self.suggested)

    def may_deny(self, label: str) -> bool:
        """Whether the absence of `label` may be stated: the right to each of its parts that was assessed."""
        if self.normal and route_of(label) is Route.BRAIN_MRI:
            return True  # "No tumour" denies each tumour.
        wanted = narrower(label)
        if self.may_assert(label):
            return False
        return bool({item.key for item in self.absent} & wanted) and not wanted & set(self.unproven)

    def sides_of(self, label: str) -> set[Side]:
        """The measured sides of `label`; where it was not found itself, of what it is true of."""
        same = [item for item in self.present if item.label == label]
        found = same or [item for item in self.present if item.label in narrower(label)]
        return {item.side for item in found if item.side is not None}

    def bases(self) -> tuple[Basis, ...]:
        """Everything that a sentence may cite but passages, each once."""
        found = [item.basis for item in self.present] + list(self.absent)
        found += [Basis(BasisKind.PRIOR, label) for label in self.changes]
        if self.compared:
            found.append(Basis(BasisKind.PRIOR, "image"))
        found.append(Basis(BasisKind.TECHNIQUE, "image"))
        if self.not_assessed or self.unproven:
            found.append(Basis(BasisKind.NOT_ASSESSED, "labels"))
        if self.warnings or self.refused:
            found.append(Basis(BasisKind.QUALITY, "image"))
        if self.question:
            found.append(Basis(BasisKind.HISTORY, "text"))
        if self.inputs.caption:
            found.append(Basis(BasisKind.CAPTION, "text"))
        return tuple(dict.fromkeys(found))


def comparable(result: FindingsResult, prior: FindingsResult) -> bool:
    """Whether an earlier image says anything about the course: both of one kind, read by the same model.

    Two models, or two versions of one, have other operating points: what the one states and the other rules
    out is a difference of models.
    """
    return result.suitable and prior.suitable and result.route is prior.route and result.model == prior.model


def facts_of(
    result: FindingsResult,
    inputs: ReportInput | None = None,
    *,
    prior: FindingsResult | None = None,
) -> Facts:
    """Sort an answer by the right to say it; a `prior` one that is not comparable is left aside.

    A normal label beside something positive is dropped: a report does not contradict itself.
    """
    inputs = inputs or ReportInput()
    if prior is not None and not comparable(result, prior):
        prior = None
    sides = {label: side for label, side in inputs.sides if label not in UNPAIRED}
    assessed = [finding for finding in result.findings if finding.assessed]
    positive = {item.label for item in assessed if item.positive and item.label not in NORMAL_LABELS}
    found = [item for item in assessed if item.asserted and not (positive and item.label in NORMAL_LABELS)]
    present = tuple(
        Present(
            item.label,
            Basis(BasisKind.FINDING, item.label, item.probability, sides.get(item.label)),
            certainty_of(item.probability, graded=result.graded and not item.uncertain),
        )
        for item in sorted(found, key=_strength, reverse=True)
    )
    here = {item.label for item in present}
    names = [finding.label for finding in assessed if finding.label not in NORMAL_LABELS]
    ruled_out = {item.label for item in assessed if item.rules_out and not item.positive}
    # No pneumonia is said only where no viral one is possible either.
    deniable = [label for label in names if label in ruled_out and narrower(label) & set(names) <= ruled_out]
    absent = tuple(Basis(BasisKind.ABSENCE, label) for label in deniable)
    # What a narrower finding makes true is neither denied nor called unknown.
    stated = {label for label in names if narrower(label) & here} | set(deniable)
    silent = [item.label for item in result.findings if not item.assessed]
    return Facts(
        route=result.route if result.suitable else None,
        present=present,
        absent=absent,
        suggested=tuple(label for label in names if label in positive - here),
        unproven=tuple(label for label in names if label not in stated),
        # A chest radiograph is not silent about brain tumours: nobody looks for them there.
        not_assessed=tuple(
            label for label in silent if label not in NORMAL_LABELS and route_of(label) is result.route
        ),
        changes=dict(_changes(here, deniable, prior)),
        warnings=tuple(_warnings(inputs, result)),
        refused=not result.suitable,
        inputs=inputs,
        model=result.model,
        before={item.label: item.positive for item in prior.findings if item.assessed} if prior else {},
        compared=prior is not None,
    )


def _warnings(inputs: ReportInput, result: FindingsResult) -> Iterator[Sentence]:
    """Each once, on one line."""
    lines = (line for line in map(one_line, (*result.reasons, *result.notes)) if line)
    by_text = {item.in_language(Language.EN): item for item in (*inputs.warnings, *map(Sentence, lines))}
    yield from by_text.values()


def _strength(finding: Finding) -> float:
    return (finding.score or 0.0) if finding.probability is None else finding.probability


def _changes(
    stated: Iterable[str], denied: Iterable[str], prior: FindingsResult | None
) -> Iterator[tuple[str, ChangeKind]]:
    """Only what was measured on both sides: stated on the one, and stated or ruled out on the other."""
    before = {} if prior is None else {item.label: item for item in prior.findings if item.assessed}
    for label in stated:
        earlier = before.get(label)
        if earlier is not None and label not in NORMAL_LABELS and (earlier.asserted or earlier.rules_out):
            yield label, ChangeKind.PERSISTS if earlier.asserted else ChangeKind.NEW
    for label in denied:
        if label in before and before[label].asserted:
            yield label, ChangeKind.GONE


# Findings read back from the JSON that `findings predict --json` prints.


_LARGEST = 4_000_000
"""Bytes of a file."""
_Share = Annotated[StrictFloat | StrictInt, Field(ge=0, le=1)]
_Words = Annotated[str, Field(max_length=2000)]


class _Finite(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)


class _Finding(_Finite):
    label: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\p{C}{}<>]+$")]
    assessed: StrictBool
    score: _Share | None = None
    probability: _Share | None = None
    threshold: _Share | None = None
    threshold_on: ThresholdOn | None = None
    positive: StrictBool = False
    asserts: StrictBool = False
    rules_out: StrictBool = False
    uncertain: StrictBool = False


class _Result(_Finite):
    path: Annotated[str, Field(max_length=5000)] = ""
    route: Route | None
    suitable: StrictBool
    reasons: Annotated[tuple[_Words, ...], Field(max_length=50)] = ()
    flaws: Annotated[tuple[Flaw, ...], Field(max_length=50)] = ()
    screen: _Share | None = None
    findings: Annotated[tuple[_Finding, ...], Field(max_length=500)]
    model: Annotated[str, Field(max_length=200)] = ""
    sha256: Annotated[str, Field(max_length=128)] = ""
    degraded: StrictBool = False
    notes: Annotated[tuple[_Words, ...], Field(max_length=50)] = ()
    gated: StrictBool = True
    graded: StrictBool = False


def read_findings(path: Path) -> FindingsResult:
    """The answer to one image from a file with one JSON object; a DataError names the place of a fault."""
    with path.open("rb") as file:
        read = file.read(_LARGEST + 1)  # a pipe or a device does not say how long it is
    if len(read) > _LARGEST:
        raise DataError("{file} is too large to be the findings of one image; give that file.", file=path)
    try:
        content: Any = json.loads(read.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise DataError(
            "{file} is not one JSON object; give a line that `tetkik findings predict --json` printed.",
            file=path,
        )
    return findings_from_json(content, str(path))


def findings_from_json(content: Any, name: str) -> FindingsResult:
    """The same from parsed JSON; `name` is what a DataError calls it."""
    try:
        read = _Result.model_validate(content)
        # What was not assessed has no `asserts` of its own; `Finding` refuses it with anything else.
        findings = tuple(
            Finding(**dict(item) | ({} if item.assessed else {"asserts": None})) for item in read.findings
        )
        if len({item.label for item in findings}) != len(findings):
            raise ValueError("findings")
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"]) or "?"
        raise _impossible(name, place) from None
    except ValueError:
        raise _impossible(name, "findings") from None
    return FindingsResult(**dict(read) | {"findings": findings if read.suitable else ()})


def _impossible(name: str, place: str) -> DataError:
    return DataError(
        "{file} cannot be read as findings (at {place}); give a line that `tetkik findings predict --json` "
        "printed.",
        file=name,
        place=place,
    )
