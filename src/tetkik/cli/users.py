"""`tetkik users`: who works here, from the machine itself; what a person does there is the system's doing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from tetkik.cli.console import note, out, print_json_line, print_line, shown, t, warn
from tetkik.cli.options import TableAsJson, argument, option
from tetkik.cli.records import open_configured_records
from tetkik.cli.tables import listing
from tetkik.errors import UsageError
from tetkik.settings import settings
from tetkik.turkish import alphabetical
from tetkik.values import EVERY_DEPARTMENT, SYSTEM, Role

if TYPE_CHECKING:
    from tetkik.records.database import Transaction
    from tetkik.records.people.repair import SuspendedKeys
    from tetkik.records.people.users import Member, Profile

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

_Login = Annotated[str, argument("Whose; capitals make no difference.", "LOGIN")]
_Roles = Annotated[list[Role], option("A role; may be given several times.", "--role")]
_Departments = Annotated[
    list[str] | None, option("A clinician's department; may be given several times.", "--department")
]
_Every = Annotated[bool, option("A clinician sees the cases of every department.", "--every-department")]


@contextmanager
def _transaction() -> Iterator[Transaction]:
    with open_configured_records(new=True) as records, records.write(SYSTEM) as tx:
        yield tx


@contextmanager
def _change(login: str) -> Iterator[tuple[Transaction, Member]]:
    """A change of one user, who is named when it is through."""
    with _transaction() as tx:
        from tetkik.records.people import users

        member = users.find_user(tx, login)
        yield tx, member
    print_line("Done: {login} ({name}).", login=member.login, name=member.profile.name)


@app.command("add", help=t("A new user; prints a one-time link to choose the password."))
def add(
    login: _Login,
    name: Annotated[str, option("The name in full.")],
    role: _Roles,
    title: Annotated[str, option("Before the name, such as: Uzm. Dr.")] = "",
    registration: Annotated[str, option("Number of the diploma, as reports show it.")] = "",
    department: _Departments = None,
    every: _Every = False,
) -> None:
    """The link is printed once and stored nowhere."""
    with _transaction() as tx:
        from tetkik.records.people import invites, users

        profile = users.Profile(name, frozenset(role), title, registration, _chosen(department, every))
        token = invites.invite(tx, users.create(tx, login, profile, departments=_offered(profile)))
    _print_link(token)


@app.command("list", help=t("Everybody, with roles and state."))
def list_users(
    as_json: TableAsJson = False,
) -> None:
    """One line a user."""
    with _transaction() as tx:
        from tetkik.records.people import users

        members = users.list_users(tx)
    if as_json:
        for member in members:
            print_json_line(_entry(member))
    elif members:
        out.print(_table(members))
    else:
        note("There is no user yet; `tetkik serve` prints a link for the first one.")


@app.command("roles", help=t("Give a user other roles; open pages follow at once."))
def roles(login: _Login, role: _Roles, department: _Departments = None, every: _Every = False) -> None:
    """Instead of the roles there were; the departments stay unless some are given."""
    with _change(login) as (tx, member):
        from tetkik.records.people import users

        departments = _chosen(department, every) or member.profile.departments
        profile = replace(member.profile, roles=frozenset(role), departments=departments)
        users.change(tx, member.id, profile, departments=_offered(profile))


@app.command("disable", help=t("Close an account: its sessions and tokens are over."))
def disable(login: _Login) -> None:
    """Users are never deleted: signatures and the audit trail name them."""
    with _change(login) as (tx, member):
        from tetkik.records.people import users

        users.disable(tx, member.id)


@app.command("enable", help=t("Open a closed account again."))
def enable(login: _Login) -> None:
    """With the roles that it had."""
    with _change(login) as (tx, member):
        from tetkik.records.people import users

        users.enable(tx, member.id)


@app.command("reset", help=t("Take the password away; prints a one-time link to choose another."))
def reset(
    login: _Login,
    keep: Annotated[bool, option("Keep passkeys and tokens, which end otherwise.", "--keep-keys")] = False,
) -> None:
    """Every session ends, and so do passkeys and tokens unless they are to be kept."""
    with _transaction() as tx:
        from tetkik.records.people import invites, users

        member = users.find_user(tx, login)
        ended = users.reset_access(tx, member.id, keys=not keep)
        token = invites.invite(tx, member.id)
    _print_link(token)
    note(
        "Ended: {sessions} sessions, {passkeys} passkeys, {tokens} tokens.",
        sessions=ended.sessions,
        passkeys=ended.passkeys,
        tokens=ended.tokens,
    )


@app.command("confirm", help=t("Let passkeys and tokens open again that came back with a backup."))
def confirm(
    login: Annotated[list[str] | None, argument("Whose; several may be named.", "LOGIN...")] = None,
    everybody: Annotated[bool, option("Those of everybody.", "--all")] = False,
) -> None:
    """What was lost or revoked after the backup must not be confirmed: reset that user instead."""
    if bool(login) == everybody:
        raise UsageError("Name the users whose passkeys and tokens are confirmed, or give --all.")
    done: list[tuple[Member, SuspendedKeys]] = []
    with _transaction() as tx:
        from tetkik.records.people import repair as after_restore
        from tetkik.records.people import users

        members = users.list_users(tx) if everybody else [users.find_user(tx, one) for one in login or ()]
        done += [
            (member, after_restore.confirm_keys(tx, member.id)) for member in members if member.keys_held
        ]
    for member, held in done:
        print_line(
            "{login}: {passkeys} passkeys and {tokens} tokens open again.",
            login=member.login,
            passkeys=held.passkeys,
            tokens=held.tokens,
        )
    if not done:
        note("Nothing waits to be confirmed.")


@app.command("repair", help=t("Take back an account that another program changed in the database."))
def repair(
    login: Annotated[str | None, argument("Whose; without it, altered accounts are listed.", "LOGIN")] = None,
    role: Annotated[
        list[Role] | None, option("A role to have; may be given several times.", "--role")
    ] = None,
) -> None:
    """Exit status 1 where accounts are left to repair; nothing that opened one is kept."""
    with _transaction() as tx:
        from tetkik.records.people import invites
        from tetkik.records.people import repair as repairing
        from tetkik.records.schema import User

        if login is not None:
            if not role:
                raise UsageError("What an altered account says of its roles is nobody's word; give --role.")
            token = invites.invite(tx, repairing.repair_account(tx, login, role))
        removed = repairing.remove_altered_keys(tx)
        left = [(user.login, user.name, user.roles) for user in repairing.list_altered(tx, User)]
    if login is not None:
        _print_link(token)
    if removed:
        note("Removed: {count} altered passkeys, tokens, sessions and links.", count=removed)
    for other, name, roles in left:
        print_line("{login} ({name}; {roles}) was altered.", login=other, name=name, roles=roles)
    if left:
        warn("Look at each, and give it its roles: tetkik users repair LOGIN --role ROLE.")
        raise typer.Exit(1)
    if login is None and not removed:
        note("No account was altered.")


@app.command("unlock", help=t("End the pause after failed sign-ins."))
def unlock(login: _Login) -> None:
    """The count begins anew."""
    with _change(login) as (tx, member):
        from tetkik.records.people import users

        users.unlock(tx, member.id)


@app.command("demand-change", help=t("Ask for a new password: nothing else opens before it is chosen."))
def demand_change(login: _Login) -> None:
    """The present password still signs in, and then another one has to be chosen."""
    with _change(login) as (tx, member):
        from tetkik.records.people import users

        users.require_password_change(tx, member.id)


@app.command("departments", help=t("The names that --department takes."))
def departments() -> None:
    """One a line."""
    from tetkik.workflow import departments

    for name in sorted(departments(settings().triage_model), key=alphabetical):
        out.print(name)


def _offered(profile: Profile) -> tuple[str, ...]:
    """The departments that can be given; the model is asked where one is."""
    from tetkik.workflow import departments

    return departments(settings().triage_model) if {*profile.departments} - {EVERY_DEPARTMENT} else ()


def _chosen(department: list[str] | None, every: bool) -> tuple[str, ...]:
    return (EVERY_DEPARTMENT,) if every else tuple(department or ())


def _print_link(token: str) -> None:
    from tetkik.cli.serve import settings_to_serve

    url = settings_to_serve(settings(), None, None).public_url or "https://…"
    out.print(f"{url}/setup/{token}", soft_wrap=True)
    note("The link works once, for 24 hours; it is stored nowhere.")


def _state(member: Member) -> str:
    if member.altered:
        return "altered"
    if member.disabled_at is not None:
        return "closed"
    if member.locked_until is not None:
        return "paused"
    return "open" if member.has_password or member.passkeys or member.single_sign_on else "invited"


def _entry(member: Member) -> dict[str, object]:
    return {
        "login": member.login,
        "name": member.profile.name,
        "title": member.profile.title,
        "roles": sorted(member.profile.roles),
        "departments": list(member.profile.departments),
        "state": _state(member),
        "must_change": member.must_change,
        "last_login_at": member.last_login_at.isoformat() if member.last_login_at else None,
    }


def _table(members: list[Member]) -> Table:
    table = listing(t("login"), t("name"), t("roles"), t("state"), t("last sign-in"))
    words = {
        "altered": t("altered"),
        "closed": t("account closed"),
        "paused": t("sign-in paused"),
        "open": t("account open"),
        "invited": t("invited"),
    }
    for member in members:
        last = member.last_login_at.astimezone().strftime("%d.%m.%Y %H:%M") if member.last_login_at else "–"
        roles = ", ".join(t(role.value) for role in sorted(member.profile.roles))
        table.add_row(member.login, shown(member.profile.name), roles, words[_state(member)], last)
    return table
