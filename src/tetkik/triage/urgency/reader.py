"""A linear model that has learned from complaints with a known urgency, beside the rules.

Rules know the phrases of whoever wrote them. The model has read how many others tell of an emergency. It gets
only the words that the grammar leaves standing: what is denied, long over or a relative's, it does not see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tetkik.bundle import Bundle, Task, resolve
from tetkik.errors import BundleCorrupt
from tetkik.language import Language, translate
from tetkik.statistics import Floats
from tetkik.triage.linear.model import LinearModel
from tetkik.triage.urgency.symptoms import Reading
from tetkik.values import RedFlag, Span, UrgencyLevel

LEVELS = (UrgencyLevel.KIRMIZI, UrgencyLevel.SARI, UrgencyLevel.YESIL)
"""The labels of every such model, in this order."""
FLAG = "learned"
"""The id of the flag where the model alone asks for a level."""
_REASONS = {
    UrgencyLevel.KIRMIZI: "Told like an emergency, though no single rule names it: see the patient now.",
    UrgencyLevel.SARI: "Told like complaints that should be seen today, though no single rule names it.",
}


@dataclass(frozen=True, slots=True)
class UrgencyThresholds:
    """From which probability a level is given; in the manifest under the same names.

    Attributes:
        red: kırmızı, where no rule says so.
        keep_red: below it, a kırmızı of the rules comes at the level sarı.
        yellow: sarı (or worse), where no rule says so.
        keep_yellow: of sarı or worse; below it, a sarı of the rules comes at the level yeşil.
    """

    red: float = 0.42
    keep_red: float = 0.01
    yellow: float = 0.7
    keep_yellow: float = 0.15


@dataclass(frozen=True, slots=True)
class UrgencyReader:
    """A model of urgency, ready to be asked."""

    model: LinearModel
    thresholds: UrgencyThresholds

    @classmethod
    def load(cls, model: str | Bundle) -> UrgencyReader:
        """Load a model, by id, path, hub id or bundle; `BundleError` where it is damaged or not for
        urgency.
        """
        bundle = model if isinstance(model, Bundle) else resolve(model, Task.URGENCY)
        manifest = bundle.manifest
        try:
            thresholds = UrgencyThresholds(**manifest.thresholds)
        except TypeError:
            thresholds = None
        if manifest.kind != "linear" or manifest.labels != LEVELS or thresholds is None:
            raise BundleCorrupt(
                "{path} is not a model of urgency that this Tetkik can use; train it again.", path=bundle.path
            )
        return cls(LinearModel.load(bundle), thresholds)

    def probabilities(self, readings: Sequence[Reading]) -> Floats:
        """The probability of each of `LEVELS`, (readings, 3), float64."""
        return self.model.probabilities([standing_text(reading) for reading in readings]).astype(float)

    def weigh(self, reading: Reading, flags: tuple[RedFlag, ...], language: Language) -> tuple[RedFlag, ...]:
        """The flags of the rules, the worst first, with what the model makes of them."""
        red, yellow, _ = self.probabilities([reading])[0].tolist()
        worst = max((flag.level.severity for flag in flags), default=0)
        level = level_of(worst, red, yellow, self.thresholds)
        if level.severity > worst:
            return (self._flag(reading, level, language), *flags)
        if level.severity < worst:
            return tuple(replace(flag, level=min(flag.level, level, key=_severity)) for flag in flags)
        return flags

    def _flag(self, reading: Reading, level: UrgencyLevel, language: Language) -> RedFlag:
        words = reading.standing()
        text = " ".join(reading.text.words[index] for index in words)
        evidence = self.model.evidence(text, LEVELS.index(level))
        number = text.count(" ", 0, evidence[0].span.start) if evidence else 0
        place = reading.text.span_of(words[number], words[number])
        reason = translate(_REASONS[level], language)
        return RedFlag(FLAG, level, reason, Span(*place), self.model.manifest.name)


def standing_text(reading: Reading) -> str:
    """What the model reads of a complaint: the folded words that the grammar leaves standing."""
    return " ".join(reading.text.words[index] for index in reading.standing())


def level_of(rules: int, red: float, yellow: float, thresholds: UrgencyThresholds) -> UrgencyLevel:
    """The level from that of the rules (a severity) and the model's probabilities of red and yellow.

    The model may raise what the rules say, and lowers it by one level where it is all but sure.
    """
    if red >= thresholds.red or (rules == UrgencyLevel.KIRMIZI.severity and red >= thresholds.keep_red):
        return UrgencyLevel.KIRMIZI
    least = (thresholds.yellow, thresholds.keep_yellow, 0.0)[rules]
    if red + yellow >= least:
        return UrgencyLevel.SARI
    return UrgencyLevel.YESIL


def _severity(level: UrgencyLevel) -> int:
    return level.severity
