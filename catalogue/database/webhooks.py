"""Webhooks and their notices in SQL."""

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Engine, Row, Select, and_, delete, func, insert, or_, select, update

from catalogue.database.engine import reading, writing
from catalogue.database.schema import deliveries, jobs, notices, tracks, webhooks
from catalogue.errors import WebhookNotFound, WebhooksFull
from catalogue.nouns import DeliveryId, JobId, JobState, Reason, TrackId
from catalogue.webhooks import HOOKS_MAX, Notice, Webhook

_REASON = TypeAdapter(Reason)


class SqlWebhooks:
    """See catalogue.webhooks.Webhooks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, webhook: Webhook) -> None:
        """See Webhooks.add."""
        own = webhooks.c.label == webhook.label
        row = asdict(webhook) | {"states": ",".join(webhook.states)}
        with writing(self._engine) as connection:
            connection.execute(insert(webhooks).values(**row))
            there = connection.execute(select(func.count()).where(own)).scalar_one()
            if there > HOOKS_MAX:
                raise WebhooksFull(f"It has {HOOKS_MAX}.", webhooks_max=HOOKS_MAX)

    def listed(self, label: str | None) -> list[Webhook]:
        """See Webhooks.listed."""
        query = select(webhooks).order_by(webhooks.c.id)
        if label is not None:
            query = query.where(webhooks.c.label == label)
        with reading(self._engine) as connection:
            return [_build_webhook(row) for row in connection.execute(query)]

    def get(self, webhook_id: str, *, label: str | None) -> Webhook:
        """See Webhooks.get."""
        with reading(self._engine) as connection:
            row = connection.execute(select(webhooks).where(_named(webhook_id, label))).first()
        if row is None:
            raise WebhookNotFound("No webhook has this id.", webhook=webhook_id[:60])
        return _build_webhook(row)

    def remove(self, webhook_id: str, *, label: str | None) -> None:
        """See Webhooks.remove."""
        own = _named(webhook_id, label)
        with writing(self._engine) as connection:
            if not connection.execute(delete(webhooks).where(own)).rowcount:
                raise WebhookNotFound("No webhook has this id.", webhook=webhook_id[:60])
            connection.execute(delete(notices).where(notices.c.webhook_id == webhook_id))

    def notices(self, webhook_id: str, *, before: int | None, limit: int) -> list[Notice]:
        """See Webhooks.notices."""
        query = _whole_notices().where(notices.c.webhook_id == webhook_id)
        if before is not None:
            query = query.where(notices.c.number < before)
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(notices.c.number.desc()).limit(limit))
            return [_build_notice(row) for row in rows]

    def repeat(self, webhook_id: str, *, since: datetime, now: datetime) -> int:
        """See Webhooks.repeat."""
        given_up = and_(
            notices.c.webhook_id == webhook_id,
            notices.c.due_at.is_(None),
            notices.c.delivered_at.is_(None),
            notices.c.at >= since,
        )
        again = update(notices).where(given_up).values(due_at=now, attempts=0)
        with writing(self._engine) as connection:
            return connection.execute(again).rowcount

    def take(self, *, now: datetime, until: datetime, each: int, limit: int) -> list[Notice]:
        """See Webhooks.take."""
        if not self._is_due(now):
            return []
        place = func.row_number().over(partition_by=notices.c.webhook_id, order_by=notices.c.number)
        due = select(notices.c.number, place.label("place")).join(
            webhooks, webhooks.c.id == notices.c.webhook_id
        )
        ranked = due.where(notices.c.due_at <= now).subquery()
        first = select(ranked.c.number).where(ranked.c.place <= each).order_by(ranked.c.number)
        # Looked at again, for another may have taken them since.
        free = select(notices.c.number).where(
            notices.c.number.in_(first.limit(limit)), notices.c.due_at <= now
        )
        with writing(self._engine) as connection:
            taken = list(connection.execute(free.with_for_update(skip_locked=True)).scalars())
            if not taken:
                return []
            chosen = notices.c.number.in_(taken)
            connection.execute(update(notices).where(chosen).values(due_at=until))
            rows = connection.execute(_whole_notices().where(chosen).order_by(notices.c.number))
            return [_build_notice(row) for row in rows]

    def _is_due(self, now: datetime) -> bool:
        """Return whether anything is due: who asks every second writes nothing as a rule."""
        query = select(notices.c.number).where(notices.c.due_at <= now).limit(1)
        with reading(self._engine) as connection:
            return connection.execute(query).first() is not None

    def delivered(self, notice: Notice, *, answer: str, now: datetime) -> None:
        """See Webhooks.delivered."""
        values = {"attempts": notice.attempts + 1, "due_at": None, "delivered_at": now}
        own = webhooks.c.id == notice.webhook_id
        with writing(self._engine) as connection:
            _change(connection, notice, values | {"answer": answer})
            well = update(webhooks).where(own, webhooks.c.failing_since.is_not(None))
            connection.execute(well.values(failing_since=None))

    def put_off(
        self, notice: Notice, *, answer: str, due_at: datetime | None, now: datetime
    ) -> None:
        """See Webhooks.put_off."""
        values = {"attempts": notice.attempts + 1, "due_at": due_at, "answer": answer}
        own = webhooks.c.id == notice.webhook_id
        with writing(self._engine) as connection:
            _change(connection, notice, values)
            ill = update(webhooks).where(own, webhooks.c.failing_since.is_(None))
            connection.execute(ill.values(failing_since=now))

    def expire(self, *, before: datetime) -> None:
        """See Webhooks.expire."""
        # What was noted of a webhook while it was removed is sent to nobody.
        orphan = notices.c.webhook_id.not_in(select(webhooks.c.id))
        over = and_(notices.c.at < before, or_(notices.c.due_at.is_(None), orphan))
        with writing(self._engine) as connection:
            connection.execute(delete(notices).where(over))

    def wrapped_otherwise(self, kek: str) -> list[Webhook]:
        """See Webhooks.wrapped_otherwise."""
        query = select(webhooks).where(webhooks.c.kek != kek).order_by(webhooks.c.id)
        with reading(self._engine) as connection:
            return [_build_webhook(row) for row in connection.execute(query)]

    def rewrap(self, changed: Collection[Webhook]) -> None:
        """See Webhooks.rewrap."""
        with writing(self._engine) as connection:
            for webhook in changed:
                own = update(webhooks).where(webhooks.c.id == webhook.id)
                connection.execute(own.values(kek=webhook.kek, wrapped=webhook.wrapped))


def _named(webhook_id: str, label: str | None) -> Any:
    own = webhooks.c.id == webhook_id
    return own if label is None else and_(own, webhooks.c.label == label)


def _change(connection: Any, notice: Notice, values: dict[str, Any]) -> None:
    own = update(notices).where(notices.c.number == notice.number)
    connection.execute(own.values(**values))


def _whole_notices() -> Select[Any]:
    named = (jobs.c.delivery_id, jobs.c.track_id, deliveries.c.filename, tracks.c.isrc)
    return (
        select(notices, *named)
        .join(jobs, jobs.c.id == notices.c.job_id)
        .join(deliveries, deliveries.c.id == jobs.c.delivery_id)
        .join(tracks, tracks.c.id == jobs.c.track_id)
    )


def _build_webhook(row: Row[Any]) -> Webhook:
    states = tuple(JobState(name) for name in row.states.split(",") if name)
    return Webhook(**row._asdict() | {"states": states})


def _build_notice(row: Row[Any]) -> Notice:
    return Notice(
        number=row.number,
        webhook_id=row.webhook_id,
        job_id=JobId(row.job_id),
        # Of a shipment's deliveries the place is no part of what the label knows.
        delivery_id=DeliveryId(row.delivery_id.partition(".")[0]),
        track_id=TrackId(row.track_id),
        isrc=row.isrc,
        filename=row.filename,
        state=JobState(row.state),
        reason=None if row.reason is None else _REASON.validate_python(row.reason),
        at=row.at,
        attempts=row.attempts,
        due_at=row.due_at,
        delivered_at=row.delivered_at,
        answer=row.answer,
    )
