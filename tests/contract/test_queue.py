"""What the queue promises on every broker: see workers.queue.Queue."""

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dramatiq
import pytest
from dramatiq import Broker, Worker

from catalogue.errors import QueueUnavailable, SettingsInvalid
from catalogue.nouns import JobId, WorkQueue
from tests.e2e.servers import HANG_S, free_port
from tests.engines import RedisServer
from workers.broker import PRESS_ACTOR, build_broker
from workers.queue import Queue


def declare(broker: Broker, work: Callable[[str], None]) -> None:
    """Declare ``work`` as the actor that the queue sends to."""
    dramatiq.Actor(
        work,
        broker=broker,
        actor_name=PRESS_ACTOR,
        queue_name=WorkQueue.URGENT,
        priority=0,
        options={},
    )


@contextmanager
def working(broker: Broker, threads: int = 1) -> Iterator[None]:
    """Run an actor's worker threads for as long as the context lasts."""
    worker = Worker(broker, worker_timeout=50, worker_threads=threads)
    worker.start()
    try:
        yield
    finally:
        worker.stop()


@pytest.fixture
def broker(queue_url: str) -> Iterator[Broker]:
    built = build_broker(queue_url)
    yield built
    built.flush_all()
    built.close()


@pytest.fixture
def received(broker: Broker) -> "queue.Queue[str]":
    """The ids that the actor was given, as it gets them."""
    given: queue.Queue[str] = queue.Queue()
    declare(broker, given.put)
    return given


def test_a_sent_job_reaches_the_actor(broker: Broker, received: "queue.Queue[str]") -> None:
    with working(broker):
        Queue(broker).send(JobId("job_1"), WorkQueue.URGENT)
        assert received.get(timeout=HANG_S) == "job_1"


def test_jobs_wait_for_a_worker(broker: Broker, received: "queue.Queue[str]") -> None:
    sent = [f"job_{number}" for number in range(5)]
    for job_id in sent:
        Queue(broker).send(JobId(job_id), WorkQueue.URGENT)
    assert received.empty()
    with working(broker):
        assert [received.get(timeout=HANG_S) for _ in sent] == sent


def test_each_job_is_received_once(broker: Broker, received: "queue.Queue[str]") -> None:
    sent = [f"job_{number}" for number in range(40)]
    with working(broker, threads=4):
        for job_id in sent:
            Queue(broker).send(JobId(job_id), WorkQueue.URGENT)
        found = [received.get(timeout=HANG_S) for _ in sent]
    assert sorted(found) == sorted(sent)
    assert received.empty()


def test_a_job_sent_twice_is_received_twice(broker: Broker, received: "queue.Queue[str]") -> None:
    with working(broker):
        for _ in range(2):
            Queue(broker).send(JobId("job_1"), WorkQueue.URGENT)
        assert [received.get(timeout=HANG_S) for _ in range(2)] == ["job_1", "job_1"]


def test_a_raising_actor_neither_stops_the_others_nor_sees_its_job_again(broker: Broker) -> None:
    given: queue.Queue[str] = queue.Queue()

    def work(job_id: str) -> None:
        given.put(job_id)
        if job_id == "job_bad":
            raise ValueError(job_id)

    declare(broker, work)
    with working(broker):
        for job_id in ("job_bad", "job_1", "job_2"):
            Queue(broker).send(JobId(job_id), WorkQueue.URGENT)
        assert [given.get(timeout=HANG_S) for _ in range(3)] == ["job_bad", "job_1", "job_2"]
    with working(broker):
        Queue(broker).send(JobId("job_last"), WorkQueue.URGENT)
        assert given.get(timeout=HANG_S) == "job_last"
    assert given.empty()


def test_a_stopped_worker_finishes_what_it_began(broker: Broker) -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def work(_: str) -> None:
        begun.set()
        may_end.wait(HANG_S)
        ended.set()

    declare(broker, work)
    with working(broker):
        Queue(broker).send(JobId("job_1"), WorkQueue.URGENT)
        assert begun.wait(HANG_S)
        may_end.set()
    assert ended.is_set()


def test_what_a_stopped_worker_did_not_begin_waits(
    broker: Broker, received: "queue.Queue[str]"
) -> None:
    with working(broker):
        pass
    Queue(broker).send(JobId("job_1"), WorkQueue.URGENT)
    with working(broker):
        assert received.get(timeout=HANG_S) == "job_1"


def test_redis_carries_jobs_from_a_process_that_is_gone(redis_server: RedisServer) -> None:
    program = f"""
from workers.broker import build_broker
from workers.queue import Queue
Queue(build_broker({redis_server.url!r})).send("job_1", "urgent")
"""
    environment = {"PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", program]
    subprocess.run(command, env=environment, timeout=HANG_S, check=True)
    broker, given = build_broker(redis_server.url), queue.Queue[str]()
    declare(broker, given.put)
    with working(broker):
        assert given.get(timeout=HANG_S) == "job_1"
    broker.close()


def test_two_workers_on_redis_share_the_jobs(redis_server: RedisServer) -> None:
    given: queue.Queue[str] = queue.Queue()
    brokers = [build_broker(redis_server.url) for _ in range(2)]
    for broker in brokers:
        declare(broker, given.put)
    sent = [f"job_{number}" for number in range(20)]
    with working(brokers[0]), working(brokers[1]):
        for job_id in sent:
            Queue(brokers[0]).send(JobId(job_id), WorkQueue.URGENT)
        found = [given.get(timeout=HANG_S) for _ in sent]
    assert sorted(found) == sorted(sent)
    assert given.empty()
    for broker in brokers:
        broker.close()


def test_redis_that_is_away_says_so_and_is_used_again_when_back(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    broker = build_broker(server.url)
    with pytest.raises(QueueUnavailable) as caught:
        Queue(broker).send(JobId("job_1"), WorkQueue.URGENT)
    assert caught.value.measured == {"job": "job_1"}
    given: queue.Queue[str] = queue.Queue()
    declare(broker, given.put)
    with server:
        Queue(broker).send(JobId("job_2"), WorkQueue.URGENT)
        with working(broker):
            assert given.get(timeout=HANG_S) == "job_2"
    broker.close()


def test_building_a_broker_connects_to_nothing() -> None:
    build_broker(f"redis://127.0.0.1:{free_port()}/0").close()


@pytest.mark.parametrize(
    "url", ["", "inline", "INLINE:", "http://127.0.0.1:1", "amqp://127.0.0.1", "redis:/x"]
)
def test_any_other_url_is_refused(url: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        build_broker(url)
    assert caught.value.measured == {"setting": "LATHE_QUEUE"}


@pytest.mark.parametrize("url", ["redis://127.0.0.1:no-port/0", "redis://127.0.0.1:70000/0"])
def test_a_redis_url_that_cannot_be_read_is_refused(url: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        build_broker(url)
    assert url not in caught.value.detail
