"""What the job ledger promises: see catalogue.port.Jobs. Time is an argument, and stands still."""

import inspect
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from catalogue import port
from catalogue.errors import JobLost, JobNotFound, JobQuarantined, Unavailable
from catalogue.nouns import Job, JobId, JobState, RenditionId, TrackId, WorkQueue
from tests.contract.conftest import Catalogue
from tests.contract.examples import (
    AAC,
    ALAC,
    NOON,
    OGG,
    REASON,
    WORKER,
    make_delivery,
    make_metadata,
    make_pressing,
)

JOB = JobId("job_1")
SILENCE = timedelta(seconds=12)
SECOND = timedelta(seconds=1)
PRESSING = make_pressing(OGG, AAC)
CURRENT = [rendition.id for rendition in PRESSING.renditions]

Change = Callable[[port.Jobs, str, datetime], None]
CHANGES: dict[str, Change] = {
    "beat": lambda jobs, claim, now: jobs.beat(JOB, claim, stage="press", percent=7, now=now),
    "release": lambda jobs, claim, now: jobs.release(JOB, claim, now=now),
    "retry": lambda jobs, claim, now: jobs.retry(JOB, claim, reason=REASON, due_at=now, now=now),
    "fail": lambda jobs, claim, now: jobs.fail(JOB, claim, reason=REASON, now=now),
    "publish": lambda jobs, claim, now: jobs.publish(
        JOB, claim, current=CURRENT, pressing=PRESSING, now=now
    ),
}
ENDINGS = ["publish", "fail"]


@pytest.fixture
def jobs(catalogue: Catalogue) -> port.Jobs:
    """A ledger with one queued job."""
    accept(catalogue, 1)
    return catalogue.jobs


def accept(catalogue: Catalogue, number: int, *, at: datetime = NOON) -> JobId:
    """Accept a delivery of a track of its own, and return its job."""
    metadata = make_metadata(isrc=f"ZZTST26{number:05d}")
    delivery = make_delivery(number, created_at=at)
    return catalogue.tracks.accept(delivery, metadata, JobId(f"job_{number}")).id


def claim(jobs: port.Jobs, by: str, now: datetime = NOON, max_silences: int = 3) -> Job | None:
    return jobs.claim(
        JOB, by, worker=WORKER, now=now, stale_before=now - SILENCE, max_silences=max_silences
    )


def due(jobs: port.Jobs, now: datetime, *, sent_before: datetime | None = None) -> list[JobId]:
    before = now if sent_before is None else sent_before
    return jobs.due(
        WorkQueue.URGENT, now=now, stale_before=now - SILENCE, sent_before=before, limit=100
    )


@pytest.mark.parametrize("name", ["Keys", "Tracks", "Jobs", "Desk", "Holds"])
def test_adapters_take_the_arguments_that_the_port_names(catalogue: Catalogue, name: str) -> None:
    adapter, promised = getattr(catalogue, name.lower()), getattr(port, name)
    methods = [each for each in vars(promised) if not each.startswith("_")]
    assert methods
    for method in methods:
        wanted = list(inspect.signature(getattr(promised, method)).parameters)[1:]
        assert list(inspect.signature(getattr(adapter, method)).parameters) == wanted, method


# --------------------------------------------------------------------------- claims


def test_a_claimed_job_runs(jobs: port.Jobs) -> None:
    later = NOON + SECOND
    job = claim(jobs, "one", later)
    assert job is not None
    assert (job.state, job.claim, job.attempts, job.percent) == (JobState.RUNNING, "one", 1, 0)
    assert job.heartbeat_at == job.updated_at == later
    assert job.created_at == NOON
    assert jobs.get(JOB) == job


def test_a_running_job_is_not_claimed_again(jobs: port.Jobs) -> None:
    held = claim(jobs, "one")
    assert claim(jobs, "two", NOON + SILENCE) is None
    assert jobs.get(JOB) == held


def test_a_job_is_not_claimed_before_it_is_due(jobs: port.Jobs) -> None:
    claim(jobs, "one")
    jobs.retry(JOB, "one", reason=REASON, due_at=NOON + 5 * SECOND, now=NOON)
    assert claim(jobs, "two", NOON + 4 * SECOND) is None
    assert claim(jobs, "two", NOON + 5 * SECOND) is not None


def test_a_silent_job_is_taken_over(jobs: port.Jobs) -> None:
    claim(jobs, "one")
    job = claim(jobs, "two", NOON + SILENCE + SECOND)
    assert job is not None
    assert (job.claim, job.attempts) == ("two", 2)


def test_a_heartbeat_keeps_a_job(jobs: port.Jobs) -> None:
    claim(jobs, "one")
    jobs.beat(JOB, "one", stage="press", percent=40, now=NOON + SILENCE)
    assert claim(jobs, "two", NOON + SILENCE + SECOND) is None
    job = jobs.get(JOB)
    assert (job.stage, job.percent, job.heartbeat_at) == ("press", 40, NOON + SILENCE)


def test_a_job_silent_too_often_is_quarantined(jobs: port.Jobs) -> None:
    now = NOON
    for attempt in range(3):
        assert claim(jobs, f"worker {attempt}", now) is not None
        now += SILENCE + SECOND
    assert claim(jobs, "the fourth", now) is None
    job = jobs.get(JOB)
    assert (job.state, job.claim, job.finished_at) == (JobState.QUARANTINED, None, now)
    assert job.reason is not None
    assert (job.reason.code, job.reason.measured["silences"]) == (JobQuarantined.code, 3)
    evidence = {
        name: job.reason.measured[f"last_{name}"] for name in ("worker", "stage", "percent")
    }
    assert evidence == {"worker": WORKER.name, "stage": "start", "percent": 0}
    assert claim(jobs, "the fifth", now + timedelta(days=1)) is None


def test_attempts_that_ended_politely_do_not_quarantine(jobs: port.Jobs) -> None:
    for _ in range(5):
        assert claim(jobs, "polite") is not None
        jobs.retry(JOB, "polite", reason=REASON, due_at=NOON, now=NOON)
    assert claim(jobs, "killed") is not None
    assert claim(jobs, "next", NOON + SILENCE + SECOND) is not None, "it was silent only once"


def test_of_threads_that_claim_one_job_one_gets_it(catalogue: Catalogue) -> None:
    job_ids = [accept(catalogue, number) for number in range(10)]
    barrier = threading.Barrier(2)

    def take(worker: str) -> list[JobId]:
        taken = []
        for job_id in job_ids:
            barrier.wait()
            job = catalogue.jobs.claim(
                job_id, worker, worker=WORKER, now=NOON, stale_before=NOON - SILENCE, max_silences=3
            )
            taken += [job_id] if job is not None and job.claim == worker else []
        return taken

    with ThreadPoolExecutor(2) as threads:
        one, two = threads.map(take, ("one", "two"))
    assert sorted(one + two) == sorted(job_ids)
    assert [catalogue.jobs.get(job_id).attempts for job_id in job_ids] == [1] * 10


def test_of_threads_that_take_over_one_gets_it(jobs: port.Jobs) -> None:
    claim(jobs, "silent")
    barrier = threading.Barrier(4)

    def take(worker: str) -> bool:
        barrier.wait()
        return claim(jobs, worker, NOON + SILENCE + SECOND) is not None

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(take, "abcd")) == [False, False, False, True]
    assert jobs.get(JOB).attempts == 2


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_ended_job_is_never_claimed(jobs: port.Jobs, ending: str) -> None:
    claim(jobs, "one")
    CHANGES[ending](jobs, "one", NOON)
    assert claim(jobs, "two", NOON + timedelta(days=1)) is None


def test_an_unknown_job_is_not_claimed(jobs: port.Jobs) -> None:
    none = jobs.claim(
        JobId("job_x"), "c", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3
    )
    assert none is None


# --------------------------------------------------------------------------- state changes


def test_a_released_job_is_as_if_never_claimed(jobs: port.Jobs) -> None:
    before = jobs.get(JOB)
    claim(jobs, "one")
    jobs.beat(JOB, "one", stage="press", percent=40, now=NOON)
    later = NOON + SECOND
    jobs.release(JOB, "one", now=later)
    assert jobs.get(JOB) == replace(before, due_at=later, updated_at=later)
    assert due(jobs, later) == [JOB]
    again = claim(jobs, "two", later)
    assert again is not None and again.attempts == 1


def test_a_job_to_retry_waits_with_its_reason(jobs: port.Jobs) -> None:
    claim(jobs, "one")
    due_at = NOON + 5 * SECOND
    jobs.retry(JOB, "one", reason=REASON, due_at=due_at, now=NOON)
    job = jobs.get(JOB)
    assert (job.state, job.attempts, job.claim, job.due_at) == (JobState.QUEUED, 1, None, due_at)
    assert job.reason == REASON
    assert job.finished_at is None


def test_a_failed_job_says_why_and_when(jobs: port.Jobs) -> None:
    claim(jobs, "one")
    jobs.fail(JOB, "one", reason=REASON, now=NOON + SECOND)
    job = jobs.get(JOB)
    assert (job.state, job.reason, job.claim) == (JobState.FAILED, REASON, None)
    assert job.finished_at == NOON + SECOND


def test_a_published_job_is_done_and_its_reason_gone(catalogue: Catalogue) -> None:
    jobs = catalogue.jobs
    job = jobs.get(accept(catalogue, 1))
    claim(jobs, "one")
    jobs.retry(JOB, "one", reason=REASON, due_at=NOON, now=NOON)
    claim(jobs, "two")
    jobs.publish(JOB, "two", current=CURRENT, pressing=PRESSING, now=NOON + SECOND)
    done = jobs.get(JOB)
    assert (done.state, done.stage, done.percent) == (JobState.DONE, "done", 100)
    assert (done.reason, done.claim, done.finished_at) == (None, None, NOON + SECOND)
    assert catalogue.tracks.get(job.track_id).renditions == PRESSING.renditions


# --------------------------------------------------------------------------- fencing


@pytest.mark.parametrize("change", CHANGES)
def test_a_lost_claim_changes_nothing(catalogue: Catalogue, change: str) -> None:
    jobs, track_id = catalogue.jobs, catalogue.jobs.get(accept(catalogue, 1)).track_id
    claim(jobs, "lost")
    held = claim(jobs, "holder", NOON + SILENCE + SECOND)
    with pytest.raises(JobLost):
        CHANGES[change](jobs, "lost", NOON + SILENCE + 2 * SECOND)
    assert jobs.get(JOB) == held
    assert catalogue.tracks.get(track_id).renditions == ()
    assert jobs.missing(CURRENT) == CURRENT


@pytest.mark.parametrize("change", CHANGES)
def test_nobody_changes_a_job_that_waits(jobs: port.Jobs, change: str) -> None:
    before = jobs.get(JOB)
    with pytest.raises(JobLost):
        CHANGES[change](jobs, "nobody", NOON + SECOND)
    assert jobs.get(JOB) == before


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("change", CHANGES)
def test_an_ended_job_stays_as_it_ended(jobs: port.Jobs, ending: str, change: str) -> None:
    claim(jobs, "one")
    CHANGES[ending](jobs, "one", NOON)
    ended = jobs.get(JOB)
    with pytest.raises(JobLost):
        CHANGES[change](jobs, "one", NOON + SECOND)
    assert jobs.get(JOB) == ended


def test_of_a_lost_and_a_holding_worker_one_publishes(catalogue: Catalogue) -> None:
    jobs = catalogue.jobs
    accept(catalogue, 1)
    claim(jobs, "lost")
    claim(jobs, "holder", NOON + SILENCE + SECOND)
    barrier = threading.Barrier(2)

    def publish(worker: str) -> str | None:
        barrier.wait()
        try:
            CHANGES["publish"](jobs, worker, NOON + timedelta(minutes=1))
        except JobLost:
            return None
        return worker

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(publish, ("lost", "holder"))) == [None, "holder"]
    assert jobs.get(JOB).state is JobState.DONE


# --------------------------------------------------------------------------- publishing


def publish_again(catalogue: Catalogue, *, with_pressing: bool) -> TrackId:
    """Publish the same pressing by two jobs of one track."""
    for number in (1, 2):
        metadata = make_metadata()
        job_id = JobId(f"job_{number}")
        job = catalogue.tracks.accept(make_delivery(number), metadata, job_id)
        catalogue.jobs.claim(
            job_id, "c", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3
        )
        pressing = PRESSING if number == 1 or with_pressing else None
        catalogue.jobs.publish(job_id, "c", current=CURRENT, pressing=pressing, now=NOON)
    return job.track_id


@pytest.mark.parametrize("with_pressing", [True, False])
def test_publishing_twice_changes_nothing(catalogue: Catalogue, with_pressing: bool) -> None:
    track_id = publish_again(catalogue, with_pressing=with_pressing)
    assert catalogue.tracks.get(track_id).renditions == PRESSING.renditions
    assert [catalogue.tracks.rendition(each.id) for each in PRESSING.renditions] == list(
        PRESSING.renditions
    )
    assert [track.id for track in catalogue.tracks.page(after="", limit=9)] == [track_id]
    states = {catalogue.jobs.get(JobId(f"job_{number}")).state for number in (1, 2)}
    assert states == {JobState.DONE}


def test_a_published_rendition_never_changes(catalogue: Catalogue) -> None:
    job_ids = [accept(catalogue, number) for number in (1, 2)]
    first = PRESSING.renditions[0]
    other = replace(PRESSING, renditions=(replace(first, samples=1),))
    for job_id, pressing in zip(job_ids, (PRESSING, other), strict=True):
        catalogue.jobs.claim(
            job_id, "c", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3
        )
        catalogue.jobs.publish(job_id, "c", current=[first.id], pressing=pressing, now=NOON)
    assert catalogue.tracks.rendition(first.id) == first


def test_a_new_master_replaces_the_renditions_and_keeps_the_old(catalogue: Catalogue) -> None:
    track_id = publish_again(catalogue, with_pressing=True)
    new = make_pressing(ALAC, master="another")
    metadata = make_metadata()
    job = catalogue.tracks.accept(make_delivery(3), metadata, JobId("job_3"))
    catalogue.jobs.claim(job.id, "c", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3)
    ids = [rendition.id for rendition in new.renditions]
    catalogue.jobs.publish(job.id, "c", current=ids, pressing=new, now=NOON)
    assert catalogue.tracks.get(track_id).renditions == new.renditions
    assert catalogue.tracks.rendition(CURRENT[0]) == PRESSING.renditions[0]


def test_an_earlier_delivery_that_took_longer_does_not_replace_a_later_one(
    catalogue: Catalogue,
) -> None:
    earlier, later = PRESSING, make_pressing(ALAC, master="another")
    for number, at in ((1, NOON), (2, NOON + SECOND)):
        delivery = make_delivery(number, created_at=at)
        catalogue.tracks.accept(delivery, make_metadata(), JobId(f"job_{number}"))
    for number, pressing in ((2, later), (1, earlier)):
        job_id, now = JobId(f"job_{number}"), NOON + 2 * SECOND
        catalogue.jobs.claim(job_id, "c", worker=WORKER, now=now, stale_before=NOON, max_silences=3)
        ids = [rendition.id for rendition in pressing.renditions]
        catalogue.jobs.publish(job_id, "c", current=ids, pressing=pressing, now=now)
    track = catalogue.tracks.get(catalogue.jobs.get(JOB).track_id)
    assert track.renditions == later.renditions
    assert catalogue.jobs.get(JOB).state is JobState.DONE


def test_what_is_not_published_is_missing(jobs: port.Jobs) -> None:
    unknown = RenditionId("alac-none")
    assert jobs.missing([unknown, *CURRENT]) == [unknown, *CURRENT]
    claim(jobs, "one")
    jobs.publish(JOB, "one", current=CURRENT, pressing=PRESSING, now=NOON)
    assert jobs.missing([CURRENT[1], unknown, CURRENT[0]]) == [unknown]
    assert jobs.missing([]) == []


# --------------------------------------------------------------------------- sweeps


def test_a_job_is_due_until_it_was_sent(jobs: port.Jobs) -> None:
    assert due(jobs, NOON) == [JOB]
    jobs.mark_sent(JOB, now=NOON)
    assert due(jobs, NOON + SECOND, sent_before=NOON) == []


def test_a_message_that_was_lost_is_due_again(jobs: port.Jobs) -> None:
    jobs.mark_sent(JOB, now=NOON)
    assert due(jobs, NOON + SECOND, sent_before=NOON + SECOND) == [JOB]


def test_a_job_to_retry_is_due_at_its_time(jobs: port.Jobs) -> None:
    jobs.mark_sent(JOB, now=NOON)
    claim(jobs, "one")
    jobs.retry(JOB, "one", reason=REASON, due_at=NOON + 5 * SECOND, now=NOON)
    assert due(jobs, NOON + 4 * SECOND, sent_before=NOON) == []
    assert due(jobs, NOON + 5 * SECOND, sent_before=NOON) == [JOB]


def test_a_running_job_is_due_when_it_falls_silent(jobs: port.Jobs) -> None:
    jobs.mark_sent(JOB, now=NOON)
    claim(jobs, "one", NOON + SECOND)
    silent_at = NOON + SILENCE + 2 * SECOND
    assert due(jobs, NOON + SILENCE, sent_before=NOON) == []
    assert due(jobs, silent_at, sent_before=NOON) == [JOB]
    jobs.mark_sent(JOB, now=silent_at)
    assert due(jobs, silent_at + SECOND, sent_before=NOON) == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_ended_job_is_never_due(jobs: port.Jobs, ending: str) -> None:
    claim(jobs, "one")
    CHANGES[ending](jobs, "one", NOON)
    assert due(jobs, NOON + timedelta(days=1)) == []


def test_the_longest_waiting_come_first_up_to_the_limit(catalogue: Catalogue) -> None:
    waiting = {number: NOON - number * SECOND for number in (3, 1, 4, 2)}
    for number, at in waiting.items():
        accept(catalogue, number, at=at)
    found = catalogue.jobs.due(
        WorkQueue.URGENT, now=NOON, stale_before=NOON, sent_before=NOON, limit=3
    )
    assert found == ["job_4", "job_3", "job_2"]


# --------------------------------------------------------------------------- what is not there


def test_an_unknown_job_is_not_found(jobs: port.Jobs) -> None:
    for find in (jobs.get, jobs.delivery):
        with pytest.raises(JobNotFound):
            find(JobId("job_none"))


def test_times_come_back_as_they_went_in(catalogue: Catalogue) -> None:
    at = NOON.replace(microsecond=123_457)
    accept(catalogue, 1, at=at)
    job = catalogue.jobs.get(JOB)
    assert job.created_at == at
    assert job.created_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize("method", [*CHANGES, "get", "delivery", "due", "sent", "claim", "missing"])
def test_a_ledger_that_is_away_says_so(away_catalogue: Catalogue, method: str) -> None:
    jobs = away_catalogue.jobs
    calls: dict[str, Callable[[], object]] = {
        "get": lambda: jobs.get(JOB),
        "delivery": lambda: jobs.delivery(JOB),
        "due": lambda: due(jobs, NOON),
        "sent": lambda: jobs.mark_sent(JOB, now=NOON),
        "claim": lambda: claim(jobs, "one"),
        "missing": lambda: jobs.missing(CURRENT),
    }
    with pytest.raises(Unavailable):
        calls[method]() if method in calls else CHANGES[method](jobs, "one", NOON)
