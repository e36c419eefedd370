"""`tetkik listen`: what it explains, whom it calls, when it does not start."""

from __future__ import annotations

import socket

import pytest
import typer
from pynetdicom.transport import AssociationSocket

from tests.integrations.archives import web
from tests.integrations.dicom.listener import close_sockets, listening
from tests.records.kit import made_records
from tetkik.cli import listen as command
from tetkik.errors import SettingError, UsageError
from tetkik.integrations.dicom.spool import NoRoom, Origin, instance_digest
from tetkik.integrations.listening import bound, dicom_work, imported, only_one, open_spool
from tetkik.integrations.outbox import probe
from tetkik.integrations.systems import Configuration, DicomListener, Hl7Listener, load_configuration
from tetkik.language import Language
from tetkik.records.ids import new_id
from tetkik.records.schema import ReceivedFile, ReceivedStudy
from tetkik.settings import Settings
from tetkik.values import SYSTEM, ReceivedFileState, ReceivedState


def systems(tmp_path, port, more=""):
    file = tmp_path / "systems.toml"
    file.write_text(
        f'[listen]\nae_title = "CT1"\n{more}[[peer]]\nname = "ct1"\nae_title = "TETKIK"\n'
        f'host = "127.0.0.1"\nport = {port}\n'
    )
    return file


def test_check_explains_in_both_languages(tmp_path, capsys):
    command.listen(check=systems(tmp_path, 104))
    printed = capsys.readouterr().out
    assert "We listen as CT1 at 0.0.0.0, port 11112 (DICOM)." in printed
    assert "CT1 adıyla 0.0.0.0 adresinde, 11112 portunda dinliyoruz (DICOM)." in printed


def test_call_tells_who_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(AssociationSocket, "_shutdown_socket", close_sockets)
    with listening(tmp_path / "there") as there:
        (found,) = probe(load_configuration(systems(tmp_path, there.port)), Settings())
        assert found.answers and found.how == "C-ECHO"
    (found,) = probe(load_configuration(systems(tmp_path, there.port)), Settings())
    words = f"ct1 does not answer (C-ECHO, 127.0.0.1:{there.port})."
    assert found.sentence.in_language(Language.EN) == words


def test_call_is_of_check():
    with pytest.raises(UsageError, match="--call is of --check"):
        command.listen(call=True)


def test_one_listener_at_a_time(tmp_path):
    chosen = Settings(data_dir=tmp_path)
    with only_one(chosen):
        (tmp_path / "incoming" / "1-left.part").touch()
        with pytest.raises(UsageError, match="Another tetkik listen"), only_one(chosen):
            pass
    with only_one(chosen):
        assert list((tmp_path / "incoming").iterdir()) == []


def test_a_port_that_is_taken_is_one_sentence():
    with bound(DicomListener(address="127.0.0.1", port=0)) as made:
        port = made.getsockname()[1]
        with (
            pytest.raises(SettingError, match=f"port {port}"),
            bound(DicomListener(address="127.0.0.1", port=port)),
        ):
            pass


def test_a_certificate_that_is_none_is_one_sentence(tmp_path):
    (tmp_path / "own.pem").write_text("nothing")
    more = 'tls_cert = "own.pem"\ntls_key = "own.pem"\n'
    configuration = load_configuration(systems(tmp_path, 104, more))
    with (
        bound(DicomListener(address="127.0.0.1", port=0)) as made,
        pytest.raises(SettingError, match="certificate"),
    ):
        dicom_work(Settings(data_dir=tmp_path), configuration, made)


def test_no_object_is_taken_that_is_too_long_to_be_read(tmp_path):
    records = made_records(tmp_path)
    settings = Settings(data_dir=tmp_path, max_image_bytes=1000)
    made = open_spool(settings, records, DicomListener(reserve_bytes=0))
    coming = made.receive(Origin("ct1", "CT1", "1.2", "1.2.3", "1.2.840.10008.1.2", "2026-11-20T08:00:00"))
    with pytest.raises(NoRoom):
        coming.write(b"x" * 1001)
    coming.discard()
    records.close()


def test_check_names_everything_that_is_not_there(tmp_path, capsys):
    more = (
        '[hl7]\ntls_cert = "no.pem"\ntls_key = "no.key"\n[[route]]\nmodel = "no-such-model"\n'
        '[[peer]]\nname = "hbys"\nmapping = "no.toml"\nsecret_file = "no.secret"\n'
    )
    with pytest.raises(typer.Exit):
        command.listen(check=systems(tmp_path, 104, more))
    printed = capsys.readouterr().out
    for word in ("no.pem", "no.key", "no-such-model", "no.toml", "no.secret"):
        assert printed.count(word) >= 2, word  # in each language


def test_every_way_of_calling_a_system_is_tried(tmp_path):
    with web() as server, socket.create_server(("127.0.0.1", 0)) as mllp:
        hl7 = f"127.0.0.1:{mllp.getsockname()[1]}"
        peer = server.peer(fhir=f"http://127.0.0.1:{server.port}/fhir", hl7=hl7)
        chosen = Configuration.model_validate({"peer": [peer]})
        assert {(one.how, one.answers) for one in probe(chosen, Settings())} == {
            ("MLLP", True),
            ("DICOMweb", True),
            ("FHIR", True),
        }
        server.status = 401
        assert [one.how for one in probe(chosen, Settings()) if one.answers] == ["MLLP"]
    assert {path for _, path, *_ in server.asked} == {
        "/dicom-web/studies?limit=1",
        "/fhir/metadata?_summary=true",
    }


def test_the_port_of_hl7_is_bound_before_it_is_said(tmp_path, monkeypatch, capsys):
    with bound(Hl7Listener(address="127.0.0.1", port=0)) as made:
        port = made.getsockname()[1]
        file = tmp_path / "systems.toml"
        file.write_text(f'[hl7]\naddress = "127.0.0.1"\nport = {port}\n')
        made_records(tmp_path).close()
        chosen = Settings(data_dir=tmp_path, integrations=file, allow_root=True)
        monkeypatch.setattr(command, "settings", lambda: chosen)
        monkeypatch.setattr(command, "hide_process", lambda: None)
        monkeypatch.setattr("tetkik.service.kit.logging.configure", lambda: None)
        with pytest.raises(SettingError, match=f"port {port}"):
            command.listen(allow_root=True)
    assert "HL7:" not in capsys.readouterr().out


def test_what_is_in_the_database_is_what_was_imported(tmp_path):
    records = made_records(tmp_path)
    uids = {state: f"1.2.{number}" for number, state in enumerate(ReceivedFileState)}
    with records.write(SYSTEM) as tx:
        study = ReceivedStudy(id=new_id(), state=ReceivedState.RECEIVING, peer="ct1", uid_digest=b"1" * 32)
        study.files = study.imported = study.refused = 0
        study.first_at = study.last_at = tx.now
        tx.session.add(study)
        tx.session.flush()
        for state, uid in uids.items():
            digest = instance_digest(tx.vault, uid)
            tx.session.add(
                ReceivedFile(
                    id=new_id(),
                    received_id=study.id,
                    state=state,
                    name=uid,
                    instance_digest=digest,
                    received_at=tx.now,
                )
            )
    asked = [*uids.values(), *(f"1.3.{number}" for number in range(1200))]
    refused = {uids[ReceivedFileState.REFUSED]: False}
    assert imported(records, asked) == {uids[ReceivedFileState.IMPORTED]: True} | refused
    assert imported(records, []) == {}
    records.close()
