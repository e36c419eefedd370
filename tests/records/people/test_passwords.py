"""Passwords are hashed with argon2id, and guessable ones are refused whatever signs they are dressed with."""

from __future__ import annotations

from runpy import run_path

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from tetkik.errors import InputError
from tetkik.records.people import passwords

GOOD = "dört küçük mavi kuş"


def test_a_password_opens_its_own_hash_alone():
    known = passwords.hashed(GOOD)
    assert passwords.matches(GOOD, known)
    assert not passwords.matches("dört küçük mavi kuşş", known)
    assert not passwords.matches(GOOD, None)
    assert not passwords.matches(GOOD, "not a hash")


def test_the_same_password_has_another_hash_each_time():
    assert passwords.hashed(GOOD) != passwords.hashed(GOOD)


def test_the_parameters_are_those_of_owasp():
    parameters = extract_parameters(run_path(passwords.__file__)["hashed"](GOOD))
    assert parameters.type is Type.ID
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19 * 1024, 2, 1)


def test_a_letter_typed_in_two_ways_is_one():
    composed, decomposed = "k\u00fc\u00e7\u00fck mavi kuş", "ku\u0308c\u0327u\u0308k mavi kus\u0327"
    assert passwords.matches(decomposed, passwords.hashed(composed))


def test_an_old_hash_is_known_as_such():
    assert passwords.is_outdated(PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(GOOD))
    assert not passwords.is_outdated(passwords.hashed(GOOD))


@pytest.mark.parametrize(
    "password",
    [
        "kısa parola",
        "123456789012",
        "Password123456!",
        "galatasaray1905",
        "HASTANE2026istanbul",
        "aaaaaaaaaaaaaaaaaaaa",
        "abababababababab",
        "!!!!!!!!!!!!!!!!",
        "Gülçin.Şahin1970",
        "ÖzelDevlet2026!!",
        "x" * 257,
    ],
)
def test_what_is_easily_guessed_is_refused_without_repeating_it(password):
    with pytest.raises(InputError) as refused:
        passwords.refuse_weak(password, ("gulcin.sahin", "Gülçin Şahin", "Özel Devlet"))
    assert password not in str(refused.value)


@pytest.mark.parametrize(
    "password", [GOOD, "correct horse battery staple", "x9$kLm2#pQz!", "kırmızıbalongöğe"]
)
def test_length_alone_is_asked_for(password):
    passwords.refuse_weak(password, ("gulcin.sahin", "Gülçin Şahin", "Özel Devlet"))
