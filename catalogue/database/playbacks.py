"""What accounts play, in SQL: for a plant that has no Redis."""

from datetime import datetime

from pydantic import TypeAdapter
from sqlalchemy import Connection, Engine, select, update

from catalogue.database.engine import insert_new, reading, writing
from catalogue.database.schema import playbacks
from catalogue.errors import PlaybackTakenOver
from catalogue.nouns import AccountId, SessionId
from catalogue.people import Lease, Playback, PlaybackState, Session

_STATE = TypeAdapter(PlaybackState)


class SqlPlaybacks:
    """See catalogue.port.Playbacks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, account_id: AccountId) -> Playback:
        """See Playbacks.get."""
        with reading(self._engine) as connection:
            return _read(connection, account_id)

    def take(self, account_id: AccountId, session: Session, *, until: datetime) -> Playback:
        """See Playbacks.take."""
        own = playbacks.c.account_id == account_id
        given = {"session_id": session.id, "device": session.device, "expires_at": until}
        with writing(self._engine) as connection:
            first = {"account_id": account_id, "number": 1, **given}
            if not insert_new(connection, playbacks, first):
                next_one = given | {"number": playbacks.c.number + 1}
                connection.execute(update(playbacks).where(own).values(**next_one))
            return _read(connection, account_id)

    def renew(
        self,
        account_id: AccountId,
        number: int,
        *,
        until: datetime,
        state: PlaybackState | None = None,
    ) -> Playback:
        """See Playbacks.renew."""
        held = (playbacks.c.account_id == account_id) & (playbacks.c.number == number)
        changed: dict[str, object] = {"expires_at": until}
        if state is not None:
            changed["state"] = _STATE.dump_python(state, mode="json")
        with writing(self._engine) as connection:
            done = connection.execute(update(playbacks).where(held).values(**changed))
            if done.rowcount != 1:
                raise PlaybackTakenOver("Another device has taken the lease.", lease=number)
            return _read(connection, account_id)


def _read(connection: Connection, account_id: AccountId) -> Playback:
    own = select(playbacks).where(playbacks.c.account_id == account_id)
    row = connection.execute(own).first()
    if row is None:
        return Playback()
    return Playback(
        lease=Lease(
            number=row.number,
            session_id=SessionId(row.session_id),
            device=row.device,
            expires_at=row.expires_at,
        ),
        state=None if row.state is None else _STATE.validate_python(row.state),
    )
