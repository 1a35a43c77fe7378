import hashlib

import pytest

from protection.tokens import (
    hash_secret,
    make_api_key,
    random_bytes,
    secrets_equal,
    split_api_key,
)

GOOD = f"lathe_{'0af1' * 4}_{'Aa0_-' * 8}xyz"


def test_a_made_key_splits_into_its_id_and_its_secret() -> None:
    key = make_api_key()
    split = split_api_key(key.text)
    assert split is not None
    assert split[0] == key.id
    assert hash_secret(split[1]) == key.secret_sha256


def test_made_keys_differ() -> None:
    keys = [make_api_key() for _ in range(50)]
    assert len({key.id for key in keys}) == len({key.secret_sha256 for key in keys}) == 50


def test_a_key_never_shows_its_secret() -> None:
    key = make_api_key()
    assert key.text not in repr(key)
    assert key.secret_sha256 not in repr(key)
    assert key.id in repr(key)


def test_a_secret_is_stored_as_its_hash() -> None:
    assert hash_secret("the secret") == hashlib.sha256(b"the secret").hexdigest()


def test_the_shape_of_a_key() -> None:
    assert split_api_key(GOOD) == ("0af1" * 4, GOOD[-43:])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lathe__",
        GOOD[:-1],
        GOOD + "x",
        GOOD + "\n",
        " " + GOOD,
        GOOD.replace("lathe", "other"),
        GOOD.replace("0af1", "0AF1"),
        GOOD.replace("0af1", "0ag1"),
        GOOD[:-1] + "é",
        GOOD[:-1] + "\udcff",
        GOOD[:-1] + "+",
    ],
)
def test_what_is_no_key_does_not_split(text: str) -> None:
    assert split_api_key(text) is None


def test_secrets_compare_by_value() -> None:
    one, other = hash_secret("one"), hash_secret("other")
    assert secrets_equal(one, "".join(one)) is True
    assert secrets_equal(one, other) is False
    assert secrets_equal(one, one[:-1]) is False


@pytest.mark.parametrize("count", [0, 1, 10, 100])
def test_random_bytes_are_as_many_as_asked(count: int) -> None:
    assert len(random_bytes(count)) == count


def test_random_bytes_differ() -> None:
    assert len({random_bytes(10) for _ in range(100)}) == 100
