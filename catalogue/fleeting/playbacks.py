"""What accounts play, in Redis: one hash for each account, forgotten when it is not used."""

from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from catalogue.errors import PlaybackTakenOver
from catalogue.fleeting.client import GuardedRedis, asking
from catalogue.nouns import AccountId, SessionId
from catalogue.people import Lease, Playback, PlaybackState, Session

_STATE = TypeAdapter(PlaybackState)
_LIFE = timedelta(days=90)

# ARGV: how long the hash lives, in ms, and then what is set.
_TAKE = """
redis.call('HINCRBY', KEYS[1], 'number', 1)
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return redis.call('HGETALL', KEYS[1])
"""
# ARGV: how long the hash lives, in ms, the lease's number, and then what is set.
_RENEW = """
if redis.call('HGET', KEYS[1], 'number') ~= ARGV[2] then return {} end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return redis.call('HGETALL', KEYS[1])
"""


class RedisPlaybacks:
    """See catalogue.port.Playbacks."""

    def __init__(self, client: GuardedRedis) -> None:
        self._client = client
        # By its types, any answer may be one to wait for.
        self._redis: Any = client
        self._take: Any = client.register_script(_TAKE)
        self._renew: Any = client.register_script(_RENEW)

    def get(self, account_id: AccountId) -> Playback:
        """See Playbacks.get."""
        with asking(self._client):
            return _read(self._redis.hgetall(_key(account_id)))

    def take(self, account_id: AccountId, session: Session, *, until: datetime) -> Playback:
        """See Playbacks.take."""
        given = ["session_id", session.id, "device", session.device, "expires_at", _write(until)]
        with asking(self._client):
            found = self._take(keys=[_key(account_id)], args=[_life_ms(), *given])
        return _read(_pairs(found))

    def renew(
        self,
        account_id: AccountId,
        number: int,
        *,
        until: datetime,
        state: PlaybackState | None = None,
    ) -> Playback:
        """See Playbacks.renew."""
        changed = ["expires_at", _write(until)]
        if state is not None:
            changed += ["state", _STATE.dump_json(state).decode()]
        with asking(self._client):
            found = self._renew(keys=[_key(account_id)], args=[_life_ms(), number, *changed])
        if not found:
            raise PlaybackTakenOver("Another device has taken the lease.", lease=number)
        return _read(_pairs(found))


def _key(account_id: AccountId) -> str:
    return f"lathe:playback:{account_id}"


def _life_ms() -> int:
    return _LIFE // timedelta(milliseconds=1)


def _write(moment: datetime) -> str:
    return moment.isoformat()


def _pairs(found: list[str]) -> dict[str, str]:
    return dict(zip(found[::2], found[1::2], strict=True))


def _read(found: dict[str, str]) -> Playback:
    if not found:
        return Playback()
    return Playback(
        lease=Lease(
            number=int(found["number"]),
            session_id=SessionId(found["session_id"]),
            device=found["device"],
            expires_at=datetime.fromisoformat(found["expires_at"]),
        ),
        state=_STATE.validate_json(found["state"]) if "state" in found else None,
    )
