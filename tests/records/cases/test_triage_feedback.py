"""What people decided at the desk: as figures, and as a table without identity."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.records.desk import made_triaged
from tests.records.kit import made_user
from tetkik.lab.triage.data import read_complaints
from tetkik.privacy import Personal
from tetkik.records.cases import triage_feedback
from tetkik.records.cases.cases import Admission, admit
from tetkik.records.cases.patients import Person
from tetkik.records.cases.triage_feedback import (
    COLUMNS,
    Agreement,
    Feedback,
    FeedbackRow,
    export,
    without_identity,
)
from tetkik.records.schema import AuditRow, Complaint
from tetkik.statistics import wilson_interval
from tetkik.values import Role, UrgencyLevel


@pytest.fixture
def records(both_records):
    return both_records


@pytest.fixture
def decided(records):
    """Kardiyoloji four times: three followed, one corrected; Dahiliye once; once nobody chose."""
    reception = made_user(records, Role.RECEPTION)
    for named, chosen, abstain, restricted in (
        ("Kardiyoloji", "Kardiyoloji", False, False),
        ("Kardiyoloji", "Kardiyoloji", False, False),
        ("Kardiyoloji", "Kardiyoloji", True, False),
        ("Kardiyoloji", "Göğüs Hastalıkları", True, False),
        ("Dahiliye", "Dahiliye", False, True),
        ("Dahiliye", None, False, False),
        (None, "Nöroloji", True, False),
    ):
        level = UrgencyLevel.YESIL if chosen is None else UrgencyLevel.KIRMIZI
        with records.write(reception) as tx:
            admit(
                tx,
                Admission(
                    person=Person("Gülçin ŞAHİN", number="DOSYA-77"),
                    complaint=made_triaged(
                        "Ben Gülçin, Şahinin kızı, dosyam DOSYA-77", named, level, abstain
                    ),
                    department=chosen,
                    restricted=restricted,
                )
                if tx.session.scalar(select(Complaint.id).limit(1)) is None
                else Admission(
                    patient_id=tx.session.scalar(select(Complaint.patient_id).limit(1)),
                    complaint=made_triaged(
                        "Ben Gülçin, Şahinin kızı, dosyam DOSYA-77", named, level, abstain
                    ),
                    department=chosen,
                    restricted=restricted,
                ),
            )
    return reception


def test_performance_by_department(records, decided):
    with records.read() as tx:
        heart, inner = triage_feedback.performance(tx)
    assert (heart.department, heart.agreement) == ("Kardiyoloji", Agreement(4, 3, 2))
    assert heart.corrected_to == (("Göğüs Hastalıkları", 1),)
    assert heart.agreement.share == 0.75
    assert heart.agreement.interval == wilson_interval(3, 4)
    assert heart.agreement.abstention == 0.5
    assert (inner.department, inner.agreement, inner.corrected_to) == ("Dahiliye", Agreement(1, 1, 0), ())
    assert triage_feedback.overall((heart, inner)) == Agreement(5, 4, 2)


def test_performance_by_urgency(records, decided):
    with records.read() as tx:
        red, amber, green = triage_feedback.by_urgency(tx)
    assert (red.level, red.complaints, red.agreement) == (UrgencyLevel.KIRMIZI, 6, Agreement(5, 4, 2))
    assert (amber.complaints, amber.agreement.share, amber.agreement.interval) == (0, None, None)
    assert (green.complaints, green.agreement) == (1, Agreement())


def test_performance_within_a_time(records, decided):
    with records.read() as tx:
        later, earlier = tx.now + timedelta(days=1), tx.now - timedelta(days=1)
        assert triage_feedback.performance(tx, since=later) == ()
        assert triage_feedback.performance(tx, until=earlier) == ()
        assert len(triage_feedback.performance(tx, earlier, later)) == 2


def test_the_table_trains_and_tells_nobody(records, decided, tmp_path):
    with records.write(decided) as tx:
        found = export(tx)
    assert (len(found.rows), found.restricted, found.erased) == (5, 1, 0)
    assert found.masked[Personal.NAME] == 10 and found.masked[Personal.TCKN] == 5
    text = found.as_csv()
    assert not any(word in text.lower() for word in ("gülçin", "şahin", "dosya-77"))
    table = list(csv.DictReader(io.StringIO(text)))
    assert tuple(table[0]) == COLUMNS
    assert [row["agreed"] for row in table] == ["yes", "yes", "yes", "no", "no"]
    assert table[3]["label"] == "Göğüs Hastalıkları" and table[4]["department_model"] == ""
    assert len(table[0]["date"]) == len("2026-11")
    path = tmp_path / "feedback.csv"
    path.write_text(text, "utf-8")
    read = read_complaints(path)
    assert list(read.labels) == [row["label"] for row in table]
    with records.read() as tx:
        last = tx.session.scalars(select(AuditRow).order_by(AuditRow.seq.desc())).first()
        assert last is not None and last.action == "feedback.exported"
        assert json.loads(last.content or "")["detail"] == {
            "what": "triage", "rows": 5, "restricted": 1, "erased": 0,
        }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "person", "clean"),
    [
        ("Ayşe'nin başı ağrıyor", Person("AYŞE Kaya"), "[AD]'nin başı ağrıyor"),
        ("AYSE KAYAYA söyleyin", Person("Ayşe Kaya"), "[AD] [AD] söyleyin"),
        ("kayak yaparken düştüm", Person("Ayşe Kaya"), "kayak yaparken düştüm"),
        ("İbrahim'in tansiyonu 1204", Person("ibrahim", number="1204"), "[AD]'in tansiyonu [TCKN]"),
        ("vitamin B1204 aldı", Person(number="1204"), "vitamin B1204 aldı"),
        ("kimliğim 100 000 001 46", Person(), "kimliğim [TCKN]"),
        ("adı yok", Person("Al"), "adı yok"),
    ],
)
def test_what_is_known_of_the_patient_goes(text, person, clean):
    assert without_identity(text, person)[0] == clean


def test_no_cell_begins_a_formula():
    green = UrgencyLevel.YESIL
    row = FeedbackRow("=HYPERLINK()", "Dahiliye", None, green, green, None, "", "2026-11", "m 1")
    (read,) = csv.DictReader(io.StringIO(Feedback((row,), {}, 0, 0).as_csv()))
    assert read["text"] == "'=HYPERLINK()"
