"""A breaker: what did not answer several times is not asked for a while, but told to be away."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic

from catalogue.errors import Unavailable

FAILURES = 3
PAUSE_S = 1.0


class Breaker:
    """Stands before a part of the plant, shared by all threads that ask it.

    Closed, it lets everything through. After ``FAILURES`` in a row it opens: whoever asks is told
    at once that the part is away, but for one a ``PAUSE_S``, who tries. The first success closes
    it. Source: M. Nygard, Release It!, Circuit Breaker.
    """

    def __init__(
        self, kind: type[Unavailable], part: str, *, clock: Callable[[], float] = monotonic
    ) -> None:
        self.part = part
        self._kind, self._clock = kind, clock
        self._lock = Lock()
        self._failures, self._tries_at = 0, 0.0

    @property
    def is_open(self) -> bool:
        """Whether the part is told to be away without being asked."""
        return self._failures >= FAILURES

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """Let something be asked of the part. Raises Unavailable while it is told to be away."""
        self._enter()
        try:
            yield
        except Unavailable:
            self._fail()
            raise
        except BaseException:
            self._failures = 0
            raise
        self._failures = 0

    def _enter(self) -> None:
        if not self.is_open:
            return
        with self._lock:
            now = self._clock()
            if now < self._tries_at:
                raise self._kind(f"The {self.part} did not answer lately.")
            self._tries_at = now + PAUSE_S

    def _fail(self) -> None:
        with self._lock:
            self._failures += 1
            self._tries_at = self._clock() + PAUSE_S
