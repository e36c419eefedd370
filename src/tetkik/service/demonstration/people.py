"""Who works in a demonstration: one person for each role, all with the same password."""

from __future__ import annotations

from tetkik.records.database import Records, Transaction
from tetkik.records.people import users
from tetkik.records.people.users import Peer, Profile, build_actor, user_row
from tetkik.records.worklist import assignments
from tetkik.service.kit.context import Demonstration
from tetkik.values import EVERY_DEPARTMENT, SYSTEM, Actor, Method, Role

DEMONSTRATION = Demonstration(
    password="gösteri parolası yeter",  # noqa: S106 - it is shown on every page
    people={
        Role.RECEPTION.value: "Deneme Danışman",
        Role.TECHNICIAN.value: "Deneme Tekniker",
        Role.RADIOLOGIST.value: "Deneme Radyolog",
        Role.CLINICIAN.value: "Deneme Klinisyen",
        Role.HEAD.value: "Deneme Sorumlu",
        Role.ENGINEER.value: "Deneme Mühendis",
        Role.AUDITOR.value: "Deneme Denetçi",
        Role.ADMINISTRATOR.value: "Deneme Yönetici",
    },
)
"""By login, which is the name of the role."""


def add_people(records: Records) -> None:
    """Open the accounts that are not there yet."""
    with records.write(SYSTEM) as tx:
        known = {member.login for member in users.list_users(tx)}
        for login, name in DEMONSTRATION.people.items():
            if login in known:
                continue
            title = "Uzm. Dr." if login == Role.RADIOLOGIST else ""
            departments = (EVERY_DEPARTMENT,) if login == Role.CLINICIAN else ()
            profile = Profile(name, frozenset({Role(login)}), title=title, departments=departments)
            users.create(tx, login, profile, password=DEMONSTRATION.password)
        if not assignments.list_pools(tx):
            readers = [one.id for one in assignments.list_readers(tx)]
            assignments.save_pool(tx, None, "Toraks", readers)


def person(tx: Transaction, login: str, peer: Peer) -> Actor:
    """A person of the demonstration, as whoever has given their password."""
    return build_actor(user_row(tx, users.find_user(tx, login).id), Method.PASSWORD, peer)


def at_work(records: Records, role: Role) -> Actor:
    """Who does what the demonstration is filled with."""
    with records.read() as tx:
        return person(tx, role.value, Peer())
