"""Accounts sign in and out here, see where they are signed in, and change their password."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from catalogue import errors
from catalogue.auditing import Deed, record
from catalogue.context import note
from catalogue.errors import CredentialsWrong, TooManyAttempts, Unavailable
from catalogue.identifiers import fold_address
from catalogue.nouns import AccountId, SessionId
from catalogue.people import Account, Plan, Role, Session
from catalogue.people_port import StoredAccount
from origin.access import SESSION_REFUSALS, Address, Parts, Signed, SignedIn, counted, network_of
from origin.problems import responses
from origin.services import Services
from origin.throttle import Category
from protection.passwords import hash_password, is_outdated, is_password, require_fit
from protection.tokens import hash_secret, make_session_token

router = APIRouter(prefix="/v1", tags=["sessions"], responses=responses(errors.TooManyRequests))
_counted = [counted(Category.LIBRARY)]

PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
"""What people write on one line: no control characters."""

# Folded, an address may be longer than it was written.
_TRIED_MAX = 320

# Each hash takes 19 MiB while it is made, and a core.
_HASHES_AT_ONCE = threading.BoundedSemaphore(2)


class SignIn(BaseModel):
    """Who signs in, and on which device."""

    model_config = ConfigDict(extra="forbid", strict=True)

    email: str = Field(
        min_length=3, max_length=320, pattern=PRINTABLE, examples=["ada@example.org"]
    )
    password: str = Field(max_length=1000)
    device: str = Field(
        default="",
        max_length=200,
        pattern=PRINTABLE,
        description="what the listener calls the device",
    )


class AccountShown(BaseModel):
    """An account as its owner and administrators see it."""

    id: str
    email: str
    role: Role
    plan: Plan
    territory: str | None
    label: str | None
    created_at: datetime


class SessionShown(BaseModel):
    """A device on which the account is signed in."""

    id: str
    device: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime = Field(description="moved away by use")
    current: bool = Field(description="whether it is the one that asks")


class SignedInAnswer(BaseModel):
    """A new session. The token is told once; the server keeps a hash of it."""

    token: str
    session: SessionShown
    account: AccountShown


class SessionList(BaseModel):
    """Where an account is signed in, the session used last first."""

    sessions: list[SessionShown]


class PasswordChange(BaseModel):
    """The password as it is, and as it shall be."""

    model_config = ConfigDict(extra="forbid", strict=True)

    current: str = Field(max_length=1000)
    new: str = Field(max_length=1000)


@router.post(
    "/sessions",
    status_code=201,
    responses=responses(
        errors.CredentialsWrong, errors.TooManyAttempts, errors.RequestInvalid, errors.Unavailable
    ),
)
def sign_in(said: SignIn, response: Response, parts: Parts, address: Address) -> SignedInAnswer:
    """Sign in on a device. Failures are limited, by the client's address and by the account."""
    note(actor="guest", address=address)
    account = _authenticate(parts, said.email, said.password, address)
    token, token_sha256 = make_session_token()
    now = parts.now()
    session = Session(
        id=SessionId(parts.new_id("ses")),
        account_id=account.id,
        device=said.device,
        created_at=now,
        seen_at=now,
        expires_at=now + parts.session_life,
    )
    parts.sessions.open(session, token_sha256)
    note(actor=account.id)
    opened = record(Deed.SIGNED_IN, account.id, now=now, session=session.id, device=said.device)
    parts.audits.add(opened)
    response.headers["Cache-Control"] = "no-store"
    return SignedInAnswer(
        token=token, session=_show(session, session.id), account=show_account(account)
    )


@router.get("/sessions", dependencies=_counted, responses=responses(*SESSION_REFUSALS))
def list_sessions(own: Signed, parts: Parts) -> SessionList:
    """Return the devices on which the account is signed in."""
    found = parts.sessions.of(own.account.id, now=parts.now())
    return SessionList(sessions=[_show(each, own.session.id) for each in found])


@router.delete(
    "/sessions", dependencies=_counted, status_code=204, responses=responses(*SESSION_REFUSALS)
)
def sign_out_everywhere(own: Signed, parts: Parts) -> None:
    """Sign out on every device, this one too."""
    parts.sessions.close_all(own.account.id)
    _record_end(parts, own, "every one")


@router.delete(
    "/sessions/{session_id}",
    dependencies=_counted,
    status_code=204,
    responses=responses(*SESSION_REFUSALS),
)
def sign_out(session_id: Annotated[str, Path(max_length=60)], own: Signed, parts: Parts) -> None:
    """Sign out on one device; ``current`` is the one that asks. It may be signed out already."""
    wanted = own.session.id if session_id == "current" else SessionId(session_id)
    parts.sessions.close(own.account.id, wanted)
    _record_end(parts, own, wanted)


@router.get("/account", dependencies=_counted, responses=responses(*SESSION_REFUSALS))
def get_account(own: Signed) -> AccountShown:
    """Return the account that is signed in."""
    return show_account(own.account)


@router.put(
    "/account/password",
    dependencies=_counted,
    status_code=204,
    responses=responses(
        *SESSION_REFUSALS, errors.CredentialsWrong, errors.PasswordUnfit, errors.TooMany
    ),
)
def change_password(said: PasswordChange, own: Signed, parts: Parts, address: Address) -> None:
    """Change the password; every device is signed out."""
    require_fit(said.new)
    account = _authenticate(parts, own.account.email, said.current, address)
    store_password(parts, account.id, said.new)


def store_password(parts: Services, account_id: AccountId, password: str) -> None:
    """Store a new password and sign the account out everywhere. Raises AccountNotFound."""
    with hashing():
        stored = hash_password(password)
    parts.accounts.set_password(account_id, stored, now=parts.now())
    parts.sessions.close_all(account_id)


@contextmanager
def hashing() -> Iterator[None]:
    """Give a turn to hash a password; few have one at once, each takes memory and a core."""
    with _HASHES_AT_ONCE:
        yield


def show_account(account: Account) -> AccountShown:
    """Return an account as it is shown."""
    return AccountShown(
        id=account.id,
        email=account.email,
        role=account.role,
        plan=account.plan,
        territory=account.territory,
        label=account.label,
        created_at=account.created_at,
    )


def _authenticate(parts: Services, email: str, password: str, address: str) -> Account:
    """Return the account whose password it is. Raises CredentialsWrong, TooManyAttempts.

    An attempt is counted before it is tried, so that many at once are no more than the limit; one
    that succeeds is not held against anybody.
    """
    keys = [
        f"sign-in:address:{network_of(address)}",
        f"sign-in:account:{hash_secret(fold_address(email))}",
    ]
    now, limit = parts.now(), parts.throttle.limit(Category.LOGIN)
    verdict = parts.limits.take(keys, limit, now=now)
    if not verdict.allowed:
        _record_untried(parts, email, keys, now)
        raise TooManyAttempts(
            f"More than {limit.count} attempts failed within {limit.window}.",
            retry_after_s=verdict.retry_after_s,
        )
    try:
        stored = parts.accounts.find(email)
    except Unavailable:
        # Nobody has failed at anything yet.
        parts.limits.give_back(keys, limit, now=now)
        raise
    with hashing():
        right = is_password(password, None if stored is None else stored.password)
    if stored is None or not right:
        parts.audits.add(record(Deed.SIGN_IN_REFUSED, _subject(email, stored), now=now))
        raise CredentialsWrong("No account has this address with this password.")
    parts.limits.give_back(keys, limit, now=now)
    _renew(parts, stored, password)
    return stored.account


def _record_untried(parts: Services, email: str, keys: Sequence[str], now: datetime) -> None:
    """Record that an attempt was one too many, once in a window: nobody floods the trail."""
    limit = replace(parts.throttle.limit(Category.LOGIN), count=1)
    with suppress(Unavailable):
        if parts.limits.take([f"told:{key}" for key in keys], limit, now=now).allowed:
            subject = _subject(email, parts.accounts.find(email))
            parts.audits.add(record(Deed.SIGN_IN_REFUSED, subject, now=now, tried=False))


def _subject(email: str, stored: StoredAccount | None) -> str:
    """Return whom the trail says that an attempt was made as."""
    return fold_address(email)[:_TRIED_MAX] if stored is None else stored.account.id


def _renew(parts: Services, stored: StoredAccount, password: str) -> None:
    """Keep a password by today's parameters, if it was kept by others."""
    if is_outdated(stored.password):
        with hashing():
            renewed = hash_password(password)
        parts.accounts.renew_password(stored.account.id, renewed)


def _record_end(parts: Services, own: SignedIn, session: str) -> None:
    ended = record(Deed.SIGNED_OUT, own.account.id, now=parts.now(), session=session)
    parts.audits.add(ended)


def _show(session: Session, current: SessionId) -> SessionShown:
    return SessionShown(
        id=session.id,
        device=session.device,
        created_at=session.created_at,
        seen_at=session.seen_at,
        expires_at=session.expires_at,
        current=session.id == current,
    )
