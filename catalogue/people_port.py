"""The ports to what is remembered of those who listen, for good or for a while.

Every adapter passes the same contract suite. Methods raise Unavailable when what keeps it is away.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from catalogue.nouns import AccountId, SessionId
from catalogue.people import Account, Plan, Playback, PlaybackState, Role, Session


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredAccount:
    """An account, and the stored form of its password."""

    account: Account
    password: str


class Accounts(Protocol):
    """Who may sign in. An address is compared without regard to case."""

    def add(self, stored: StoredAccount) -> None:
        """Remember a new account. Raises AccountExists."""

    def find(self, email: str) -> StoredAccount | None:
        """Return an account by its address, or None."""

    def get(self, account_id: AccountId) -> Account:
        """Return an account. Raises AccountNotFound."""

    def page(self, *, after: str, limit: int) -> list[Account]:
        """Return up to ``limit`` accounts by id after ``after``."""

    def change(
        self,
        account_id: AccountId,
        *,
        now: datetime,
        role: Role | None = None,
        plan: Plan | None = None,
        territory: str | None = None,
        label: str | None = None,
    ) -> Account:
        """Change what is given, and return the account as it is now. Raises AccountNotFound.

        The role of a listener follows its plan; see catalogue.permissions.settle_role.
        """

    def set_password(self, account_id: AccountId, password: str, *, now: datetime) -> None:
        """Set the stored form of a new password. Raises AccountNotFound."""

    def renew_password(self, account_id: AccountId, password: str) -> None:
        """Set another stored form of the password as it is. Raises AccountNotFound."""


SEEN_EVERY = timedelta(minutes=1)
SESSIONS_MAX = 100
"""How often an account is signed in at once."""


class Sessions(Protocol):
    """Where accounts are signed in. A session is found by the hash of its token, which is secret.

    Its use moves its end away, so that it ends when it is not used for a while; use is noted at
    most once in ``SEEN_EVERY``.
    """

    def open(self, session: Session, token_sha256: str) -> None:
        """Remember a new session.

        Where the account has more than ``SESSIONS_MAX`` then, those used longest ago end, but never
        the new one.
        """

    def use(self, token_sha256: str, *, now: datetime, until: datetime) -> Session | None:
        """Return the session of a token, which lasts ``until`` if this use is noted.

        None when there is none, or it has ended.
        """

    def of(self, account_id: AccountId, *, now: datetime) -> list[Session]:
        """Return the sessions of an account that have not ended, the one used last first."""

    def close(self, account_id: AccountId, session_id: SessionId) -> None:
        """End a session, if the account has it."""

    def close_all(self, account_id: AccountId) -> None:
        """End every session of an account."""


ANYTHING = "anything"
"""The topic of whatever there is: nobody knows what of it has changed."""


class Changes(Protocol):
    """What others have changed, so that nobody goes by what was true once.

    A topic is ``account:{id}`` or ``track:{id}``: all that was known of that is outdated; or
    ``ANYTHING``: whatever is known may be.
    """

    def take(self) -> Sequence[str]:
        """Return the topics of what changed since it was last asked; never waits."""

    def close(self) -> None:
        """Stop listening."""


class Playbacks(Protocol):
    """What each account plays, and on which one of its devices."""

    def get(self, account_id: AccountId) -> Playback:
        """Return what is known of an account's playing."""

    def take(self, account_id: AccountId, session: Session, *, until: datetime) -> Playback:
        """Give the lease to a session, whoever had it; of two at once the later one has it."""

    def renew(
        self,
        account_id: AccountId,
        number: int,
        *,
        until: datetime,
        state: PlaybackState | None = None,
    ) -> Playback:
        """Keep the lease of that number until then, and the state that its device tells.

        Raises PlaybackTakenOver when another was given since.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """How often something may be done: ``count`` times within any ``window``."""

    count: int
    window: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Whether it may be done once more, how often after that, and when again if not.

    ``retry_after_s`` is 0 where it may be done now.
    """

    allowed: bool
    remaining: int
    retry_after_s: int


class Limits(Protocol):
    """How often things were done lately, each under its key.

    The window slides: what was done in the one before counts by as much of it as is still within
    the last ``window``, as if spread evenly over it.
    """

    def take(self, keys: Sequence[str], limit: Limit, *, now: datetime, count: int = 1) -> Verdict:
        """Count ``count`` more under each of ``keys`` if all have room, otherwise under none.

        ``count`` is no more than the limit's. The verdict is that of the fullest. No two callers
        ever get the same room.
        """

    def take_once(
        self, key: str, what: str, limit: Limit, *, now: datetime, lasts: timedelta
    ) -> Verdict | datetime:
        """Count ``what`` under ``key`` unless that was done within ``lasts``.

        Gives when it was, or else the verdict. However many ask at once, it is counted once; what
        there was no room for was not done.
        """

    def give_back(self, keys: Sequence[str], limit: Limit, *, now: datetime) -> None:
        """Count one less under each of ``keys``."""
