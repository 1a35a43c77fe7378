"""Accounts in SQL, and the sessions of a plant that has no Redis."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Row, and_, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from catalogue.auditing import Deed, Detail, record
from catalogue.database.announcing import announce
from catalogue.database.audits import keep
from catalogue.database.engine import reading, writing
from catalogue.database.schema import accounts, sessions
from catalogue.errors import AccountExists, AccountNotFound
from catalogue.identifiers import fold_address
from catalogue.nouns import AccountId, SessionId
from catalogue.people import Account, Plan, Role, Session
from catalogue.people_port import SEEN_EVERY, SESSIONS_MAX, StoredAccount
from catalogue.permissions import settle_role

# Asked with every request of an account: written once.
_ACCOUNT = select(accounts).where(accounts.c.id == bindparam("account"))
_OPEN = and_(
    sessions.c.token_sha256 == bindparam("token"), sessions.c.expires_at > bindparam("now")
)
_SESSION = select(sessions).where(_OPEN)


class SqlAccounts:
    """See catalogue.port.Accounts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, stored: StoredAccount) -> None:
        """See Accounts.add."""
        account = stored.account
        row = _columns(account) | {
            "role": settle_role(account.role, account.plan),
            "password": stored.password,
        }
        try:
            with writing(self._engine) as connection:
                connection.execute(insert(accounts).values(**row))
                made = record(Deed.ACCOUNT_MADE, account.id, now=account.created_at, **_said(row))
                keep(connection, made)
        except IntegrityError as fault:
            raise AccountExists("The address has an account.") from fault

    def find(self, email: str) -> StoredAccount | None:
        """See Accounts.find."""
        query = select(accounts).where(accounts.c.address == fold_address(email))
        with reading(self._engine) as connection:
            row = connection.execute(query).first()
        return None if row is None else StoredAccount(account=_build(row), password=row.password)

    def get(self, account_id: AccountId) -> Account:
        """See Accounts.get."""
        with reading(self._engine) as connection:
            row = connection.execute(_ACCOUNT, {"account": account_id}).first()
        if row is None:
            raise _not_found(account_id)
        return _build(row)

    def page(self, *, after: str, limit: int) -> list[Account]:
        """See Accounts.page."""
        query = select(accounts).where(accounts.c.id > after).order_by(accounts.c.id).limit(limit)
        with reading(self._engine) as connection:
            return [_build(row) for row in connection.execute(query)]

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
        """See Accounts.change."""
        own = accounts.c.id == account_id
        with writing(self._engine) as connection:
            row = connection.execute(select(accounts).where(own).with_for_update()).first()
            if row is None:
                raise _not_found(account_id)
            known = _build(row)
            plan = plan or known.plan
            changed = replace(
                known,
                role=settle_role(role or known.role, plan),
                plan=plan,
                territory=territory or known.territory,
                label=label or known.label,
            )
            connection.execute(update(accounts).where(own).values(**_columns(changed)))
            announce(connection, f"account:{account_id}")
            before, after = _said(asdict(known)), _said(asdict(changed))
            told: dict[str, Detail] = {
                name: [str(before[name]), str(after[name])]
                for name in before
                if before[name] != after[name]
            }
            if told:
                keep(connection, record(Deed.ACCOUNT_CHANGED, account_id, now=now, **told))
        return changed

    def set_password(self, account_id: AccountId, password: str, *, now: datetime) -> None:
        """See Accounts.set_password."""
        own = update(accounts).where(accounts.c.id == account_id)
        with writing(self._engine) as connection:
            if connection.execute(own.values(password=password)).rowcount != 1:
                raise _not_found(account_id)
            keep(connection, record(Deed.CREDENTIALS_SET, account_id, now=now))

    def renew_password(self, account_id: AccountId, password: str) -> None:
        """See Accounts.renew_password."""
        own = update(accounts).where(accounts.c.id == account_id)
        with writing(self._engine) as connection:
            if connection.execute(own.values(password=password)).rowcount != 1:
                raise _not_found(account_id)


class SqlSessions:
    """See catalogue.port.Sessions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def open(self, session: Session, token_sha256: str) -> None:
        """See Sessions.open."""
        row = {
            "id": session.id,
            "account_id": session.account_id,
            "token_sha256": token_sha256,
            "device": session.device,
            "created_at": session.created_at,
            "seen_at": session.seen_at,
            "expires_at": session.expires_at,
        }
        ended = and_(
            sessions.c.account_id == session.account_id, sessions.c.expires_at <= session.created_at
        )
        others = (
            select(sessions.c.id)
            .where(sessions.c.account_id == session.account_id)
            .order_by(sessions.c.seen_at.desc(), sessions.c.id)
        )
        beyond = sessions.c.id.in_(others.offset(SESSIONS_MAX - 1))
        with writing(self._engine) as connection:
            connection.execute(delete(sessions).where(ended))
            if connection.execute(delete(sessions).where(beyond)).rowcount:
                announce(connection, f"account:{session.account_id}")
            connection.execute(insert(sessions).values(**row))

    def use(self, token_sha256: str, *, now: datetime, until: datetime) -> Session | None:
        """See Sessions.use."""
        asked = {"token": token_sha256, "now": now}
        with reading(self._engine) as connection:
            row = connection.execute(_SESSION, asked).first()
        if row is None or now - row.seen_at < SEEN_EVERY:
            return None if row is None else _build_session(row)
        moved = update(sessions).where(_OPEN).values(seen_at=now, expires_at=until)
        with writing(self._engine) as connection:
            row = connection.execute(moved.returning(sessions), asked).first()
        return None if row is None else _build_session(row)

    def of(self, account_id: AccountId, *, now: datetime) -> list[Session]:
        """See Sessions.of."""
        own = and_(sessions.c.account_id == account_id, sessions.c.expires_at > now)
        query = select(sessions).where(own).order_by(sessions.c.seen_at.desc(), sessions.c.id)
        with reading(self._engine) as connection:
            return [_build_session(row) for row in connection.execute(query)]

    def close(self, account_id: AccountId, session_id: SessionId) -> None:
        """See Sessions.close."""
        own = and_(sessions.c.id == session_id, sessions.c.account_id == account_id)
        with writing(self._engine) as connection:
            connection.execute(delete(sessions).where(own))
            announce(connection, f"account:{account_id}")

    def close_all(self, account_id: AccountId) -> None:
        """See Sessions.close_all."""
        with writing(self._engine) as connection:
            connection.execute(delete(sessions).where(sessions.c.account_id == account_id))
            announce(connection, f"account:{account_id}")


def _not_found(account_id: AccountId) -> AccountNotFound:
    return AccountNotFound("No account has this id.", account=str(account_id)[:60])


def _said(row: Mapping[str, Any]) -> dict[str, str | None]:
    """Return what the audit trail tells of an account."""
    return {name: row[name] for name in ("role", "plan", "territory", "label")}


def _columns(account: Account) -> dict[str, Any]:
    return asdict(account) | {"address": fold_address(account.email)}


def _build(row: Row[Any]) -> Account:
    return Account(
        id=AccountId(row.id),
        email=row.email,
        role=Role(row.role),
        plan=Plan(row.plan),
        territory=row.territory,
        label=row.label,
        created_at=row.created_at,
    )


def _build_session(row: Row[Any]) -> Session:
    return Session(
        id=SessionId(row.id),
        account_id=AccountId(row.account_id),
        device=row.device,
        created_at=row.created_at,
        seen_at=row.seen_at,
        expires_at=row.expires_at,
    )
