"""Listeners who are known: accounts by their sessions, and guests."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from anyio import to_thread
from fastapi.security import HTTPAuthorizationCredentials

from catalogue.errors import LatheError, Unavailable
from catalogue.identifiers import parse_territory
from catalogue.licensing import Listener, guest_of, listener_of
from origin.access import SignedIn, address_of, identify, is_trusted_edge, network_of
from origin.fast.asking import FORWARDED, TERRITORY, Asked
from origin.remembered import Collapsed, Remembered
from origin.services import Services

KNOWN_FOR = timedelta(seconds=30)
"""How long a listener or a track is gone by without being asked for again."""

STALE_FOR = timedelta(minutes=10)
"""How long it is gone by, since it was last asked for, while nobody can be asked."""

_BEARER = b"Bearer lathe_session_"
_CALLERS = 50_000


@dataclass(frozen=True, kw_only=True, slots=True)
class _KnownCaller:
    """An account by its session, as it was at a time when ``turn`` changes had been heard."""

    signed_in: SignedIn
    turn: int
    since: datetime
    until: datetime
    listeners: dict[str | None, Listener] = field(default_factory=dict)


class KnownCallers:
    """Who asks, from what this process knows, or from what it then learns."""

    def __init__(self, parts: Services) -> None:
        self._parts = parts
        self._known: Remembered[bytes, _KnownCaller] = Remembered(_CALLERS)
        self._changed: Remembered[str, int] = Remembered(_CALLERS)
        self._networks: Remembered[tuple[str, bytes], str] = Remembered(_CALLERS)
        self._loading: Collapsed[tuple[bytes, int], SignedIn | None] = Collapsed()
        # What was asked for before a turn is to be asked for again, or is not gone by at all.
        self._turn = self._doubted = self._forgotten = 0

    def forget(self, account_id: str) -> None:
        """Go no more by what is known of an account."""
        self._turn += 1
        if len(self._changed) >= _CALLERS:
            # Which others changed is not remembered for ever.
            self._changed.clear()
            self._doubted = self._forgotten = self._turn
        self._changed.put(account_id, self._turn)

    def doubt(self) -> None:
        """Ask for every account again, if it can be asked for."""
        self._turn += 1
        self._doubted = self._turn

    def recall(self, asked: Asked, now: datetime) -> Listener | None:
        """Return who asks if that is known. Raises TerritoryUnknown."""
        token = asked.headers.get(b"authorization")
        if token is None:
            guests = self._parts.guests
            return None if guests is None else guest_of(guests, territory=self._territory(asked))
        known = self._known.get(token)
        if known is None or known.until <= now or known.turn < self._doubted:
            return None
        return None if self._has_changed(known) else self._tell(known, asked)

    def recall_last(self, asked: Asked, now: datetime) -> Listener | None:
        """Return who asked when that could last be told, if it is not long ago."""
        known = self._known.get(asked.headers.get(b"authorization", b""))
        if known is None or known.turn < self._forgotten or self._has_changed(known):
            return None
        until = min(known.since + STALE_FOR, known.signed_in.session.expires_at)
        return self._tell(known, asked) if known.since <= now < until else None

    def has_session(self, asked: Asked) -> bool:
        """Return whether it is by a session's token that somebody asks."""
        return asked.headers.get(b"authorization", b"").startswith(_BEARER)

    async def learn(self, asked: Asked) -> Listener | None:
        """Return who asks by a session's token; None if it is none. Raises what identify raises."""
        token, parts, turn = asked.headers[b"authorization"], self._parts, self._turn
        said = token.decode("latin-1").partition(" ")[2]

        def find() -> SignedIn | None:
            credentials = HTTPAuthorizationCredentials(scheme="Bearer", credentials=said)
            return identify(parts, credentials).signed_in

        async def load() -> SignedIn | None:
            return await to_thread.run_sync(find)

        # Who asks after a change waits for nothing that was begun before it.
        try:
            own = await self._loading.run((token, turn), load)
        except Unavailable:
            raise
        except LatheError:
            self._known.forget(token)
            raise
        if own is None:
            return None
        now = parts.now()
        known = _KnownCaller(signed_in=own, turn=turn, since=now, until=now + KNOWN_FOR)
        self._known.put(token, known)
        return self._tell(known, asked)

    def name(self, listener: Listener, asked: Asked) -> str:
        """Return by what a listener is counted: an account, or the network of a guest."""
        if listener.account_id is not None:
            return listener.account_id
        key = asked.peer, asked.headers.get(FORWARDED, b"")
        network = self._networks.get(key)
        if network is None:
            address = address_of(self._parts, asked.peer, key[1].decode("latin-1"))
            network = network_of(address)
            self._networks.put(key, network)
        return network

    def _has_changed(self, known: _KnownCaller) -> bool:
        changed = self._changed.get(known.signed_in.account.id)
        return changed is not None and changed > known.turn

    def _tell(self, known: _KnownCaller, asked: Asked) -> Listener:
        territory = self._territory(asked)
        listener = known.listeners.get(territory)
        if listener is None:
            own = known.signed_in
            listener = listener_of(own.account, session=own.session.id, territory=territory)
            known.listeners[territory] = listener
        return listener

    def _territory(self, asked: Asked) -> str | None:
        said = asked.headers.get(TERRITORY)
        if said is not None and is_trusted_edge(self._parts, asked.peer):
            return parse_territory(said.decode("latin-1"))
        return self._parts.territory
