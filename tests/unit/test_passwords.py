"""Passwords: known again, never kept, and no account told from none."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protection.passwords import hash_password, is_outdated, is_password


@settings(max_examples=10, deadline=None)
@given(st.text(min_size=1, max_size=100))
def test_a_password_is_known_and_no_other_is(password: str) -> None:
    stored = hash_password(password)
    assert is_password(password, stored)
    assert not is_password(f"{password}x", stored)
    assert not is_password(password[:-1], stored)


def test_the_stored_form_tells_its_parameters_and_not_the_password() -> None:
    stored = hash_password("open sesame")
    assert re.fullmatch(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}", stored)
    assert "sesame" not in stored
    assert stored != hash_password("open sesame"), "each has a salt of its own"


def test_nothing_is_known_where_nothing_is_stored() -> None:
    assert not is_password("open sesame", None)
    assert not is_password("", None)


def test_one_password_may_be_typed_in_two_ways() -> None:
    assert is_password("cafe\u0301 noir", hash_password("caf\u00e9 noir"))


@pytest.mark.parametrize("parameters", ["m=8192,t=2,p=1", "m=19456,t=1,p=1", "m=19456,t=2,p=4"])
def test_other_parameters_are_outdated(parameters: str) -> None:
    stored = hash_password("open sesame")
    assert not is_outdated(stored)
    assert is_outdated(stored.replace("m=19456,t=2,p=1", parameters))


@pytest.mark.parametrize("stored", ["", "open sesame", "$argon2id$v=19$m=1", "$2b$12$abc"])
def test_what_is_no_stored_form_opens_nothing(stored: str) -> None:
    assert not is_password("open sesame", stored)
