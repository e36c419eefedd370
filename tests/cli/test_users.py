"""`tetkik users`: from the machine itself, as the system, with one-time links."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from tetkik.cli.app import app
from tetkik.records.database import open_records
from tetkik.records.people import invites, passkeys, repair, users
from tetkik.records.schema import AuditRow
from tetkik.settings import Settings, settings
from tetkik.values import DEPARTMENTS, SYSTEM, Actor


@pytest.fixture(autouse=True)
def hospital(tmp_path, monkeypatch):
    monkeypatch.setenv("TETKIK_DATA_DIR", str(tmp_path / "hospital"))
    monkeypatch.setenv("TETKIK_LANGUAGE", "en")
    settings.cache_clear()
    yield Settings()
    settings.cache_clear()


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["users", *arguments])
    return result.exit_code, result.stdout, result.stderr


def add(login: str = "irem", *more: str) -> tuple[int, str, str]:
    return run("add", login, "--name", "İrem Işık", "--role", "radiologist", *more)


def member(hospital: Settings, login: str = "irem") -> users.Member:
    records = open_records(hospital)
    with records.read() as tx:
        found = users.find_user(tx, login)
    records.close()
    return found


def test_add_prints_a_link_that_opens(hospital):
    status, out, _ = add("İREM", "--title", "Uzm. Dr.", "--registration", "123")
    assert status == 0
    token = out.strip().rpartition("/setup/")[2]
    records = open_records(hospital)
    with records.read() as tx:
        assert invites.load_invitation(tx, token).login == "irem"
        row = tx.session.scalars(select(AuditRow.content).where(AuditRow.action == "user.created")).one()
        assert row is not None and json.loads(row)["method"] == "system"
    records.close()
    assert member(hospital).profile.title == "Uzm. Dr."


def test_list_shows_roles_and_state_in_both_forms(hospital):
    add()
    status, out, _ = run("list", "--json")
    assert status == 0
    entry = json.loads(out)
    assert (entry["login"], entry["roles"], entry["state"]) == ("irem", ["radiologist"], "invited")
    assert "İrem Işık" in run("list")[1]


def test_an_empty_hospital_says_so():
    assert "no user yet" in run("list")[2]


def test_roles_replace_the_ones_before(hospital):
    add()
    assert (
        run("roles", "IREM", "--role", "clinician", "--role", "auditor", "--department", "Nöroloji")[0] == 0
    )
    assert member(hospital).profile.roles == {"clinician", "auditor"}
    assert member(hospital).profile.departments == ("Nöroloji",)
    assert run("roles", "irem", "--role", "clinician")[0] == 0
    assert member(hospital).profile.departments == ("Nöroloji",)
    listed = run("departments")[1].splitlines()
    assert sorted(listed) == sorted(DEPARTMENTS)
    assert [listed[place] for place in (0, 5, 6, 14)] == [
        *("Beyin ve Sinir Cerrahisi", "Göğüs Hastalıkları", "Göz Hastalıkları", "Üroloji")
    ]


def test_disable_enable_reset_unlock(hospital):
    add()
    assert run("disable", "irem")[0] == 0
    assert member(hospital).disabled_at is not None
    assert run("enable", "irem")[0] == 0
    assert member(hospital).disabled_at is None
    assert "/setup/" in run("reset", "irem")[1]
    assert run("unlock", "irem")[0] == 0


def test_a_new_password_is_asked_for_where_there_is_one(hospital):
    add()
    status, _, err = run("demand-change", "irem")
    assert status == 1 or status == 2
    assert "no password" in err
    records = open_records(hospital)
    with records.write(SYSTEM) as tx:
        users.set_password(tx, users.find_user(tx, "irem").id, "dört küçük mavi kuş")
    records.close()
    assert run("demand-change", "irem")[0] == 0
    assert member(hospital).must_change
    assert json.loads(run("list", "--json")[1])["must_change"] is True


def test_a_reset_ends_the_keys_and_says_so_unless_they_are_kept(hospital):
    add()
    with_keys(hospital)
    assert "Ended: 0 sessions, 0 passkeys, 0 tokens." in run("reset", "irem", "--keep-keys")[2]
    assert member(hospital).passkeys == 1
    assert "Ended: 0 sessions, 1 passkey, 0 tokens." in run("reset", "irem")[2]
    assert member(hospital).passkeys == 0


def with_keys(hospital: Settings, *, held: bool = False) -> None:
    """A passkey, and where wanted as if it had come back with a backup."""
    actor = Actor(member(hospital).id, "İrem")
    records = open_records(hospital)
    with records.write(actor) as tx:
        passkeys.add(tx, "Desk", b"credential", b"key", 0)
    if held:
        with records.write(SYSTEM) as tx:
            repair.suspend_restored_access(tx, "2026-01-01T00:00:00+00:00")
    records.close()


def test_what_came_back_with_a_backup_is_confirmed_by_name_or_all_at_once(hospital):
    add()
    with_keys(hospital, held=True)
    assert member(hospital).keys_held
    assert run("confirm")[0] == run("confirm", "irem", "--all")[0] == 2
    assert "irem: 1 passkey and 0 tokens open again." in run("confirm", "irem")[1]
    assert not member(hospital).keys_held
    assert "Nothing waits" in run("confirm", "--all")[2]


def test_a_clinician_has_every_department_only_when_it_is_said(hospital):
    run("add", "ada", "--name", "Ada", "--role", "clinician", "--every-department")
    run("add", "eda", "--name", "Eda", "--role", "clinician")
    assert member(hospital, "ada").profile.departments == ("*",)
    assert member(hospital, "eda").profile.departments == ()
    run("roles", "eda", "--role", "clinician", "--every-department")
    assert member(hospital, "eda").profile.departments == ("*",)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("disable", "nobody"), "There is no user nobody"),
        (("roles", "irem", "--role", "king"), "choose from"),
        (("add", "irem", "--name", "İrem", "--role", "auditor"), "The login is taken"),
        (("add", "a b", "--name", "İrem", "--role", "auditor"), "The login cannot be used"),
        (
            ("add", "x1", "--name", "İrem", "--role", "clinician", "--department", "Büyü"),
            "no department Büyü",
        ),
    ],
)
def test_wrong_use_is_one_sentence(arguments, said):
    add()
    status, _, err = run(*arguments)
    assert status != 0 and said in err and err.count("\n") == 1


def test_the_last_administrator_stays(hospital):
    assert run("add", "ayse", "--name", "Ayşe", "--role", "administrator")[0] == 0
    status, _, err = run("disable", "ayse")
    assert status == 1 and "last administrator" in err
    assert member(hospital, "ayse").disabled_at is None
