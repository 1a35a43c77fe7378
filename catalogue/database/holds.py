"""Holds on places of the store, in SQL. The lock makes holding and condemning one after another."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, and_, delete, func, select, update

from catalogue.database.engine import insert_new, reading, writing
from catalogue.database.schema import (
    attempts,
    condemned,
    content_keys,
    deliveries,
    holds,
    renditions,
    sleeves,
)
from catalogue.errors import PlaceCondemned
from catalogue.nouns import JobId, RenditionId
from catalogue.offline import key_of_sealed
from catalogue.port import Leftover
from catalogue.sleeves import is_sleeve

_LOCK = 0x401D
# The first part of a place: see storage.keys.
_MASTERS, _RENDITIONS = "masters", "renditions"


class SqlHolds:
    """See catalogue.port.Holds."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def hold(self, places: Collection[str], holder: str, *, until: datetime) -> None:
        """See Holds.hold."""
        with writing(self._engine) as connection:
            _lock(connection)
            query = select(condemned.c.place).where(condemned.c.place.in_(places)).limit(1)
            found = connection.execute(query).scalar()
            if found is not None:
                raise PlaceCondemned(f"{found} is being removed.", place=found)
            for place in places:
                insert_new(connection, holds, {"place": place, "holder": holder, "until": until})

    def leave(self, places: Collection[str], holder: str, *, now: datetime) -> None:
        """See Holds.leave."""
        with writing(self._engine) as connection:
            for place in places:
                row = {"place": place, "holder": holder, "until": now}
                if not insert_new(connection, holds, row):
                    own = and_(holds.c.place == place, holds.c.holder == holder)
                    connection.execute(update(holds).where(own).values(until=now))

    def release(self, holder: str) -> None:
        """See Holds.release."""
        with writing(self._engine) as connection:
            connection.execute(delete(holds).where(holds.c.holder == holder))

    def leftovers(self, *, now: datetime, limit: int) -> list[Leftover]:
        """See Holds.leftovers."""
        over = select(holds).where(holds.c.until <= now)
        with reading(self._engine) as connection:
            rows = connection.execute(over.order_by(holds.c.until).limit(limit))
            return [Leftover(place=row.place, holder=row.holder, until=row.until) for row in rows]

    def forget(self, leftover: Leftover) -> None:
        """See Holds.forget."""
        same = and_(
            holds.c.place == leftover.place,
            holds.c.holder == leftover.holder,
            holds.c.until == leftover.until,
        )
        with writing(self._engine) as connection:
            connection.execute(delete(holds).where(same))

    def is_orphan(self, place: str, *, now: datetime) -> bool:
        """See Holds.is_orphan."""
        with reading(self._engine) as connection:
            return _is_orphan(connection, place, now)

    def condemn(self, place: str, *, now: datetime, stale_before: datetime) -> bool:
        """See Holds.condemn."""
        with writing(self._engine) as connection:
            _lock(connection)
            if not _is_orphan(connection, place, now):
                return False
            if insert_new(connection, condemned, {"place": place, "since": now}):
                return True
            stale = and_(condemned.c.place == place, condemned.c.since < stale_before)
            taken = connection.execute(update(condemned).where(stale).values(since=now))
            return taken.rowcount == 1

    def renew(self, place: str, *, since: datetime, now: datetime) -> bool:
        """See Holds.renew."""
        with writing(self._engine) as connection:
            own = _sentence(place, since)
            renewed = connection.execute(update(condemned).where(own).values(since=now))
            return renewed.rowcount == 1

    def condemned(self) -> list[str]:
        """See Holds.condemned."""
        with reading(self._engine) as connection:
            query = select(condemned.c.place).order_by(condemned.c.place)
            return list(connection.execute(query).scalars())

    def absolve(self, place: str, *, since: datetime) -> bool:
        """See Holds.absolve."""
        with writing(self._engine) as connection:
            ended = connection.execute(delete(condemned).where(_sentence(place, since)))
            return ended.rowcount == 1


def leave_holds(
    connection: Connection, job_id: JobId, now: datetime, *, published: Collection[RenditionId] = ()
) -> None:
    """Make leftovers of what the attempts of an ended job hold; ``published`` is not left over."""
    claims = select(attempts.c.claim).where(attempts.c.job_id == job_id)
    own = holds.c.holder.in_(claims)
    needed = holds.c.place.in_([f"{_RENDITIONS}/{rendition_id}" for rendition_id in published])
    connection.execute(delete(holds).where(own, needed))
    connection.execute(update(holds).where(own, holds.c.until > now).values(until=now))


def settle(connection: Connection, rendition_id: RenditionId) -> None:
    """End all holds on the place of what is referred to by now."""
    place = f"{_RENDITIONS}/{rendition_id}"
    connection.execute(delete(holds).where(holds.c.place == place))


def _sentence(place: str, since: datetime) -> ColumnElement[bool]:
    return and_(condemned.c.place == place, condemned.c.since == since)


def _is_orphan(connection: Connection, place: str, now: datetime) -> bool:
    held = select(holds.c.place).where(holds.c.place == place, holds.c.until > now)
    referring = _referring(place)
    return all(connection.execute(query.limit(1)).first() is None for query in (held, referring))


def _referring(place: str) -> Select[Any]:
    """Return what refers to a place."""
    folder, _, name = place.partition("/")
    if folder == _MASTERS:
        return select(deliveries.c.id).where(deliveries.c.master_sha256 == name, deliveries.c.kept)
    rendition_id = RenditionId(name)
    if is_sleeve(rendition_id):
        return select(sleeves.c.id).where(sleeves.c.id == name)
    key_id = key_of_sealed(rendition_id)
    if key_id is not None:
        return select(content_keys.c.id).where(content_keys.c.id == key_id)
    return select(renditions.c.id).where(renditions.c.id == name)


def _lock(connection: Connection) -> None:
    # SQLite's writing transactions are one after another as they are.
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
