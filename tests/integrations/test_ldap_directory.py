"""Sign-in by a real directory: over TLS alone, with the limits of local passwords."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from tests.integrations.directory import BASE, GOOD, Slapd, slapd
from tests.integrations.hl7.tls import certificates
from tests.ports import free_port
from tests.records.kit import made_records
from tests.service.kit import make_context, served
from tetkik.errors import AccessError, Forbidden, NotSignedIn, SettingError
from tetkik.integrations.ldap_directory import Directory
from tetkik.records.database import Records
from tetkik.records.people import sign_in, users
from tetkik.records.people.users import Arrival, Peer, Profile
from tetkik.records.schema import BrowserSession, User
from tetkik.service.kit.access.identity_providers import directory_of
from tetkik.settings import Settings
from tetkik.values import SYSTEM, Role

PEER = Peer("10.0.0.7")
pytestmark = pytest.mark.program("slapd")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with slapd(tmp_path_factory.mktemp("slapd")) as running:
        yield running


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = made_records(tmp_path)
    yield opened
    opened.close()


def settings_for(server: Slapd, **changes: object) -> Settings:
    given = {
        "ldap_url": f"ldaps://127.0.0.1:{server.secure}",
        "ldap_base": BASE,
        "ldap_user_filter": "(uid={login})",
        "ldap_bind_dn": f"cn=tetkik,{BASE}",
        "ldap_bind_password": "arayan",
        "ldap_roles": "radyoloji=radiologist, klinisyen=clinician",
        "ldap_departments": "noroloji=Nöroloji",
        "ldap_ca": server.tls.ca,
    }
    return Settings.model_validate(given | changes)


def directory(server: Slapd, **changes: object) -> Directory:
    found = directory_of(settings_for(server, **changes))
    assert found is not None
    return found


def test_who_is_in_the_directory_is_who_its_groups_say(server: Slapd):
    arrival = directory(server).authenticate("omer", GOOD)
    assert arrival is not None
    assert (arrival.name, arrival.roles, arrival.departments) == (
        "Ömer Ünsal", frozenset({Role.RADIOLOGIST}), ("Nöroloji",),
    )  # fmt: skip
    assert len(arrival.subject) == 72 and "omer" not in arrival.subject


def test_the_case_of_a_group_does_not_count(server: Slapd):
    arrival = directory(server, ldap_roles="Radyoloji=radiologist").authenticate("omer", GOOD)
    assert arrival is not None and arrival.roles == {Role.RADIOLOGIST}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"ldap_bind_password": "yanlış"}, "bind_refused"),
        ({"ldap_ca": None}, "certificate"),
        ({"ldap_url": "ldaps://127.0.0.1:1"}, "unreachable"),
    ],
)
def test_the_log_names_the_cause(server: Slapd, changes: dict[str, object], kind: str):
    with capture_logs() as lines, pytest.raises(AccessError):
        directory(server, **changes).authenticate("omer", GOOD)
    assert lines == [{"event": "directory_failed", "kind": kind, "log_level": "warning"}]


@pytest.mark.parametrize(
    ("login", "password"),
    [
        ("omer", ""),  # an unauthenticated bind succeeds, and proves nothing
        ("", GOOD),
        ("omer", "yanlış"),
        ("nobody", GOOD),
        ("*", GOOD),
        ("o*", GOOD),
        ("omer)(uid=*", GOOD),
        ("*)(objectClass=*", GOOD),
        ("a*b(c", GOOD),
        ("omer\x00", GOOD),
    ],
)
def test_nothing_but_the_right_password_of_one_person_opens(server: Slapd, login: str, password: str):
    assert directory(server).authenticate(login, password) is None


@pytest.mark.attack
def test_an_empty_password_opens_nothing_though_the_directory_takes_it(server: Slapd, records: Records):
    for empty in ("", "\x00"):
        with pytest.raises(NotSignedIn):
            sign_in.sign_in_by_password(records, "omer", empty, PEER, directory(server))


@pytest.mark.attack
def test_a_group_of_that_name_elsewhere_or_with_a_second_name_gives_no_role(server: Slapd):
    there = directory(server, ldap_roles="denetim=auditor", ldap_group_base=f"ou=tetkik,{BASE}")
    roles = {}
    for login in ("omer", "ayse", "kenan"):
        arrival = there.authenticate(login, GOOD)
        assert arrival is not None
        roles[login] = arrival.roles
    assert roles == {"omer": {Role.AUDITOR}, "ayse": frozenset(), "kenan": frozenset()}


def test_a_strange_login_is_that_one_person(server: Slapd):
    arrival = directory(server).authenticate("a*b(c)", GOOD)
    assert arrival is not None and arrival.name == "Yıldız" and arrival.roles == {Role.RADIOLOGIST}


def test_a_certificate_of_another_authority_is_not_trusted(server: Slapd, tmp_path: Path):
    other = certificates(tmp_path)
    with pytest.raises(AccessError):
        directory(server, ldap_ca=other.ca).authenticate("omer", GOOD)
    with pytest.raises(AccessError):  # and none of the system's signed it
        directory(server, ldap_ca=None).authenticate("omer", GOOD)


def test_tls_begins_before_a_password_crosses_the_network(server: Slapd, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tetkik.integrations.ldap_directory._LOOPBACK", frozenset())
    seen = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as between:
        thread = threading.Thread(target=_relay, args=(between, server.port, seen))
        thread.start()
        url = f"ldap://127.0.0.1:{between.getsockname()[1]}"
        arrival = directory(server, ldap_url=url).authenticate("omer", GOOD)
    thread.join()
    assert arrival is not None
    assert b"1.3.6.1.4.1.1466.20037" in seen  # StartTLS (RFC 4511, 4.14.1)
    assert b"arayan" not in seen and GOOD.encode() not in seen and b"omer" not in seen


def _relay(between: socket.socket, port: int, seen: bytearray) -> None:
    """Hands both connections of a sign-in on, and keeps what the client said."""
    with suppress(OSError):
        between.settimeout(10)
        threads = []
        for _ in range(2):
            client, _address = between.accept()
            server = socket.create_connection(("127.0.0.1", port))
            threads += [
                threading.Thread(target=_pump, args=(client, server, seen)),
                threading.Thread(target=_pump, args=(server, client, bytearray())),
            ]
            for thread in threads[-2:]:
                thread.start()
        for thread in threads:
            thread.join()


def _pump(source: socket.socket, target: socket.socket, seen: bytearray) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            seen += part
            target.sendall(part)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


def test_a_directory_that_is_down_says_so_and_shuts_nobody_else_out(server: Slapd, records: Records):
    down = directory(server, ldap_url=f"ldaps://127.0.0.1:{free_port()}")
    with records.write(SYSTEM) as tx:
        users.create(tx, "yonetici", Profile("Yönetici", frozenset({Role.ADMINISTRATOR})), password=GOOD)
    with pytest.raises(AccessError, match="directory does not answer"):
        sign_in.sign_in_by_password(records, "omer", GOOD, PEER, down)
    assert sign_in.sign_in_by_password(records, "yonetici", GOOD, PEER, down).name == "Yönetici"
    with pytest.raises(NotSignedIn):  # nor is a local password asked of the directory
        sign_in.sign_in_by_password(records, "yonetici", "yanlış", PEER, down)


def test_an_account_is_made_once_and_follows_its_groups(server: Slapd, records: Records):
    there = directory(server)
    first = sign_in.sign_in_by_password(records, "ayse", GOOD, PEER, there)
    assert first.roles == {Role.CLINICIAN} and first.departments == ("Nöroloji",)
    fewer = directory(server, ldap_roles="noroloji=technician", ldap_departments="")
    again = sign_in.sign_in_by_password(records, "AYSE", GOOD, PEER, fewer)
    assert again.user_id == first.user_id and again.roles == {Role.TECHNICIAN}
    with records.read() as tx:
        (user,) = tx.session.scalars(select(User))
        assert user.password_hash is None and user.oidc_issuer == f"ldap:{BASE}"


def test_whoever_is_in_no_group_has_no_account(server: Slapd, records: Records):
    with pytest.raises(Forbidden, match="None of your groups"):
        sign_in.sign_in_by_password(records, "kenan", GOOD, PEER, directory(server))
    with records.read() as tx:
        assert tx.count(User) == 0


def test_a_closed_account_and_one_that_pauses_are_not_asked_about(server: Slapd, records: Records):
    there = directory(server)
    actor = sign_in.sign_in_by_password(records, "omer", GOOD, PEER, there)
    for _ in range(5):
        with pytest.raises(NotSignedIn):
            sign_in.sign_in_by_password(records, "omer", "yanlış", PEER, there)
    with pytest.raises(NotSignedIn):  # it pauses, though the password is right
        sign_in.sign_in_by_password(records, "omer", GOOD, PEER, there)
    assert actor.user_id is not None
    other = replace(PEER, address="10.0.0.8")
    assert sign_in.sign_in_by_password(records, "omer", GOOD, other, there).user_id == actor.user_id
    with records.write(SYSTEM) as tx:
        users.user_row(tx, actor.user_id).disabled_at = tx.now
    with pytest.raises(NotSignedIn):
        sign_in.sign_in_by_password(records, "omer", GOOD, other, there)


def test_a_person_proves_themselves_again_by_the_directory(server: Slapd, records: Records):
    there = directory(server)
    actor = replace(sign_in.sign_in_by_password(records, "omer", GOOD, PEER, there), session_id="s")
    sign_in.reauthenticate(records, actor, GOOD, there)
    with pytest.raises(Forbidden, match="not right"):
        sign_in.reauthenticate(records, actor, "yanlış", there)
    with pytest.raises(Forbidden, match="has no password"):
        sign_in.reauthenticate(records, actor, GOOD)


def test_somebody_who_has_the_login_now_is_not_the_person_who_signed_in(server: Slapd, records: Records):
    actor = sign_in.sign_in_by_password(records, "omer", GOOD, PEER, directory(server))

    class Changed(Directory):
        """The same directory, after its login was given to another person."""

        def authenticate(self, login: str, password: str) -> Arrival | None:
            arrival = super().authenticate(login, password)
            return arrival and replace(arrival, subject="another")

    there = Changed(settings_for(server), {"radyoloji": Role.RADIOLOGIST}, {})
    with pytest.raises(Forbidden, match="not right"):
        sign_in.reauthenticate(records, replace(actor, session_id="s"), GOOD, there)
    newcomer = sign_in.sign_in_by_password(records, "omer", GOOD, PEER, there)
    assert newcomer.user_id != actor.user_id


def test_a_local_account_of_that_login_keeps_its_own_password(server: Slapd, records: Records):
    with records.write(SYSTEM) as tx:
        users.create(tx, "omer", Profile("Başka Ömer", frozenset({Role.AUDITOR})), password="yedi kırmızı at")
    with pytest.raises(NotSignedIn):
        sign_in.sign_in_by_password(records, "omer", GOOD, PEER, directory(server))


@pytest.mark.parametrize(
    "wrong",
    [
        {"ldap_base": ""},
        {"ldap_user_filter": "(uid=omer)"},
        {"ldap_roles": "radyoloji=king"},
        {"ldap_departments": "noroloji=Astroloji"},
    ],
)
def test_wrong_settings_are_refused_at_the_start(server: Slapd, wrong: dict[str, str]):
    with pytest.raises(SettingError):
        directory(server, **wrong)


def test_the_account_that_looks_needs_its_password(server: Slapd):
    with pytest.raises(AccessError):
        directory(server, ldap_bind_password="yanlış").authenticate("omer", GOOD)
    # Without an account nobody is found in a directory that shows nothing to strangers.
    assert directory(server, ldap_bind_dn="", ldap_bind_password=None).authenticate("omer", GOOD) is None


def test_the_sign_in_page_and_a_locked_screen_ask_the_directory(server: Slapd, tmp_path: Path):
    chosen = settings_for(server)
    given = {name: getattr(chosen, name) for name in Settings.model_fields if name.startswith("ldap_")}
    context = make_context(tmp_path, **given)
    with served(context) as client:
        form = {"login": "omer", "password": "yanlış"}
        assert 'role="alert"' in client.post("/login", data=form).text
        assert client.post("/login", data=form | {"password": GOOD}).headers["location"] == "/"
        with context.records.read() as tx:
            token = tx.session.scalars(select(BrowserSession.csrf)).one()
        client.post("/lock", data={"csrf": token})
        opened = client.post("/lock/open", data={"csrf": token, "password": "yanlış"})
        assert 'role="alert"' in opened.text
        opened = client.post("/lock/open", data={"csrf": token, "password": GOOD})
        assert opened.headers["location"] == "/"
    context.records.close()
