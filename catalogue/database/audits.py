"""The audit trail in SQL."""

from datetime import datetime

from sqlalchemy import Connection, Engine, insert, select

from catalogue.auditing import Deed, Record
from catalogue.database.engine import reading, writing
from catalogue.database.schema import audits


def keep(connection: Connection, entry: Record) -> None:
    """Record what this transaction does."""
    connection.execute(
        insert(audits).values(
            at=entry.at,
            deed=entry.deed,
            subject=entry.subject,
            actor=entry.actor,
            address=entry.address,
            request_id=entry.request_id,
            details=dict(entry.details),
        )
    )


class SqlAudits:
    """See catalogue.auditing.Audits."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, entry: Record) -> None:
        """See Audits.add."""
        with writing(self._engine) as connection:
            keep(connection, entry)

    def page(
        self,
        *,
        after: int,
        limit: int,
        since: datetime | None = None,
        deed: Deed | None = None,
        subject: str | None = None,
        actor: str | None = None,
    ) -> list[Record]:
        """See Audits.page."""
        query = select(audits).where(audits.c.number > after).order_by(audits.c.number)
        if since is not None:
            query = query.where(audits.c.at >= since)
        for column, wanted in (
            (audits.c.deed, deed),
            (audits.c.subject, subject),
            (audits.c.actor, actor),
        ):
            if wanted is not None:
                query = query.where(column == wanted)
        with reading(self._engine) as connection:
            return [
                Record(
                    number=row.number,
                    at=row.at,
                    deed=Deed(row.deed),
                    subject=row.subject,
                    actor=row.actor,
                    address=row.address,
                    request_id=row.request_id,
                    details=row.details,
                )
                for row in connection.execute(query.limit(limit))
            ]
