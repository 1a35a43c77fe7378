"""What operators are promised: see catalogue.port.Desk."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import pytest

from catalogue import port
from catalogue.errors import JobLost, JobNotFound, JobStateWrong
from catalogue.nouns import AttemptEnd, JobId, JobState, Kinship, Resemblance, TrackId, WorkQueue
from catalogue.port import Outlook
from tests.contract.conftest import Catalogue
from tests.contract.examples import (
    AAC,
    NOON,
    REASON,
    WORKER,
    make_delivery,
    make_metadata,
    make_pressing,
)

JOB = JobId("job_1")
KIN = Resemblance(
    track_id=TrackId("trk_9"),
    kinship=Kinship.SAME_RECORDING,
    confidence=0.99,
    offset_s=-1.5,
    speed=1.01,
    bit_error_rate=0.07,
)
SECOND = timedelta(seconds=1)
PRESSING = make_pressing(AAC)

Prepare = Callable[[Catalogue], None]


def accept(catalogue: Catalogue, number: int, queue: WorkQueue = WorkQueue.URGENT) -> JobId:
    delivery = make_delivery(number, queue=queue)
    metadata = make_metadata(isrc=f"ZZTST26{number:05d}")
    return catalogue.tracks.accept(delivery, metadata, JobId(f"job_{number}")).id


def claim(catalogue: Catalogue, by: str = "one", *, seconds: int = 0) -> None:
    now = NOON + seconds * SECOND
    job = catalogue.jobs.claim(
        JOB, by, worker=WORKER, now=now, stale_before=now - 10 * SECOND, max_silences=9
    )
    assert job is not None


def fail(catalogue: Catalogue) -> None:
    claim(catalogue)
    catalogue.jobs.fail(JOB, "one", reason=REASON, now=NOON)


def publish(catalogue: Catalogue) -> None:
    claim(catalogue)
    current = [rendition.id for rendition in PRESSING.renditions]
    catalogue.jobs.publish(JOB, "one", current=current, pressing=PRESSING, now=NOON)


def quarantine(catalogue: Catalogue) -> None:
    catalogue.desk.quarantine(JOB, reason=REASON, now=NOON)


def cancel(catalogue: Catalogue) -> None:
    catalogue.desk.cancel(JOB, now=NOON)


def withhold(catalogue: Catalogue) -> None:
    claim(catalogue)
    catalogue.jobs.withhold(JOB, "one", reason=REASON, resembles=[KIN], now=NOON)


PREPARE: dict[JobState, Prepare] = {
    JobState.QUEUED: lambda catalogue: None,
    JobState.RUNNING: claim,
    JobState.DONE: publish,
    JobState.FAILED: fail,
    JobState.QUARANTINED: quarantine,
    JobState.CANCELLED: cancel,
    JobState.HELD: withhold,
}
ORDERS: dict[str, tuple[Prepare, set[JobState], JobState]] = {
    "cancel": (
        cancel,
        {JobState.QUEUED, JobState.RUNNING, JobState.HELD},
        JobState.CANCELLED,
    ),
    "approve": (
        lambda catalogue: catalogue.desk.approve(JOB, now=NOON),
        {JobState.HELD},
        JobState.QUEUED,
    ),
    "quarantine": (
        quarantine,
        {JobState.QUEUED, JobState.RUNNING, JobState.FAILED},
        JobState.QUARANTINED,
    ),
    "revive": (
        lambda catalogue: catalogue.desk.revive(JOB, now=NOON),
        {JobState.FAILED, JobState.QUARANTINED, JobState.CANCELLED, JobState.HELD},
        JobState.QUEUED,
    ),
}


@pytest.mark.parametrize("order", list(ORDERS))
@pytest.mark.parametrize("state", list(JobState))
def test_an_order_is_obeyed_or_refused_by_the_state_of_the_job(
    catalogue: Catalogue, state: JobState, order: str
) -> None:
    accept(catalogue, 1)
    PREPARE[state](catalogue)
    give, allowed, after = ORDERS[order]
    if state in allowed:
        give(catalogue)
        assert catalogue.jobs.get(JOB).state is after
        return
    before = catalogue.jobs.get(JOB)
    with pytest.raises(JobStateWrong) as caught:
        give(catalogue)
    assert caught.value.measured["state"] == state
    assert catalogue.jobs.get(JOB) == before


@pytest.mark.parametrize("order", list(ORDERS))
def test_an_unknown_job_is_not_found(catalogue: Catalogue, order: str) -> None:
    with pytest.raises(JobNotFound):
        ORDERS[order][0](catalogue)


@pytest.mark.parametrize("order", ["cancel", "quarantine"])
def test_a_worker_loses_what_is_taken_from_it(catalogue: Catalogue, order: str) -> None:
    accept(catalogue, 1)
    claim(catalogue)
    ORDERS[order][0](catalogue)
    with pytest.raises(JobLost):
        catalogue.jobs.beat(JOB, "one", stage="press", percent=5, now=NOON)
    with pytest.raises(JobLost):
        catalogue.jobs.publish(JOB, "one", current=[], pressing=PRESSING, now=NOON)


def test_a_revived_job_is_taken_again_and_its_silences_are_forgotten(catalogue: Catalogue) -> None:
    accept(catalogue, 1)
    for turn in range(3):
        claim(catalogue, f"worker {turn}", seconds=20 * turn)
    quarantine(catalogue)
    catalogue.desk.revive(JOB, now=NOON + 100 * SECOND)
    now = NOON + 100 * SECOND
    job = catalogue.jobs.claim(
        JOB, "next", worker=WORKER, now=now, stale_before=now, max_silences=1
    )
    assert job is not None


def test_every_attempt_is_written_down(catalogue: Catalogue) -> None:
    accept(catalogue, 1)
    claim(catalogue, "silent")
    catalogue.jobs.beat(JOB, "silent", stage="press", percent=40, now=NOON + SECOND)
    claim(catalogue, "handed back", seconds=20)
    catalogue.jobs.release(JOB, "handed back", now=NOON + 21 * SECOND)
    claim(catalogue, "in vain", seconds=22)
    now = NOON + 23 * SECOND
    catalogue.jobs.retry(JOB, "in vain", reason=REASON, due_at=now, now=now)
    claim(catalogue, "at it", seconds=24)
    told = catalogue.desk.attempts(JOB)
    ends = [AttemptEnd.SILENT, AttemptEnd.RELEASED, AttemptEnd.RETRIED, None]
    assert [attempt.end for attempt in told] == ends
    assert [attempt.code for attempt in told] == [None, None, REASON.code, None]
    assert (told[0].stage, told[0].percent) == ("press", 40)
    assert told[0].ended_at == NOON + SECOND, "its last sign of life"
    assert {(attempt.worker, attempt.version) for attempt in told} == {
        (WORKER.name, WORKER.version)
    }
    with pytest.raises(JobNotFound):
        catalogue.desk.attempts(JobId("job_none"))


# --------------------------------------------------------------------------- queues


def test_nothing_is_taken_from_a_drained_queue(catalogue: Catalogue) -> None:
    accept(catalogue, 1)
    catalogue.desk.drain(WorkQueue.URGENT, now=NOON)
    catalogue.desk.drain(WorkQueue.URGENT, now=NOON + SECOND)
    none = catalogue.jobs.claim(
        JOB, "one", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3
    )
    assert none is None
    assert due(catalogue, WorkQueue.URGENT) == []
    catalogue.desk.resume(WorkQueue.URGENT)
    assert due(catalogue, WorkQueue.URGENT) == [JOB]
    claim(catalogue)


def test_what_was_sent_to_a_drained_queue_is_sent_again_when_it_is_open(
    catalogue: Catalogue,
) -> None:
    job_id = accept(catalogue, 1)
    catalogue.desk.drain(WorkQueue.URGENT, now=NOON)
    catalogue.jobs.mark_sent(job_id, now=NOON)
    catalogue.desk.resume(WorkQueue.BULK)
    catalogue.desk.resume(WorkQueue.URGENT)
    patience = {"now": NOON + SECOND, "stale_before": NOON, "sent_before": NOON - SECOND}
    assert catalogue.jobs.due(WorkQueue.URGENT, limit=9, **patience) == [job_id]


def test_what_runs_while_its_queue_is_drained_goes_on(catalogue: Catalogue) -> None:
    accept(catalogue, 1)
    claim(catalogue)
    catalogue.desk.drain(WorkQueue.URGENT, now=NOON)
    catalogue.jobs.beat(JOB, "one", stage="press", percent=5, now=NOON)
    current = [rendition.id for rendition in PRESSING.renditions]
    catalogue.jobs.publish(JOB, "one", current=current, pressing=PRESSING, now=NOON)
    assert catalogue.jobs.get(JOB).state is JobState.DONE


def test_jobs_wait_in_the_queue_of_their_delivery(catalogue: Catalogue) -> None:
    urgent = accept(catalogue, 1)
    bulk = accept(catalogue, 2, WorkQueue.BULK)
    found = {queue: due(catalogue, queue) for queue in WorkQueue}
    assert found == {WorkQueue.URGENT: [urgent], WorkQueue.BULK: [bulk], WorkQueue.LIGHT: []}


def test_a_master_that_was_pressed_before_is_light_work_until_it_is_moved(
    catalogue: Catalogue,
) -> None:
    accept(catalogue, 1)
    publish(catalogue)
    again = accept(catalogue, 2, WorkQueue.BULK)
    assert due(catalogue, WorkQueue.LIGHT) == [again]
    catalogue.jobs.claim(again, "light", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3)
    catalogue.jobs.move(again, "light", queue=WorkQueue.BULK, now=NOON)
    job = catalogue.jobs.get(again)
    assert (job.queue, job.state, job.attempts) == (WorkQueue.BULK, JobState.QUEUED, 0)
    assert due(catalogue, WorkQueue.BULK) == [again]


def due(catalogue: Catalogue, queue: WorkQueue) -> list[JobId]:
    return catalogue.jobs.due(queue, now=NOON, stale_before=NOON, sent_before=NOON, limit=10)


def test_the_census_counts_every_queue_and_state(catalogue: Catalogue) -> None:
    accept(catalogue, 1)
    claim(catalogue)
    accept(catalogue, 2)
    accept(catalogue, 3, WorkQueue.BULK)
    catalogue.desk.drain(WorkQueue.BULK, now=NOON)
    urgent, bulk, light = catalogue.desk.census(now=NOON)
    assert urgent == port.QueueCensus(
        queue=WorkQueue.URGENT,
        states={JobState.QUEUED: 1, JobState.RUNNING: 1},
        oldest_due_at=NOON,
        drained=False,
    )
    assert (bulk.states, bulk.drained) == ({JobState.QUEUED: 1}, True)
    assert (light.states, light.oldest_due_at) == ({}, None)
    assert catalogue.desk.workers(since=NOON) == [WORKER.name]
    assert catalogue.desk.workers(since=NOON + SECOND) == []


def test_pages_hold_every_job_once_in_order(catalogue: Catalogue) -> None:
    for number in range(1, 6):
        accept(catalogue, number, WorkQueue.BULK if number % 2 else WorkQueue.URGENT)
    claim(catalogue)

    def page(
        after: str = "", states: Sequence[JobState] = (), queues: Sequence[WorkQueue] = ()
    ) -> list[str]:
        found = catalogue.desk.page(states=states, queues=queues, after=after, limit=2)
        return [job.id for job in found]

    assert page() + page("job_2") + page("job_4") == [f"job_{number}" for number in range(1, 6)]
    assert page(states=[JobState.RUNNING]) == ["job_1"]
    assert page(queues=[WorkQueue.URGENT]) == ["job_2", "job_4"]
    assert page(states=[JobState.DONE]) == []


def test_a_withheld_job_tells_why_and_is_approved_once(catalogue: Catalogue) -> None:
    accept(catalogue, 1)
    withhold(catalogue)
    held = catalogue.jobs.get(JOB)
    assert (held.state, held.reason, held.resembles) == (JobState.HELD, REASON, (KIN,))
    assert (held.approved, held.finished_at) == (False, NOON)
    assert [attempt.end for attempt in catalogue.desk.attempts(JOB)] == [AttemptEnd.HELD]
    catalogue.desk.approve(JOB, now=NOON)
    approved = catalogue.jobs.get(JOB)
    assert (approved.state, approved.approved) == (JobState.QUEUED, True)
    claim(catalogue, "two")
    current = [rendition.id for rendition in PRESSING.renditions]
    catalogue.jobs.publish(
        JOB, "two", current=current, pressing=PRESSING, now=NOON, resembles=[KIN]
    )
    done = catalogue.jobs.get(JOB)
    assert (done.state, done.resembles, done.reason) == (JobState.DONE, (KIN,), None)


def test_what_is_to_be_expected_of_a_job(catalogue: Catalogue) -> None:
    jobs = catalogue.jobs
    ids = [accept(catalogue, number) for number in range(1, 4)]
    bulk = accept(catalogue, 9, WorkQueue.BULK)

    def outlooks(now: datetime) -> dict[JobId, Outlook]:
        return catalogue.desk.outlook([jobs.get(each) for each in [*ids, bulk]], now=now)

    assert catalogue.desk.outlook([], now=NOON) == {}
    assert outlooks(NOON) == {
        job_id: Outlook(ahead=ahead, ends_at=None)
        for job_id, ahead in [*zip(ids, range(3), strict=True), (bulk, 0)]
    }
    claim(catalogue)
    assert outlooks(NOON)[ids[0]] == Outlook(ahead=None, ends_at=None)
    assert outlooks(NOON)[ids[2]] == Outlook(ahead=1, ends_at=None)
    current = [rendition.id for rendition in PRESSING.renditions]
    jobs.publish(JOB, "one", current=current, pressing=PRESSING, now=NOON + 10 * SECOND)
    jobs.claim(ids[1], "two", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3)
    jobs.beat(ids[1], "two", stage="press", percent=40, now=NOON)
    assert outlooks(NOON) == {
        ids[1]: Outlook(ahead=None, ends_at=NOON + 6 * SECOND),
        ids[2]: Outlook(ahead=0, ends_at=NOON + 10 * SECOND),
        bulk: Outlook(ahead=0, ends_at=NOON + 10 * SECOND),
    }
