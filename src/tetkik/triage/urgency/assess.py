"""The urgency of a complaint."""

from __future__ import annotations

from dataclasses import dataclass

from tetkik.bundle.manifest import Task
from tetkik.bundle.store import Bundle, resolve
from tetkik.errors import BundleCorrupt
from tetkik.language import Language, translate
from tetkik.triage.linear.model import LinearModel
from tetkik.triage.urgency.rules import FLAG, Rule, RuleSet, load_rules
from tetkik.triage.urgency.symptoms import Occurrence, Reading
from tetkik.values.complaint import RedFlag, Span, Urgency, UrgencyLevel

# A linear model that has learned from complaints with a known urgency, beside the rules.
#
# Rules know the phrases of whoever wrote them. The model has read how many others tell of an emergency. It
# gets only the words that the grammar leaves standing: what is denied, long over or a relative's, it does
# not see.


LEVELS = (UrgencyLevel.KIRMIZI, UrgencyLevel.SARI, UrgencyLevel.YESIL)
"""The labels of every such model, in this order."""
LEAST_WORDS = 2
"""Of fewer words that are said of the patient and of now, the model makes nothing."""
MOST_KEEP_RED = 0.05
"""The highest `UrgencyThresholds.keep_red`: no model may doubt the rules more."""
_REASONS = {
    UrgencyLevel.KIRMIZI: "What is told resembles an emergency: see the patient now.",
    UrgencyLevel.SARI: "What is told resembles complaints that should be seen today.",
}
_LOWERED = "A sign of urgency was found, but what is told around it makes it unlikely; ask once more."


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

    def __post_init__(self) -> None:
        if not (0 <= self.keep_red <= MOST_KEEP_RED and self.keep_red <= self.red <= 1):
            raise ValueError("the thresholds of red are out of order")
        if not 0 <= self.keep_yellow <= self.yellow <= 1:
            raise ValueError("the thresholds of yellow are out of order")


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
        except (TypeError, ValueError):
            thresholds = None
        if manifest.kind != "linear" or manifest.labels != LEVELS or thresholds is None:
            raise BundleCorrupt(
                "{path} is not a model of urgency that this Tetkik can use; train it again.", path=bundle.path
            )
        return cls(LinearModel.load(bundle), thresholds)

    def weigh(
        self, reading: Reading, flags: tuple[RedFlag, ...], language: Language, *, may_lower: bool
    ) -> tuple[UrgencyLevel, tuple[RedFlag, ...]]:
        """The level and the flags, with one of the model first where it changed what the rules say.

        The flags of the rules stay as they are.
        """
        worst = max(
            (flag.level for flag in flags), key=lambda level: level.severity, default=UrgencyLevel.YESIL
        )
        standing = reading.standing()
        if len(standing) < LEAST_WORDS:
            return worst, flags
        text = " ".join([reading.text.words[index] for index in standing])
        red, yellow, _ = self.model.probabilities([text])[0].tolist()
        level = level_of(worst.severity, red, yellow, self.thresholds)
        if level is worst or (level.severity < worst.severity and not may_lower):
            return worst, flags
        reason = _REASONS[level] if level.severity > worst.severity else _LOWERED
        evidence = self.model.evidence(text, LEVELS.index(level))
        number = standing[text.count(" ", 0, evidence[0].span.start)] if evidence else standing[0]
        span = Span(*reading.text.span_of(number, number))
        flag = RedFlag(FLAG, level, translate(reason, language), span, self.model.manifest.name)
        return level, (flag, *flags)


def reason_of(level: UrgencyLevel, language: Language) -> str:
    """Why the model gave a level, as the flag of it says."""
    return translate(_REASONS.get(level, _LOWERED), language)


def standing_text(reading: Reading) -> str:
    """What the model reads of a complaint: the folded words that the grammar leaves standing."""
    return " ".join(reading.text.words[index] for index in reading.standing())


def level_of(rules: int, red: float, yellow: float, thresholds: UrgencyThresholds) -> UrgencyLevel:
    """The level from that of the rules (a severity) and the model's probabilities of red and yellow.

    The model may raise what the rules say, and lowers it by one level where it is all but sure.
    """
    if not red + yellow <= 1.001:  # NaN, too
        return LEVELS[2 - rules]
    if red >= thresholds.red or (rules == UrgencyLevel.KIRMIZI.severity and red >= thresholds.keep_red):
        return UrgencyLevel.KIRMIZI
    least = (thresholds.yellow, thresholds.keep_yellow, 0.0)[rules]
    if red + yellow >= least:
        return UrgencyLevel.SARI
    return UrgencyLevel.YESIL


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
