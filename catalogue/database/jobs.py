"""The job ledger in SQL."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    delete,
    insert,
    or_,
    select,
    update,
)

from catalogue.database.engine import insert_new, reading, writing
from catalogue.database.schema import (
    deliveries,
    jobs,
    masters,
    renditions,
    track_renditions,
    tracks,
)
from catalogue.errors import JobLost, JobNotFound, JobQuarantined
from catalogue.nouns import (
    Delivery,
    DeliveryId,
    Job,
    JobId,
    JobState,
    Master,
    Pressing,
    Reason,
    Rendition,
    RenditionId,
    Sha256,
    TrackId,
)

_MASTER = TypeAdapter(Master)
_REASON = TypeAdapter(Reason)
_RENDITION = TypeAdapter(Rendition)


class SqlJobs:
    """See catalogue.port.Jobs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, job_id: JobId) -> Job:
        """See Jobs.get."""
        with reading(self._engine) as connection:
            return read_job(connection, job_id)

    def delivery(self, job_id: JobId) -> Delivery:
        """See Jobs.delivery."""
        query = select(deliveries).join(jobs).where(jobs.c.id == job_id)
        with reading(self._engine) as connection:
            row = connection.execute(query).first()
        if row is None:
            raise JobNotFound("No job has this id.", job=str(job_id)[:60])
        return Delivery(
            id=DeliveryId(row.id),
            label=row.label,
            track_id=TrackId(row.track_id),
            master_sha256=Sha256(row.master_sha256),
            filename=row.filename,
            size_bytes=row.size_bytes,
            created_at=row.created_at,
        )

    def due(
        self, *, now: datetime, stale_before: datetime, sent_before: datetime, limit: int
    ) -> list[JobId]:
        """See Jobs.due."""
        unsent = or_(jobs.c.sent_at.is_(None), jobs.c.sent_at < sent_before)
        unsent_since_beat = or_(unsent, jobs.c.sent_at <= jobs.c.heartbeat_at)
        # A message sent before the job was due was for an earlier attempt.
        unsent_since_due = or_(unsent, jobs.c.sent_at < jobs.c.due_at)
        waiting = and_(jobs.c.state == JobState.QUEUED, jobs.c.due_at <= now, unsent_since_due)
        query = (
            select(jobs.c.id)
            .where(or_(waiting, and_(_silent(stale_before), unsent_since_beat)))
            .order_by(jobs.c.due_at)
            .limit(limit)
        )
        with reading(self._engine) as connection:
            return [JobId(job_id) for job_id in connection.execute(query).scalars()]

    def mark_sent(self, job_id: JobId, *, now: datetime) -> None:
        """See Jobs.mark_sent."""
        with writing(self._engine) as connection:
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(sent_at=now))

    def claim(
        self,
        job_id: JobId,
        claim: str,
        *,
        now: datetime,
        stale_before: datetime,
        max_silences: int,
    ) -> Job | None:
        """See Jobs.claim."""
        waiting = and_(jobs.c.state == JobState.QUEUED, jobs.c.due_at <= now)
        free = and_(jobs.c.id == job_id, or_(waiting, _silent(stale_before)))
        with writing(self._engine) as connection:
            row = connection.execute(select(jobs).where(free).with_for_update()).first()
            if row is None:
                return None
            silences = row.silences + (row.state == JobState.RUNNING)
            if silences >= max_silences:
                _quarantine(connection, job_id, silences, now)
                return None
            taken = {
                "state": JobState.RUNNING,
                "stage": "start",
                "percent": 0,
                "attempts": row.attempts + 1,
                "silences": silences,
                "claim": claim,
                "heartbeat_at": now,
                "updated_at": now,
            }
            connection.execute(update(jobs).where(free).values(**taken))
            return read_job(connection, job_id)

    def beat(self, job_id: JobId, claim: str, *, stage: str, percent: int, now: datetime) -> None:
        """See Jobs.beat."""
        with writing(self._engine) as connection:
            values = {"stage": stage, "percent": percent, "heartbeat_at": now, "updated_at": now}
            _change(connection, job_id, claim, values)

    def release(self, job_id: JobId, claim: str, *, now: datetime) -> None:
        """See Jobs.release."""
        with writing(self._engine) as connection:
            values = _waiting(now, due_at=now) | {"attempts": jobs.c.attempts - 1}
            _change(connection, job_id, claim, values)

    def retry(
        self, job_id: JobId, claim: str, *, reason: Reason, due_at: datetime, now: datetime
    ) -> None:
        """See Jobs.retry."""
        with writing(self._engine) as connection:
            values = _waiting(now, due_at=due_at) | {"reason": asdict(reason)}
            _change(connection, job_id, claim, values)

    def fail(self, job_id: JobId, claim: str, *, reason: Reason, now: datetime) -> None:
        """See Jobs.fail."""
        with writing(self._engine) as connection:
            _change(connection, job_id, claim, _ended(JobState.FAILED, now, reason))

    def missing(self, wanted: Sequence[RenditionId]) -> list[RenditionId]:
        """See Jobs.missing."""
        query = select(renditions.c.id).where(renditions.c.id.in_(wanted))
        with reading(self._engine) as connection:
            published = set(connection.execute(query).scalars())
        return [rendition_id for rendition_id in wanted if rendition_id not in published]

    def publish(
        self,
        job_id: JobId,
        claim: str,
        *,
        current: Sequence[RenditionId],
        pressing: Pressing | None,
        now: datetime,
    ) -> None:
        """See Jobs.publish."""
        with writing(self._engine) as connection:
            done = _ended(JobState.DONE, now, None) | {"stage": "done", "percent": 100}
            _change(connection, job_id, claim, done)
            if pressing is not None:
                _keep_pressing(connection, pressing, now)
            _point_track(connection, job_id, current)


def _point_track(connection: Connection, job_id: JobId, current: Sequence[RenditionId]) -> None:
    """Let the job's track have ``current``, unless a later delivery of it is published already."""
    own = select(jobs.c.track_id, deliveries.c.created_at).join(deliveries)
    track_id, delivered_at = connection.execute(own.where(jobs.c.id == job_id)).one()
    connection.execute(select(tracks.c.id).where(tracks.c.id == track_id).with_for_update())
    later = select(jobs.c.id).join(deliveries)
    done = and_(jobs.c.track_id == track_id, jobs.c.state == JobState.DONE)
    newer = later.where(done, deliveries.c.created_at > delivered_at).limit(1)
    if connection.execute(newer).first() is not None:
        return
    belongs = track_renditions.c.track_id == track_id
    connection.execute(delete(track_renditions).where(belongs))
    rows = [
        {"track_id": track_id, "rendition_id": rendition_id, "place": place}
        for place, rendition_id in enumerate(current)
    ]
    connection.execute(insert(track_renditions), rows)


def read_job(connection: Connection, job_id: JobId) -> Job:
    """Return a job inside a transaction. Raises JobNotFound."""
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).first()
    if row is None:
        raise JobNotFound("No job has this id.", job=str(job_id)[:60])
    return Job(
        id=JobId(row.id),
        delivery_id=DeliveryId(row.delivery_id),
        track_id=TrackId(row.track_id),
        state=JobState(row.state),
        stage=row.stage,
        percent=row.percent,
        attempts=row.attempts,
        claim=row.claim,
        heartbeat_at=row.heartbeat_at,
        due_at=row.due_at,
        reason=None if row.reason is None else _REASON.validate_python(row.reason),
        created_at=row.created_at,
        updated_at=row.updated_at,
        finished_at=row.finished_at,
    )


def _silent(stale_before: datetime) -> ColumnElement[bool]:
    return and_(jobs.c.state == JobState.RUNNING, jobs.c.heartbeat_at < stale_before)


def _waiting(now: datetime, *, due_at: datetime) -> dict[str, Any]:
    return {
        "state": JobState.QUEUED,
        "stage": "wait",
        "percent": 0,
        "claim": None,
        "heartbeat_at": None,
        "due_at": due_at,
        "sent_at": None,
        "updated_at": now,
    }


def _ended(state: JobState, now: datetime, reason: Reason | None) -> dict[str, Any]:
    return {
        "state": state,
        "reason": None if reason is None else asdict(reason),
        "claim": None,
        "updated_at": now,
        "finished_at": now,
    }


def _change(connection: Connection, job_id: JobId, claim: str, values: dict[str, Any]) -> None:
    """Change a job that ``claim`` holds. Raises JobLost when it does not."""
    held = and_(jobs.c.id == job_id, jobs.c.claim == claim, jobs.c.state == JobState.RUNNING)
    if connection.execute(update(jobs).where(held).values(**values)).rowcount != 1:
        raise JobLost("Another worker holds the job, or it has ended.", job=job_id)


def _quarantine(connection: Connection, job_id: JobId, silences: int, now: datetime) -> None:
    reason = Reason(
        code=JobQuarantined.code,
        title=JobQuarantined.title,
        detail=f"{silences} workers went silent while they held it.",
        advice=JobQuarantined.advice,
        measured={"silences": silences},
    )
    ended = _ended(JobState.QUARANTINED, now, reason)
    values = ended | {"silences": silences}
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(**values))


def _keep_pressing(connection: Connection, pressing: Pressing, now: datetime) -> None:
    master = pressing.master
    insert_new(
        connection,
        masters,
        {
            "sha256": master.sha256,
            "facts": _MASTER.dump_python(master, mode="json"),
            "samples": pressing.decoded.samples,
            "pcm_sha256": pressing.decoded.pcm_sha256,
            "created_at": now,
        },
    )
    for rendition in pressing.renditions:
        insert_new(
            connection,
            renditions,
            {
                "id": rendition.id,
                "master_sha256": rendition.master_sha256,
                "declaration": _RENDITION.dump_json(rendition).decode(),
                "published_at": now,
            },
        )
