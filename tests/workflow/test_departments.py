"""Departments have one source: the bundle of the triage model in use."""

from __future__ import annotations

import pytest

from tests.workflow.test_changed_models import changed
from tetkik.bundle import resolve
from tetkik.errors import InputError
from tetkik.records.people import users
from tetkik.records.people.users import Profile
from tetkik.settings import settings
from tetkik.values import DEPARTMENTS, SYSTEM, Role
from tetkik.workflow import offered_departments


@pytest.fixture
def own_model(tmp_path):
    """A hospital's model with a department that the built-in one does not know."""
    labels = ("Uyku Bozuklukları", *DEPARTMENTS[1:])
    changed(resolve("triage-linear-tr").path, tmp_path / "own", labels=labels)
    return str(tmp_path / "own")


def clinician(*departments):
    return Profile("İrem Işık", frozenset({Role.CLINICIAN}), departments=departments)


def test_a_clinician_gets_a_department_of_the_hospitals_own_model(records, own_model):
    offered = offered_departments(own_model)
    assert "Uyku Bozuklukları" in offered and DEPARTMENTS[0] not in offered
    with records.write(SYSTEM) as tx:
        user_id = users.create(tx, "irem", clinician("Uyku Bozuklukları"), departments=offered)
        assert users.load_user(tx, user_id).profile.departments == ("Uyku Bozuklukları",)
    with pytest.raises(InputError, match=DEPARTMENTS[0]), records.write(SYSTEM) as tx:
        users.change(tx, user_id, clinician(DEPARTMENTS[0]), departments=offered)


def test_what_a_clinician_has_stays_after_the_model_changed(records, own_model):
    with records.write(SYSTEM) as tx:
        user_id = users.create(
            tx, "irem", clinician(DEPARTMENTS[0]), departments=offered_departments("triage-linear-tr")
        )
    with records.write(SYSTEM) as tx:
        both = clinician(DEPARTMENTS[0], "Uyku Bozuklukları")
        users.change(tx, user_id, both, departments=offered_departments(own_model))
        assert users.load_user(tx, user_id).profile == both


def test_without_a_model_none_is_offered(tmp_path):
    assert offered_departments(str(tmp_path)) == ()


def test_with_a_wrong_prior_none_is_offered(monkeypatch):
    monkeypatch.setenv("TETKIK_TRIAGE_PRIORS", "Kardiyoloji=zz")
    settings.cache_clear()
    assert offered_departments(str(resolve("triage-linear-tr").path)) == ()
