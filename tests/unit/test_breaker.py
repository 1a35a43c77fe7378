"""What did not answer several times is told to be away, and tried again by one at a time."""

import threading

import pytest

from catalogue.breaker import FAILURES, PAUSE_S, Breaker
from catalogue.errors import StoreUnavailable, TrackNotFound


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Part:
    """A part of the plant that counts how often it was asked."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.breaker = Breaker(StoreUnavailable, "store", clock=self.clock)
        self.asked = 0
        self.away = True

    def ask(self) -> bool:
        """Return whether it answered."""
        try:
            with self.breaker.guarding():
                self.asked += 1
                if self.away:
                    raise StoreUnavailable("It does not answer.")
        except StoreUnavailable:
            return False
        return True


def test_after_some_failures_it_is_not_asked_but_once_a_pause() -> None:
    part = Part()
    assert not any(part.ask() for _ in range(FAILURES + 20))
    assert part.asked == FAILURES
    assert part.breaker.is_open
    for _ in range(3):
        part.clock.now += PAUSE_S
        assert not any(part.ask() for _ in range(5))
    assert part.asked == FAILURES + 3


def test_the_first_answer_closes_it() -> None:
    part = Part()
    for _ in range(FAILURES):
        part.ask()
    part.away = False
    assert not part.ask()
    part.clock.now += PAUSE_S
    assert all(part.ask() for _ in range(5))
    assert not part.breaker.is_open


def test_failures_count_in_a_row_alone() -> None:
    part = Part()
    for _ in range(20):
        part.away = not part.away
        part.ask()
    assert part.asked == 20


def test_what_is_refused_is_an_answer() -> None:
    part = Part()
    for _ in range(FAILURES - 1):
        part.ask()
    with pytest.raises(TrackNotFound), part.breaker.guarding():
        raise TrackNotFound("No track has this id.")
    part.ask()
    assert not part.breaker.is_open


def test_one_of_many_tries() -> None:
    part = Part()
    for _ in range(FAILURES):
        part.ask()
    part.clock.now += PAUSE_S
    threads = [threading.Thread(target=part.ask) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert part.asked == FAILURES + 1
