"""Looks at the parts are shared, remembered for a moment, and never pile up."""

import asyncio
import threading
from typing import Any, cast

import pytest

from catalogue.errors import ObjectNotFound, StoreUnavailable
from origin.health import Lookout

NAMES = {"catalogue", "sessions", "store"}


class Parts:
    """The parts that are looked at; the store hangs, or is away, when told so."""

    def __init__(self) -> None:
        self.keys = self.sessions = self.store = self.shelf = self
        self.asked: list[str] = []
        self.threads: set[int] = set()
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.away = False
        self.fault: Exception | None = None

    def now(self) -> None:
        """Return what no part looks at here."""

    def is_empty(self) -> None:
        self._note("catalogue")
        if self.fault is not None:
            raise self.fault
        if self.fault is not None:
            raise self.fault

    def use(self, *_: object, **__: object) -> None:
        self._note("sessions")

    def info(self, _: object) -> None:
        self._note("store")
        assert self.goes_on.wait(60)
        if self.away:
            raise StoreUnavailable("It is gone.")
        raise ObjectNotFound("There is nothing.")

    def _note(self, name: str) -> None:
        self.asked.append(name)
        self.threads.add(threading.get_ident())


def watch(parts: Parts, **bounds: float) -> Lookout:
    return Lookout(cast(Any, parts), **bounds)


def test_all_who_ask_at_once_share_one_look() -> None:
    parts = Parts()

    async def run() -> None:
        lookout = watch(parts, remembered_s=0)
        told = await asyncio.gather(*[lookout.look() for _ in range(50)])
        assert all(each is told[0] for each in told)
        assert {name: each.status for name, each in told[0].items()} == dict.fromkeys(NAMES, "ok")
        assert sorted(parts.asked) == sorted(NAMES)
        await lookout.look()
        assert sorted(parts.asked) == sorted([*NAMES] * 2)

    asyncio.run(run())


def test_what_was_seen_is_remembered_for_a_while() -> None:
    parts = Parts()

    async def run() -> None:
        lookout = watch(parts, remembered_s=3600)
        first = await lookout.look()
        parts.away = True
        assert await lookout.look() is first
        assert len(parts.asked) == 3

    asyncio.run(run())


def test_what_is_away_is_told_and_what_is_back_again_as_well() -> None:
    parts = Parts()

    async def run() -> None:
        lookout = watch(parts, remembered_s=0)
        parts.away = True
        assert (await lookout.look())["store"].code == "store-unavailable"
        parts.away = False
        assert (await lookout.look())["store"].code is None

    asyncio.run(run())


def test_looks_that_hang_do_not_pile_up() -> None:
    parts = Parts()

    async def run() -> None:
        lookout = watch(parts, longest_s=0.01, remembered_s=0)
        parts.goes_on.clear()
        try:
            for _ in range(20):
                told = await lookout.look()
                assert told["store"].code == "store-unavailable"
                assert told["catalogue"].code is None
            assert parts.asked.count("store") == 1
            assert len(parts.threads) == 3
        finally:
            parts.goes_on.set()
        while (await lookout.look())["store"].code is not None:
            await asyncio.sleep(0.01)
        assert parts.asked.count("store") < 10

    asyncio.run(run())


def test_a_mistake_is_told_and_not_remembered() -> None:
    parts = Parts()
    parts.fault = ValueError("nobody knows")

    async def run() -> None:
        lookout = watch(parts, remembered_s=3600)
        with pytest.raises(ValueError, match="nobody knows"):
            await lookout.look()
        parts.fault = None
        assert (await lookout.look())["catalogue"].status == "ok"

    asyncio.run(run())
