"""What comes once a study was decided, fetched, moved or rejected: nothing is lost, nothing unread."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO

import pytest
from pydicom import dcmread
from sqlalchemy import select

from tests.integrations.dicom.importing import AT, AYSE, PEER, Hospital, a_file, decoders, hospital
from tests.patience import PATIENCE
from tests.records.kit import made_user
from tests.records.moving_kit import GULCIN, made_patient, moved
from tetkik.integrations.dicom import priors, query
from tetkik.integrations.dicom.query import FoundStudy
from tetkik.integrations.dicomweb import DicomwebError
from tetkik.integrations.importing import Importer
from tetkik.integrations.listening import imported
from tetkik.integrations.systems import Configuration, HospitalSystem
from tetkik.records.images import images, received_decisions, receiving
from tetkik.records.orders import orders
from tetkik.records.schema import Case, Image, Job, Order
from tetkik.settings import Settings
from tetkik.values import SYSTEM, CaseState, OrderState, ReceivedState, RemovalReason, Role
from tetkik.workflow import image_removal

YESTERDAY = AT - timedelta(days=1)
PACS = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 1, "priors": True}


@pytest.fixture
def one(tmp_path):
    with hospital(tmp_path) as made:
        yield made


def uids(content: bytes) -> tuple[str, str]:
    dataset = dcmread(BytesIO(content), stop_before_pixels=True)
    return str(dataset.StudyInstanceUID), str(dataset.SOPInstanceUID)


def changed(content: bytes) -> bytes:
    """Another file under the same SOP Instance UID."""
    dataset, target = dcmread(BytesIO(content)), BytesIO()
    dataset.ImageComments = "x"
    dataset.save_as(target)
    return target.getvalue()


def fetched(made: Hospital, content: bytes) -> None:
    """A study that an archive was asked for, after another one of the patient."""
    made.arrive(a_file(1))
    made.look(61)
    with made.records.write(SYSTEM) as tx:
        assert receiving.expect_prior(tx, uids(content)[0], made.study().patient_id or "", "pacs")
    made.now = max(made.now, of_prior(made, content).last_at)  # the records have a clock of their own


def of_prior(made: Hospital, content: bytes) -> receiving.ReceivedView:
    with made.records.read() as tx:
        found = receiving.find_received(tx, uids(content)[0])
    assert found is not None
    return found


def test_an_ordered_study_is_read_though_it_was_asked_for_as_an_earlier_one(one):
    one.order()
    order_id = one.order(accession="DENEME-B2")
    second = a_file(1, key="B2")
    fetched(one, second)
    one.arrive(second)
    one.look(61)
    study = of_prior(one, second)
    assert (study.state, study.prior_of, study.order_id) == (ReceivedState.IMPORTED, None, order_id)
    with one.records.read() as tx:
        assert tx.session.get_one(Case, study.case_id).state is CaseState.PROCESSING
        assert tx.session.get_one(Order, order_id).state is OrderState.COMPLETED
        assert tx.count(Job) == 2


@pytest.mark.parametrize(("date", "relevant"), [("20251119", True), ("20261120", False), ("", False)])
def test_no_study_of_the_same_day_is_fetched_as_an_earlier_one(one, date, relevant):
    one.order()
    one.arrive(a_file(1))
    one.look(61)
    found = FoundStudy("2.25.1", "4711", "YILDIZ^AYŞE", "19800101", "", date, ("DX",), "", 1)
    assert priors.is_relevant(found, one.study()) is relevant


def test_a_study_that_the_archive_does_not_send_can_be_asked_for_again(one, monkeypatch):
    one.order()
    one.arrive(a_file(1))
    one.look(61)
    found = FoundStudy("2.25.1", "4711", "YILDIZ^AYŞE", "19800101", "", "20251119", ("DX",), "", 1)
    monkeypatch.setattr(query, "find_studies", lambda *_: (found,))
    monkeypatch.setattr(query, "move_study", lambda *_: False)
    systems = Configuration.model_validate({"listen": {}, "peer": [PEER, PACS]})
    archives = priors.Archives(one.records, systems, Settings(), one.spool)
    assert archives.ask(YESTERDAY) == 0
    assert one.study().prior_of is None
    assert priors.find_unasked(one.records, systems, YESTERDAY)
    monkeypatch.setattr(query, "move_study", lambda *_: True)
    assert archives.ask(YESTERDAY) == 1
    assert not priors.find_unasked(one.records, systems, YESTERDAY)


def test_of_a_study_that_fails_half_way_what_came_is_no_strangers(one, monkeypatch):
    """The archive went away in the middle; a study of which nothing came is asked for again."""
    one.order()
    one.arrive(a_file(1))
    one.look(61)
    half, none = a_file(1, key="P1", year="2024"), a_file(1, key="P2", year="2023")
    found = [
        FoundStudy(uids(one)[0], "4711", "YILDIZ^AYŞE", "19800101", "", date, ("DX",), "", 2)
        for one, date in ((half, "20241120"), (none, "20231120"))
    ]
    web = PACS | {"host": None, "ae_title": None, "dicomweb": "https://pacs.local", "allow": []}
    systems = Configuration.model_validate({"listen": {}, "peer": [PEER, web]})
    asked: list[str] = []

    def fetch(_systems: object, _peer: object, uid: str, *more: object) -> int:
        asked.append(uid)
        one.arrive(half if uid == found[0].study_uid else none, peer="pacs")
        if len(asked) == 1:
            raise DicomwebError("away")
        return 1

    monkeypatch.setattr(priors, "find_studies", lambda *_: tuple(found))
    monkeypatch.setattr(priors, "fetch_study", fetch)
    archives = priors.Archives(one.records, systems, Settings(), one.spool)
    restarted = Importer(one.records, Settings(), systems, one.spool, decoders(), lambda: one.now)
    restarted._has_archives = False  # asked by hand
    assert archives.ask(YESTERDAY) == 0
    restarted.run_once()
    assert [item.refused for item in one.studies()] == [0, 0, 0]
    assert of_prior(one, half).files == 1
    assert archives.ask(YESTERDAY) == 1
    assert asked == [item.study_uid for item in found]
    assert not priors.find_unasked(one.records, systems, YESTERDAY)
    restarted.close()


def test_an_archive_that_was_away_is_asked_again_and_one_that_answered_is_not(one, monkeypatch):
    one.order()
    one.arrive(a_file(1))
    one.look(61)
    other = PACS | {"name": "other", "ae_title": "OTHER"}
    systems = Configuration.model_validate({"listen": {}, "peer": [PEER, PACS, other]})
    away, asked = {"pacs"}, []

    def find(_: object, peer: HospitalSystem, *more: object) -> tuple[FoundStudy, ...]:
        asked.append(peer.name)
        if peer.name in away:
            raise query.Unanswered("away")
        return ()

    monkeypatch.setattr(query, "find_studies", find)
    restarted = Importer(one.records, Settings(), systems, one.spool, decoders(), lambda: one.now)
    for _ in range(2):
        restarted._priors_at = 0.0  # minutes later
        restarted.run_once()
        assert restarted._priors is not None
        restarted._priors.result(PATIENCE)
        left = [
            peer.name for _, peers in priors.find_unasked(one.records, systems, YESTERDAY) for peer in peers
        ]
        assert left == list(away)
        away.clear()
    restarted.close()
    assert asked == ["pacs", "other", "pacs"] and priors.find_unasked(one.records, systems, YESTERDAY) == ()


def test_what_was_refused_as_an_earlier_study_is_a_persons_once_it_is_sent(one):
    one.order()
    fetched(one, a_file(1, key="B2"))
    one.arrive(a_file(1, key="B2", birth_date=""))
    one.look(61)
    assert of_prior(one, a_file(1, key="B2")).state is ReceivedState.REJECTED
    one.arrive(a_file(2, key="B2"))
    one.look(61)
    study = of_prior(one, a_file(1, key="B2"))
    assert (study.state, study.prior_of, study.files) == (ReceivedState.DOUBTFUL, None, 2)


def test_a_late_image_of_a_rejected_study_waits_for_a_person(one):
    one.arrive(a_file(1))
    one.look(61)
    with one.records.write(SYSTEM) as tx:
        received_decisions.reject(tx, one.study().id, RemovalReason.TEST)
    one.order()
    one.arrive(a_file(2))
    one.look(61)
    one.look(6000)
    assert (one.study().state, one.study().imported) == (ReceivedState.DOUBTFUL, 0)


def test_an_image_that_was_taken_out_of_its_case_is_set_aside_when_it_comes_again(one):
    one.order()
    one.arrive(a_file(1))
    one.look(61)
    with one.records.write(SYSTEM) as tx:
        (image,) = images.list_images(tx, one.study().case_id)
        image_removal.remove_image(tx, image.id, RemovalReason.TEST)
    one.look(61)
    one.arrive(a_file(1))
    one.look(61)
    with one.records.read() as tx:
        assert len(receiving.refused_files(tx, one.study().id)) == 1
    assert one.spooled() == 1 and not any(imported(one.records, [uids(a_file(1))[1]]).values())
    one.arrive(a_file(2))
    one.look(61)
    one.look(61)  # another file that is settled makes nothing new of it
    assert (one.study().files, one.study().imported, one.study().refused) == (2, 1, 1)
    with one.records.write(SYSTEM) as tx:
        image_removal.restore_image(tx, image.id)
    one.arrive(a_file(1))
    one.look(61)
    one.look(61)
    assert (one.study().files, one.study().imported, one.study().refused) == (2, 2, 0)


def test_a_changed_duplicate_does_not_make_a_study_complete(tmp_path):
    with hospital(tmp_path) as made:
        made.order()
        made.arrive(a_file(1), changed(a_file(1)))
        made.look()
        with made.records.write(SYSTEM) as tx:
            receiving.note_expected(tx, made.study().id, 2)
        made.look()
        assert made.study().state is ReceivedState.RECEIVING
        made.arrive(a_file(2))
        made.look()
        assert made.study().state is ReceivedState.IMPORTED


@pytest.mark.both_databases
def test_late_images_follow_a_case_that_was_moved_to_the_right_patient(tmp_path, make_url):
    with hospital(tmp_path, url=make_url()) as made:
        order_id = made.order()
        made.arrive(a_file(1))
        made.look(61)
        desk = made_user(made.records, Role.RECEPTION, Role.RADIOLOGIST)
        right = made_patient(made.records, desk, GULCIN)
        done = moved(made.records, desk, made.study().case_id or "", right)
        study = made.study()
        assert (study.case_id, study.patient_id, study.content.identity.patient_id) == (
            *(done.case_id, right),
            AYSE.number,
        )
        made.look(61)
        made.arrive(a_file(1), a_file(2))
        made.look(61)
        assert (made.study().state, made.study().imported, made.spooled()) == (ReceivedState.IMPORTED, 2, 0)
        with made.records.read() as tx:
            assert len(images.list_images(tx, done.case_id)) == 2
            assert tx.count(Image) == 3 and len(tx.session.scalars(select(Case)).all()) == 2
            assert orders.load_order(tx, order_id).state is OrderState.ARRIVED
