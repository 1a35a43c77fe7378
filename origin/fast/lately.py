"""Going by what was last known where those who know do not answer."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from catalogue.errors import Unavailable

HASTE_S = 0.25
"""How long those are waited for who were away when they were last asked."""

_Value = TypeVar("_Value")


class Lately:
    """Asks those who know, and goes by what was known lately where they are away.

    Who was away a moment ago is asked behind the back of whoever has something to go by, and
    waited for hardly at all.
    """

    def __init__(self) -> None:
        self._is_away = False
        self._asking: set[asyncio.Task[Any]] = set()

    async def ask(
        self,
        ask: Callable[[], Coroutine[Any, Any, _Value]],
        recall: Callable[[], _Value | None],
    ) -> _Value:
        """Return what ``ask`` gives, else what ``recall`` does.

        Raises what ``ask`` raises where it is an answer, or there is nothing to recall.
        """
        if not self._is_away:
            try:
                return await ask()
            except Unavailable:
                self._is_away = True
                if (found := recall()) is not None:
                    return found
                raise
        task = asyncio.create_task(ask())
        self._asking.add(task)
        task.add_done_callback(self._learn)
        if recall() is not None:
            await asyncio.wait([task], timeout=HASTE_S)
            found = recall()
            if found is not None and (not task.done() or _is_unavailable(task)):
                return found
        # Others may be asking for the same.
        return await asyncio.shield(task)

    def _learn(self, task: "asyncio.Task[Any]") -> None:
        self._asking.discard(task)
        if not task.cancelled():
            self._is_away = _is_unavailable(task)


def _is_unavailable(task: "asyncio.Task[Any]") -> bool:
    fault = task.exception()
    return isinstance(fault, Unavailable)
