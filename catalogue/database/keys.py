"""API keys in SQL."""

from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Row, and_, delete, insert, select, update

from catalogue.auditing import Deed, record
from catalogue.database.audits import keep
from catalogue.database.engine import reading, writing
from catalogue.database.schema import api_keys
from catalogue.errors import KeyNotFound
from catalogue.port import Scope, StoredKey


class SqlKeys:
    """See catalogue.port.Keys."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, key: StoredKey) -> None:
        """See Keys.add."""
        scopes = " ".join(sorted(key.scopes))
        row = {
            "id": key.id,
            "label": key.label,
            "secret_sha256": key.secret_sha256,
            "created_at": key.created_at,
            "name": key.name,
            "scopes": scopes,
        }
        made = record(
            Deed.KEY_MADE, key.id, now=key.created_at, label=key.label, name=key.name, scopes=scopes
        )
        with writing(self._engine) as connection:
            connection.execute(insert(api_keys).values(**row))
            keep(connection, made)

    def find(self, key_id: str) -> StoredKey | None:
        """See Keys.find."""
        with reading(self._engine) as connection:
            row = connection.execute(select(api_keys).where(api_keys.c.id == key_id)).first()
        return None if row is None else _build_key(row)

    def page(self, *, label: str | None, after: str, limit: int) -> list[StoredKey]:
        """See Keys.page."""
        query = select(api_keys).where(api_keys.c.id > after).order_by(api_keys.c.id).limit(limit)
        if label is not None:
            query = query.where(api_keys.c.label == label)
        with reading(self._engine) as connection:
            return [_build_key(row) for row in connection.execute(query)]

    def use(self, key_id: str, *, now: datetime) -> None:
        """See Keys.use."""
        own = update(api_keys).where(api_keys.c.id == key_id)
        with writing(self._engine) as connection:
            connection.execute(own.values(used_at=now))

    def revoke(self, key_id: str, *, now: datetime) -> None:
        """See Keys.revoke."""
        still = and_(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        with writing(self._engine) as connection:
            revoked = update(api_keys).where(still).values(revoked_at=now)
            if connection.execute(revoked).rowcount:
                keep(connection, record(Deed.KEY_REVOKED, key_id, now=now))
                return
            known = select(api_keys.c.id).where(api_keys.c.id == key_id)
            if connection.execute(known).first() is None:
                raise KeyNotFound("No key has this id.", key=key_id[:60])

    def remove(self, key_id: str, *, now: datetime) -> None:
        """See Keys.remove."""
        with writing(self._engine) as connection:
            if connection.execute(delete(api_keys).where(api_keys.c.id == key_id)).rowcount:
                keep(connection, record(Deed.KEY_REVOKED, key_id, now=now))

    def is_empty(self) -> bool:
        """See Keys.is_empty."""
        with reading(self._engine) as connection:
            return connection.execute(select(api_keys.c.id).limit(1)).first() is None


def _build_key(row: Row[Any]) -> StoredKey:
    return StoredKey(
        id=row.id,
        label=row.label,
        secret_sha256=row.secret_sha256,
        created_at=row.created_at,
        name=row.name,
        scopes=frozenset(map(Scope, row.scopes.split())),
        used_at=row.used_at,
        revoked_at=row.revoked_at,
    )
