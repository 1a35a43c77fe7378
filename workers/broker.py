"""The broker behind a URL: Redis, or a queue inside the process.

Messages are hints: what must not be lost is in the job ledger. So there are no retries, results or
time limits here; the actors never raise, and the sweeper sends again what was not picked up.
"""

from typing import Any

import redis
from dramatiq import Broker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Middleware, ShutdownNotifications

from catalogue.errors import SettingsInvalid
from catalogue.nouns import WorkQueue

INLINE = "inline:"
PRESS_ACTOR, SEAL_ACTOR = "press", "seal"


def build_broker(url: str) -> Broker:
    """Return the broker for ``inline:`` or ``redis://…`` with every work queue declared.

    Nothing is connected yet. Raises SettingsInvalid for any other URL.
    """
    middleware: list[Middleware] = [ShutdownNotifications()]
    broker: Broker
    if url == INLINE:
        broker = StubBroker(middleware=middleware)
    elif url.startswith(("redis://", "rediss://")):
        make_redis_broker: Any = RedisBroker
        try:
            client = redis.Redis.from_url(url)
        except ValueError as fault:
            raise SettingsInvalid("It is no Redis URL.", setting="LATHE_QUEUE") from fault
        broker = make_redis_broker(client=client, middleware=middleware, namespace="lathe")
    else:
        raise SettingsInvalid("The queue is `inline:` or `redis://…`.", setting="LATHE_QUEUE")
    for queue in WorkQueue:
        broker.declare_queue(queue)
    return broker
