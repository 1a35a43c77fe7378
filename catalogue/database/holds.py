"""Holds on places of the store, in SQL. The lock makes holding and condemning one after another."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, Engine, delete, func, select

from catalogue.database.engine import insert_new, reading, writing
from catalogue.database.schema import condemned, deliveries, holds, renditions
from catalogue.errors import PlaceCondemned

_LOCK = 0x401D


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

    def release(self, holder: str) -> None:
        """See Holds.release."""
        with writing(self._engine) as connection:
            connection.execute(delete(holds).where(holds.c.holder == holder))

    def is_orphan(self, place: str, *, now: datetime) -> bool:
        """See Holds.is_orphan."""
        with reading(self._engine) as connection:
            return _is_orphan(connection, place, now)

    def condemn(self, place: str, *, now: datetime) -> bool:
        """See Holds.condemn."""
        with writing(self._engine) as connection:
            _lock(connection)
            if not _is_orphan(connection, place, now):
                return False
            insert_new(connection, condemned, {"place": place, "since": now})
            return True

    def condemned(self) -> list[str]:
        """See Holds.condemned."""
        with reading(self._engine) as connection:
            query = select(condemned.c.place).order_by(condemned.c.place)
            return list(connection.execute(query).scalars())

    def absolve(self, place: str) -> None:
        """See Holds.absolve."""
        with writing(self._engine) as connection:
            connection.execute(delete(condemned).where(condemned.c.place == place))


def _is_orphan(connection: Connection, place: str, now: datetime) -> bool:
    held = select(holds.c.place).where(holds.c.place == place, holds.c.until > now)
    folder, _, name = place.partition("/")
    referring = {
        "masters": select(deliveries.c.id).where(deliveries.c.master_sha256 == name),
        "renditions": select(renditions.c.id).where(renditions.c.id == name),
    }[folder]
    return all(connection.execute(query.limit(1)).first() is None for query in (held, referring))


def _lock(connection: Connection) -> None:
    # SQLite's writing transactions are one after another as they are.
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
