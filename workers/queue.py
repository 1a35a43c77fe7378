"""Sending work by name: all that the origin knows of the workers."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from dramatiq import Broker, Message
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import BrokerConnectionError

from catalogue.errors import QueueUnavailable
from catalogue.nouns import JobId, WorkQueue
from catalogue.offline import ContentKeyId
from workers.broker import PRESS_ACTOR, SEAL_ACTOR

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
        with _reaching(job=job_id):
            return self._send(PRESS_ACTOR, job_id, queue)

    def send_sealing(self, key_id: ContentKeyId) -> bool:
        """Send a hint that a rendition waits to be sealed, as ``send`` does; it is light work."""
        with _reaching(content_key=key_id):
            return self._send(SEAL_ACTOR, key_id, WorkQueue.LIGHT)

    def _send(self, actor: str, subject: str, queue: WorkQueue) -> bool:
        if not self._room(queue):
            return False
        message: Message[None] = Message(
            queue_name=queue,
            actor_name=actor,
            args=(subject,),
            kwargs={},
            options={},
        )
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
