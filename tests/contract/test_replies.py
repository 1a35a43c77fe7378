"""What every catalogue of replies promises: see catalogue.replies.Replies."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from catalogue.errors import IdempotencyKeyBusy, Unavailable
from catalogue.replies import Replies, Reply
from tests.contract.conftest import Catalogue
from tests.contract.examples import NOON

NAME, OTHER = "ab" * 32, "cd" * 32
SOON, LATER = NOON + timedelta(minutes=2), NOON + timedelta(days=1)
REPLY = Reply(
    request_sha256="ef" * 32,
    status=201,
    headers=(("location", "/x"), ("content-type", "application/json")),
    body='{"title": "Für Elise"}'.encode(),
)


def claim(catalogue: Catalogue, token: str, name: str = NAME) -> Reply | None:
    return catalogue.replies.claim(name, token, now=NOON, until=SOON)


def test_what_was_answered_is_answered_again(catalogue: Catalogue) -> None:
    assert claim(catalogue, "a") is None
    assert claim(catalogue, "b", OTHER) is None
    catalogue.replies.keep(NAME, "a", REPLY, until=LATER)
    assert claim(catalogue, "c") == REPLY
    assert claim(catalogue, "d") == REPLY
    with pytest.raises(IdempotencyKeyBusy):
        claim(catalogue, "e", OTHER)


def test_one_is_answered_at_a_time(catalogue: Catalogue) -> None:
    claim(catalogue, "a")
    with pytest.raises(IdempotencyKeyBusy) as busy:
        claim(catalogue, "b")
    assert busy.value.measured["left_s"] == 120
    catalogue.replies.release(NAME, "b")
    with pytest.raises(IdempotencyKeyBusy):
        claim(catalogue, "b")
    catalogue.replies.release(NAME, "a")
    assert claim(catalogue, "b") is None


def test_a_claim_runs_out_and_its_answer_is_not_kept(catalogue: Catalogue) -> None:
    replies = catalogue.replies
    claim(catalogue, "a")
    assert replies.claim(NAME, "b", now=SOON, until=LATER) is None
    replies.keep(NAME, "a", REPLY, until=LATER)
    replies.release(NAME, "a")
    with pytest.raises(IdempotencyKeyBusy):
        replies.claim(NAME, "c", now=SOON, until=LATER)
    replies.keep(NAME, "b", REPLY, until=LATER)
    replies.release(NAME, "b")
    assert replies.claim(NAME, "c", now=SOON, until=LATER) == REPLY


def test_what_is_over_is_forgotten(catalogue: Catalogue) -> None:
    replies = catalogue.replies
    claim(catalogue, "a")
    replies.keep(NAME, "a", REPLY, until=LATER)
    assert replies.expire(now=SOON) == 0
    assert replies.claim(NAME, "b", now=LATER, until=LATER + timedelta(days=1)) is None
    replies.keep(NAME, "b", REPLY, until=LATER)
    assert replies.expire(now=LATER) == 1
    assert claim(catalogue, "c") is None


@pytest.mark.parametrize("method", [name for name in vars(Replies) if not name.startswith("_")])
def test_replies_that_are_away_say_so(away_catalogue: Catalogue, method: str) -> None:
    replies = away_catalogue.replies
    calls: dict[str, Callable[[], object]] = {
        "claim": lambda: claim(away_catalogue, "a"),
        "keep": lambda: replies.keep(NAME, "a", REPLY, until=LATER),
        "release": lambda: replies.release(NAME, "a"),
        "expire": lambda: replies.expire(now=NOON),
    }
    with pytest.raises(Unavailable):
        calls[method]()
