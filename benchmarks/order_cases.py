"""Verdicts of studies against orders, in cases that somebody wrote who knew nothing of the rules.

    python benchmarks/order_cases.py [--half odd]

`order_cases.json` holds 120 cases, each with the orders of a hospital, a study, and the verdict that a
careful head of radiology would give, fixed before anything ran. Cases with odd numbers are for mending the
rules; those with even numbers judge them. A study is matched wrongly where its verdict names an order that is
not the writer's, also where the writer wants a person to look.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

from figures import judged, record
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.database import Records
from tetkik.records.orders.matching import StudyFacts, Verdict, match_study
from tetkik.records.orders.orders import OrderContent, cancel_order, place_order
from tetkik.records.schema import Order
from tetkik.statistics.intervals import wilson_interval
from tetkik.values import SYSTEM, Identity, OrderState, Sex

REACH = 0.95
_HERE = ZoneInfo("Europe/Istanbul")
_CASES = Path(__file__).with_name("order_cases.json")
_SEX = {"F": Sex.FEMALE, "M": Sex.MALE, "O": Sex.OTHER}


def verdict(case: dict[str, Any]) -> tuple[Verdict, int | None, str]:
    """What the rules say of a case: the verdict, which of its orders, and the reasons."""
    with TemporaryDirectory() as folder:
        records = Records(f"sqlite:///{folder}/tetkik.db", Path(folder))
        people: dict[int, str] = {}
        ids: list[str] = []
        with records.write(SYSTEM) as tx:
            for order in case["orders"]:
                if order["patient"] not in people:
                    people[order["patient"]] = patients.create(
                        tx,
                        Person(
                            order["name"],
                            order["tckn"],
                            order["number"],
                            order["birth_date"],
                            _SEX.get(order["sex"]),
                            issuer=order["issuer"],
                        ),
                    )
                content = OrderContent(
                    order["accession"],
                    order["issuer"],
                    modality=order["modality"],
                    body_part=order["body_part"],
                    department=order["department"],
                    scheduled_at=_at(order["scheduled"]),
                )
                ids.append(place_order(tx, people[order["patient"]], content, "hbys"))
                if order["state"] == "cancelled":
                    cancel_order(tx, ids[-1])
                elif order["state"] == "completed":
                    tx.session.get_one(Order, ids[-1]).state = OrderState.COMPLETED
        with records.read() as tx:
            found = match_study(tx, _facts(case["study"]))
        records.close()
    return found.kind, ids.index(found.order_id) if found.order_id in ids else None, str(found.reasons)


def _facts(study: dict[str, str]) -> StudyFacts:
    identity = Identity(
        study["tckn"] or study["number"] or None,
        study["name"] or None,
        study["birth_date"] or None,
        _SEX.get(study["sex"]),
        accession=study["accession"] or None,
    )
    made = _at(study["study_time"])
    return StudyFacts(identity, study["issuer"], study["issuer"], study["modality"], study["body_part"], made)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=_HERE)


def main() -> None:
    """Print each case that differs, and the figures of one half."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--half", choices=("even", "odd"), default="even")
    chosen = parser.parse_args()
    cases = [case for case in json.loads(_CASES.read_text()) if case["id"] % 2 == (chosen.half == "odd")]
    tally: Counter[str] = Counter()
    for case in cases:
        kind, order, reasons = verdict(case)
        matched, true = kind is Verdict.MATCHED, case["verdict"] == "matched"
        right = matched and order == case["order"]
        tally["true"] += true
        tally["right"] += true and right
        tally["wrong"] += matched and not right
        tally["same"] += kind.value == case["verdict"] and (right or not true)
        if kind.value != case["verdict"] or (true and not right):
            said = f"{case['verdict']} {case['order']} -> {kind.value} {order}"
            print(f"{case['id']:>4} {said}: {case['note']} {reasons}")
    bounds = wilson_interval(tally["right"], tally["true"])
    print(f"matched wrongly {tally['wrong']} of {len(cases)}")
    interval = f" ({bounds.low:.2f} to {bounds.high:.2f})" if bounds else ""
    print(f"true ones matched {tally['right']} of {tally['true']}{interval}")
    print(f"the writer's verdict {tally['same']} of {len(cases)}")
    if chosen.half == "even" and bounds:
        share = tally["right"] / tally["true"]
        said = f"{share:.0%} ({100 * bounds.low:.0f} to {100 * bounds.high:.0f})"
        wrong = judged(str(tally["wrong"]), met=not tally["wrong"])
        record("order-matching/judges-wrong", {"reached": wrong, "n": str(len(cases))})
        true = {"reached": judged(said, met=share >= REACH), "n": str(tally["true"])}
        record("order-matching/judges-true", true)


if __name__ == "__main__":
    main()
