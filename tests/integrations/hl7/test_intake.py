"""Messages of the hospital's system become patients, encounters and orders."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import hl7
import pytest
from sqlalchemy import select

from tests.integrations.hl7.messages import TCKN, adt, at, orm, person_of, taken
from tetkik.errors import RecordsError
from tetkik.integrations.hl7 import intake
from tetkik.integrations.hl7.intake import Source, take_message
from tetkik.records.audit_chain import Action
from tetkik.records.cases import cases, patients
from tetkik.records.cases.patients import Person, survivor_of
from tetkik.records.database import Records
from tetkik.records.orders import orders
from tetkik.records.schema import AuditRow, Encounter, Order, Patient, PatientLink
from tetkik.values import SYSTEM, OrderState, Sex


def count(records: Records, table: type) -> int:
    with records.read() as tx:
        return tx.count(table)


def fault(records: Records, source: Source, data: bytes) -> tuple[str, str, int]:
    """Code, place and condition of a refusal."""
    answer = take_message(records, source, data)
    assert answer.code != "AA"
    return answer.code, answer.place, answer.condition


@pytest.mark.both_databases
@pytest.mark.parametrize("version", ["2.3.1", "2.5.1"])
def test_an_admission_makes_the_patient_and_opens_the_encounter(
    both_records: Records, hbys: Source, version: str
):
    answer = take_message(both_records, hbys, adt(version=version), "10.1.2.9")
    said = hl7.parse(answer.answer.decode())
    assert str(said.segment("MSA")) == "MSA|AA|1" and str(said.segment("MSH")[12]) == version
    assert str(said.segment("MSH")[9]) == ("ACK^A01^ACK" if version == "2.5.1" else "ACK^A01")
    person = person_of(both_records, "4711")
    assert replace(person, issuer="") == Person(
        "Gülçin Işıl ŞAHİN", TCKN, "4711", "19610423", Sex.FEMALE, "+905321234567"
    )
    assert person.issuer == "HASTANE"
    with both_records.read() as tx:
        (stay,) = tx.session.scalars(select(Encounter))
        assert stay.department == "Göğüs Hastalıkları" and stay.opened_at == at("20261101120000")
        actions = set(tx.session.scalars(select(AuditRow.action)))
        assert {Action.PATIENT_RECEIVED, Action.ENCOUNTER_OPENED} <= actions
        assert tx.session.scalars(select(Patient)).one().told_at == at("20261101120000")


def test_the_same_message_again_gets_the_same_answer_and_does_nothing(records: Records, hbys: Source):
    first = take_message(records, hbys, adt())
    taken(records, hbys, adt("A08", "2", "20261101130000", name="KAYA^Gülçin"))
    # Sent again by a system that did not get the answer, with another time in the head alone.
    again = take_message(records, hbys, adt().replace(b"TETKIK||20261101120000", b"TETKIK||20261101150000"))
    assert again.again and again.answer == first.answer
    assert person_of(records, "4711").name == "Gülçin KAYA" and count(records, Encounter) == 1
    # The same number for something else is another message: counters begin anew.
    other = take_message(records, hbys, adt("A08", "1", "20261101160000", name="DEMİR^Gülçin"))
    assert not other.again and person_of(records, "4711").name == "Gülçin DEMİR"


def test_an_older_message_changes_nothing_of_a_patient(records: Records, hbys: Source):
    taken(records, hbys, adt("A08", "1", "20261101130000", name="KAYA^Gülçin"))
    taken(records, hbys, adt("A08", "2", "20261101120000"))
    assert person_of(records, "4711").name == "Gülçin KAYA"
    # Of a clock that is two hours ahead the same time is older.
    ahead = replace(hbys, peer=hbys.peer.model_copy(update={"clock_offset_minutes": 120}))
    taken(records, ahead, adt("A08", "3", "20261101140000"))
    assert person_of(records, "4711").name == "Gülçin KAYA"
    taken(records, ahead, adt("A08", "4", "20261101153000"))
    assert person_of(records, "4711").name == "Gülçin Işıl ŞAHİN"


def test_a_clock_in_the_future_does_not_shut_out_what_comes_later(records: Records, hbys: Source):
    taken(records, hbys, adt("A08", "1", "20991101130000"))
    with records.read() as tx:
        told = tx.session.scalars(select(Patient)).one().told_at
        assert told is not None and told <= tx.now


def test_what_a_message_does_not_speak_of_stays_and_what_it_deletes_goes(records: Records, hbys: Source):
    taken(records, hbys, adt(), adt("A08", "2", "20261101130000", tckn="", born=""))
    assert person_of(records, "4711").tckn == TCKN and person_of(records, "4711").birth_date == "19610423"
    taken(records, hbys, adt("A08", "3", "20261101140000", tckn="", born='""'))
    assert person_of(records, "4711").birth_date == "" and person_of(records, "4711").tckn == TCKN


def test_an_encounter_is_moved_closed_reopened_and_cancelled(records: Records, hbys: Source):
    def stay() -> Encounter:
        with records.read() as tx:
            return tx.session.scalars(select(Encounter)).one()

    taken(records, hbys, adt())
    taken(records, hbys, adt("A02", "2", "20261101130000").replace(b"PV1|1|I|1500", b"PV1|1|I|9"))
    assert stay().department is None  # a code that the mapping does not have opens nothing
    taken(records, hbys, adt("A03", "3", "20261102090000"))
    assert stay().closed_at == at("20261102090000")
    taken(records, hbys, adt("A13", "4", "20261102091000"))
    assert stay().closed_at is None
    taken(records, hbys, adt("A11", "5", "20261102092000"), adt("A05", "6", "20261102093000", visit="V78"))
    assert stay().closed_at == at("20261102092000") and count(records, Encounter) == 1


def test_the_end_that_comes_before_its_beginning_stays_the_end(records: Records, hbys: Source):
    taken(records, hbys, adt("A03", "1", "20261102090000"), adt("A01", "2", "20261101120000"))
    with records.read() as tx:
        stay = tx.session.scalars(select(Encounter)).one()
        assert stay.closed_at == at("20261102090000")


# Whose number it is


def test_a_number_whose_record_says_another_person_changes_nothing(records: Records, hbys: Source):
    taken(records, hbys, adt())
    other = adt("A08", "2", "20261101130000", name="DEMİR^Ali", born="19800101", sex="M", tckn="")
    assert fault(records, hbys, other) == ("AE", "PID-3", 204)
    assert person_of(records, "4711").name == "Gülçin Işıl ŞAHİN"
    # One thing alone is a correction: a marriage, a slip.
    taken(records, hbys, adt("A08", "3", "20261101140000", name="KAYA^Ayşe"))
    assert person_of(records, "4711").name == "Ayşe KAYA"


def other_hospital(hbys: Source) -> Source:
    return replace(hbys, peer=hbys.peer.model_copy(update={"name": "other", "issuer": "OTHER"}))


@pytest.mark.attack
def test_the_number_of_another_issuer_is_another_patient(records: Records, hbys: Source):
    other = other_hospital(hbys)
    taken(records, hbys, adt(tckn=""))
    taken(records, other, adt("A08", "1", "20261101130000", name="KAYA^Fatma", tckn="", born=""))
    with records.read() as tx:
        names = {
            source: [patients.load_person(tx, one).name for one in patients.find_by_number(tx, wanted)]
            for source in ("HASTANE", "OTHER")
            for wanted in [Person(number="4711", issuer=source)]
        }
    assert names == {"HASTANE": ["Gülçin Işıl ŞAHİN"], "OTHER": ["Fatma KAYA"]}
    # Nor does its merge reach a number that is not its own.
    taken(records, hbys, adt("A28", "2", number="500", tckn=""))
    taken(records, other, adt("A40", "3", "20261101140000", number="9", tckn="", more="MRG|500^^^X^PI"))
    assert count(records, PatientLink) == 0


@pytest.mark.attack
def test_two_people_are_not_merged(records: Records, hbys: Source):
    taken(records, hbys, adt(), adt("A28", "2", number="500", tckn="", name="DEMİR^Ali", born="", sex="M"))
    merge = adt("A40", "3", "20261101140000", more="MRG|500^^^HASTANE^PI")
    assert fault(records, hbys, merge) == ("AE", "MRG-1", 204) and count(records, PatientLink) == 0


def test_a_number_that_reception_typed_becomes_that_of_the_system(records: Records, hbys: Source):
    with records.write(SYSTEM) as tx:
        patients.create(tx, Person("Gülçin Işıl ŞAHİN", number="4711"))
    taken(records, hbys, adt())
    assert person_of(records, "4711").issuer == "HASTANE" and count(records, Patient) == 1


def test_somebody_whom_reception_registered_by_tckn_gets_the_number(records: Records, hbys: Source):
    with records.write(SYSTEM) as tx:
        known = patients.create(tx, Person("Gülçin Işıl ŞAHİN", TCKN))
    taken(records, hbys, adt())
    with records.read() as tx:
        assert patients.find_by_number(tx, Person(number="4711")) == (known,)


def test_a_second_number_of_one_person_is_a_record_of_its_own_until_it_is_merged(
    records: Records, hbys: Source
):
    taken(records, hbys, adt(), adt("A04", "2", "20261101130000", number="4712", visit="V78"))
    assert count(records, Patient) == 2
    taken(records, hbys, adt("A40", "3", "20261101140000", more="MRG|4712^^^HASTANE^PI"))
    with records.read() as tx:
        (one,) = patients.find_by_number(tx, Person(number="4711"))
        assert patients.find_by_number(tx, Person(number="4712")) == (one,)
        assert tx.session.scalars(select(PatientLink)).one().survivor_id == one


def test_after_a_merge_the_old_number_still_leads_to_the_encounter(records: Records, hbys: Source):
    taken(records, hbys, adt(), adt("A04", "2", "20261101130000", number="4712", visit="V78"))
    taken(records, hbys, adt("A40", "3", "20261101140000", more="MRG|4712^^^HASTANE^PI"))
    taken(records, hbys, adt("A40", "4", "20261101140100", more="MRG|4712^^^HASTANE^PI"))  # once is enough
    taken(records, hbys, adt("A03", "5", "20261102140000", visit="V78"))
    assert count(records, Encounter) == 2 and count(records, PatientLink) == 1
    with records.read() as tx:
        closed = tx.session.scalars(select(Encounter).where(Encounter.closed_at.is_not(None))).one()
        assert survivor_of(tx, closed.patient_id) != closed.patient_id
    assert person_of(records, "4712").number == "4711"


def test_two_identity_numbers_are_not_merged(records: Records, hbys: Source):
    taken(records, hbys, adt(), adt("A04", "2", "20261101130000", number="4712", tckn="10000000078"))
    merge = adt("A40", "3", "20261101140000", more="MRG|4712^^^HASTANE^PI")
    assert fault(records, hbys, merge)[0] == "AE" and count(records, PatientLink) == 0


def test_a_merge_of_somebody_unknown_makes_nobody(records: Records, hbys: Source):
    taken(records, hbys, adt("A40", "3", more="MRG|4712^^^HASTANE^PI"))
    assert count(records, Patient) == 1 and count(records, PatientLink) == 0


# Orders


def order_of(records: Records) -> orders.StoredOrder:
    with records.read() as tx:
        (found,) = orders.find_orders(tx, "hbys", placer_number="P1")
        return found


@pytest.mark.both_databases
def test_an_order_is_placed_changed_and_cancelled(both_records: Records, hbys: Source):
    taken(both_records, hbys, adt(), orm())
    order = order_of(both_records)
    content = order.content
    assert (content.accession, content.issuer, content.modality) == ("ACC1", "HASTANE", "DX")
    assert (content.procedure, content.question) == ("PA akciğer grafisi", "Efüzyon?")
    assert content.referrer == "Dr. Ömer ÜNSAL" and content.department == "Göğüs Hastalıkları"
    assert order.scheduled_at == at("20261101140000") and order.state is OrderState.SCHEDULED
    taken(both_records, hbys, orm("XO", "21", question="Pnömotoraks?"), orm("SC", "22", status="IP"))
    order = order_of(both_records)
    assert order.content.question == "Efüzyon?" and order.state is OrderState.ARRIVED
    taken(both_records, hbys, orm("CA", "23"), orm("NW", "24"))
    assert order_of(both_records).state is OrderState.CANCELLED and count(both_records, Order) == 1


def test_a_cancellation_that_overtakes_its_order_cancels_it(records: Records, hbys: Source):
    taken(records, hbys, orm("CA", "1"), orm("NW", "2"), orm("SC", "3", status="CM"))
    assert order_of(records).state is OrderState.CANCELLED


def test_what_an_order_says_no_more_stays(records: Records, hbys: Source):
    taken(records, hbys, orm(), orm("XO", "21", question="", accession=""))
    assert order_of(records).content.question == "Efüzyon?"
    assert order_of(records).content.accession == "ACC1"


def test_an_order_does_not_change_its_patient(records: Records, hbys: Source):
    taken(records, hbys, adt(), orm())
    other = orm("XO", "21", number="4999").replace("ŞAHİN^Gülçin".encode("iso8859_9"), b"DEMIR^Ali")
    assert fault(records, hbys, other) == ("AE", "ORC-2", 204)
    assert count(records, Patient) == 1  # the whole message is not done


def test_two_orders_of_one_message_are_two(records: Records, hbys: Source):
    second = b"ORC|NW|P2\rOBR|1|P2||PA-AKC^PA||||||||||||||ACC2\r"
    taken(records, hbys, orm() + second)
    with records.read() as tx:
        (found,) = orders.find_orders(tx, "hbys", accession="ACC2")
    assert found.content.placer_number == "P2" and found.content.question == ""
    assert order_of(records).content.question == "Efüzyon?"


def test_an_older_message_only_adds_to_an_order(records: Records, hbys: Source):
    taken(records, hbys, adt(), orm("XO", "22", at="20261101130000", question="", accession="ACC2"))
    taken(records, hbys, orm("SC", "23", at="20261101131000", question="", accession="", status="IP"))
    taken(records, hbys, orm("XO", "21", at="20261101121500"), orm("SC", "24", status="SC"))
    order = order_of(records)
    assert (order.content.accession, order.content.question) == ("ACC2", "Efüzyon?")
    assert order.state is OrderState.ARRIVED and order.told_at == at("20261101131000")


def test_an_order_whose_study_is_in_a_case_stays_completed(records: Records, hbys: Source):
    taken(records, hbys, adt(), orm())
    order = order_of(records)
    with records.write(SYSTEM) as tx:
        orders.link_case(tx, order.id, cases.open_case(tx, order.patient_id))
    taken(records, hbys, orm("SC", "21", status="CM"))
    assert order_of(records).state is OrderState.COMPLETED


@pytest.mark.attack
@pytest.mark.parametrize("moment", [b"00010101000000+0000", b"99991231235959"])
def test_a_time_that_means_none_is_left_out(records: Records, hbys: Source, moment: bytes):
    answer = take_message(records, hbys, orm().replace(b"20261101140000", moment))
    assert answer.code == "AA" and len(answer.left_out) == 1
    assert abs(order_of(records).scheduled_at - order_of(records).created_at) < timedelta(minutes=1)


# What is refused


@pytest.mark.attack
def test_a_kind_that_is_none_stays_out_of_the_log(records: Records, hbys: Source):
    answer = take_message(records, hbys, adt().replace(b"ADT^A01^ADT_A01", b"AYSE YILMAZ 1^A99"))
    assert answer.code == "AR" and answer.kind == "?"


@pytest.mark.attack
def test_a_fault_that_nobody_foresaw_is_answered_once(
    records: Records, hbys: Source, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object) -> None:
        raise ArithmeticError

    with monkeypatch.context() as patched:
        patched.setattr(intake, "_patient", broken)
        assert fault(records, hbys, adt()) == ("AE", "", 207)
    assert count(records, Patient) == 0


@pytest.mark.both_databases
def test_what_is_no_text_of_an_order_is_left_out(both_records: Records, hbys: Source):
    taken(both_records, hbys, adt(), orm().replace(b"||DX||", b"||DX\0||").replace(b"PA-AKC", b"PA\0-AKC"))
    assert order_of(both_records).content.procedure_code == "PA-AKC"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (adt().replace(b"ADT^A01^ADT_A01", b"ADT^A99"), ("AR", "MSH-9", 201)),
        (adt().replace(b"ADT^A01^ADT_A01", b"MDM^T02"), ("AR", "MSH-9", 200)),
        (adt().replace(b"|2.5.1|", b"|2.8|"), ("AR", "MSH-12", 203)),
        (adt(control=""), ("AE", "MSH-10", 101)),
        (adt(number="", tckn=""), ("AE", "PID-3", 101)),
        (adt(number='""', tckn='""'), ("AE", "PID-3", 101)),
        (adt(name=""), ("AE", "PID-5", 101)),
        (adt(visit=""), ("AE", "PV1-19", 101)),
        (adt("A40"), ("AE", "MRG-1", 101)),
        (orm("ZZ"), ("AE", "ORC-1", 103)),
        (orm(order="", accession=""), ("AE", "OBR-2", 101)),
        (orm().partition(b"ORC")[0], ("AE", "ORC", 100)),
        (adt().partition(b"PID")[0], ("AE", "PID", 100)),
        (b"PID|1", ("AR", "MSH-2", 100)),
        (b"", ("AR", "MSH-2", 100)),
        (adt() + b"bad|1\r", ("AR", "", 104)),
        (adt() + b"OBX|" * 500, ("AR", "OBX", 207)),
        (adt() + b"OBX|1\r" * 3000, ("AR", "", 207)),
        (adt() + b"OBX|" + b"x" * 4_000_000, ("AR", "", 207)),
    ],
)
def test_a_message_that_is_not_taken_says_why(
    records: Records, hbys: Source, data: bytes, expected: tuple[str, str, int]
):
    assert fault(records, hbys, data) == expected
    answer = take_message(records, hbys, data).answer.decode("utf-8", "replace")
    assert f"MSA|{expected[0]}|" in answer and f"{expected[2]}" in answer.split("\rERR|")[1]
    assert count(records, Patient) == 0


def test_a_fault_of_a_message_is_said_in_the_version_of_the_sender(records: Records, hbys: Source):
    old = take_message(records, hbys, adt(name="", version="2.3.1")).answer.decode()
    new = take_message(records, hbys, adt(name="")).answer.decode()
    assert "ERR|PID^1^5^101&Required field missing&HL70357\r" in old
    assert "ERR||PID^1^5|101^Required field missing^HL70357|E||||Hastanın adı yok.\r" in new


def test_a_wrong_tckn_is_left_out_and_the_rest_taken(records: Records, hbys: Source):
    answer = take_message(records, hbys, adt(tckn="10000000147", born="19611399"))
    assert answer.code == "AA" and answer.left_out == ("PID-3", "PID-7")
    assert person_of(records, "4711").tckn == "" and person_of(records, "4711").birth_date == ""


@pytest.mark.parametrize("declared", ["", "8859/1", "UNICODE UTF-8", "ASCII", "KLINGON"])
def test_turkish_under_a_wrong_character_set_is_repaired_by_the_setting(
    records: Records, hbys: Source, declared: str
):
    turkish = replace(hbys, peer=hbys.peer.model_copy(update={"character_set": "ISO_IR 148"}))
    taken(records, turkish, adt(codec="iso8859_9", declared=declared))
    assert person_of(records, "4711").name == "Gülçin Işıl ŞAHİN"


def test_nothing_is_acknowledged_when_the_database_is_gone(
    records: Records, hbys: Source, monkeypatch: pytest.MonkeyPatch
):
    def gone(*_: object) -> None:
        raise RecordsError("The database does not answer; nothing was written, try again in a moment.")

    monkeypatch.setattr(intake, "keep_response", gone)
    with pytest.raises(RecordsError):
        take_message(records, hbys, adt())
    monkeypatch.undo()
    assert count(records, Patient) == 0
    taken(records, hbys, adt())


def test_an_answer_is_forgotten_after_a_day(records: Records, hbys: Source):
    taken(records, hbys, adt())
    with records.write(SYSTEM) as tx:
        from tetkik.records.schema import IdempotentRequest

        tx.session.scalars(select(IdempotentRequest)).one().at = tx.now - timedelta(days=2)
    assert not take_message(records, hbys, adt()).again
