import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from dramatiq import Broker
from prometheus_client import CollectorRegistry

from catalogue.database.engine import open_engine, upgrade
from catalogue.database.jobs import SqlJobs
from catalogue.database.tracks import SqlTracks
from catalogue.errors import (
    CatalogueUnavailable,
    MasterTruncated,
    OutputNotWritable,
    Stopped,
)
from catalogue.nouns import Job, JobId, JobState, WorkQueue
from catalogue.port import Jobs
from tests.contract.examples import AAC, NOON, WORKER, make_delivery, make_metadata, make_pressing
from tests.e2e.servers import HANG_S, wait_until
from workers.broker import build_broker
from workers.ledger import HeldJob, Ledger, Patience
from workers.measures import Measures
from workers.queue import Queue
from workers.recovery import Sweeper

JOB = JobId("job_1")
PRESSING = make_pressing(AAC)
CURRENT = [rendition.id for rendition in PRESSING.renditions]
STILL = Patience(heartbeat=timedelta(hours=1))
BEATING = Patience(heartbeat=timedelta(milliseconds=5))


class House:
    """A ledger on a real database with one queued job, and a clock that is set by hand."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self.now = NOON
        self.claims = 0
        self.shutting_down = threading.Event()
        self.measures = Measures(CollectorRegistry())

    def time(self) -> datetime:
        return self.now

    def new_claim(self) -> str:
        self.claims += 1
        return f"clm_{self.claims}"

    def ledger(self, patience: Patience = STILL) -> Ledger:
        return Ledger(
            self.jobs,
            now=self.time,
            new_claim=self.new_claim,
            worker=WORKER,
            patience=patience,
            shutting_down=self.shutting_down,
            measures=self.measures,
        )

    def run(self, work: Callable[[HeldJob], None], patience: Patience = STILL) -> Job:
        """Let a worker do ``work`` on the job, and return where the job stands then."""
        self.ledger(patience).run(JOB, work)
        return self.jobs.get(JOB)

    def publish(self, held: HeldJob) -> None:
        claim = held.job.claim or ""
        self.jobs.publish(JOB, claim, current=CURRENT, pressing=PRESSING, now=self.now)

    def take_over(self) -> Job:
        """Let another worker take the job, as if the one that holds it had been silent."""
        self.now += STILL.silence + timedelta(seconds=1)
        before = self.now - STILL.silence
        job = self.jobs.claim(
            JOB, "other", worker=WORKER, now=self.now, stale_before=before, max_silences=9
        )
        assert job is not None
        return job

    def kill_a_worker(self) -> None:
        """Let a worker claim the job and say nothing more."""
        before = self.now - STILL.silence
        self.jobs.claim(
            JOB, self.new_claim(), worker=WORKER, now=self.now, stale_before=before, max_silences=9
        )
        self.now += STILL.silence + timedelta(seconds=1)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    engine = open_engine(f"sqlite:///{tmp_path / 'catalogue.sqlite3'}")
    upgrade(engine)
    SqlTracks(engine).accept(make_delivery(), make_metadata(), JOB)
    yield House(SqlJobs(engine))
    engine.dispose()


@pytest.fixture
def broker() -> Iterator[Broker]:
    built = build_broker("inline:")
    yield built
    built.close()


def fail_with(fault: Exception) -> Callable[[HeldJob], None]:
    def work(_: HeldJob) -> None:
        raise fault

    return work


def never(_: HeldJob) -> None:
    raise AssertionError("there was nothing to work on")


# --------------------------------------------------------------------------- one attempt


def test_work_that_publishes_is_done(house: House) -> None:
    seen: list[Job] = []

    def work(held: HeldJob) -> None:
        seen.append(house.jobs.get(JOB))
        assert seen == [held.job]
        house.publish(held)

    job = house.run(work)
    assert [each.state for each in seen] == [JobState.RUNNING]
    assert (job.state, job.attempts) == (JobState.DONE, 1)


def test_a_master_that_is_at_fault_fails_at_once_with_its_reason(house: House) -> None:
    job = house.run(fail_with(MasterTruncated("It ends early.", samples=4811)))
    assert (job.state, job.attempts, job.finished_at) == (JobState.FAILED, 1, NOON)
    assert job.reason is not None
    assert (job.reason.code, job.reason.title) == (MasterTruncated.code, MasterTruncated.title)
    assert (job.reason.detail, job.reason.advice) == ("It ends early.", MasterTruncated.advice)
    assert job.reason.measured == {"samples": 4811}


def test_an_unexpected_error_is_not_quoted(house: House) -> None:
    job = house.run(fail_with(ValueError("a secret")))
    assert job.reason is not None
    assert (job.state, job.reason.code) == (JobState.QUEUED, "unexpected")
    assert "ValueError" in job.reason.detail
    assert "a secret" not in f"{job.reason}"


def test_a_job_that_is_not_free_is_left_alone(house: House) -> None:
    house.run(house.publish)
    done = house.jobs.get(JOB)
    assert house.run(never) == done


def test_an_unknown_job_is_left_alone(house: House) -> None:
    house.ledger().run(JobId("job_none"), never)


# --------------------------------------------------------------------------- retries


@pytest.mark.parametrize(
    ("attempts", "seconds"),
    [(1, 5), (2, 10), (3, 20), (4, 40), (5, 60), (6, 60), (1000, 60)],
)
def test_the_pause_doubles_up_to_the_longest(attempts: int, seconds: int) -> None:
    assert Patience().retry_after(attempts) == timedelta(seconds=seconds)


def test_what_is_away_is_tried_again_after_longer_and_longer_pauses(house: House) -> None:
    pauses = []
    for _ in range(9):
        job = house.run(fail_with(OutputNotWritable("No space.", errno="ENOSPC")))
        assert job.state is JobState.QUEUED
        assert job.reason is not None and job.reason.code == "output-not-writable"
        pauses.append((job.due_at - house.now).total_seconds())
        house.now = job.due_at
    assert pauses == [5, 10, 20, 40, 60, 60, 60, 60, 60]


def test_a_job_waits_for_its_time(house: House) -> None:
    job = house.run(fail_with(OutputNotWritable("No space.")))
    house.now = job.due_at - timedelta(seconds=1)
    assert house.run(never) == job
    house.now = job.due_at
    assert house.run(house.publish).state is JobState.DONE


def test_the_unexpected_is_tried_three_times(house: House) -> None:
    states = []
    for _ in range(3):
        job = house.run(fail_with(ValueError("again")))
        states.append(job.state)
        house.now = job.due_at
    assert states == [JobState.QUEUED, JobState.QUEUED, JobState.FAILED]
    assert house.run(never).state is JobState.FAILED


# --------------------------------------------------------------------------- kills


def test_a_job_outlives_killed_workers(house: House) -> None:
    for _ in range(2):
        house.kill_a_worker()
    job = house.run(house.publish)
    assert (job.state, job.attempts) == (JobState.DONE, 3)


def test_a_job_that_kills_its_workers_is_quarantined(house: House) -> None:
    for _ in range(3):
        house.kill_a_worker()
    job = house.run(never)
    assert job.state is JobState.QUARANTINED
    assert job.reason is not None
    assert (job.reason.code, job.reason.measured) == (
        "job-quarantined",
        {"silences": 3, "last_worker": WORKER.name, "last_stage": "start", "last_percent": 0},
    )
    assert house.run(never) == job


# --------------------------------------------------------------------------- the heartbeat


def test_a_heartbeat_carries_how_far_the_work_is(house: House) -> None:
    def work(held: HeldJob) -> None:
        for stage, percent in (("probe", 0), ("press", 41)):
            held.report(stage, percent)
            house.now += timedelta(seconds=1)
            wait_for_beat(stage, percent)
        house.publish(held)

    def wait_for_beat(stage: str, percent: int) -> None:
        def has_come() -> bool:
            job = house.jobs.get(JOB)
            return (job.stage, job.percent, job.heartbeat_at) == (stage, percent, house.now)

        wait_until(has_come, "the heartbeat")

    assert house.run(work, BEATING).state is JobState.DONE


def test_the_heartbeat_ends_with_the_work(house: House) -> None:
    house.run(house.publish, BEATING)
    assert not [each for each in threading.enumerate() if each.name.startswith("heartbeat")]


def test_a_heartbeat_notices_that_the_job_is_lost(house: House) -> None:
    held_by_other: list[Job] = []

    def work(held: HeldJob) -> None:
        assert not held.should_stop()
        held_by_other.append(house.take_over())
        assert held.lost.wait(HANG_S)
        assert held.should_stop()
        raise Stopped("It was in vain.")

    assert house.run(work, BEATING) == held_by_other[0]


# --------------------------------------------------------------------------- fencing


@pytest.mark.parametrize(
    "fault",
    [
        MasterTruncated("It ends early."),
        OutputNotWritable("No space."),
        Stopped("The process stops."),
        ValueError("anything"),
    ],
)
def test_a_worker_that_lost_its_job_changes_nothing_however_it_ends(
    house: House, fault: Exception
) -> None:
    held_by_other: list[Job] = []

    def work(_: HeldJob) -> None:
        held_by_other.append(house.take_over())
        raise fault

    assert house.run(work) == held_by_other[0]


def test_a_worker_that_lost_its_job_publishes_nothing(house: House) -> None:
    held_by_other: list[Job] = []

    def work(held: HeldJob) -> None:
        held_by_other.append(house.take_over())
        house.publish(held)

    assert house.run(work) == held_by_other[0]
    assert house.jobs.missing(CURRENT) == CURRENT


# --------------------------------------------------------------------------- stopping


def test_stopping_hands_the_job_back(house: House) -> None:
    def work(held: HeldJob) -> None:
        assert not held.should_stop()
        house.shutting_down.set()
        assert held.should_stop()
        raise Stopped("The process stops.")

    job = house.run(work)
    assert (job.state, job.attempts, job.claim, job.reason) == (JobState.QUEUED, 0, None, None)
    house.shutting_down.clear()
    assert house.run(house.publish).attempts == 1


def test_a_ledger_that_is_away_is_left_to_the_sweeper(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'no-such-folder' / 'catalogue.sqlite3'}")
    with pytest.raises(CatalogueUnavailable):
        House(SqlJobs(engine)).ledger().run(JOB, never)
    engine.dispose()


# --------------------------------------------------------------------------- sweeping


def sweep(house: House, broker: Broker) -> int:
    sweeper = Sweeper(house.jobs, Queue(broker), now=house.time, patience=STILL)
    return sweeper.sweep(sent_before=house.now - STILL.resend)


def test_a_sweep_sends_each_job_once(house: House, broker: Broker) -> None:
    assert sweep(house, broker) == 1
    house.now += timedelta(seconds=1)
    assert sweep(house, broker) == 0
    message = next(broker.consume(WorkQueue.URGENT))
    assert message is not None
    assert message.args == (JOB,)


def test_a_sweep_sends_again_what_nobody_picked_up(house: House, broker: Broker) -> None:
    sweep(house, broker)
    house.now += STILL.resend + timedelta(seconds=1)
    assert sweep(house, broker) == 1


def test_a_sweep_sends_the_job_of_a_silent_worker(house: House, broker: Broker) -> None:
    sweep(house, broker)
    house.now += timedelta(seconds=1)
    house.kill_a_worker()
    assert sweep(house, broker) == 1
    assert house.run(house.publish).state is JobState.DONE
    assert sweep(house, broker) == 0
