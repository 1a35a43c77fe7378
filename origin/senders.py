"""Threads for what is sent: a store that keeps senders waiting keeps nobody else waiting."""

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

TURNS = 40
"""How many of them work at once."""

_Result = TypeVar("_Result")


class Senders:
    """Work on what labels and listeners send, in turns that are taken from nobody else."""

    def __init__(self) -> None:
        self._turns = CapacityLimiter(TURNS)

    async def run(self, work: Callable[[], _Result]) -> _Result:
        """Return what ``work`` gives in a thread. Raises what it raises."""
        return await to_thread.run_sync(work, limiter=self._turns)
