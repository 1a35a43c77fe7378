"""Sending work by name: all that the origin knows of the workers."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from dramatiq import Broker, Message
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import BrokerConnectionError

from catalogue.errors import QueueUnavailable
from catalogue.nouns import JobId, WorkQueue
from workers.broker import PRESS_ACTOR

WINDOW = 256
"""Most messages that wait in a queue: the ledger holds the rest, and the sweeper sends it on."""


class Queue:
    """Tells workers which jobs wait for them."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def room(self, queue: WorkQueue) -> int:
        """Return how many messages more may wait in ``queue``. Raises QueueUnavailable."""
        with _reaching():
            return self._room(queue)

    def send(self, job_id: JobId, queue: WorkQueue) -> bool:
        """Send a hint that ``job_id`` waits, if there is room; return whether it was sent.

        Raises QueueUnavailable.
        """
        message: Message[None] = Message(
            queue_name=queue,
            actor_name=PRESS_ACTOR,
            args=(job_id,),
            kwargs={},
            options={},
        )
        with _reaching(job=job_id):
            if not self._room(queue):
                return False
            self._broker.enqueue(message)
        return True

    def _room(self, queue: WorkQueue) -> int:
        if isinstance(self._broker, RedisBroker):
            waiting = int(self._broker.do_qsize(queue))
        else:
            waiting = int(self._broker.queues[queue].qsize())
        return max(0, WINDOW - waiting)


@contextmanager
def _reaching(**measured: str) -> Iterator[None]:
    try:
        yield
    except (BrokerConnectionError, redis.RedisError) as fault:
        raise QueueUnavailable("The broker does not answer.", **measured) from fault
