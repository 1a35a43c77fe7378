"""Sleeves in SQL."""

from datetime import datetime

from pydantic import TypeAdapter
from sqlalchemy import Engine, Select, delete, select

from catalogue.database.engine import insert_new, reading, writing
from catalogue.database.holds import settle
from catalogue.database.schema import sleeves
from catalogue.nouns import RenditionId, Sha256
from catalogue.sleeves import Sleeve

_SLEEVE = TypeAdapter(Sleeve)


class SqlSleeves:
    """See catalogue.sleeves.Sleeves."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def put(self, sleeve: Sleeve, *, now: datetime) -> None:
        """See Sleeves.put."""
        others = (sleeves.c.master_sha256 == sleeve.master_sha256) & (sleeves.c.id != sleeve.id)
        row = {
            "id": sleeve.id,
            "master_sha256": sleeve.master_sha256,
            "sleeve": _SLEEVE.dump_json(sleeve).decode(),
            "created_at": now,
        }
        with writing(self._engine) as connection:
            connection.execute(delete(sleeves).where(others))
            insert_new(connection, sleeves, row)
            settle(connection, sleeve.id)

    def of_master(self, sha256: Sha256) -> Sleeve | None:
        """See Sleeves.of_master."""
        return self._read(select(sleeves.c.sleeve).where(sleeves.c.master_sha256 == sha256))

    def find(self, sleeve_id: RenditionId) -> Sleeve | None:
        """See Sleeves.find."""
        return self._read(select(sleeves.c.sleeve).where(sleeves.c.id == sleeve_id))

    def _read(self, query: Select[tuple[str]]) -> Sleeve | None:
        with reading(self._engine) as connection:
            found = connection.execute(query).scalar()
        return None if found is None else _SLEEVE.validate_json(found)
