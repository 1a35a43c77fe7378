"""How often everybody may ask: what is counted, ahead and exactly, and what is refused."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIRouter

import origin
from catalogue.errors import SessionsUnavailable, SettingsInvalid, TooManyRequests
from catalogue.fleeting.limits import MemoryLimits
from catalogue.people_port import Limit, Limits, Verdict
from origin import access
from origin.throttle import PLAY_LASTS, USUAL, Category, Throttle, parse_limits
from origin.visit import Visit
from tests.contract.examples import NOON

MINUTE = timedelta(minutes=1)


class Clock:
    """A clock that is set by hand."""

    now = NOON

    def __call__(self) -> datetime:
        return self.now


class Counted(MemoryLimits):
    """Limits that remember how often they were asked, and are away when told so."""

    away = False

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def take(self, keys: Sequence[str], limit: Limit, *, now: datetime, count: int = 1) -> Verdict:
        self.asked += 1
        if self.away:
            raise SessionsUnavailable("Redis: TimeoutError.")
        return super().take(keys, limit, now=now, count=count)

    def take_once(
        self, key: str, what: str, limit: Limit, *, now: datetime, lasts: timedelta
    ) -> Verdict | datetime:
        self.asked += 1
        if self.away:
            raise SessionsUnavailable("Redis: TimeoutError.")
        return super().take_once(key, what, limit, now=now, lasts=lasts)


def build(limits: Limits, clock: Clock, **counts: int) -> Throttle:
    """Return a throttle whose limits are a minute's, where they are not as usual."""
    own = {Category(name): Limit(count=count, window=MINUTE) for name, count in counts.items()}
    return Throttle(limits, {**USUAL, **own}, now=clock)


def ask(throttle: Throttle, category: Category = Category.STREAM, who: str = "ada") -> Visit:
    visit = Visit(told={})
    throttle.admit(visit, category, who)
    return visit


def refusals(throttle: Throttle, number: int, who: str = "ada") -> list[bool]:
    found = []
    for _ in range(number):
        try:
            ask(throttle, who=who)
            found.append(False)
        except TooManyRequests:
            found.append(True)
    return found


@pytest.mark.parametrize("count", [1, 29, 30, 100, 300])
def test_exactly_so_many_are_admitted(count: int) -> None:
    throttle = build(MemoryLimits(), Clock(), stream=count)
    assert refusals(throttle, count + 3) == [False] * count + [True] * 3
    assert refusals(throttle, 1, who="bob") == [False]


def test_what_is_left_is_told_and_falls_by_one_each_time() -> None:
    throttle = build(MemoryLimits(), Clock(), stream=100)
    told = [dict(ask(throttle).headers) for _ in range(100)]
    assert [each[b"ratelimit"] for each in told] == [
        b'"stream";r=%d' % left for left in range(99, -1, -1)
    ]
    assert {each[b"ratelimit-policy"] for each in told} == {b'"stream";q=100;w=60'}


def test_few_requests_wait_for_those_who_count() -> None:
    limits = Counted()
    throttle = build(limits, Clock(), stream=300)
    refusals(throttle, 300)
    assert limits.asked == 30


def test_two_processes_admit_no_more_than_one() -> None:
    limits, clock = MemoryLimits(), Clock()
    both = [build(limits, clock, stream=300) for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda number: refusals(both[number % 2], 1)[0], range(600))
    assert list(found).count(False) == 300


def test_a_request_is_counted_once_and_refused_as_often_as_it_asks() -> None:
    throttle = build(MemoryLimits(), Clock(), stream=1)
    visit = ask(throttle)
    throttle.admit(visit, Category.STREAM, "ada")
    late = Visit(told={})
    for _ in range(2):
        with pytest.raises(TooManyRequests) as caught:
            throttle.admit(late, Category.STREAM, "ada")
        assert caught.value.measured["limit"] == 1
        assert late.headers.count((b"ratelimit-policy", b'"stream";q=1;w=60')) == 1
    assert throttle.admit_at_once(visit, Category.STREAM, "ada", NOON)


def test_what_was_counted_ahead_ends_with_its_window() -> None:
    limits, clock = Counted(), Clock()
    clock.now = NOON + timedelta(seconds=59)
    throttle = build(limits, clock, stream=60)
    ask(throttle)
    clock.now += timedelta(seconds=2)
    assert not throttle.admit_at_once(Visit(told={}), Category.STREAM, "ada", clock.now)
    # The lot of two was counted in the window before, of which all but a second still counts.
    assert refusals(throttle, 60).count(False) == 58


def test_while_redis_is_away_each_process_counts_by_itself() -> None:
    limits = Counted()
    throttle = build(limits, Clock(), stream=5)
    limits.away = True
    assert refusals(throttle, 7) == [False] * 5 + [True] * 2


def test_a_play_is_counted_once_within_an_hour() -> None:
    clock = Clock()
    throttle = build(MemoryLimits(), clock, plays=2)
    assert [throttle.play("ada", track) for track in ("one", "one", "two", "one")] == [
        True,
        False,
        True,
        False,
    ]
    with pytest.raises(TooManyRequests) as caught:
        throttle.play("ada", "three")
    assert caught.value.measured["category"] == "plays"
    assert throttle.play("bob", "three")
    clock.now += PLAY_LASTS
    assert throttle.play("ada", "one")


class Far:
    """Limits that others have, too, and that are waited for."""

    def __init__(self, near: Limits) -> None:
        self.take, self.take_once, self.give_back = near.take, near.take_once, near.give_back


def test_a_play_goes_on_at_every_process_and_after_a_restart() -> None:
    limits, clock = Far(Counted()), Clock()
    one, other = (build(limits, clock, plays=3) for _ in range(2))
    for throttle in (one, other, build(limits, clock, plays=3)):
        begun = [throttle.play("ada", track) for track in ("one", "two")]
        assert begun == [throttle is one] * 2
    clock.now += PLAY_LASTS - MINUTE / 2
    late = build(limits, clock, plays=3)
    assert not late.play("ada", "one")
    assert [each.play_at_once("ada", "one", clock.now) for each in (other, late)] == [False] * 2
    clock.now += MINUTE / 2
    # It lasts from when it began, not from when it was first asked for here.
    assert [each.play_at_once("ada", "one", clock.now) for each in (other, late)] == [None] * 2
    assert [one.play("ada", "one"), other.play("ada", "one")] == [True, False]


def test_what_is_known_to_play_waits_for_nobody() -> None:
    limits, clock = Counted(), Clock()
    throttle = build(Far(limits), clock)
    assert throttle.play_at_once("ada", "one", NOON) is None
    assert throttle.play("ada", "one")
    asked = limits.asked
    assert [throttle.play_at_once("ada", "one", NOON) for _ in range(9)] == [False] * 9
    assert limits.asked == asked
    near = build(Counted(), clock, plays=1)
    assert [near.play_at_once("ada", each, NOON) for each in ("one", "one", "two")] == [
        True,
        False,
        None,
    ]


def test_plays_are_counted_while_redis_is_away() -> None:
    limits = Counted()
    throttle = build(limits, Clock(), plays=2)
    limits.away = True
    assert [throttle.play("ada", track) for track in ("one", "one", "two")] == [True, False, True]
    with pytest.raises(TooManyRequests):
        throttle.play("ada", "three")


def test_a_request_for_more_counts_for_more() -> None:
    throttle = build(MemoryLimits(), Clock(), stream=60)
    visit = ask(throttle)
    for left in range(58, 49, -1):
        throttle.admit_more(visit, Category.STREAM, "ada")
        told = [value for name, value in visit.headers if name == b"ratelimit"]
        assert told == [b'"stream";r=%d' % left]
    assert [name for name, _ in visit.headers].count(b"ratelimit-policy") == 1
    assert refusals(throttle, 51) == [False] * 50 + [True]
    with pytest.raises(TooManyRequests):
        throttle.admit_more(visit, Category.STREAM, "ada")


def test_the_usual_limits_are_these() -> None:
    assert {str(name): (limit.count, limit.window) for name, limit in USUAL.items()} == {
        "stream": (300, MINUTE),
        "search": (30, MINUTE),
        "library": (100, MINUTE),
        "recommendations": (20, MINUTE),
        "admin": (50, MINUTE),
        "login": (5, 15 * MINUTE),
        "plays": (1000, timedelta(days=1)),
        "collections": (5, 60 * MINUTE),
        "uploads": (3000, MINUTE),
        "global": (100, MINUTE),
    }


def test_limits_are_read_and_nonsense_is_refused() -> None:
    read = parse_limits("stream=7/min login=3/30s plays=5/day global=9/2h")
    assert read == {
        **USUAL,
        Category.STREAM: Limit(count=7, window=MINUTE),
        Category.LOGIN: Limit(count=3, window=timedelta(seconds=30)),
        Category.PLAYS: Limit(count=5, window=timedelta(days=1)),
        Category.GLOBAL: Limit(count=9, window=timedelta(hours=2)),
    }
    assert parse_limits("") == USUAL
    for text in ("stream", "stream=0/min", "other=1/min", "stream=1/week", "stream=1/0s", "x=1/s"):
        with pytest.raises(SettingsInvalid):
            parse_limits(text)


def routes() -> Iterator[APIRoute]:
    for module in pkgutil.iter_modules(origin.__path__):
        router = getattr(importlib.import_module(f"origin.{module.name}"), "router", None)
        if isinstance(router, APIRouter):
            yield from (route for route in router.routes if isinstance(route, APIRoute))


def counts(dependant: Dependant) -> int:
    own = getattr(dependant.call, "__qualname__", "").startswith(access.counted.__name__)
    return own + sum(map(counts, dependant.dependencies))


def waiting(dependant: Dependant) -> set[object]:
    """Return what FastAPI would hand to a thread before a route is called."""
    found = set[object]()
    for each in dependant.dependencies:
        call: Any = each.call
        if not inspect.iscoroutinefunction(call) and not inspect.iscoroutinefunction(call.__call__):
            found.add(call)
        found |= waiting(each)
    return found


@pytest.mark.parametrize("route", list(routes()), ids=lambda route: f"{route.path}-{route.name}")
def test_nothing_but_who_asks_is_found_in_a_thread(route: APIRoute) -> None:
    assert waiting(route.dependant) <= {access.find_caller}


@pytest.mark.parametrize("route", list(routes()), ids=lambda route: f"{route.path}-{route.name}")
def test_every_route_is_counted_once(route: APIRoute) -> None:
    method = sorted(route.methods or ())[0]
    # A chunk is opened by a signature, which was counted when it was made.
    exempt = route.path.startswith(("/health/", "/s/", "/v1/schemas/"))
    exempt |= (route.path, method) == ("/v1/sessions", "POST")
    assert counts(route.dependant) == (0 if exempt else 1)
