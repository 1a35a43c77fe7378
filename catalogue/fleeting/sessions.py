"""Sessions in Redis: each under the hash of its token, and one hash of them for each account.

Redis forgets them by itself; what is older than its own clock says is never given.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from redis.client import Pipeline

from catalogue.changes import CHANNEL
from catalogue.fleeting.client import GuardedRedis, asking
from catalogue.nouns import AccountId, SessionId
from catalogue.people import Session
from catalogue.people_port import SEEN_EVERY, SESSIONS_MAX

_SESSION = TypeAdapter(Session)
_EPOCH = datetime.fromtimestamp(0, UTC)
_MS = timedelta(milliseconds=1)

# A session that is opened meanwhile is either ended too or stays in its account's hash.
_CLOSE_ALL = """
for _, token in ipairs(redis.call('HVALS', KEYS[1])) do
  redis.call('DEL', ARGV[1] .. token)
end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[2], ARGV[3])
"""


class RedisSessions:
    """See catalogue.port.Sessions."""

    def __init__(self, client: GuardedRedis) -> None:
        self._client = client
        # By its types, any answer may be one to wait for.
        self._redis: Any = client
        self._close_all = client.register_script(_CLOSE_ALL)

    def open(self, session: Session, token_sha256: str) -> None:
        """See Sessions.open."""
        life_ms = (session.expires_at - session.created_at) // _MS
        own = _account_key(session.account_id)
        with asking(self._client), self._redis.pipeline() as pipe:
            pipe.set(_key(token_sha256), _write(session), px=life_ms)
            pipe.hset(own, session.id, token_sha256)
            _outlive(pipe, own, life_ms)
            pipe.hlen(own)
            *_, count = pipe.execute()
        if count > SESSIONS_MAX:
            found = self.of(session.account_id, now=session.created_at)
            others = [each.id for each in found if each.id != session.id]
            for each in others[SESSIONS_MAX - 1 :]:
                self.close(session.account_id, each)

    def use(self, token_sha256: str, *, now: datetime, until: datetime) -> Session | None:
        """See Sessions.use."""
        with asking(self._client):
            session = _read(self._redis.get(_key(token_sha256)), now)
            if session is None or now - session.seen_at < SEEN_EVERY:
                return session
            noted = _SESSION.validate_python(
                _SESSION.dump_python(session) | {"seen_at": now, "expires_at": until}
            )
            life_ms = (until - now) // _MS
            with self._redis.pipeline() as pipe:
                # One that was closed meanwhile stays closed.
                pipe.set(_key(token_sha256), _write(noted), px=life_ms, xx=True)
                _outlive(pipe, _account_key(session.account_id), life_ms)
                kept, *_ = pipe.execute()
        return noted if kept else None

    def of(self, account_id: AccountId, *, now: datetime) -> list[Session]:
        """See Sessions.of."""
        own = _account_key(account_id)
        with asking(self._client):
            tokens: Mapping[str, str] = self._redis.hgetall(own)
            texts = self._redis.mget([_key(token) for token in tokens.values()]) if tokens else []
            found = [_read(text, now) for text in texts]
            ended = [name for name, session in zip(tokens, found, strict=True) if session is None]
            if ended:
                self._redis.hdel(own, *ended)
        alive = [session for session in found if session is not None]
        return sorted(alive, key=lambda each: (_EPOCH - each.seen_at, each.id))

    def close(self, account_id: AccountId, session_id: SessionId) -> None:
        """See Sessions.close."""
        own = _account_key(account_id)
        with asking(self._client):
            token = self._redis.hget(own, session_id)
            if token is not None:
                with self._redis.pipeline() as pipe:
                    pipe.delete(_key(token))
                    pipe.hdel(own, session_id)
                    pipe.publish(CHANNEL, f"account:{account_id}")
                    pipe.execute()

    def close_all(self, account_id: AccountId) -> None:
        """See Sessions.close_all."""
        with asking(self._client):
            told = [CHANNEL, f"account:{account_id}"]
            self._close_all(keys=[_account_key(account_id)], args=[_key(""), *told])


def _key(token_sha256: str) -> str:
    return f"lathe:session:{token_sha256}"


def _account_key(account_id: AccountId) -> str:
    return f"lathe:sessions:{account_id}"


def _outlive(pipe: Pipeline, key: str, life_ms: int) -> None:
    """Let a key live as long as the last of its sessions."""
    pipe.pexpire(key, life_ms, nx=True)
    pipe.pexpire(key, life_ms, gt=True)


def _write(session: Session) -> str:
    return _SESSION.dump_json(session).decode()


def _read(text: str | None, now: datetime) -> Session | None:
    session = None if text is None else _SESSION.validate_json(text)
    return None if session is None or session.expires_at <= now else session
