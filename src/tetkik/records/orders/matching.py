"""Which order a study answers: matched, doubtful, or none.

Nothing is matched where one trait contradicts, where two orders or two patients fit, or where too little
agrees. An order fits by its accession number, with the patient's number or else name and date of birth; a
study without an accession number by the patient's number and name, if one open order alone is of its modality
and its day. What `slips` may be (a mistyped identity number, another surname) needs more beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import combinations

from tetkik.records.cases import patients
from tetkik.records.cases.identity_comparison import Weighed, person_from_identity, weigh_identity
from tetkik.records.cases.patients import all_records_of, survivor_of, survivors_of
from tetkik.records.database import Transaction
from tetkik.records.name_index import MOST_FOUND
from tetkik.records.orders.orders import OPEN_STATES, StoredOrder, orders_of, orders_with_accession
from tetkik.turkish import fold
from tetkik.values import Identity, OrderState
from tetkik.values.radiograph import Difference, Trait

_RADIOGRAPHS = frozenset({"CR", "DX", "DR"})
"""One kind of study: a cassette or a detector (PS3.3 C.7.3.1.1.1; DR is not of the standard, but sent)."""
_TURKISH = {"BT": "CT", "MRG": "MR", "USG": "US"}
"""What Turkish hospitals order, as scanners write it."""
_REGIONS = {
    "head": "head skull brain sinus orbit face kafa beyin kranial kranyal",
    "neck": "neck thyroid boyun tiroid",
    "chest": "chest thorax lung rib heart toraks akciger",
    "breast": "breast meme",
    "spine": "spine cspine tspine lspine lsspine sspine vertebra omurga",
    "abdomen": "abdomen liver kidney bladder batin karin",
    "pelvis": "pelvis hip kalca",
    "arm": "shoulder clavicle humerus elbow forearm wrist hand finger omuz dirsek elbilegi el",
    "leg": "femur knee leg ankle foot toe diz bacak ayak",
}
"""Parts of the body that are examined together (PS3.16 CID 4), folded; no order of one is another's."""
_REGION_OF = {word: region for region, words in _REGIONS.items() for word in words.split()}
_SIDES = {"left": "left", "sol": "left", "right": "right", "sag": "right"}
_EARLY, _LATE = timedelta(days=1), timedelta(days=30)
"""How long before and after its time an order with the accession number is answered."""
_SOON = timedelta(days=2)
"""How long after its time an order is answered by a study without an accession number."""
_MOST_WORDS = 6
"""Of a name; a longer one is no name to be sure of."""
_NUMBERS = frozenset({Trait.TCKN, Trait.NUMBER})


class Verdict(StrEnum):
    """What a study is to its order."""

    MATCHED = "matched"
    """One order fits, and nothing speaks against it."""
    DOUBTFUL = "doubtful"
    """Something does, or several fit, or too little is said: a person decides."""
    NONE = "none"
    """Nothing that we know asks for it."""


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What the files of a study say, repaired (`integrations.dicom.character_sets`)."""

    identity: Identity = field(repr=False)
    issuer: str = ""
    """Whose its Patient ID is (0010,0021), or of the sender's peer; empty where unknown."""
    accession_issuer: str = ""
    """Whose its accession number is (0008,0051), or of the sender's peer."""
    modality: str | None = None
    body_part: str | None = None
    at: datetime | None = None
    """When it was made, with the sender's clock put right."""


@dataclass(frozen=True, slots=True)
class StudyVerdict:
    """The verdict with its reasons, as a page can show them."""

    kind: Verdict
    order_id: str | None = None
    """The order that it answers; of a doubtful study the one that is nearest."""
    patient_id: str | None = None
    """Of the surviving record: of the order, or of a patient who is known by number and has no order."""
    reasons: tuple[Difference, ...] = ()
    """Where study and nearest order differ."""
    candidates: tuple[str, ...] = ()
    """Every order that might be meant, the nearest first."""


@dataclass(frozen=True, slots=True)
class ComparedOrder:
    """An order beside a study: what agrees, what contradicts, what may be a slip."""

    order: StoredOrder
    patient_id: str
    """Of the surviving record."""
    weighed: Weighed

    @property
    def reasons(self) -> tuple[Difference, ...]:
        """Everything that differs, contradictions first."""
        return (*self.weighed.differences, *self.weighed.slips)

    @property
    def fits(self) -> bool:
        """Whether nothing speaks against it that what agrees does not outweigh."""
        agreeing = self.weighed.agreeing
        return not self.weighed.differences and all(
            _forgives(agreeing, slip.trait) for slip in self.weighed.slips
        )

    @property
    def suffices(self) -> bool:
        """Whether enough agrees for nobody to be asked."""
        agreeing = self.weighed.agreeing
        numbered, named = bool(agreeing & _NUMBERS), Trait.NAME in agreeing
        if Trait.ACCESSION in agreeing:
            # An identity number has check digits: with the accession number it needs nothing else.
            return (
                Trait.TCKN in agreeing
                or (numbered and (named or Trait.BIRTH_DATE in agreeing))
                or agreeing >= {Trait.NAME, Trait.BIRTH_DATE}
            )
        return (
            self.order.state in OPEN_STATES
            and agreeing >= {Trait.MODALITY, Trait.TIME}
            and numbered
            and (named or Trait.BIRTH_DATE in agreeing)
        )

    @property
    def distance(self) -> tuple[int, int, int, str]:
        """The smaller, the nearer."""
        return (
            len(self.weighed.differences),
            -len(self.weighed.agreeing),
            len(self.weighed.slips),
            self.order.id,
        )


def match_study(tx: Transaction, facts: StudyFacts) -> StudyVerdict:
    """The verdict of a study against the orders that are known."""
    filed = replace(person_from_identity(facts.identity), issuer=facts.issuer)
    numbered = patients.find_by_number(tx, filed)
    named, all_named = _find_by_name(tx, filed.name)
    by_accession = orders_with_accession(tx, facts.identity.accession or "")
    theirs = orders_of(tx, all_records_of(tx, (*numbered, *named)))
    orders = {order.id: order for order in (*by_accession, *theirs)}
    survivors = survivors_of(tx, [order.patient_id for order in orders.values()])
    weighed = {
        patient_id: weigh_identity(patients.load_people(tx, patient_id), facts.identity, facts.issuer)
        for patient_id in dict.fromkeys((*numbered, *named, *survivors.values()))
    }
    found = [_compare(order, survivors[order.patient_id], weighed, facts) for order in orders.values()]
    meant = [one for one in found if _is_near(one)]
    # A number that is known is somebody's: an order of another patient does not fit.
    fitting = [one for one in meant if one.fits and (not numbered or one.weighed.agreeing & _NUMBERS)]
    if any(Trait.ACCESSION in one.weighed.agreeing for one in meant):
        fitting = [one for one in fitting if Trait.ACCESSION in one.weighed.agreeing]
    elif len(fitting) > 1 and all(_names_a_part(one) for one in fitting):
        fitting = [one for one in fitting if Trait.BODY_PART in one.weighed.agreeing]
    if len(fitting) == 1 and fitting[0].suffices and _is_alone(fitting[0], weighed, all_named):
        chosen = fitting[0]
        return StudyVerdict(
            Verdict.MATCHED, chosen.order.id, chosen.patient_id, chosen.reasons, (chosen.order.id,)
        )
    if meant:
        nearest = sorted(meant, key=lambda one: one.distance)
        candidates = tuple(one.order.id for one in nearest)
        return StudyVerdict(
            Verdict.DOUBTFUL, nearest[0].order.id, nearest[0].patient_id, nearest[0].reasons, candidates
        )
    return StudyVerdict(Verdict.NONE, patient_id=_known_patient(numbered, weighed))


def compare_order(tx: Transaction, order: StoredOrder, facts: StudyFacts) -> ComparedOrder:
    """An order beside a study, for whoever decides."""
    patient_id = survivor_of(tx, order.patient_id)
    patient = weigh_identity(patients.load_people(tx, patient_id), facts.identity, facts.issuer)
    return _compare(order, patient_id, {patient_id: patient}, facts)


def _compare(
    order: StoredOrder, patient_id: str, weighed: Mapping[str, Weighed], facts: StudyFacts
) -> ComparedOrder:
    patient = weighed[patient_id]
    agreeing, differences, slips = set(patient.agreeing), list(patient.differences), list(patient.slips)
    content, accession = order.content, facts.identity.accession or ""
    if accession and content.accession:
        issuers = {fold(one) for one in (content.issuer, facts.accession_issuer) if one}
        if _bare(accession) == _bare(content.accession) and len(issuers) < 2:
            agreeing.add(Trait.ACCESSION)
        else:
            differences.append(Difference(Trait.ACCESSION, accession, content.accession))
    if facts.modality and content.modality:
        if _kind_of(facts.modality) == _kind_of(content.modality):
            agreeing.add(Trait.MODALITY)
        else:
            differences.append(Difference(Trait.MODALITY, facts.modality, content.modality))
    if facts.body_part and content.body_part:
        if fold(facts.body_part) == fold(content.body_part):
            agreeing.add(Trait.BODY_PART)
        else:
            contradicts = _other_part(facts.body_part, content.body_part)
            (differences if contradicts else slips).append(
                Difference(Trait.BODY_PART, facts.body_part, content.body_part)
            )
    if facts.at is not None:
        # The number of an order that is done may have been given again.
        late = _LATE if Trait.ACCESSION in agreeing and order.state in OPEN_STATES else _SOON
        if -_EARLY <= facts.at - order.scheduled_at <= late:
            agreeing.add(Trait.TIME)
        else:
            made, due = (f"{at.astimezone():%Y-%m-%d %H:%M}" for at in (facts.at, order.scheduled_at))
            differences.append(Difference(Trait.TIME, made, due))
    if order.state is OrderState.CANCELLED:
        differences.append(Difference(Trait.STATE, "", order.state.value))
    return ComparedOrder(order, patient_id, Weighed(frozenset(agreeing), tuple(differences), tuple(slips)))


def _forgives(agreeing: frozenset[Trait], slip: Trait) -> bool:
    """Whether what agrees outweighs what may be a slip."""
    if slip is Trait.TCKN:
        return agreeing >= {Trait.ACCESSION, Trait.NAME, Trait.BIRTH_DATE}
    if slip is Trait.NAME:
        return agreeing >= {Trait.TCKN, Trait.BIRTH_DATE} or agreeing >= {
            *(Trait.NUMBER, Trait.ACCESSION, Trait.BIRTH_DATE),
        }
    return True


def _is_near(one: ComparedOrder) -> bool:
    """Whether a person would think of it: by its accession number, or an order of this kind and time."""
    agreeing = one.weighed.agreeing
    if Trait.ACCESSION in agreeing:
        return True
    differing = {difference.trait for difference in one.weighed.differences}
    named = Trait.NAME in agreeing and Trait.BIRTH_DATE not in differing
    return not differing & {Trait.MODALITY, Trait.TIME, Trait.STATE} and (named or bool(agreeing & _NUMBERS))


def _is_alone(chosen: ComparedOrder, weighed: dict[str, Weighed], all_named: bool) -> bool:
    """Whether no other patient is meant as well as that of the order.

    By a number that agrees, nobody else of that number may fit; by name and date of birth, nobody else of the
    name, and everybody of the name must have been looked at.
    """
    decisive = chosen.weighed.agreeing & _NUMBERS
    if not decisive and not all_named:
        return False
    others = (one for patient_id, one in weighed.items() if patient_id != chosen.patient_id)
    return not any(
        one.agreeing & (_NUMBERS if decisive else _NUMBERS | {Trait.NAME}) and not one.differences
        for one in others
    )


def _known_patient(numbered: Sequence[str], weighed: dict[str, Weighed]) -> str | None:
    """The one patient whose number a study has, with name or date of birth and nothing against it."""
    fitting = [one for one in numbered if not (weighed[one].differences or weighed[one].slips)]
    if len(fitting) != 1 or not weighed[fitting[0]].agreeing & {Trait.NAME, Trait.BIRTH_DATE}:
        return None
    return fitting[0]


def _find_by_name(tx: Transaction, name: str) -> tuple[tuple[str, ...], bool]:
    """Patients who have two words of a name, and whether these are all of them."""
    words = sorted(set(fold(name).split()))
    if len(words) > _MOST_WORDS:
        return (), False
    found: dict[str, None] = {}
    whole = True
    for pair in combinations(words, 2) if len(words) > 1 else [words] if words else ():
        some = tx.names.find(tx.session, pair)
        # Of those that it gave, names that were changed since are left out already.
        whole = whole and len(some) < MOST_FOUND // 2
        found |= dict.fromkeys(some)
    return tuple(dict.fromkeys(survivors_of(tx, found).values())), whole


def _bare(number: str) -> str:
    """An accession number without what one system writes and another leaves out."""
    return "".join(char for char in fold(number) if char.isalnum()).lstrip("0")


def _other_part(one: str, other: str) -> bool:
    """Whether two parts of the body are of two regions, or the left and the right one."""
    for table in (_REGION_OF, _SIDES):
        first, second = (
            {table[word] for word in fold(part).split() if word in table} for part in (one, other)
        )
        if first and second and not first & second:
            return True
    return False


def _names_a_part(one: ComparedOrder) -> bool:
    """Whether study and order both say a part of the body."""
    return Trait.BODY_PART in one.weighed.agreeing or any(
        difference.trait is Trait.BODY_PART for difference in one.reasons
    )


def _kind_of(modality: str) -> Collection[str]:
    modality = modality.strip().upper()
    modality = _TURKISH.get(modality, modality)
    return _RADIOGRAPHS if modality in _RADIOGRAPHS else {modality}
