"""The connection to Redis, and its faults as lathe names them."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis
from redis.exceptions import RedisError

from catalogue.errors import SessionsUnavailable, SettingsInvalid

_TIMEOUT_S = 2.0


def open_redis(url: str) -> Redis:
    """Return a client of ``redis://…``; nothing is connected yet. Raises SettingsInvalid."""
    try:
        client: Redis = Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
        )
    except ValueError as fault:
        raise SettingsInvalid("It is no Redis URL.", setting="LATHE_SESSIONS") from fault
    return client


@contextmanager
def translated() -> Iterator[None]:
    """Raise SessionsUnavailable where Redis does not do what it was asked."""
    try:
        yield
    except RedisError as fault:
        raise SessionsUnavailable(f"Redis: {type(fault).__name__}.") from fault
