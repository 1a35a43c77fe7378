"""API keys in SQL."""

from datetime import datetime

from sqlalchemy import Engine, delete, insert, select

from catalogue.auditing import Deed, record
from catalogue.database.audits import keep
from catalogue.database.engine import reading, writing
from catalogue.database.schema import api_keys
from catalogue.port import StoredKey


class SqlKeys:
    """See catalogue.port.Keys."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, key: StoredKey, *, now: datetime) -> None:
        """See Keys.add."""
        with writing(self._engine) as connection:
            row = {"id": key.id, "label": key.label, "secret_sha256": key.secret_sha256}
            connection.execute(insert(api_keys).values(**row, created_at=now))
            keep(connection, record(Deed.KEY_MADE, key.id, now=now, label=key.label))

    def find(self, key_id: str) -> StoredKey | None:
        """See Keys.find."""
        with reading(self._engine) as connection:
            row = connection.execute(select(api_keys).where(api_keys.c.id == key_id)).first()
        if row is None:
            return None
        return StoredKey(id=row.id, label=row.label, secret_sha256=row.secret_sha256)

    def remove(self, key_id: str, *, now: datetime) -> None:
        """See Keys.remove."""
        with writing(self._engine) as connection:
            if connection.execute(delete(api_keys).where(api_keys.c.id == key_id)).rowcount:
                keep(connection, record(Deed.KEY_REVOKED, key_id, now=now))

    def is_empty(self) -> bool:
        """See Keys.is_empty."""
        with reading(self._engine) as connection:
            return connection.execute(select(api_keys.c.id).limit(1)).first() is None
