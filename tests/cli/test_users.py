"""`tetkik users`: from the machine itself, as the system, with one-time links."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from tetkik.cli.app import app
from tetkik.records.opening import open_records
from tetkik.records.people import invites, users
from tetkik.records.schema import AuditRow
from tetkik.settings import Settings, settings


@pytest.fixture(autouse=True)
def house(tmp_path, monkeypatch):
    monkeypatch.setenv("TETKIK_DATA_DIR", str(tmp_path / "house"))
    monkeypatch.setenv("TETKIK_LANGUAGE", "en")
    settings.cache_clear()
    yield Settings()
    settings.cache_clear()


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["users", *arguments])
    return result.exit_code, result.stdout, result.stderr


def add(login: str = "irem", *more: str) -> tuple[int, str, str]:
    return run("add", login, "--name", "İrem Işık", "--role", "radiologist", *more)


def member(house: Settings, login: str = "irem") -> users.Member:
    records = open_records(house)
    with records.read() as tx:
        found = users.by_login(tx, login)
    records.close()
    return found


def test_add_prints_a_link_that_opens(house):
    status, out, _ = add("İREM", "--title", "Uzm. Dr.", "--registration", "123")
    assert status == 0
    token = out.strip().rpartition("/setup/")[2]
    records = open_records(house)
    with records.read() as tx:
        assert invites.look(tx, token).login == "irem"
        row = tx.session.scalars(select(AuditRow.content).where(AuditRow.action == "user.created")).one()
        assert row is not None and json.loads(row)["method"] == "system"
    records.close()
    assert member(house).profile.title == "Uzm. Dr."


def test_list_shows_roles_and_state_in_both_forms(house):
    add()
    status, out, _ = run("list", "--json")
    assert status == 0
    entry = json.loads(out)
    assert (entry["login"], entry["roles"], entry["state"]) == ("irem", ["radiologist"], "invited")
    assert "İrem Işık" in run("list")[1]


def test_an_empty_house_says_so():
    assert "no user yet" in run("list")[2]


def test_roles_replace_the_ones_before(house):
    add()
    assert (
        run("roles", "IREM", "--role", "clinician", "--role", "auditor", "--department", "Nöroloji")[0] == 0
    )
    assert member(house).profile.roles == {"clinician", "auditor"}
    assert member(house).profile.departments == ("Nöroloji",)
    assert run("roles", "irem", "--role", "clinician")[0] == 0
    assert member(house).profile.departments == ("Nöroloji",)
    assert "Nöroloji" in run("departments")[1]


def test_disable_enable_reset_unlock(house):
    add()
    assert run("disable", "irem")[0] == 0
    assert member(house).disabled_at is not None
    assert run("enable", "irem")[0] == 0
    assert member(house).disabled_at is None
    assert "/setup/" in run("reset", "irem")[1]
    assert run("unlock", "irem")[0] == 0


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


def test_the_last_administrator_stays(house):
    assert run("add", "ayse", "--name", "Ayşe", "--role", "administrator")[0] == 0
    status, _, err = run("disable", "ayse")
    assert status == 1 and "last administrator" in err
    assert member(house, "ayse").disabled_at is None
