"""Find a case: by the patient's name or number, by accession number, by the case's own number.

What is looked for is compared by keyed digests alone; it stands in no address, no log and no audit entry.
"""

from __future__ import annotations

from sqlalchemy import or_, select

from tetkik.records.audit_chain import Action
from tetkik.records.cases import cases, patients
from tetkik.records.database import Transaction
from tetkik.records.people.access import visible_cases
from tetkik.records.schema import Case, Study
from tetkik.records.worklist.worklist_items import WorklistItem, load_items

MOST = 50
"""Cases that a search shows; whoever sees so many says more."""
LONGEST = 120
"""Characters of what is looked for."""


def search_cases(tx: Transaction, words: str) -> tuple[WorklistItem, ...]:
    """Cases that the words lead to and the actor may see, the newest first; the trail notes the search.

    Words are a name or the beginning of one, a TCKN, a number of the hospital, an accession number, or the
    number of a case or a report. A restricted case that is not open to the actor is found by its own number
    alone: found by a name, it would tell whose it is.
    """
    words = " ".join(words[:LONGEST].split())
    found = _by_number(tx, words)
    if not found and words:
        found = tuple(item for item in _by_patient(tx, words) if not item.hidden)
    tx.audit(Action.PATIENT_SEARCHED, found=len(found))
    return found


def _by_number(tx: Transaction, words: str) -> tuple[WorklistItem, ...]:
    number = cases.number_in(words)
    if number is None:
        return ()
    return load_items(
        tx, list(tx.session.scalars(select(Case.id).where(Case.number == number, visible_cases(tx))))
    )


def _by_patient(tx: Transaction, words: str) -> tuple[WorklistItem, ...]:
    accession = tx.vault.digest("accession", words)
    studies = list(tx.session.scalars(select(Study.case_id).where(Study.accession_digest == accession)))
    people = patients.find(tx, words)
    ids = tx.session.scalars(
        select(Case.id)
        .where(or_(Case.id.in_(studies), Case.patient_id.in_(people)), visible_cases(tx))
        .order_by(Case.id.desc())
        .limit(MOST)
    )
    return load_items(tx, list(ids))
