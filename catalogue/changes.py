"""Following what others change: what every kind of feed has in common."""

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from time import monotonic

from catalogue.people_port import ANYTHING, Changes

CHANNEL = "lathe_changes"
"""What topics are told on, in PostgreSQL and in Redis."""

SILENCE_S = 2.0
"""After how long without a word a feed makes sure that its server is there."""

DEAF_S = 60.0
"""After how long without its server a feed takes anything for changed, whenever it is asked."""

_RETRY_S = 0.5

log = logging.getLogger(__name__)

Listen = Callable[[], AbstractContextManager[Iterator[str | None]]]
"""Opens a feed, which gives topics, and None at least every ``SILENCE_S`` if all is well."""


class Feed:
    """Topics as a thread of its own hears them.

    Where the server is away nobody can change anything, so for ``DEAF_S`` nothing is said to have
    changed; after that, and when the server is back, anything may have.
    """

    def __init__(self, listen: Listen) -> None:
        self._listen = listen
        self._heard: deque[str] = deque()
        self._missed = True
        self._lost_at: float | None = -math.inf
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="changes", daemon=True)
        self._thread.start()

    def take(self) -> Sequence[str]:
        """See Changes.take."""
        lost_at = self._lost_at
        missed = self._missed or (lost_at is not None and monotonic() - lost_at > DEAF_S)
        if not (missed or self._heard):
            return ()
        found = [self._heard.popleft() for _ in range(len(self._heard))]
        if missed:
            self._missed = lost_at is not None
            found.append(ANYTHING)
        return found

    def close(self) -> None:
        """See Changes.close."""
        self._closing.set()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                with self._listen() as topics:
                    self._missed, self._lost_at = True, None
                    for topic in topics:
                        if topic is not None:
                            self._heard.append(topic)
                        if self._closing.is_set():
                            return
            except Exception as fault:
                log.warning("changes are not heard: %s", type(fault).__name__)
            if self._lost_at is None:
                self._lost_at = monotonic()
            self._closing.wait(_RETRY_S)


class Together:
    """Several feeds as one."""

    def __init__(self, feeds: Sequence[Changes]) -> None:
        self._feeds = feeds

    def take(self) -> Sequence[str]:
        """See Changes.take."""
        found: list[str] = []
        for feed in self._feeds:
            found += feed.take()
        return found

    def close(self) -> None:
        """See Changes.close."""
        for feed in self._feeds:
            feed.close()
