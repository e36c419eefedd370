"""Images come in by C-STORE: what is acknowledged is on the disk, sealed, once."""

from __future__ import annotations

import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydicom import dcmread
from pydicom.uid import generate_uid

from tests.integrations.dicom.listener import (
    CR_IMAGE,
    NAME,
    association,
    image,
    listening,
    new_vault,
    read,
    send,
)
from tests.integrations.dicom.wire import answered, command, data, request, store
from tests.patience import PATIENCE
from tests.programs import program
from tetkik.errors import RecordsError
from tetkik.integrations.dicom import spool
from tetkik.integrations.dicom.acceptor import CANNOT_UNDERSTAND, OUT_OF_RESOURCES
from tetkik.integrations.dicom.commitment import MODALITY_WORKLIST, VERIFICATION
from tetkik.integrations.dicom.spool import NoRoom, Origin, Spool, measure_spool, remove_unfinished


def wait_for(what) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(scope="module")
def listener(tmp_path_factory):
    with listening(tmp_path_factory.mktemp("listener"), silent_seconds=2) as made:
        yield made


@pytest.fixture(autouse=True)
def empty(listener):
    """Each test finds an empty spool and an empty log."""
    for path in listener.spool.folder.iterdir():
        path.unlink()
    listener.lines.clear()


@pytest.mark.program("storescu")
def test_what_dcmtk_sends_is_kept_as_it_came_and_sealed(listener, tmp_path):
    sent = [image(size=size) for size in (10, 300_000, 2_000_001)]
    for number, one in enumerate(sent):
        one.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
    command = [program("storescu"), "-aet", "CT1", "-aec", "TETKIK", "+sd", "127.0.0.1", str(listener.port)]
    subprocess.run([*command, str(tmp_path)], check=True, capture_output=True)

    found = {file.sop_instance_uid: file for file in listener.files()}
    assert found.keys() == {one.SOPInstanceUID for one in sent}
    for number, one in enumerate(sent):
        file = found[one.SOPInstanceUID]
        assert (file.peer, file.calling_ae, file.sop_class) == ("ct1", "CT1", CR_IMAGE)
        again = read(file)
        assert again == dcmread(tmp_path / f"{number}.dcm")
        assert again.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
        sealed = file.path.read_bytes()
        assert NAME.encode() not in sealed and one.SOPInstanceUID.encode() not in sealed
        assert one.SOPInstanceUID not in file.path.name
    assert listener.lines == []


def test_the_same_object_twice_is_one_file_and_another_under_its_uid_a_second(listener):
    uid = generate_uid()
    same = image(uid)
    assert send(listener.port, same, same, image(uid, fill=b"\x08")) == [0, 0, 0]
    assert send(listener.port, same) == [0]
    assert len(listener.files()) == 2
    assert len(listener.names()) == 2


def test_many_at_once_are_all_there(listener):
    sent = [[image(size=400_000) for _ in range(5)] for _ in range(8)]
    statuses: list[list[int]] = []
    threads = [
        threading.Thread(target=lambda some=some: statuses.append(send(listener.port, *some)))
        for some in sent
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [[0] * 5] * 8
    wanted = {one.SOPInstanceUID for some in sent for one in some}
    assert {file.sop_instance_uid for file in listener.files()} == wanted


@pytest.mark.parametrize(
    ("who", "reason"),
    [({"ae_title": "ELSE"}, "unknown_calling_ae"), ({"called": "ELSE"}, "other_called_ae")],
)
def test_a_stranger_is_rejected_with_one_line(listener, who, reason):
    with association(listener.port, **who) as made:
        assert made.is_rejected
    (line,) = listener.lines
    assert (line["event"], line["reason"], line["ae_title"]) == ("dicom_refused", reason, "ELSE")
    assert line["address"] == "127.0.0.1"


def test_an_address_of_nobody_is_closed_at_once(tmp_path):
    with listening(tmp_path, {"addresses": ["192.0.2.1"]}) as made:
        with socket.create_connection(("127.0.0.1", made.port)) as caller:
            caller.settimeout(PATIENCE)
            assert caller.recv(1) == b""
        assert made.line("dicom_refused")["reason"] == "unknown_address"


def test_what_a_peer_may_not_is_not_offered(tmp_path):
    with listening(tmp_path, {"allow": ["echo"]}) as made:
        with association(made.port) as caller:
            assert {str(one.abstract_syntax) for one in caller.accepted_contexts} == {"1.2.840.10008.1.1"}
            assert caller.send_c_echo().Status == 0
        assert CR_IMAGE in made.line("dicom_contexts_refused")["classes"]


def test_below_the_reserve_nothing_is_taken(tmp_path):
    with listening(tmp_path, reserve_bytes=2**62) as made:
        assert send(made.port, image(), image()) == [OUT_OF_RESOURCES] * 2
        assert made.names() == []
        assert [line["event"] for line in made.lines] == ["dicom_store_refused"] * 2
        figures = measure_spool(made.spool.folder)
        assert figures is not None and (figures.files, figures.size, figures.refused) == (0, 0, 2)


def test_the_reserve_holds_while_an_object_comes_in(tmp_path, monkeypatch):
    """Many long ones may begin while there is room."""
    with listening(tmp_path, reserve_bytes=1000) as made:
        free = iter((2**62, 2**62, 0))
        with monkeypatch.context() as patched:
            patched.setattr(spool, "_free_bytes", lambda _: next(free))
            assert send(made.port, image(size=2_000_000)) == [OUT_OF_RESOURCES]
        assert made.names() == [] and send(made.port, image(size=2_000_000)) == [0]
        figures = measure_spool(made.spool.folder)
        assert figures is not None and (figures.files, figures.refused) == (1, 1)
        assert figures.size > 2_000_000 and figures.free > 0


def test_an_object_that_is_too_long_leaves_nothing(tmp_path):
    with listening(tmp_path, object_bytes=1_000_000) as made:
        assert send(made.port, image(size=1_100_000), image()) == [OUT_OF_RESOURCES, 0]
        assert len(made.names()) == 1


def test_a_full_disk_is_out_of_resources(listener, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("tetkik.integrations.dicom.spool.os.fsync", full)
        assert send(listener.port, image()) == [OUT_OF_RESOURCES]
    assert listener.names() == []
    assert listener.line("dicom_store_refused")["fault"] == "No space left on device"
    assert send(listener.port, image()) == [0]


def test_more_associations_than_allowed_are_told_to_come_again(tmp_path):
    with listening(tmp_path, associations=1) as made, association(made.port) as first:
        assert first.is_established
        with association(made.port) as second:
            assert second.is_rejected
        assert made.line("dicom_refused")["reason"] == "too_many_associations"
        assert first.send_c_echo().Status == 0


@pytest.mark.parametrize(
    ("hostile", "reason"),
    [
        (data(b"\xff" * 100, 0b11), "malformed"),
        (data(b"\0" * 60_000, 0b01) * 2, "malformed"),
        (data(b"image", 0b00), "malformed"),
        (b"\x09\0\0\0\0\0", "malformed"),
        (b"\x04\0\xff\xff\xff\xff", "too long"),
        (data(b"whatever", 0b11)[:-3], "silent"),
    ],
    ids=["no command", "endless command", "data first", "unknown type", "huge", "slow"],
)
def test_hostile_pdus_end_their_association_alone(listener, hostile, reason):
    with socket.create_connection(("127.0.0.1", listener.port)) as caller:
        caller.settimeout(PATIENCE)
        caller.sendall(request())
        assert answered(caller)
        caller.sendall(hostile)
        while caller.recv(65536):
            pass
    wait_for(lambda: listener.lines)
    assert listener.line("dicom_association_failed")["reason"] == reason
    assert len(listener.lines) == 1
    assert send(listener.port, image()) == [0]


def test_a_connection_that_says_nothing_is_ended(listener):
    with socket.create_connection(("127.0.0.1", listener.port)) as caller:
        caller.settimeout(PATIENCE)
        assert caller.recv(1) == b""


def test_a_cut_in_the_middle_of_an_object_leaves_nothing_but_a_line(listener):
    with association(listener.port) as made:
        connection = made.dul.socket.socket
        original = connection.send
        sent: list[int] = []

        def cut(content, *more):
            if sum(sent) > 500_000:
                connection.shutdown(socket.SHUT_RDWR)
            sent.append(original(content, *more))
            return sent[-1]

        made.dul.socket.socket = type(
            "Cut", (), {"send": staticmethod(cut), "__getattr__": lambda _, name: getattr(connection, name)}
        )()
        made.dul.socket.socket.fileno = connection.fileno
        made.send_c_store(image(size=3_000_000))
        wait_for(lambda: any(line["event"] == "dicom_association_failed" for line in listener.lines))
    assert listener.names() == []
    assert listener.line("dicom_association_failed")["peer"] == "ct1"


@pytest.mark.attack
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # it answers too late
def test_objects_that_nobody_answers_for_leave_nothing(listener):
    """Whole, and the association gone before they are served; and one without a message ID."""
    many = b"".join(data(store(CR_IMAGE, f"1.2.{n}", n), 3) + data(b"x" * 50_000, 2) for n in range(1, 20))
    nameless = command(AffectedSOPClassUID=CR_IMAGE, AffectedSOPInstanceUID="1.2.3", CommandField=1)
    for content in (many, data(nameless, 3) + data(b"x" * 50_000, 2)):
        with socket.create_connection(("127.0.0.1", listener.port)) as caller:
            caller.sendall(request())
            assert answered(caller)
            caller.sendall(content)
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wait_for(lambda: any(line["event"] == "dicom_association_failed" for line in listener.lines))
        listener.lines.clear()
        wait_for(lambda: not any(name.endswith(".part") for name in listener.names()))


@pytest.mark.attack
def test_an_object_on_a_context_that_is_not_of_storage_is_not_written(tmp_path):
    with listening(tmp_path, {"allow": ["echo"]}) as made:
        with socket.create_connection(("127.0.0.1", made.port)) as caller:
            caller.settimeout(PATIENCE)
            caller.sendall(request(VERIFICATION))
            assert answered(caller)
            caller.sendall(data(store(VERIFICATION, "1.2.3", 1), 3) + data(b"x" * 50_000, 0))
            assert caller.recv(1) == b"\x07"  # A-ABORT
        assert made.names() == []


@pytest.mark.attack
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # it answers too late
@pytest.mark.parametrize("size", [60_000, 70_000])
def test_queries_that_wait_for_nothing_end_their_association(tmp_path, size):
    """More of them than one that is served, or longer ones than any is, would fill the memory."""
    serving = threading.Event()

    def stand(_event, _peer):
        serving.wait(PATIENCE)
        yield 0, None

    asked = command(AffectedSOPClassUID=MODALITY_WORKLIST, CommandField=0x20, MessageID=1)
    many = 5 if size < 65_536 else 1
    with (
        listening(tmp_path, {"allow": ["worklist"]}, worklist=stand) as made,
        socket.create_connection(("127.0.0.1", made.port)) as caller,
    ):
        caller.settimeout(PATIENCE)
        caller.sendall(request(MODALITY_WORKLIST))
        assert answered(caller)
        caller.sendall((data(asked, 3) + data(b"\0" * size, 2)) * many)
        try:
            assert caller.recv(1) == b"\x07"  # A-ABORT
        finally:
            serving.set()


def test_an_empty_object_is_refused(listener):
    with association(listener.port) as made:
        empty_one = image()
        for tag in list(empty_one.keys()):
            if tag not in (0x00080016, 0x00080018):
                del empty_one[tag]
        assert made.send_c_store(empty_one).Status == 0  # two elements are not nothing
    assert CANNOT_UNDERSTAND == 0xC000


def test_a_file_that_was_altered_is_not_taken_for_an_object(tmp_path):
    spool = Spool(tmp_path, new_vault())
    for number in range(3):
        made = spool.receive(
            Origin("ct1", "CT1", CR_IMAGE, f"1.2.{number}", "1.2.840.10008.1.2.1", "2026-11-23")
        )
        made.write(b"x" * 600_000)
        made.write(b"y" * 600_000)
        made.keep()
    first, second, third = sorted(spool.incoming(), key=lambda file: file.sop_instance_uid)
    content = bytearray(first.path.read_bytes())
    content[700_000] ^= 1
    first.path.write_bytes(content)
    with pytest.raises(RecordsError):
        first.open()
    second.path.write_bytes(second.path.read_bytes()[:-1])
    shutil.copy(third.path, tmp_path / "moved-1")
    assert {file.sop_instance_uid for file in spool.incoming()} == {"1.2.0", "1.2.2"}
    assert [path.suffix for path in Path(tmp_path).iterdir()].count(".damaged") == 1


def test_what_a_killed_process_left_is_swept_and_a_discarded_object_is_gone(tmp_path):
    spool = Spool(tmp_path, new_vault(), object_bytes=1000)
    origin = Origin("ct1", "CT1", CR_IMAGE, "1.2", "1.2.840.10008.1.2.1", "2026-11-23")
    left, discarded = spool.receive(origin), spool.receive(origin)
    left.write(b"x")
    with pytest.raises(NoRoom):
        discarded.write(b"x" * 1001)
    discarded.discard()
    assert list(spool.incoming()) == [] and spool.held(["1.2"]) == set()
    assert remove_unfinished(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []
    left.discard()


def test_tls_asks_for_a_certificate_of_the_authority(tmp_path):
    authority, own, stranger = certificates(tmp_path)
    keys: dict[str, Any] = {"tls_cert": str(own[0]), "tls_key": str(own[1]), "tls_ca": str(authority)}

    def context(pair):
        made = ssl.create_default_context(cafile=authority)
        made.check_hostname = False
        if pair is not None:
            made.load_cert_chain(*pair)
        return made

    with listening(tmp_path, **keys) as made:
        with association(made.port, tls_args=(context(own), "localhost")) as caller:
            assert caller.send_c_store(image(size=3_000_000)).Status == 0
        for pair in (stranger, None):
            with socket.create_connection(("127.0.0.1", made.port)) as plain:
                plain.settimeout(PATIENCE)
                with pytest.raises(OSError), context(pair).wrap_socket(plain) as caller:
                    caller.sendall(request())
                    assert not caller.recv(1), "answered"
                    raise OSError
        with socket.create_connection(("127.0.0.1", made.port)) as plain:
            plain.settimeout(PATIENCE)
            with suppress(ConnectionError):
                plain.sendall(request())
                assert plain.recv(1) != b"\x02"  # A-ASSOCIATE-AC
        wait_for(lambda: len(made.lines) == 3)
        assert [(line["event"], line["reason"]) for line in made.lines] == [("dicom_refused", "tls")] * 3
        (file,) = made.files()
        assert len(file.open()) > 3_000_000


def certificates(folder):
    """The certificate of an authority, a pair of certificate and key that it signed, one that it did not."""

    def signed(name, issuer, key):
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        own = ec.generate_private_key(ec.SECP256R1())
        day = datetime(2026, 1, 1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer or subject)
            .public_key(own.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(day)
            .not_valid_after(day + timedelta(days=36_500))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        )
        made = builder.sign(key or own, hashes.SHA256())
        files = folder / f"{name}.pem", folder / f"{name}.key"
        files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(
            own.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return subject, own, files

    name, key, files = signed("authority", None, None)
    return files[0], signed("listener", name, key)[2], signed("stranger", None, None)[2]
