"""Whoever got a copy of a report is told when it is amended or withdrawn."""

from __future__ import annotations

import pytest

from tests.records.kit import made_user
from tests.records.reports_kit import proof_of, sign, signed_report
from tetkik.records.people import notices
from tetkik.records.reports import signing, withdrawal
from tetkik.records.reports.deliveries import recipients_of, record_delivery
from tetkik.values import AccountChange, Role, WithdrawalReason

pytestmark = pytest.mark.both_databases


def test_each_recipient_is_told_once_of_each_change_and_acknowledges_it(both_records):
    reader = made_user(both_records, Role.RADIOLOGIST, name="Ömer Çağrı Ünsal")
    ward = made_user(both_records, Role.CLINICIAN, name="Gül Işık")
    other = made_user(both_records, Role.CLINICIAN, name="İrem Şen")
    made = signed_report(both_records, reader)
    for actor, form in ((ward, "pdf"), (ward, "hl7"), (ward, "pdf"), (reader, "pdf")):
        with both_records.write(actor) as tx:
            record_delivery(tx, made.id, 1, form)
    with both_records.write(reader) as tx:
        assert {(one.name, one.form, one.notified) for one in recipients_of(tx, made.id)} == {
            ("Dr. Gül Işık", "pdf", None),
            ("Dr. Gül Işık", "hl7", None),
            ("Dr. Ömer Çağrı Ünsal", "pdf", None),
        }
        signing.begin_amendment(tx, made.id, "Taraf düzeltildi")
        sign(tx, made.id, reader)
    with both_records.write(ward) as tx:
        (told,) = notices.list_notices(tx)
        assert (told.kind, told.what.split()[1]) == (AccountChange.REPORT_AMENDED, made.id)
        open_ones = [one.acknowledged for one in recipients_of(tx, made.id) if one.notified]
        assert open_ones == [False, False]
        notices.acknowledge(tx, told.id)
    with both_records.write(other) as tx:
        assert notices.list_notices(tx) == []
        record_delivery(tx, made.id, 2, "fhir")
    with both_records.write(reader) as tx:
        assert [one.acknowledged for one in recipients_of(tx, made.id) if one.notified] == [True, True]
        withdrawal.withdraw(tx, made.id, 2, WithdrawalReason.WRONG_TEXT, "", proof_of(reader))
    for actor, count in ((ward, 1), (other, 1), (reader, 0)):
        with both_records.read(actor) as tx:
            assert notices.count_unseen(tx) == count
            others = [one for one in recipients_of(tx, made.id) if not one.name.endswith("Ünsal")]
            assert {one.notified for one in others} == {AccountChange.REPORT_WITHDRAWN}
