"""Hearing what others change in Redis."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis import Redis

from catalogue.changes import CHANNEL, SILENCE_S, Feed


def follow_redis(client: Redis) -> Feed:
    """Return the feed of what is published beside a change."""

    @contextmanager
    def listen() -> Iterator[Iterator[str | None]]:
        untyped: Any = client
        heard = untyped.pubsub(ignore_subscribe_messages=True)
        with heard:
            heard.subscribe(CHANNEL)
            # The first answer is that to the subscription.
            heard.get_message(timeout=SILENCE_S)
            yield _topics(heard)

    return Feed(listen)


def _topics(heard: Any) -> Iterator[str | None]:
    while True:
        message = heard.get_message(timeout=SILENCE_S)
        if message is None:
            heard.ping()
            heard.get_message(timeout=SILENCE_S)
            yield None
        elif message["type"] == "message":
            yield str(message["data"])
