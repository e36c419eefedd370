"""Sign-in by the hospital's directory: LDAP or Active Directory (RFC 4511, RFC 4513).

The person is looked for with the account of the setting, or without one; then the password is proved by
binding as the person. The connection is TLS before any password crosses it, except on this very machine.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from tetkik.errors import AccessError, MissingExtra, SettingError
from tetkik.records.people.users import Arrival, departments_of_groups
from tetkik.settings import Settings
from tetkik.values import Role

if TYPE_CHECKING:
    from ldap3 import Connection

_log = structlog.get_logger()
_SECONDS = 5
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_IDS = ("entryUUID", "objectGUID")
"""What never names another person (RFC 4530; Active Directory)."""
_MOST_GROUPS = 500


@dataclass(frozen=True, slots=True)
class DirectoryPerson:
    """An entry of the directory: its name there, its lasting id, and what it is called."""

    dn: str
    subject: str
    name: str


class Directory:
    """The directory of the settings.

    Args:
        roles: which group has which role.
        opens: which group opens which departments; empty where an administrator says it.
    """

    def __init__(
        self, settings: Settings, roles: Mapping[str, Role], opens: Mapping[str, tuple[str, ...]]
    ) -> None:
        parts = urlsplit(settings.ldap_url)
        if parts.hostname is None or "{login}" not in settings.ldap_user_filter or not settings.ldap_base:
            raise SettingError(
                "The directory cannot be used; ldap_url needs a host, ldap_base a name, and ldap_user_filter "
                "the place {place}.",
                place="{login}",
            )
        self._settings = settings
        self._roles = {group.casefold(): role for group, role in roles.items()}
        self._opens = {group.casefold(): names for group, names in opens.items()}
        self._host, self._secure = parts.hostname, parts.scheme == "ldaps"
        self._port = parts.port or (636 if self._secure else 389)
        self.issuer = f"ldap:{settings.ldap_base.lower()}"
        """Of the accounts: the same whichever of the directory's servers is asked."""

    def authenticate(self, login: str, password: str) -> Arrival | None:
        """Whoever a login and a password belong to; None where they belong to nobody.

        Raises:
            AccessError: the directory does not answer.
        """
        from ldap3.core.exceptions import LDAPException
        from ldap3.utils.conv import escape_filter_chars

        # A bind without a password succeeds, and proves nothing (RFC 4513, 5.1.2).
        if not (login and password and f"{login}{password}".isprintable()):
            return None
        try:
            with self._connected(*self._service) as service:
                found = self._person(service, escape_filter_chars(login))
                if found is None or not self._proves(found.dn, password):
                    return None
                groups = self._groups(service, escape_filter_chars(found.dn))
        except (LDAPException, OSError, ssl.SSLError) as error:
            raise _silent(_kind(error)) from None
        return Arrival(
            issuer=self.issuer,
            subject=found.subject,
            login=login,
            name=found.name,
            roles=frozenset(role for group, role in self._roles.items() if group in groups),
            departments=departments_of_groups(self._opens, groups),
        )

    @property
    def _service(self) -> tuple[str | None, str | None]:
        secret = self._settings.ldap_bind_password
        return self._settings.ldap_bind_dn or None, secret.get_secret_value() if secret is not None else None

    @contextmanager
    def _connected(self, user: str | None, password: str | None) -> Iterator[Connection]:
        """A bound connection; `AccessError` where the directory does not take the account."""
        connection = self._open(user, password)
        try:
            if not connection.bind():
                raise _silent("bind_refused")
            yield connection
        finally:
            connection.unbind()

    def _open(self, user: str | None, password: str | None) -> Connection:
        try:
            from ldap3 import NONE, SIMPLE, Connection, Server, Tls
        except ModuleNotFoundError as error:
            raise MissingExtra(
                "The directory needs the package {package}; `{extra}`.",
                extra="integrations",
                package=error.name,
            ) from None
        authority = self._settings.ldap_ca
        tls = Tls(
            validate=ssl.CERT_REQUIRED,
            version=ssl.PROTOCOL_TLS_CLIENT,
            ca_certs_file=str(authority) if authority is not None else None,
        )
        server = Server(
            self._host, self._port, use_ssl=self._secure, tls=tls, get_info=NONE, connect_timeout=_SECONDS
        )
        connection = Connection(
            server,
            user,
            password,
            authentication=SIMPLE if user is not None else None,
            auto_referrals=False,  # a password is given to no other server
            receive_timeout=_SECONDS,
            read_only=True,
            check_names=False,
        )
        try:
            connection.open()
            if not self._secure and self._host not in _LOOPBACK and not connection.start_tls():
                raise _silent("start_tls_refused")
        except BaseException:
            if connection.socket is not None:  # which the package leaves open where it cannot connect
                connection.socket.close()
            raise
        return connection

    def _proves(self, dn: str, password: str) -> bool:
        connection = self._open(dn, password)
        try:
            return bool(connection.bind())
        finally:
            connection.unbind()

    def _person(self, service: Connection, login: str) -> DirectoryPerson | None:
        """The one entry of a login; None where there is none, or more than one."""
        wanted = self._settings.ldap_user_filter.replace("{login}", login)
        entries = self._search(service, wanted, [*_IDS, "displayName", "cn"], 2)
        if len(entries) != 1:
            return None
        (entry,) = entries
        known = {name.lower(): values[0] for name, values in entry["raw_attributes"].items() if values}
        subject = next((known[name.lower()].hex() for name in _IDS if name.lower() in known), None)
        if subject is None:
            raise AccessError("The directory gives no entryUUID or objectGUID; let the account read it.")
        name = next((known[name] for name in ("displayname", "cn") if name in known), b"")
        return DirectoryPerson(str(entry["dn"]), subject, name.decode("utf-8", "replace"))

    def _groups(self, service: Connection, dn: str) -> frozenset[str]:
        """Names (`cn`) of the groups that have a person as their member; their case does not count; one
        with two names is none.
        """
        wanted = self._settings.ldap_group_filter.replace("{dn}", dn)
        entries = self._search(service, wanted, ["cn"], _MOST_GROUPS, self._settings.ldap_group_base)
        named = (entry["raw_attributes"].get("cn", ()) for entry in entries)
        return frozenset(names[0].decode("utf-8", "replace").casefold() for names in named if len(names) == 1)

    def _search(
        self, service: Connection, wanted: str, attributes: list[str], most: int, base: str = ""
    ) -> list[dict[str, Any]]:
        """Entries below a base, that of the setting where none is given; a referral elsewhere is none."""
        base = base or self._settings.ldap_base
        service.search(base, wanted, attributes=attributes, size_limit=most, time_limit=_SECONDS)
        return [entry for entry in service.response or () if entry["type"] == "searchResEntry"]


def _kind(error: Exception) -> str:
    """What failed, for the log; the text of an error may hold names."""
    words = f"{type(error).__name__} {error}".casefold()
    if "certificate" in words or "hostname" in words:
        return "certificate"
    return "start_tls_refused" if "starttls" in words or "start_tls" in words else "unreachable"


def _silent(kind: str) -> AccessError:
    _log.warning("directory_failed", kind=kind)
    return AccessError("The directory does not answer as it should; try again, or ask the administrator.")
