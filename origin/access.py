"""Who is asking: labels by their key, accounts by their session, guests by neither.

What a request depends on and what need not wait for anything is found on the event loop: a turn of
a thread costs more than most of these.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Network, ip_address
from typing import Annotated, Any

from anyio import to_thread
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from catalogue import errors
from catalogue.context import note
from catalogue.errors import (
    AccountNotFound,
    KeyLacksScope,
    KeyMissing,
    KeyRevoked,
    KeyUnknown,
    RoleMayNot,
    SessionMissing,
    SessionUnknown,
)
from catalogue.identifiers import parse_territory
from catalogue.licensing import GUEST_SESSION, Listener, guest_of, listener_of
from catalogue.nouns import AccountId
from catalogue.people import Account, Role, Session
from catalogue.permissions import Action, require
from catalogue.port import Scope
from origin.services import TERRITORY_HEADER, Services
from origin.throttle import Category
from origin.visit import visit_of
from protection.tokens import (
    hash_secret,
    is_session_token,
    secrets_equal,
    split_api_key,
)

SESSION_REFUSALS = (
    errors.SessionMissing,
    errors.SessionUnknown,
    errors.KeyUnknown,
    errors.KeyRevoked,
)
"""How a session's token is refused."""

LABEL_REFUSALS = (
    errors.KeyMissing,
    errors.KeyUnknown,
    errors.KeyRevoked,
    errors.KeyLacksScope,
    errors.SessionUnknown,
    errors.RoleMayNot,
)
"""How a label is refused."""

_USE_NOTED_EVERY = timedelta(hours=1)

_bearer = HTTPBearer(auto_error=False, description="a session's token, or a label's API key")

Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def get_services(request: Request) -> Services:
    """Return the parts that the application was made with."""
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


Parts = Annotated[Services, Depends(get_services)]


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedIn:
    """An account, and the session by which it asks."""

    account: Account
    session: Session


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who asks, in which role: a session's account, a label by its key, or a guest (role None).

    ``scopes`` are what a key is good for; an account is good for all that its role may do.
    """

    role: Role | None
    label: str | None = None
    signed_in: SignedIn | None = None
    session: str = GUEST_SESSION
    scopes: frozenset[Scope] = frozenset(Scope)

    @property
    def account_id(self) -> AccountId | None:
        """The account, where one has signed in."""
        return None if self.signed_in is None else self.signed_in.account.id


def identify(parts: Services, credentials: HTTPAuthorizationCredentials | None) -> Caller:
    """Return who asks.

    Raises SessionUnknown, and KeyUnknown and KeyRevoked for what is no session's token.
    """
    if credentials is None:
        return Caller(role=None)
    token = credentials.credentials
    if is_session_token(token):
        return _find_account(parts, token)
    split = split_api_key(token)
    stored = parts.keys.find(split[0]) if split else None
    if split is None or stored is None:
        raise KeyUnknown("No such key was ever made.")
    if not secrets_equal(hash_secret(split[1]), stored.secret_sha256):
        raise KeyUnknown("No such key was ever made.")
    if stored.revoked_at is not None:
        raise KeyRevoked(f"It was revoked on {stored.revoked_at:%Y-%m-%d}.", key=stored.id)
    if stored.used_at is None or parts.now() - stored.used_at >= _USE_NOTED_EVERY:
        parts.keys.use(stored.id, now=parts.now())
    return Caller(
        role=Role.LABEL, label=stored.label, session=f"key_{stored.id}", scopes=stored.scopes
    )


def _find_account(parts: Services, token: str) -> Caller:
    now = parts.now()
    session = parts.sessions.use(hash_secret(token), now=now, until=now + parts.session_life)
    if session is None:
        raise SessionUnknown("It was signed out, or not used for too long.")
    try:
        account = parts.accounts.get(session.account_id)
    except AccountNotFound as fault:
        raise SessionUnknown("Its account is gone.") from fault
    return Caller(
        role=account.role,
        label=account.label if account.role is Role.LABEL else None,
        signed_in=SignedIn(account=account, session=session),
        session=session.id,
    )


async def find_address(request: Request, parts: Parts) -> str:
    """Return the network address of the client, as far as trusted edges vouch for it."""
    return address_of(parts, _peer(request), request.headers.get("x-forwarded-for", ""))


Address = Annotated[str, Depends(find_address)]


def find_caller(
    request: Request, parts: Parts, credentials: Credentials, address: Address
) -> Caller:
    """Return who asks. Raises what identify raises; TooManyRequests where that happens often."""
    try:
        caller = identify(parts, credentials)
    except (KeyRevoked, KeyUnknown, SessionUnknown):
        parts.throttle.admit(visit_of(request.scope), Category.GLOBAL, network_of(address))
        raise
    note(actor=name_of(caller), address=address)
    return caller


AnyCaller = Annotated[Caller, Depends(find_caller)]


def name_of(caller: Caller) -> str:
    """Return by what name a caller is told of: an account's id, a key's, or ``guest``."""
    if caller.role is None:
        return "guest"
    return caller.account_id or caller.session


async def find_name(caller: AnyCaller, address: Address) -> str:
    """Return by what name a caller is counted; guests by their network."""
    return network_of(address) if caller.role is None else name_of(caller)


Who = Annotated[str, Depends(find_name)]


def counted(category: Category) -> Any:
    """Return a dependency that counts a request. It raises TooManyRequests."""

    async def count(request: Request, parts: Parts, who: Who) -> None:
        visit = visit_of(request.scope)
        if not parts.throttle.admit_at_once(visit, category, who, parts.now()):
            await to_thread.run_sync(parts.throttle.admit, visit, category, who)

    return Depends(count)


async def require_signed_in(caller: AnyCaller) -> SignedIn:
    """Return the caller's account and session. Raises SessionMissing."""
    if caller.signed_in is None:
        raise SessionMissing("No session's token was sent.")
    return caller.signed_in


Signed = Annotated[SignedIn, Depends(require_signed_in)]


def label_of(caller: Caller, scope: Scope) -> str:
    """Return the label that the caller is, or works for, if it may do what is in a scope.

    Raises KeyMissing, KeyLacksScope and RoleMayNot.
    """
    if caller.role is None:
        raise KeyMissing("No key was sent.")
    require(caller.role, Action.DELIVER)
    if caller.label is None:
        raise RoleMayNot("The account works for no label yet.", role=caller.role)
    _require_scope(caller, scope)
    return caller.label


async def require_label(caller: AnyCaller) -> str:
    """Return the label that delivers. Raises what label_of raises."""
    return label_of(caller, Scope.DELIVER)


Label = Annotated[str, Depends(require_label)]


def _require_scope(caller: Caller, scope: Scope) -> None:
    if scope not in caller.scopes:
        has = " ".join(sorted(caller.scopes))
        raise KeyLacksScope(f"It has not the scope {scope}.", scope=scope, has=has)


def requires(action: Action) -> Callable[[Caller], Awaitable[Caller]]:
    """Return a dependency that gives the caller, who may do ``action``.

    It raises SessionMissing for guests, and RoleMayNot.
    """

    async def check(caller: AnyCaller) -> Caller:
        if caller.role is None:
            raise SessionMissing("No session's token was sent.")
        require(caller.role, action)
        return caller

    return check


async def find_territory(request: Request, parts: Parts) -> str | None:
    """Return where the caller is: what a trusted edge says, else the origin's own setting.

    A header from anywhere else is ignored. Raises TerritoryUnknown when the edge speaks nonsense.
    """
    said = request.headers.get(TERRITORY_HEADER)
    if said is not None and is_trusted_edge(parts, _peer(request)):
        return parse_territory(said)
    return parts.territory


Territory = Annotated[str | None, Depends(find_territory)]


async def find_listener(parts: Parts, caller: AnyCaller, territory: Territory) -> Listener:
    """Return who wants to hear something; an account is at home where it says, wherever it is.

    Raises SessionMissing where guests hear nothing.
    """
    if caller.signed_in is not None:
        account = caller.signed_in.account
        return listener_of(account, session=caller.session, territory=territory)
    if caller.role is Role.LABEL:
        _require_scope(caller, Scope.STREAM)
        return Listener(
            session=caller.session, role=caller.role, label=caller.label, territory=territory
        )
    if parts.guests is None:
        raise SessionMissing("No session's token was sent.")
    return guest_of(parts.guests, territory=territory)


AnyListener = Annotated[Listener, Depends(find_listener)]


def address_of(parts: Services, peer: str, forwarded: str) -> str:
    """Return the network address of a client, by its peer and ``X-Forwarded-For``.

    Each edge appends whom it speaks with to ``X-Forwarded-For``; what stands before the last that
    is no edge was written by the client.
    """
    said = forwarded.split(",")
    while is_trusted_edge(parts, peer) and said:
        before = said.pop().strip()
        if not _is_address(before):
            break
        peer = before
    return peer


def network_of(address: str) -> str:
    """Return what one client has for itself: an address, or 64 bits of one in IPv6."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    return str(IPv6Network((found, 64), strict=False))


def _peer(request: Request) -> str:
    return "" if request.client is None else request.client.host


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_trusted_edge(parts: Services, peer: str) -> bool:
    """Return whether what ``peer`` says of others is believed."""
    if not _is_address(peer):
        return False
    address = ip_address(peer)
    return any(address in network for network in parts.trusted_edges)
