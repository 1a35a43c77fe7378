"""How often things may be done: see catalogue.port.Limits. In the process and in Redis."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalogue.errors import Unavailable
from catalogue.fleeting.client import open_redis
from catalogue.fleeting.limits import MemoryLimits, RedisLimits
from catalogue.people_port import Limit, Limits, Verdict
from tests.contract.examples import NOON
from tests.engines import RedisServer

FIVE = Limit(count=5, window=timedelta(minutes=15))
HOUR, LASTS, MOMENT = timedelta(hours=1), timedelta(seconds=4), timedelta(milliseconds=1)


@pytest.fixture(params=["memory", "redis"])
def limits(request: pytest.FixtureRequest) -> Limits:
    if request.param == "memory":
        return MemoryLimits()
    client = open_redis(request.getfixturevalue("redis_server").url)
    client.flushdb()
    request.addfinalizer(client.close)
    return RedisLimits(client)


def take(limits: Limits, *keys: str, now: datetime = NOON, limit: Limit = FIVE) -> bool:
    return limits.take(keys, limit, now=now).allowed


def test_so_much_is_allowed_and_no_more(limits: Limits) -> None:
    verdicts = [limits.take(["ada"], FIVE, now=NOON) for _ in range(7)]
    assert [each.allowed for each in verdicts] == [True] * 5 + [False] * 2
    assert [each.remaining for each in verdicts] == [4, 3, 2, 1, 0, 0, 0]
    assert [each.retry_after_s for each in verdicts[:5]] == [0] * 5
    assert take(limits, "bob")


def test_several_are_taken_at_once_or_none(limits: Limits) -> None:
    verdicts = [limits.take(["ada"], FIVE, now=NOON, count=count) for count in (3, 3, 2, 1)]
    assert [each.allowed for each in verdicts] == [True, False, True, False]
    assert [each.remaining for each in verdicts] == [2, 0, 0, 0]
    assert limits.take(["bob"], FIVE, now=NOON, count=3).allowed
    refused = limits.take(["bob"], FIVE, now=NOON, count=3)
    later = NOON + timedelta(seconds=refused.retry_after_s)
    assert not limits.take(["bob"], FIVE, now=later - timedelta(seconds=1), count=3).allowed
    assert limits.take(["bob"], FIVE, now=later, count=3).allowed


def test_all_keys_must_have_room_and_none_is_counted_without(limits: Limits) -> None:
    for _ in range(5):
        assert take(limits, "address", "ada")
    assert not take(limits, "address", "bob")
    assert [take(limits, "bob") for _ in range(6)] == [True] * 5 + [False]


def test_what_is_given_back_may_be_taken_again(limits: Limits) -> None:
    for _ in range(20):
        assert take(limits, "ada", "address")
        limits.give_back(["ada", "address"], FIVE, now=NOON)
    limits.give_back(["ada"], FIVE, now=NOON)
    assert [take(limits, "ada") for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.parametrize("taken_after_s", [0, 1, 449, 899])
def test_after_retry_after_there_is_room_and_a_second_before_there_is_none(
    limits: Limits, taken_after_s: int
) -> None:
    begin = datetime.fromtimestamp(NOON.timestamp() // 900 * 900, NOON.tzinfo)
    now = begin + timedelta(seconds=taken_after_s)
    for _ in range(5):
        assert take(limits, "ada", now=now)
    for _ in range(12):
        verdict = limits.take(["ada"], FIVE, now=now)
        assert not verdict.allowed
        wait = timedelta(seconds=verdict.retry_after_s)
        assert not take(limits, "ada", now=now + wait - timedelta(seconds=1))
        now += wait
        assert take(limits, "ada", now=now)


def test_many_at_once_get_no_more_than_there_is(limits: Limits) -> None:
    limit = Limit(count=50, window=timedelta(minutes=1))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: take(limits, "ada", limit=limit), range(200)))
    assert sum(found) == 50


def begin(
    limits: Limits, what: str, *, now: datetime = NOON, limit: Limit = FIVE
) -> Verdict | datetime:
    return limits.take_once("ada", what, limit, now=now, lasts=HOUR)


def counted(found: Verdict | datetime) -> bool | None:
    return found.allowed if isinstance(found, Verdict) else None


def test_what_lasts_is_counted_once_whoever_asks(limits: Limits) -> None:
    assert begin(limits, "one") == Verdict(allowed=True, remaining=4, retry_after_s=0)
    assert begin(limits, "one") == NOON
    assert begin(limits, "one", now=NOON + HOUR - MOMENT) == NOON
    # Another's clock may go before.
    assert begin(limits, "one", now=NOON - MOMENT) == NOON
    assert counted(limits.take_once("bob", "one", FIVE, now=NOON, lasts=HOUR))
    later = NOON + HOUR
    assert counted(begin(limits, "one", now=later))
    assert begin(limits, "one", now=later + MOMENT) == later
    # A clock that was set back far is no reason to count nothing for as long.
    assert counted(begin(limits, "one", now=NOON - HOUR))


def test_what_there_was_no_room_for_has_not_begun(limits: Limits) -> None:
    for number in range(5):
        assert counted(begin(limits, str(number)))
    refused = begin(limits, "late")
    assert isinstance(refused, Verdict) and not refused.allowed
    assert not take(limits, "ada")
    assert begin(limits, "0") == NOON
    later = NOON + timedelta(seconds=refused.retry_after_s)
    assert counted(begin(limits, "late", now=later - timedelta(seconds=1))) is False
    assert counted(begin(limits, "late", now=later)) is True


def test_of_many_at_once_one_counts_what_lasts(limits: Limits) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: begin(limits, str(number % 3)), range(120)))
    assert [counted(each) for each in found].count(True) == 3
    assert limits.take(["ada"], FIVE, now=NOON).remaining == 1


_steps = st.lists(
    st.tuples(st.sampled_from(["ada", "bob"]), st.floats(0, 20), st.integers(0, 3)), max_size=40
)


@given(steps=_steps, count=st.integers(1, 6))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_redis_judges_as_the_process_does(
    redis_server: RedisServer, steps: list[tuple[str, float, int]], count: int
) -> None:
    limit = Limit(count=count, window=timedelta(seconds=10))
    client = open_redis(redis_server.url)
    client.flushdb()
    both: tuple[Limits, Limits] = MemoryLimits(), RedisLimits(client)
    now = NOON
    for key, after_s, wanted in steps:
        now += timedelta(seconds=after_s)
        if not wanted:
            for each in both:
                each.give_back([key], limit, now=now)
            continue
        wanted = min(wanted, count)
        begun = [each.take_once(key, "it", limit, now=now, lasts=LASTS) for each in both]
        assert begun[0] == begun[1]
        one, other = (each.take([key, "shared"], limit, now=now, count=wanted) for each in both)
        assert one == other
    client.close()


def test_what_is_past_is_forgotten() -> None:
    limits = MemoryLimits()
    limit = Limit(count=1, window=timedelta(seconds=1))
    for number in range(30_000):
        assert take(limits, str(number), limit=limit, now=NOON + timedelta(seconds=number))
        begin(limits, str(number), limit=limit, now=NOON + number * HOUR)
    assert len(limits._counts) < 11_000
    assert len(limits._done) < 11_000


def test_redis_that_is_away_says_so() -> None:
    limits = RedisLimits(open_redis("redis://127.0.0.1:1/0"))
    with pytest.raises(Unavailable):
        limits.take(["ada"], FIVE, now=NOON)
    with pytest.raises(Unavailable):
        begin(limits, "one")
