"""Administrators make accounts and change them: role, plan, territory, password."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from catalogue import errors
from catalogue.identifiers import parse_home
from catalogue.nouns import AccountId
from catalogue.people import Account, Plan, Role
from catalogue.people_port import StoredAccount
from catalogue.permissions import Action
from origin.access import SESSION_REFUSALS, Parts, counted, requires
from origin.problems import responses
from origin.sessions import AccountShown, hashing, show_account, store_password
from origin.throttle import Category
from protection.passwords import hash_password, require_fit

router = APIRouter(
    prefix="/v1/accounts",
    tags=["accounts"],
    dependencies=[counted(Category.ADMIN), Depends(requires(Action.MANAGE_ACCOUNTS))],
    responses=responses(errors.TooManyRequests),
)

_PAGE_MAX = 200
_REFUSALS = (*SESSION_REFUSALS, errors.RoleMayNot)


class NewAccount(BaseModel):
    """An account to be made. A listener's role follows its plan; others are given one."""

    model_config = ConfigDict(extra="forbid", strict=True)

    email: str = Field(min_length=3, max_length=320, pattern=r"^[^@\s]+@[^@\s]+$")
    password: str = Field(max_length=1000)
    role: Role = Field(default=Role.USER, strict=False)
    plan: Plan = Field(default=Plan.FREE, strict=False)
    territory: str | None = Field(default=None, max_length=40)
    label: str | None = Field(default=None, min_length=1, max_length=200)


class AccountChange(BaseModel):
    """What shall be different; what is left out stays."""

    model_config = ConfigDict(extra="forbid", strict=True)

    role: Role | None = Field(default=None, strict=False)
    plan: Plan | None = Field(default=None, strict=False)
    territory: str | None = Field(default=None, max_length=40)
    label: str | None = Field(default=None, min_length=1, max_length=200)
    password: str | None = Field(default=None, max_length=1000)


class AccountPage(BaseModel):
    """A page of accounts; ``next`` continues it, null at the end."""

    accounts: list[AccountShown]
    next: str | None


AccountIdPath = Annotated[str, Path(max_length=60)]


@router.post(
    "",
    status_code=201,
    responses=responses(
        *_REFUSALS,
        errors.AccountExists,
        errors.PasswordUnfit,
        errors.RequestInvalid,
        errors.TerritoryUnknown,
    ),
)
def create_account(said: NewAccount, response: Response, parts: Parts) -> AccountShown:
    """Make an account."""
    require_fit(said.password)
    account = Account(
        id=AccountId(parts.new_id("acc")),
        email=said.email,
        role=said.role,
        plan=said.plan,
        territory=None if said.territory is None else parse_home(said.territory),
        label=said.label,
        created_at=parts.now(),
    )
    with hashing():
        stored = StoredAccount(account=account, password=hash_password(said.password))
    parts.accounts.add(stored)
    response.headers["Location"] = f"/v1/accounts/{account.id}"
    return show_account(parts.accounts.get(account.id))


@router.get("", responses=responses(*_REFUSALS, errors.RequestInvalid))
def list_accounts(
    parts: Parts,
    after: Annotated[str, Query(max_length=60)] = "",
    limit: Annotated[int, Query(ge=1, le=_PAGE_MAX)] = 50,
) -> AccountPage:
    """Return accounts in the order of their ids."""
    found = parts.accounts.page(after=after, limit=limit)
    last = found[-1].id if len(found) == limit else None
    return AccountPage(accounts=[show_account(each) for each in found], next=last)


@router.get("/{account_id}", responses=responses(*_REFUSALS, errors.AccountNotFound))
def show(account_id: AccountIdPath, parts: Parts) -> AccountShown:
    """Return an account."""
    return show_account(parts.accounts.get(AccountId(account_id)))


@router.patch(
    "/{account_id}",
    responses=responses(
        *_REFUSALS, errors.AccountNotFound, errors.PasswordUnfit, errors.TerritoryUnknown
    ),
)
def change_account(account_id: AccountIdPath, said: AccountChange, parts: Parts) -> AccountShown:
    """Change an account; its next request is answered accordingly.

    A new password signs it out everywhere.
    """
    own = AccountId(account_id)
    if said.password is not None:
        require_fit(said.password)
        store_password(parts, own, said.password)
    changed = parts.accounts.change(
        own,
        now=parts.now(),
        role=said.role,
        plan=said.plan,
        territory=None if said.territory is None else parse_home(said.territory),
        label=said.label,
    )
    return show_account(changed)
