"""What a catalogue of API keys promises: see catalogue.port.Keys."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from catalogue.auditing import Deed
from catalogue.errors import KeyNotFound, Unavailable
from catalogue.port import Scope, StoredKey
from tests.contract.conftest import Catalogue
from tests.contract.examples import NOON

KEY = StoredKey(id="0123456789abcdef", label="the-label", secret_sha256="ab" * 32, created_at=NOON)
OTHER = StoredKey(
    id="fedcba9876543210",
    label="another",
    secret_sha256="cd" * 32,
    created_at=NOON,
    name="the uploader",
    scopes=frozenset({Scope.DELIVER, Scope.SEE}),
)
LATER = NOON + timedelta(hours=2)


def test_no_key_is_there_at_first(catalogue: Catalogue) -> None:
    assert catalogue.keys.is_empty() is True
    assert catalogue.keys.find(KEY.id) is None


def test_a_key_is_found_by_its_id(catalogue: Catalogue) -> None:
    catalogue.keys.add(KEY)
    catalogue.keys.add(OTHER)
    assert catalogue.keys.find(KEY.id) == KEY
    assert catalogue.keys.find(OTHER.id) == OTHER
    assert catalogue.keys.is_empty() is False


def test_a_label_may_have_several_keys(catalogue: Catalogue) -> None:
    second = replace(OTHER, label=KEY.label)
    catalogue.keys.add(KEY)
    catalogue.keys.add(second)
    assert catalogue.keys.find(second.id) == second


def test_a_removed_key_is_forgotten_and_no_other(catalogue: Catalogue) -> None:
    catalogue.keys.add(KEY)
    catalogue.keys.add(OTHER)
    catalogue.keys.remove(KEY.id, now=NOON)
    assert catalogue.keys.find(KEY.id) is None
    assert catalogue.keys.find(OTHER.id) == OTHER


def test_removing_what_is_not_there_changes_nothing(catalogue: Catalogue) -> None:
    catalogue.keys.add(KEY)
    catalogue.keys.remove(OTHER.id, now=NOON)
    assert catalogue.keys.find(KEY.id) == KEY


def test_a_revoked_key_is_known_as_such(catalogue: Catalogue) -> None:
    catalogue.keys.add(KEY)
    catalogue.keys.add(OTHER)
    for moment in (NOON, LATER):
        catalogue.keys.revoke(KEY.id, now=moment)
        assert catalogue.keys.find(KEY.id) == replace(KEY, revoked_at=NOON)
    assert catalogue.keys.find(OTHER.id) == OTHER
    with pytest.raises(KeyNotFound):
        catalogue.keys.revoke("none", now=NOON)
    deeds = [entry.deed for entry in catalogue.audits.page(after=0, limit=9, subject=KEY.id)]
    assert deeds == [Deed.KEY_MADE, Deed.KEY_REVOKED]
    assert catalogue.keys.is_empty() is False


def test_when_a_key_was_used_is_known(catalogue: Catalogue) -> None:
    catalogue.keys.add(KEY)
    catalogue.keys.use(KEY.id, now=NOON)
    catalogue.keys.use(KEY.id, now=LATER)
    catalogue.keys.use(OTHER.id, now=LATER)
    assert catalogue.keys.find(KEY.id) == replace(KEY, used_at=LATER)


def test_keys_are_listed_in_pages(catalogue: Catalogue) -> None:
    keys = [replace(KEY, id=f"{number:016x}") for number in range(5)] + [OTHER]
    for key in keys:
        catalogue.keys.add(key)
    assert catalogue.keys.page(label=None, after="", limit=9) == keys
    assert catalogue.keys.page(label="another", after="", limit=9) == [OTHER]
    assert catalogue.keys.page(label="the-label", after=keys[1].id, limit=2) == keys[2:4]
    assert catalogue.keys.page(label="nobody", after="", limit=9) == []


@pytest.mark.parametrize("method", ["add", "find", "page", "use", "revoke", "remove", "is_empty"])
def test_keys_that_are_away_say_so(away_catalogue: Catalogue, method: str) -> None:
    keys = away_catalogue.keys
    calls: dict[str, Callable[[], object]] = {
        "add": lambda: keys.add(KEY),
        "find": lambda: keys.find(KEY.id),
        "page": lambda: keys.page(label=None, after="", limit=1),
        "use": lambda: keys.use(KEY.id, now=NOON),
        "revoke": lambda: keys.revoke(KEY.id, now=NOON),
        "remove": lambda: keys.remove(KEY.id, now=NOON),
        "is_empty": keys.is_empty,
    }
    with pytest.raises(Unavailable):
        calls[method]()
