"""The connection to Redis, and its faults as lathe names them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from catalogue.breaker import Breaker
from catalogue.errors import SessionsUnavailable, SettingsInvalid

_TIMEOUT_S = 2.0


class GuardedRedis(Redis):
    """A client of Redis with a breaker before it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.breaker = Breaker(SessionsUnavailable, "Redis of sessions")


def open_redis(url: str) -> GuardedRedis:
    """Return a client of ``redis://…``; nothing is connected yet. Raises SettingsInvalid."""
    try:
        client = GuardedRedis.from_url(
            url,
            decode_responses=True,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
        )
    except ValueError as fault:
        raise SettingsInvalid("It is no Redis URL.", setting="LATHE_SESSIONS") from fault
    assert isinstance(client, GuardedRedis)
    return client


@contextmanager
def asking(client: GuardedRedis) -> Iterator[None]:
    """Let Redis be asked. Raises SessionsUnavailable where it does not do as it was told."""
    with client.breaker.guarding():
        try:
            yield
        except RedisError as fault:
            raise SessionsUnavailable(f"Redis: {type(fault).__name__}.") from fault
