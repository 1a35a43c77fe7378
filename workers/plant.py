"""A running plant: Dramatiq's worker threads and the sweeper, started and stopped together."""

import threading
from collections.abc import Collection

from dramatiq import Broker, Worker

from catalogue.nouns import WorkQueue
from workers.recovery import Sweeper

_STOP_TIMEOUT_MS = 10_000


class Plant:
    """Worker threads in this process, on any broker."""

    def __init__(
        self,
        broker: Broker,
        sweeper: Sweeper,
        *,
        queues: Collection[WorkQueue],
        threads: int,
        shutting_down: threading.Event,
    ) -> None:
        self._worker = Worker(broker, queues=set(queues), worker_threads=threads)
        # No message is taken that no thread is free for: another worker may be.
        self._worker.queue_prefetch = threads
        self._sweeper = sweeper
        self._shutting_down = shutting_down

    def start(self) -> None:
        """Begin to take jobs."""
        self._worker.start()
        self._sweeper.start()

    def stop(self) -> None:
        """Hand unfinished jobs back and return when no thread works any more."""
        self._shutting_down.set()
        self._sweeper.stop()
        self._worker.stop(timeout=_STOP_TIMEOUT_MS)
