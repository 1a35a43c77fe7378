"""Replies to creating requests in SQL."""

from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Engine, and_, delete, select, update

from catalogue.database.engine import insert_new, writing
from catalogue.database.schema import replies
from catalogue.errors import IdempotencyKeyBusy
from catalogue.replies import Reply

_REPLY = TypeAdapter(Reply)


class SqlReplies:
    """See catalogue.replies.Replies."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def claim(self, key_sha256: str, claim: str, *, now: datetime, until: datetime) -> Reply | None:
        """See Replies.claim."""
        own = replies.c.key_sha256 == key_sha256
        taken = {"claim": claim, "reply": None, "until": until}
        with writing(self._engine) as connection:
            if insert_new(connection, replies, {"key_sha256": key_sha256, **taken}):
                return None
            over = update(replies).where(own, replies.c.until <= now).values(**taken)
            if connection.execute(over).rowcount:
                return None
            found = connection.execute(select(replies.c.reply, replies.c.until).where(own)).one()
        if found.reply is None:
            left_s = (found.until - now).total_seconds()
            raise IdempotencyKeyBusy("It has not been answered yet.", left_s=round(left_s, 1))
        return _REPLY.validate_json(found.reply)

    def keep(self, key_sha256: str, claim: str, reply: Reply, *, until: datetime) -> None:
        """See Replies.keep."""
        own = update(replies).where(_claimed(key_sha256, claim))
        with writing(self._engine) as connection:
            connection.execute(own.values(reply=_REPLY.dump_json(reply), until=until))

    def release(self, key_sha256: str, claim: str) -> None:
        """See Replies.release."""
        with writing(self._engine) as connection:
            connection.execute(delete(replies).where(_claimed(key_sha256, claim)))

    def expire(self, *, now: datetime) -> int:
        """See Replies.expire."""
        with writing(self._engine) as connection:
            return connection.execute(delete(replies).where(replies.c.until <= now)).rowcount


def _claimed(key_sha256: str, claim: str) -> Any:
    held = and_(replies.c.key_sha256 == key_sha256, replies.c.claim == claim)
    return and_(held, replies.c.reply.is_(None))
