"""Sending work by name: all that the origin knows of the workers."""

import redis
from dramatiq import Broker, Message
from dramatiq.errors import BrokerConnectionError

from catalogue.errors import QueueUnavailable
from catalogue.nouns import JobId
from workers.broker import PRESS_ACTOR, PRESS_QUEUE


class Queue:
    """Tells workers which jobs wait for them."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def send(self, job_id: JobId) -> None:
        """Send a hint that ``job_id`` waits. Raises QueueUnavailable."""
        message: Message[None] = Message(
            queue_name=PRESS_QUEUE,
            actor_name=PRESS_ACTOR,
            args=(job_id,),
            kwargs={},
            options={},
        )
        try:
            self._broker.enqueue(message)
        except (BrokerConnectionError, redis.RedisError) as fault:
            raise QueueUnavailable("The message could not be sent.", job=job_id) from fault
