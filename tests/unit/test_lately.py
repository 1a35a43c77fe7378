"""Those who know are asked, and what was known lately is gone by where they are away."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from catalogue.errors import SessionsUnavailable, SessionUnknown
from origin.fast.lately import Lately

Answer = Callable[[], Coroutine[Any, Any, str]]


async def tells() -> str:
    return "new"


async def is_away() -> str:
    raise SessionsUnavailable("It does not answer.")


async def refuses() -> str:
    raise SessionUnknown("It was signed out.")


def knows() -> str:
    return "old"


def knows_nothing() -> None:
    return None


def run(*steps: tuple[Answer, Callable[[], str | None]]) -> list[str]:
    """Return what each of several who ask one after the other is given, or its error's name."""

    async def all_of_them() -> list[str]:
        lately, found = Lately(), []
        for ask, recall in steps:
            try:
                found.append(await lately.ask(ask, recall))
            except (SessionsUnavailable, SessionUnknown) as fault:
                found.append(type(fault).__name__)
        return found

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("before", [[], [(is_away, knows)]])
def test_an_answer_goes_before_what_is_known(
    before: list[tuple[Answer, Callable[[], str | None]]],
) -> None:
    steps = [*before, (tells, knows), (refuses, knows), (tells, knows_nothing)]
    assert run(*steps)[len(before) :] == ["new", "SessionUnknown", "new"]


def test_what_is_known_is_gone_by_where_there_is_no_answer() -> None:
    assert run((is_away, knows), (is_away, knows), (is_away, knows_nothing)) == [
        "old",
        "old",
        "SessionsUnavailable",
    ]


def test_who_was_away_is_not_waited_for_but_heard_when_there_is_an_answer() -> None:
    async def check() -> None:
        lately, may_go_on = Lately(), asyncio.Event()

        async def takes_long() -> str:
            await may_go_on.wait()
            return "new"

        assert await lately.ask(is_away, knows) == "old"
        assert await lately.ask(takes_long, knows) == "old"
        waits = asyncio.create_task(lately.ask(takes_long, knows_nothing))
        await asyncio.sleep(0)
        may_go_on.set()
        assert await waits == "new"
        may_go_on.clear()
        # It has answered, and so it is waited for again.
        waits = asyncio.create_task(lately.ask(takes_long, knows))
        await asyncio.sleep(0.5)
        assert not waits.done()
        may_go_on.set()
        assert await waits == "new"

    asyncio.run(check())


def test_what_is_forgotten_meanwhile_is_not_gone_by() -> None:
    async def check() -> None:
        lately, known = Lately(), ["old"]

        async def changes() -> str:
            known.clear()
            return await is_away()

        def recall() -> str | None:
            return known[0] if known else None

        assert await lately.ask(is_away, recall) == "old"
        with pytest.raises(SessionsUnavailable):
            await lately.ask(changes, recall)

    asyncio.run(check())
