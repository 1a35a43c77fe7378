"""Reading the store for listeners: within a time, and in turns that are taken from nobody else."""

import asyncio
from threading import Event

from anyio import CapacityLimiter, to_thread

from catalogue.errors import StoreUnavailable
from storage.keys import ObjectKey
from storage.port import ObjectStore

READS = 40
"""How many objects are read at once."""

READ_S = 5.0
"""How long a read is waited for, its turn included."""

_BYTES_A_SECOND = 1 << 20


class Shelf:
    """A store as listeners read it; ``store`` is the store itself."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self._turns = CapacityLimiter(READS)

    async def read(self, key: ObjectKey, start: int, end: int) -> bytes:
        """Return the bytes of an object from ``start`` up to ``end``.

        It may take ``READ_S``, and a second more for every MiB. Raises ObjectNotFound, and
        Unavailable where the store is away or takes longer.
        """
        size_bytes, begun = end - start, Event()

        def read() -> bytes:
            begun.set()
            return self.store.read(key, start=start, size_bytes=size_bytes)

        work = asyncio.ensure_future(to_thread.run_sync(read, limiter=self._turns))
        try:
            done, _ = await asyncio.wait([work], timeout=READ_S + size_bytes / _BYTES_A_SECOND)
            if done:
                return work.result()
            raise StoreUnavailable("The store does not answer in time.", key=key)
        finally:
            # Who has no turn yet needs none; who reads keeps it until the store has an answer.
            if not begun.is_set():
                work.cancel()
            work.add_done_callback(_let_go)


def _let_go(work: "asyncio.Future[bytes]") -> None:
    if not work.cancelled():
        work.exception()
