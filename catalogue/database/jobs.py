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
    Row,
    and_,
    delete,
    exists,
    insert,
    or_,
    select,
    update,
)

from catalogue.database.announcing import announce_album, announce_track
from catalogue.database.engine import insert_new, reading, writing
from catalogue.database.filling import MASTER, fill
from catalogue.database.holds import leave_holds
from catalogue.database.noticing import note_change
from catalogue.database.prints import keep_heard, reveal
from catalogue.database.schema import (
    attempts,
    deliveries,
    drained_queues,
    jobs,
    masters,
    renditions,
    track_renditions,
    tracks,
)
from catalogue.errors import JobLost, JobNotFound, JobQuarantined
from catalogue.lifecycle import JobEvent, state_after, states_before
from catalogue.nouns import (
    AccountId,
    AttemptEnd,
    Delivery,
    DeliveryId,
    Fingerprint,
    Job,
    JobId,
    JobState,
    Pressing,
    Reason,
    Rendition,
    RenditionId,
    Resemblance,
    Sha256,
    TrackId,
    WorkQueue,
)
from catalogue.port import WorkerName

_REASON = TypeAdapter(Reason)
_RENDITION = TypeAdapter(Rendition)
_RESEMBLES = TypeAdapter(tuple[Resemblance, ...])
_NOT_COUNTED = {"attempts": jobs.c.attempts - 1}


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
        with reading(self._engine) as connection:
            return _read_delivery(connection, job_id)

    def of_owner(self, owner: AccountId, *, after: str, limit: int) -> list[Job]:
        """See Jobs.of_owner."""
        own = and_(deliveries.c.owner == owner, jobs.c.id > after)
        query = select(jobs).join(deliveries).where(own).order_by(jobs.c.id).limit(limit)
        with reading(self._engine) as connection:
            return [build_job(row) for row in connection.execute(query)]

    def due(
        self,
        queue: WorkQueue,
        *,
        now: datetime,
        stale_before: datetime,
        sent_before: datetime,
        limit: int,
    ) -> list[JobId]:
        """See Jobs.due."""
        here = jobs.c.queue == queue
        sent_long_ago = or_(jobs.c.sent_at.is_(None), jobs.c.sent_at < sent_before)
        sent_before_beat = or_(sent_long_ago, jobs.c.sent_at <= jobs.c.heartbeat_at)
        silent = select(jobs.c.id).where(here, _silent(stale_before), sent_before_beat)
        queued = and_(jobs.c.state == JobState.QUEUED, jobs.c.due_at <= now)
        waiting = select(jobs.c.id).where(here, queued, sent_long_ago)
        drained = select(drained_queues.c.queue).where(drained_queues.c.queue == queue)
        with reading(self._engine) as connection:
            found: list[JobId] = []
            if connection.execute(drained).first() is not None:
                return found
            for query in (silent, waiting):
                oldest = query.order_by(jobs.c.due_at).limit(limit - len(found))
                found += map(JobId, connection.execute(oldest).scalars())
            return found

    def mark_sent(self, job_id: JobId, *, now: datetime) -> None:
        """See Jobs.mark_sent."""
        # A message sent before a job was due was for an earlier attempt.
        due = and_(jobs.c.id == job_id, jobs.c.due_at <= now)
        with writing(self._engine) as connection:
            connection.execute(update(jobs).where(due).values(sent_at=now))

    def claim(
        self,
        job_id: JobId,
        claim: str,
        *,
        worker: WorkerName,
        now: datetime,
        stale_before: datetime,
        max_silences: int,
    ) -> Job | None:
        """See Jobs.claim."""
        waiting = and_(_in_state(JobEvent.CLAIM), jobs.c.due_at <= now)
        free = and_(
            jobs.c.id == job_id, ~_drained(jobs.c.queue), or_(waiting, _silent(stale_before))
        )
        with writing(self._engine) as connection:
            row = connection.execute(select(jobs).where(free).with_for_update(of=jobs)).first()
            if row is None:
                return None
            silences = row.silences
            if row.claim is not None:
                silences += 1
                end_attempt(connection, row.claim, AttemptEnd.SILENT, row.heartbeat_at)
            if silences >= max_silences:
                _set_aside(connection, job_id, silences, now)
                return None
            taken = {
                "state": state_after(JobEvent.CLAIM),
                "stage": "start",
                "percent": 0,
                "attempts": row.attempts + 1,
                "silences": silences,
                "claim": claim,
                "worker": worker.name,
                "heartbeat_at": now,
                "updated_at": now,
            }
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(**taken))
            _begin_attempt(connection, job_id, claim, worker, now)
            note_change(connection, job_id)
            return read_job(connection, job_id)

    def beat(self, job_id: JobId, claim: str, *, stage: str, percent: int, now: datetime) -> None:
        """See Jobs.beat."""
        said = {"stage": stage, "percent": percent}
        with writing(self._engine) as connection:
            values = said | {"heartbeat_at": now, "updated_at": now}
            _change(connection, job_id, claim, values)
            own = attempts.c.claim == claim
            connection.execute(update(attempts).where(own).values(**said))

    def release(self, job_id: JobId, claim: str, *, now: datetime) -> None:
        """See Jobs.release."""
        values = waiting(JobEvent.RELEASE, now, due_at=now) | _NOT_COUNTED
        self._end(job_id, claim, AttemptEnd.RELEASED, values, now)

    def move(self, job_id: JobId, claim: str, *, queue: WorkQueue, now: datetime) -> None:
        """See Jobs.move."""
        values = waiting(JobEvent.MOVE, now, due_at=now) | _NOT_COUNTED | {"queue": queue}
        self._end(job_id, claim, AttemptEnd.MOVED, values, now)

    def retry(
        self, job_id: JobId, claim: str, *, reason: Reason, due_at: datetime, now: datetime
    ) -> None:
        """See Jobs.retry."""
        values = waiting(JobEvent.RETRY, now, due_at=due_at) | {"reason": asdict(reason)}
        self._end(job_id, claim, AttemptEnd.RETRIED, values, now, reason.code)

    def fail(self, job_id: JobId, claim: str, *, reason: Reason, now: datetime) -> None:
        """See Jobs.fail."""
        values = ended(JobEvent.FAIL, now, reason)
        with writing(self._engine) as connection:
            _change(connection, job_id, claim, values)
            end_attempt(connection, claim, AttemptEnd.FAILED, now, reason.code)
            leave_holds(connection, job_id, now)

    def _end(
        self,
        job_id: JobId,
        claim: str,
        end: AttemptEnd,
        values: dict[str, Any],
        now: datetime,
        code: str | None = None,
    ) -> None:
        with writing(self._engine) as connection:
            _change(connection, job_id, claim, values)
            end_attempt(connection, claim, end, now, code)

    def withhold(
        self,
        job_id: JobId,
        claim: str,
        *,
        reason: Reason,
        resembles: Sequence[Resemblance],
        now: datetime,
    ) -> None:
        """See Jobs.withhold."""
        kin = {"resembles": _RESEMBLES.dump_python(tuple(resembles), mode="json")}
        with writing(self._engine) as connection:
            _change(connection, job_id, claim, ended(JobEvent.WITHHOLD, now, reason) | kin)
            end_attempt(connection, claim, AttemptEnd.HELD, now, reason.code)
            leave_holds(connection, job_id, now)

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
        resembles: Sequence[Resemblance] = (),
        revealed: Fingerprint | None = None,
    ) -> None:
        """See Jobs.publish."""
        with writing(self._engine) as connection:
            _end_well(connection, job_id, claim, resembles, now)
            delivery = _read_delivery(connection, job_id)
            if pressing is not None:
                _keep_pressing(connection, pressing, now, public=delivery.owner is None)
                revealed = pressing.fingerprint
            if revealed is not None and delivery.owner is None:
                reveal(connection, delivery.master_sha256, revealed, now)
            fill(connection, delivery)
            _point_track(connection, job_id, current)
            leave_holds(connection, job_id, now, published=current)

    def match(
        self, job_id: JobId, claim: str, *, resembles: Sequence[Resemblance], now: datetime
    ) -> None:
        """See Jobs.match."""
        with writing(self._engine) as connection:
            _end_well(connection, job_id, claim, resembles, now)
            own = select(jobs.c.delivery_id).where(jobs.c.id == job_id).scalar_subquery()
            needless = update(deliveries).where(deliveries.c.id == own)
            connection.execute(needless.values(kept=False))
            leave_holds(connection, job_id, now)


def _read_delivery(connection: Connection, job_id: JobId) -> Delivery:
    query = select(deliveries).join(jobs).where(jobs.c.id == job_id)
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
        queue=WorkQueue(row.queue),
        owner=None if row.owner is None else AccountId(row.owner),
    )


def _end_well(
    connection: Connection,
    job_id: JobId,
    claim: str,
    resembles: Sequence[Resemblance],
    now: datetime,
) -> None:
    done = {"stage": "done", "percent": 100}
    kin = {"resembles": _RESEMBLES.dump_python(tuple(resembles), mode="json")}
    _change(connection, job_id, claim, ended(JobEvent.PUBLISH, now, None) | done | kin)
    connection.execute(update(attempts).where(attempts.c.claim == claim).values(**done))
    end_attempt(connection, claim, AttemptEnd.DONE, now)


def _point_track(connection: Connection, job_id: JobId, current: Sequence[RenditionId]) -> None:
    """Let the job's track have ``current``, unless a later delivery of it is published already."""
    own = select(jobs.c.track_id, deliveries.c.created_at).join(deliveries)
    track_id, delivered_at = connection.execute(own.where(jobs.c.id == job_id)).one()
    own_row = select(tracks.c.album_id).where(tracks.c.id == track_id).with_for_update()
    album_id = connection.execute(own_row).scalar()
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
    announce_track(connection, track_id)
    if album_id is not None:
        announce_album(connection, album_id)


def read_job(connection: Connection, job_id: JobId) -> Job:
    """Return a job inside a transaction. Raises JobNotFound."""
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).first()
    if row is None:
        raise JobNotFound("No job has this id.", job=str(job_id)[:60])
    return build_job(row)


def build_job(row: Row[Any]) -> Job:
    """Return the job that a row of its table holds."""
    return Job(
        id=JobId(row.id),
        delivery_id=DeliveryId(row.delivery_id),
        track_id=TrackId(row.track_id),
        queue=WorkQueue(row.queue),
        state=JobState(row.state),
        stage=row.stage,
        percent=row.percent,
        attempts=row.attempts,
        claim=row.claim,
        worker=row.worker,
        heartbeat_at=row.heartbeat_at,
        due_at=row.due_at,
        reason=None if row.reason is None else _REASON.validate_python(row.reason),
        created_at=row.created_at,
        updated_at=row.updated_at,
        finished_at=row.finished_at,
        resembles=_RESEMBLES.validate_python(row.resembles or ()),
        approved=row.approved,
    )


def waiting(event: JobEvent, now: datetime, *, due_at: datetime) -> dict[str, Any]:
    """Return what a job is after an event that queues it."""
    return {
        "state": state_after(event),
        "stage": "wait",
        "percent": 0,
        "claim": None,
        "worker": None,
        "heartbeat_at": None,
        "due_at": due_at,
        "sent_at": None,
        "updated_at": now,
        "finished_at": None,
    }


def ended(event: JobEvent, now: datetime, reason: Reason | None) -> dict[str, Any]:
    """Return what a job is after an event that ends it."""
    return {
        "state": state_after(event),
        "reason": None if reason is None else asdict(reason),
        "claim": None,
        "updated_at": now,
        "finished_at": now,
    }


def end_attempt(
    connection: Connection,
    claim: str | None,
    end: AttemptEnd,
    at: datetime,
    code: str | None = None,
) -> None:
    """Write down how an attempt ended, unless that is known."""
    open_one = and_(attempts.c.claim == claim, attempts.c.ended_at.is_(None))
    values = {"ended_at": at, "ending": end, "code": code}
    connection.execute(update(attempts).where(open_one).values(**values))


def _begin_attempt(
    connection: Connection, job_id: JobId, claim: str, worker: WorkerName, now: datetime
) -> None:
    row = {"claim": claim, "job_id": job_id, "worker": worker.name, "version": worker.version}
    begun = {"stage": "start", "percent": 0, "started_at": now}
    connection.execute(insert(attempts).values(**row, **begun))


def _drained(queue: ColumnElement[str]) -> ColumnElement[bool]:
    return exists().where(drained_queues.c.queue == queue)


def _in_state(event: JobEvent) -> ColumnElement[bool]:
    return jobs.c.state.in_(sorted(states_before(event)))


def _silent(stale_before: datetime) -> ColumnElement[bool]:
    return and_(_in_state(JobEvent.TAKE_OVER), jobs.c.heartbeat_at < stale_before)


def _change(connection: Connection, job_id: JobId, claim: str, values: dict[str, Any]) -> None:
    """Change a job that ``claim`` holds. Raises JobLost when it does not."""
    held = and_(jobs.c.id == job_id, jobs.c.claim == claim, jobs.c.state == JobState.RUNNING)
    if connection.execute(update(jobs).where(held).values(**values)).rowcount != 1:
        raise JobLost("Another worker holds the job, or it has ended.", job=job_id)
    if "state" in values:
        note_change(connection, job_id)


def _set_aside(connection: Connection, job_id: JobId, silences: int, now: datetime) -> None:
    """Quarantine a job whose workers went silent, with what is known of the last one."""
    history = select(attempts).where(attempts.c.job_id == job_id)
    last = connection.execute(history.order_by(attempts.c.number.desc()).limit(1)).first()
    reason = Reason(
        code=JobQuarantined.code,
        title=JobQuarantined.title,
        detail=f"{silences} workers went silent while they held it.",
        advice=JobQuarantined.advice,
        measured={
            "silences": silences,
            "last_worker": None if last is None else last.worker,
            "last_stage": None if last is None else last.stage,
            "last_percent": None if last is None else last.percent,
        },
    )
    values = ended(JobEvent.QUARANTINE, now, reason) | {"silences": silences}
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(**values))
    note_change(connection, job_id)
    leave_holds(connection, job_id, now)


def _keep_pressing(
    connection: Connection, pressing: Pressing, now: datetime, *, public: bool
) -> None:
    master = pressing.master
    insert_new(
        connection,
        masters,
        {
            "sha256": master.sha256,
            "facts": MASTER.dump_python(master, mode="json"),
            "samples": pressing.decoded.samples,
            "pcm_sha256": pressing.decoded.pcm_sha256,
            "created_at": now,
            "public": public,
        },
    )
    keep_heard(connection, master.sha256, pressing.features, pressing.fingerprint, now)
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
