"""A synthetic database of many cases, with what the pages need: sealed identities, words, runs with scores.

Nobody in it exists. The shares are those of a hospital far behind its work: two cases in five still wait,
so that an order or a filter that walks over rows shows.
"""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table, insert, text

from tetkik.records.cases.filter_index import marks_of
from tetkik.records.cases.patients import Person
from tetkik.records.database import Records
from tetkik.records.ids import new_id
from tetkik.records.schema import (
    Assignment,
    Base,
    Case,
    CaseMark,
    Claim,
    Complaint,
    Image,
    Job,
    Note,
    Patient,
    PatientIndex,
    PoolMember,
    ReaderPool,
    Report,
    ReportVersion,
    Run,
    Score,
    SignatureRow,
    Study,
    User,
)
from tetkik.records.vault import KEY_BYTES, Vault
from tetkik.records.worklist import saved_views
from tetkik.values import (
    DEPARTMENTS,
    NIH_LABELS,
    Actor,
    Capability,
    CaseState,
    JobState,
    Method,
    Priority,
    ReportState,
    Role,
    RunState,
    Sex,
    UrgencyLevel,
    permissions_of,
)

_FIRST = (
    "Ayşe",
    "Fatma",
    "Elif",
    "Zeynep",
    "Gülçin",
    "Emine",
    "Hatice",
    "Ali",
    "Mehmet",
    "Mustafa",
    "Ahmet",
    "İbrahim",
    "Çağrı",
    "Ömer",
)
_LAST = (
    "YILMAZ",
    "KAYA",
    "DEMİR",
    "ŞAHİN",
    "ÇELİK",
    "YILDIZ",
    "AYDIN",
    "ÖZTÜRK",
    "ARSLAN",
    "DOĞAN",
    "KILIÇ",
    "ASLAN",
    "ÇETİN",
)
_WORDS = (
    "Üç gündür öksürüyorum, ateşim 38,5 ve nefes alırken sağ yanım batıyor, merdiven çıkarken tıkanıyorum.",
    "Göğsümde sabahtan beri baskı var, sol koluma vuruyor.",
    "İki haftadır geçmeyen kuru öksürük ve gece terlemesi.",
)
_STATES = {
    CaseState.SIGNED: 54,
    CaseState.CLOSED: 6,
    CaseState.TO_READ: 30,
    CaseState.WAITING: 8,
    CaseState.PROCESSING: 2,
}
_PRIORITIES = {Priority.CRITICAL: 6, Priority.URGENT: 24, Priority.ROUTINE: 70}
_URGENCY = {
    Priority.CRITICAL: UrgencyLevel.KIRMIZI,
    Priority.URGENT: UrgencyLevel.SARI,
    Priority.ROUTINE: UrgencyLevel.YESIL,
}
_MODALITIES = {"DX": 80, "CR": 16, "MR": 4}
_POSITIVE = 0.04
_CHUNK = 1000
_SEALED = 6000
"""Bytes of a draft or a signed document, which nothing here opens."""
_CLAIMED = 40
_ASSIGNED = 200
_VIEWS = {
    "CR": "modality=CR&sort=priority&columns=modality,findings",
    "Kardiyoloji": "department=Kardiyoloji&sort=-waiting&columns=modality,findings",
    "Havuzlarım": "assigned=pools&sort=priority&columns=modality,findings,assigned",
}


def fill(records: Records, cases: int, seed: int = 1) -> Actor:
    """Fill a database; gives a radiologist of it.

    Args:
        records: an empty installation.
        cases: how many.
        seed: the same makes the same data, but for its ids and keys.
    """
    chance = random.Random(seed)
    actor = _person(records, "Uzm. Dr. Deniz AKIN")
    other = _person(records, "Uzm. Dr. Barış TUNA")
    waiting: list[str] = []
    for begin in range(0, cases, _CHUNK):
        rows: dict[Any, list[dict[str, Any]]] = {}
        for number in range(begin, min(begin + _CHUNK, cases)):
            for table, row in _case(records.vault, chance, number, cases, (actor, other)):
                rows.setdefault(table, []).append(row)
        with records.write(actor) as tx:
            for table in (
                Patient,
                PatientIndex,
                Case,
                CaseMark,
                Complaint,
                Study,
                Image,
                Run,
                Score,
                Job,
                Report,
                ReportVersion,
                SignatureRow,
            ):
                if rows.get(table):
                    _add(tx.session.connection(), Base.metadata.tables[table.__tablename__], rows[table])
        waiting += [row["id"] for row in rows[Case] if row["state"] is CaseState.TO_READ]
    with records.write(actor) as tx:
        now = datetime.now(UTC)
        read = chance.sample(waiting, min(_CLAIMED, len(waiting)))
        claims = [
            {"case_id": case, "user_id": (actor, other)[place % 2].user_id, "since": now}
            | {"expires_at": now + timedelta(days=1)}
            for place, case in enumerate(read)
        ]
        tx.session.execute(insert(Claim), claims)
        pool = ReaderPool(id=new_id(), name="Toraks", created_at=now)
        tx.session.add(pool)
        tx.session.flush()
        tx.session.add(PoolMember(pool_id=pool.id, user_id=actor.user_id))
        tx.session.execute(
            insert(Assignment),
            [
                {"case_id": case, "pool_id": pool.id, "assigned_at": now}
                for case in chance.sample(waiting, min(_ASSIGNED, len(waiting)))
            ],
        )
        tx.session.add(Note(key="case number 2026", value=str(cases)))
        for name, query in _VIEWS.items():
            saved_views.save_view(tx, name, query, shared=False)
    with records.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("VACUUM ANALYZE"))
    return actor


def _add(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows into a table; on PostgreSQL by COPY, many times faster, and without a look at each reference."""
    if connection.dialect.name != "postgresql":
        connection.execute(insert(table), rows)
        return
    defaults: list[Any] = [one for one in table.columns if one.default is not None]
    filled: dict[str, Any] = {one.name: one.default.arg for one in defaults if one.default.is_scalar}
    filled |= rows[0]
    names = list(filled)
    kinds = (table.c[name].type.dialect_impl(connection.dialect) for name in names)
    convert = [kind.bind_processor(connection.dialect) for kind in kinds]
    connection.execute(text("SET LOCAL session_replication_role = replica"))
    columns = ", ".join(f'"{name}"' for name in names)
    cursor: Any = connection.connection.cursor()
    with cursor.copy(f'COPY "{table.name}" ({columns}) FROM STDIN') as copy:
        for row in rows:
            values = [row.get(name, filled[name]) for name in names]
            copy.write_row(
                [value if to is None else to(value) for value, to in zip(values, convert, strict=True)]
            )


def _person(records: Records, name: str) -> Actor:
    user_id, roles = new_id(), frozenset({Role.RADIOLOGIST})
    with records.write(Actor(None, "tetkik")) as tx:
        tx.session.add(
            User(id=user_id, login=f"u{user_id}", name=name, roles="radiologist", created_at=tx.now)
        )
    return Actor(user_id, name, roles, permissions_of(roles), method=Method.PASSWORD)


def _one(chance: random.Random, shares: dict[Any, int]) -> Any:
    return chance.choices(tuple(shares), tuple(shares.values()))[0]


def _case(
    vault: Vault, chance: random.Random, number: int, cases: int, readers: Sequence[Actor]
) -> Iterator[tuple[Any, dict[str, Any]]]:
    patient, case, complaint = new_id(), new_id(), new_id()
    state, priority = _one(chance, _STATES), _one(chance, _PRIORITIES)
    department = chance.choice(DEPARTMENTS)
    # As many days as it takes at one pace: a day holds as many cases in a small database as in a large.
    since = datetime.now(UTC) - timedelta(minutes=2 * (cases - number))
    wrapped = vault.wrap(patient, secrets.token_bytes(KEY_BYTES), vault.held.ring)
    key = vault.key(patient, wrapped)
    person = _who(chance, number)
    identity: dict[str, Any] = {"name": person.name, "tckn": person.tckn, "number": person.number}
    identity |= {"birth_date": person.birth_date, "sex": person.sex}
    packed = _json(identity)
    yield (
        Patient,
        {
            "id": patient,
            "key": wrapped,
            "identity": key.seal(packed, f"patients.identity:{patient}"),
            "created_at": since,
            "name_revision": number + 1,
        },
    )
    yield (
        PatientIndex,
        {"patient_id": patient, "kind": "number", "digest": vault.digest("number", person.number)},
    )
    yield (
        Case,
        {
            "id": case,
            "number": f"2026-{number + 1:06}",
            "patient_id": patient,
            "state": state,
            "priority": priority,
            "urgency": _URGENCY[priority],
            "department": department,
            "restricted": chance.random() < 0.01,
            "waiting_since": since,
            "created_at": since,
            "updated_at": since,
        },
    )
    words = chance.choice(_WORDS).encode()
    yield (
        Complaint,
        {
            "id": complaint,
            "case_id": case,
            "patient_id": patient,
            "text": key.seal(words, f"complaints.text:{complaint}"),
            "bundle": "triage-linear-tr 1",
            "bundle_sha256": "0" * 64,
            "urgency": _URGENCY[priority],
            "abstained": False,
            "created_at": since,
        },
    )
    if state is not CaseState.WAITING:
        yield from _image(chance, patient, case, department, state, priority, since, readers)


def _image(
    chance: random.Random,
    patient: str,
    case: str,
    department: str,
    state: CaseState,
    priority: Priority,
    since: datetime,
    readers: Sequence[Actor],
) -> Iterator[tuple[Any, dict[str, Any]]]:
    study, image, run = new_id(), new_id(), new_id()
    modality = _one(chance, _MODALITIES)
    place = {"case_id": case, "state": state, "priority": priority, "waiting_since": since}
    whose = {"case_id": case, "patient_id": patient}
    yield Study, {"id": study, "modality": modality, "created_at": since} | whose
    yield (
        Image,
        {"id": image, "study_id": study, "file": image, "size": 1, "file_format": "dicom", "rows": 1}
        | {"columns": 1, "created_at": since}
        | whose,
    )
    job = JobState.RUNNING if state is CaseState.PROCESSING else JobState.DONE
    yield (
        Job,
        {
            "id": new_id(),
            "kind": "read_image",
            "case_id": case,
            "image_id": image,
            "state": job,
            "attempts": 1,
        }
        | {"priority": priority, "created_at": since},
    )
    labels = [label for label in NIH_LABELS if chance.random() < _POSITIVE]
    if state is CaseState.PROCESSING:
        labels = []
    for mark in sorted(marks_of(labels, [modality], department)):
        yield CaseMark, place | {"mark": mark}
    if state is CaseState.PROCESSING:
        return
    yield (
        Run,
        {"id": run, "image_id": image, "capability": Capability.FINDINGS, "bundle": "findings 1"}
        | {"bundle_sha256": "0" * 64, "state": RunState.DONE, "flaws": "", "started_at": since}
        | {"finished_at": since + timedelta(seconds=1)}
        | whose,
    )
    for label in NIH_LABELS:
        positive = label in labels
        probability = chance.uniform(0.5, 0.99) if positive else chance.uniform(0, 0.5)
        yield (
            Score,
            {"run_id": run, "label": label, "score": probability, "probability": probability}
            | {"threshold": 0.5, "positive": positive},
        )
    signed = state in (CaseState.SIGNED, CaseState.CLOSED)
    report, version = new_id(), new_id()
    yield (
        Report,
        {"id": report, "study_id": study, "image_id": image, "run_id": run, "language": "tr"}
        | {"state": ReportState.FINAL if signed else ReportState.DRAFT, "writer": "composer", "revision": 1}
        | {"machine": chance.randbytes(_SEALED), "draft": None if signed else chance.randbytes(_SEALED)}
        | {"version": int(signed), "created_at": since + timedelta(seconds=2), "updated_at": since}
        | whose,
    )
    if signed:
        reader = readers[image[-1] > "G"]
        at = since + timedelta(minutes=chance.randint(3, 600))
        yield (
            ReportVersion,
            {"id": version, "report_id": report, "number": 1, "document": chance.randbytes(_SEALED)}
            | {"verification": "0" * 64, "corrected": chance.random() < 0.2, "created_at": at}
            | whose,
        )
        yield (
            SignatureRow,
            {"version_id": version, "user_id": reader.user_id, "name": reader.name, "title": "Uzm. Dr."}
            | {"registration": "1", "method": Method.PASSWORD, "digest": "0" * 64, "signed_at": at},
        )


def _who(chance: random.Random, number: int) -> Person:
    name = f"{chance.choice(_FIRST)} {chance.choice(_LAST)}"
    born = f"{chance.randint(1930, 2020)}{chance.randint(1, 12):02}{chance.randint(1, 28):02}"
    return Person(name, "", f"H-{number:07}", born, chance.choice((Sex.FEMALE, Sex.MALE)))


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()
