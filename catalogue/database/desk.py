"""What operators see of the job ledger, and how they steer it, in SQL."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, and_, delete, func, select, update

from catalogue.database.engine import insert_new, reading, writing
from catalogue.database.holds import leave_holds
from catalogue.database.jobs import build_job, end_attempt, ended, read_job, waiting
from catalogue.database.noticing import note_change
from catalogue.database.schema import attempts, drained_queues, jobs
from catalogue.errors import JobStateWrong
from catalogue.lifecycle import JobEvent, states_before
from catalogue.nouns import Attempt, AttemptEnd, Job, JobId, JobState, Reason, WorkQueue
from catalogue.port import Outlook, QueueCensus

_LAST = 20


class SqlDesk:
    """See catalogue.port.Desk."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def page(
        self,
        *,
        states: Collection[JobState],
        queues: Collection[WorkQueue],
        after: str,
        limit: int,
    ) -> list[Job]:
        """See Desk.page."""
        query = select(jobs).where(jobs.c.id > after).order_by(jobs.c.id).limit(limit)
        if states:
            query = query.where(jobs.c.state.in_(states))
        if queues:
            query = query.where(jobs.c.queue.in_(queues))
        with reading(self._engine) as connection:
            return [build_job(row) for row in connection.execute(query)]

    def outlook(self, jobs: Collection[Job], *, now: datetime) -> dict[JobId, Outlook]:
        """See Desk.outlook."""
        going = [job for job in jobs if not job.state.final]
        if not going:
            return {}
        with reading(self._engine) as connection:
            place = _places(connection, [job for job in going if job.state is JobState.QUEUED])
            lasts_s = _usual_s(connection)
            running = _running(connection)
        found = {}
        for job in going:
            ahead = place.get(job.id, 0) if job.state is JobState.QUEUED else None
            left_s = None
            if lasts_s is not None and job.state is JobState.RUNNING:
                left_s = lasts_s * (100 - job.percent) / 100
            elif lasts_s is not None and ahead is not None:
                left_s = lasts_s * (ahead // max(1, running.get(job.queue, 0)) + 1)
            ends_at = None if left_s is None else max(now, job.due_at) + timedelta(seconds=left_s)
            found[job.id] = Outlook(ahead=ahead, ends_at=ends_at)
        return found

    def attempts(self, job_id: JobId) -> list[Attempt]:
        """See Desk.attempts."""
        query = select(attempts).where(attempts.c.job_id == job_id)
        with reading(self._engine) as connection:
            read_job(connection, job_id)
            rows = connection.execute(query.order_by(attempts.c.number))
            return [
                Attempt(
                    worker=row.worker,
                    version=row.version,
                    stage=row.stage,
                    percent=row.percent,
                    started_at=row.started_at,
                    ended_at=row.ended_at,
                    end=None if row.ending is None else AttemptEnd(row.ending),
                    code=row.code,
                )
                for row in rows
            ]

    def census(self, *, now: datetime) -> list[QueueCensus]:
        """See Desk.census."""
        counts = select(jobs.c.queue, jobs.c.state, func.count()).group_by(
            jobs.c.state, jobs.c.queue
        )
        queued = and_(jobs.c.state == JobState.QUEUED, jobs.c.due_at <= now)
        oldest = select(func.min(jobs.c.due_at)).where(queued)
        with reading(self._engine) as connection:
            states: dict[str, dict[JobState, int]] = {}
            for queue, state, count in connection.execute(counts):
                states.setdefault(queue, {})[JobState(state)] = count
            # One after the other, each is the first entry of an index.
            due = {
                queue: connection.execute(oldest.where(jobs.c.queue == queue)).scalar()
                for queue in WorkQueue
            }
            drained = set(connection.execute(select(drained_queues.c.queue)).scalars())
        return [
            QueueCensus(
                queue=queue,
                states=states.get(queue, {}),
                oldest_due_at=due[queue],
                drained=queue in drained,
            )
            for queue in WorkQueue
        ]

    def workers(self, *, since: datetime) -> list[str]:
        """See Desk.workers."""
        alive = and_(jobs.c.state == JobState.RUNNING, jobs.c.heartbeat_at >= since)
        query = select(jobs.c.worker).where(alive).distinct().order_by(jobs.c.worker)
        with reading(self._engine) as connection:
            return list(connection.execute(query).scalars())

    def cancel(self, job_id: JobId, *, now: datetime) -> None:
        """See Desk.cancel."""
        self._steer(job_id, JobEvent.CANCEL, AttemptEnd.CANCELLED, now, None)

    def quarantine(self, job_id: JobId, *, reason: Reason, now: datetime) -> None:
        """See Desk.quarantine."""
        self._steer(job_id, JobEvent.QUARANTINE, AttemptEnd.QUARANTINED, now, reason)

    def revive(self, job_id: JobId, *, now: datetime) -> None:
        """See Desk.revive."""
        values = waiting(JobEvent.REVIVE, now, due_at=now) | {"silences": 0}
        self._change(job_id, JobEvent.REVIVE, values)

    def approve(self, job_id: JobId, *, now: datetime) -> None:
        """See Desk.approve."""
        values = waiting(JobEvent.APPROVE, now, due_at=now) | {"approved": True}
        self._change(job_id, JobEvent.APPROVE, values)

    def drain(self, queue: WorkQueue, *, now: datetime) -> None:
        """See Desk.drain."""
        with writing(self._engine) as connection:
            insert_new(connection, drained_queues, {"queue": queue, "since": now})

    def resume(self, queue: WorkQueue) -> None:
        """See Desk.resume."""
        # Messages that came while the queue was drained were heard by nobody.
        unheard = and_(
            jobs.c.state == JobState.QUEUED, jobs.c.queue == queue, jobs.c.sent_at.is_not(None)
        )
        with writing(self._engine) as connection:
            connection.execute(delete(drained_queues).where(drained_queues.c.queue == queue))
            connection.execute(update(jobs).where(unheard).values(sent_at=None))

    def _steer(
        self,
        job_id: JobId,
        event: JobEvent,
        end: AttemptEnd,
        now: datetime,
        reason: Reason | None,
    ) -> None:
        self._change(job_id, event, ended(event, now, reason), end, now)

    def _change(
        self,
        job_id: JobId,
        event: JobEvent,
        values: dict[str, Any],
        end: AttemptEnd | None = None,
        now: datetime | None = None,
    ) -> None:
        with writing(self._engine) as connection:
            row = connection.execute(
                select(jobs.c.state, jobs.c.claim).where(jobs.c.id == job_id).with_for_update()
            ).first()
            job = read_job(connection, job_id)
            if row is None or job.state not in states_before(event):
                raise JobStateWrong(
                    f"The job is {job.state}.", job=job_id, state=job.state, wanted=event
                )
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(**values))
            note_change(connection, job_id)
            if end is not None and now is not None:
                end_attempt(connection, row.claim, end, now)
                leave_holds(connection, job_id, now)


def _places(connection: Connection, queued: Collection[Job]) -> dict[JobId, int]:
    """Return how many jobs wait before each of some."""
    if not queued:
        return {}
    here = and_(jobs.c.state == JobState.QUEUED, jobs.c.queue.in_({job.queue for job in queued}))
    before = func.row_number().over(partition_by=jobs.c.queue, order_by=(jobs.c.due_at, jobs.c.id))
    waiting_now = select(jobs.c.id, before.label("place")).where(here).subquery()
    own = select(waiting_now).where(waiting_now.c.id.in_([job.id for job in queued]))
    return {JobId(job_id): place - 1 for job_id, place in connection.execute(own)}


def _usual_s(connection: Connection) -> float | None:
    """Return how long the last jobs took that ended well; None when there are none."""
    ended_well = select(attempts.c.started_at, attempts.c.ended_at).where(
        attempts.c.ending == AttemptEnd.DONE, attempts.c.ended_at.is_not(None)
    )
    last = connection.execute(ended_well.order_by(attempts.c.number.desc()).limit(_LAST)).all()
    took = [(row.ended_at - row.started_at).total_seconds() for row in last]
    return sum(took) / len(took) if took else None


def _running(connection: Connection) -> dict[str, int]:
    count = select(jobs.c.queue, func.count()).where(jobs.c.state == JobState.RUNNING)
    return {row[0]: row[1] for row in connection.execute(count.group_by(jobs.c.queue))}
