"""What is remembered within a bound, and what is loaded together."""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.remembered import Batched, Remembered

STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "get", "forget", "clear"]), st.integers(0, 9)), max_size=60
)


@given(steps=STEPS, capacity=st.integers(1, 12))
def test_what_was_used_last_is_remembered_within_the_bound(
    steps: list[tuple[str, int]], capacity: int
) -> None:
    remembered: Remembered[int, int] = Remembered(capacity, weigh)
    known: OrderedDict[int, int] = OrderedDict()
    has_room = True
    for number, (step, key) in enumerate(steps):
        if step == "put":
            known.pop(key, None)
            known[key] = number
            remembered.put(key, number)
            while sum(map(weigh, known.values())) > capacity:
                known.popitem(last=False)
            has_room = 2 * sum(map(weigh, known.values())) <= capacity
        elif step == "forget":
            known.pop(key, None)
            remembered.forget(key)
        elif step == "clear":
            known.clear()
            remembered.clear()
            has_room = True
        else:
            assert remembered.get(key) == known.get(key)
            if key in known and not has_room:
                known.move_to_end(key)
        assert len(remembered) == len(known)
    assert {key: remembered.get(key) for key in range(10)} == {
        key: known.get(key) for key in range(10)
    }


def weigh(value: int) -> int:
    return value % 3 + 1


def test_what_is_asked_for_stays_where_there_is_little_room() -> None:
    remembered: Remembered[int, str] = Remembered(4)
    for key in range(4):
        remembered.put(key, "x")
    for key in range(4, 100):
        assert remembered.get(0) == "x"
        remembered.put(key, "x")
    assert len(remembered) == 4
    assert remembered.get(0) == "x"
    remembered.clear()
    assert remembered.get(0) is None


def test_what_is_asked_for_meanwhile_is_loaded_together_next() -> None:
    asked: list[list[int]] = []
    may_go_on = asyncio.Event()

    async def load(keys: Collection[int]) -> Mapping[int, str]:
        asked.append(sorted(keys))
        await may_go_on.wait()
        return {key: str(key) for key in keys if key >= 0}

    async def check() -> None:
        batched = Batched(load, most=3)
        tasks = [asyncio.create_task(batched.get(1))]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        tasks += [asyncio.create_task(batched.get(key)) for key in (2, 2, -3, 4, 5)]
        await asyncio.sleep(0)
        # Who gives up leaves it to the others.
        tasks[1].cancel()
        may_go_on.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(found[1], asyncio.CancelledError)
        assert [each for place, each in enumerate(found) if place != 1] == [
            "1",
            "2",
            None,
            "4",
            "5",
        ]
        assert asked == [[1], [-3, 2, 4], [5]]

    asyncio.run(check())


def test_what_fails_fails_for_those_who_waited_for_it_alone() -> None:
    async def load(keys: Collection[int]) -> Mapping[int, str]:
        if 0 in keys:
            raise KeyError("no")
        return {key: str(key) for key in keys}

    async def check() -> None:
        batched = Batched(load)
        both = asyncio.gather(batched.get(0), batched.get(1), return_exceptions=True)
        assert [type(each) for each in await both] == [KeyError, KeyError]
        assert await batched.get(1) == "1"

    with pytest.raises(KeyError):
        asyncio.run(Batched(load).get(0))
    asyncio.run(check())
