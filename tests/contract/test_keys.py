"""What a catalogue of API keys promises: see catalogue.port.Keys."""

from collections.abc import Callable

import pytest

from catalogue.errors import Unavailable
from catalogue.port import StoredKey
from tests.contract.conftest import Catalogue
from tests.contract.examples import NOON

KEY = StoredKey(id="0123456789abcdef", label="the-label", secret_sha256="ab" * 32)
OTHER = StoredKey(id="fedcba9876543210", label="another", secret_sha256="cd" * 32)


def test_no_key_is_there_at_first(catalogue: Catalogue) -> None:
    assert catalogue.keys.is_empty() is True
    assert catalogue.keys.find(KEY.id) is None


def test_a_key_is_found_by_its_id(catalogue: Catalogue) -> None:
    catalogue.keys.add(KEY, now=NOON)
    catalogue.keys.add(OTHER, now=NOON)
    assert catalogue.keys.find(KEY.id) == KEY
    assert catalogue.keys.find(OTHER.id) == OTHER
    assert catalogue.keys.is_empty() is False


def test_a_label_may_have_several_keys(catalogue: Catalogue) -> None:
    second = StoredKey(id=OTHER.id, label=KEY.label, secret_sha256=OTHER.secret_sha256)
    catalogue.keys.add(KEY, now=NOON)
    catalogue.keys.add(second, now=NOON)
    assert catalogue.keys.find(second.id) == second


def test_a_removed_key_is_forgotten_and_no_other(catalogue: Catalogue) -> None:
    catalogue.keys.add(KEY, now=NOON)
    catalogue.keys.add(OTHER, now=NOON)
    catalogue.keys.remove(KEY.id, now=NOON)
    assert catalogue.keys.find(KEY.id) is None
    assert catalogue.keys.find(OTHER.id) == OTHER


def test_removing_what_is_not_there_changes_nothing(catalogue: Catalogue) -> None:
    catalogue.keys.add(KEY, now=NOON)
    catalogue.keys.remove(OTHER.id, now=NOON)
    assert catalogue.keys.find(KEY.id) == KEY


@pytest.mark.parametrize("method", ["add", "find", "remove", "is_empty"])
def test_keys_that_are_away_say_so(away_catalogue: Catalogue, method: str) -> None:
    keys = away_catalogue.keys
    calls: dict[str, Callable[[], object]] = {
        "add": lambda: keys.add(KEY, now=NOON),
        "find": lambda: keys.find(KEY.id),
        "remove": lambda: keys.remove(KEY.id, now=NOON),
        "is_empty": keys.is_empty,
    }
    with pytest.raises(Unavailable):
        calls[method]()
