"""Messages of labels in SQL."""

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Engine, and_, func, select

from catalogue.database.engine import insert_new, reading, writing
from catalogue.database.schema import messages
from catalogue.messages import StoredMessage


class SqlMessages:
    """See catalogue.messages.Messages."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, label: str, message_id: str) -> StoredMessage | None:
        """See Messages.find."""
        own = and_(messages.c.label == label, messages.c.id == message_id)
        with reading(self._engine) as connection:
            row = connection.execute(select(messages).where(own)).first()
        return None if row is None else StoredMessage(**row._asdict())

    def newest(self, label: str, release: str) -> datetime | None:
        """See Messages.newest."""
        own = and_(messages.c.label == label, messages.c.release == release, messages.c.applied)
        with reading(self._engine) as connection:
            return connection.execute(select(func.max(messages.c.created_at)).where(own)).scalar()

    def keep(self, message: StoredMessage) -> None:
        """See Messages.keep."""
        with writing(self._engine) as connection:
            insert_new(connection, messages, asdict(message))
