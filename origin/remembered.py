"""What is remembered within a bound, and work done once, or at once, for all who ask for it."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from itertools import chain, islice
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Remembered(Generic[Key, Value]):
    """What was used last, up to ``capacity`` in whatever ``weigh`` measures. One thread's alone."""

    def __init__(self, capacity: int, weigh: Callable[[Value], int] = lambda _: 1) -> None:
        self._capacity, self._weigh = capacity, weigh
        self._weight = 0
        self._known: OrderedDict[Key, Value] = OrderedDict()
        self.get: Callable[[Key], Value | None] = self._known.get
        """Return what is remembered of a key, or None."""

    def put(self, key: Key, value: Value) -> None:
        """Remember a value, and forget what was used longest ago for it."""
        self.forget(key)
        self._known[key] = value
        self._weight += self._weigh(value)
        while self._weight > self._capacity and self._known:
            _, oldest = self._known.popitem(last=False)
            self._weight -= self._weigh(oldest)
        # As long as there is room enough, nobody asks what was used last.
        self.get = self._known.get if 2 * self._weight <= self._capacity else self._use

    def forget(self, key: Key) -> None:
        """Remember nothing of a key."""
        value = self._known.pop(key, None)
        if value is not None:
            self._weight -= self._weigh(value)

    def clear(self) -> None:
        """Remember nothing."""
        self._known.clear()
        self._weight, self.get = 0, self._known.get

    def _use(self, key: Key) -> Value | None:
        found = self._known.get(key)
        if found is not None:
            self._known.move_to_end(key)
        return found

    def __len__(self) -> int:
        return len(self._known)


class Collapsed(Generic[Key, Value]):
    """Work that is done once for all who ask for it while it is being done."""

    def __init__(self) -> None:
        self._running: dict[Key, asyncio.Task[Value]] = {}

    async def run(self, key: Key, work: Callable[[], Awaitable[Value]]) -> Value:
        """Return what ``work`` gives, or what another is doing for this key gives.

        Whoever is cancelled leaves it to the others.
        """
        task = self._running.get(key)
        if task is None:

            async def do() -> Value:
                try:
                    return await work()
                finally:
                    del self._running[key]

            task = self._running[key] = asyncio.create_task(do())
        return await asyncio.shield(task)


class Batched(Generic[Key, Value]):
    """Work on many keys at once: those that are asked for while it goes on are done together next.

    So nobody waits for what was begun before it was asked. ``load`` gives what there is of some
    keys, up to ``most`` at once.
    """

    def __init__(
        self,
        load: Callable[[Collection[Key]], Awaitable[Mapping[Key, Value]]],
        *,
        most: int = 64,
    ) -> None:
        self._load, self._most = load, most
        self._asked: dict[Key, list[asyncio.Future[Value | None]]] = {}
        self._runner: asyncio.Task[None] | None = None

    async def get(self, key: Key) -> Value | None:
        """Return what is loaded of a key. Raises what ``load`` raises."""
        loop = asyncio.get_running_loop()
        # One for each who asks: whoever is cancelled leaves it to the others.
        future: asyncio.Future[Value | None] = loop.create_future()
        self._asked.setdefault(key, []).append(future)
        if self._runner is None:
            self._runner = loop.create_task(self._run())
        return await future

    async def _run(self) -> None:
        try:
            while self._asked:
                keys = list(islice(self._asked, self._most))
                batch = {key: self._asked.pop(key) for key in keys}
                await self._answer(batch)
        finally:
            self._runner = None

    async def _answer(self, batch: Mapping[Key, "list[asyncio.Future[Value | None]]"]) -> None:
        try:
            found = await self._load(list(batch))
        except Exception as fault:
            for future in chain.from_iterable(batch.values()):
                if not future.done():
                    future.set_exception(fault)
            return
        for key, futures in batch.items():
            for future in futures:
                if not future.done():
                    future.set_result(found.get(key))
