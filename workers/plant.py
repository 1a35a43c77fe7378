"""A running plant: Dramatiq's worker threads and the rounds, started and stopped together."""

import threading
from collections.abc import Collection, Sequence

from dramatiq import Broker, Worker

from catalogue.nouns import WorkQueue
from workers.recovery import Round

_STOP_TIMEOUT_MS = 10_000


class Plant:
    """Worker threads in this process, on any broker."""

    def __init__(
        self,
        broker: Broker,
        rounds: Sequence[Round],
        *,
        queues: Collection[WorkQueue],
        threads: int,
        shutting_down: threading.Event,
    ) -> None:
        self._worker = Worker(broker, queues=set(queues), worker_threads=threads)
        # No message is taken that no thread is free for: another worker may be.
        self._worker.queue_prefetch = threads
        self._rounds = rounds
        self._shutting_down = shutting_down

    def start(self) -> None:
        """Begin to take jobs."""
        self._worker.start()
        for each in self._rounds:
            each.start()

    def stop(self) -> None:
        """Hand unfinished jobs back and return when no thread works any more."""
        self._shutting_down.set()
        for each in self._rounds:
            each.stop()
        self._worker.stop(timeout=_STOP_TIMEOUT_MS)
