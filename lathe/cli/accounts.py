"""``lathe accounts``: who signs in, in which role and on which plan."""

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from catalogue.auditing import Deed, record
from catalogue.nouns import AccountId
from catalogue.people import Account, Plan, Role
from lathe.cli.arguments import home
from lathe.settings import read_settings

if TYPE_CHECKING:
    from lathe.wiring import Records

_PAGE = 500

# A listener's role follows its plan.
_ROLES = click.Choice([role.value for role in Role if role is not Role.PREMIUM])
_PLANS = click.Choice([plan.value for plan in Plan])
_as_json = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
_account = click.argument("named", metavar="ACCOUNT")
_territory = click.option("--territory", type=home, help="Where it is at home: ISO 3166-1 alpha-2.")
_label = click.option("--label", help="The label that an account of that role works for.")


@click.group("accounts")
def command() -> None:
    """Make and change accounts. ACCOUNT is an id or an e-mail address.

    Passwords are asked for, or read as one line from stdin.
    """


@command.command("create")
@click.argument("email")
@click.option("--role", type=_ROLES, default=Role.USER.value, show_default=True)
@click.option("--plan", type=_PLANS, default=Plan.FREE.value, show_default=True)
@_territory
@_label
@_as_json
def create(
    email: str, role: str, plan: str, territory: str | None, label: str | None, as_json: bool
) -> None:
    """Make an account for EMAIL."""
    from catalogue.people_port import StoredAccount
    from lathe.wiring import new_id, now
    from protection.passwords import hash_password

    records, password = _open(), _ask_password()
    account = Account(
        id=AccountId(new_id("acc")),
        email=email,
        role=Role(role),
        plan=Plan(plan),
        territory=territory,
        label=label,
        created_at=now(),
    )
    records.accounts.add(StoredAccount(account=account, password=hash_password(password)))
    _tell(records.accounts.get(account.id), as_json)


@command.command("list")
@_as_json
def list_accounts(as_json: bool) -> None:
    """List accounts, the oldest first."""
    records, after = _open(), ""
    while found := records.accounts.page(after=after, limit=_PAGE):
        for account in found:
            _tell(account, as_json)
        after = found[-1].id


@command.command("show")
@_account
@_as_json
def show(named: str, as_json: bool) -> None:
    """Show an account, and where it is signed in."""
    from lathe.wiring import now

    records = _open()
    account = find_account(records, named)
    sessions = records.sessions.of(account.id, now=now())
    if as_json:
        devices = [
            {
                "id": each.id,
                "device": each.device,
                "created_at": each.created_at.isoformat(),
                "seen_at": each.seen_at.isoformat(),
                "expires_at": each.expires_at.isoformat(),
            }
            for each in sessions
        ]
        click.echo(json.dumps(_plain(account) | {"sessions": devices}))
        return
    _tell(account, as_json=False)
    for each in sessions:
        click.echo(f"  {each.id} {each.device or '(no name)'}, used {each.seen_at:%Y-%m-%d %H:%M}")


@command.command("change")
@_account
@click.option("--role", type=_ROLES)
@click.option("--plan", type=_PLANS)
@_territory
@_label
@_as_json
def change(
    named: str,
    role: str | None,
    plan: str | None,
    territory: str | None,
    label: str | None,
    as_json: bool,
) -> None:
    """Change what is given; the next manifest obeys it."""
    from lathe.wiring import now

    records = _open()
    changed = records.accounts.change(
        find_account(records, named).id,
        now=now(),
        role=None if role is None else Role(role),
        plan=None if plan is None else Plan(plan),
        territory=territory,
        label=label,
    )
    _tell(changed, as_json)


@command.command("password")
@_account
def set_password(named: str) -> None:
    """Set an account's password anew, and sign it out everywhere."""
    from lathe.wiring import now
    from protection.passwords import hash_password

    records = _open()
    account = find_account(records, named)
    records.accounts.set_password(account.id, hash_password(_ask_password()), now=now())
    _sign_out(records, account)


@command.command("sign-out")
@_account
def sign_out(named: str) -> None:
    """Sign an account out everywhere."""
    records = _open()
    _sign_out(records, find_account(records, named))


def _sign_out(records: "Records", account: Account) -> None:
    from lathe.wiring import now

    records.sessions.close_all(account.id)
    records.audits.add(record(Deed.SIGNED_OUT, account.id, now=now(), session="every one"))


def find_account(records: "Records", named: str) -> Account:
    """Return an account by its id or address. Raises AccountNotFound."""
    stored = records.accounts.find(named) if "@" in named else None
    return records.accounts.get(AccountId(named)) if stored is None else stored.account


def _open() -> "Records":
    from lathe.wiring import open_records

    return open_records(read_settings())


def _ask_password() -> str:
    from protection.passwords import require_fit

    if sys.stdin.isatty():
        password = str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    require_fit(password)
    return password


def _tell(account: Account, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_plain(account)))
        return
    place = f", {account.territory}" if account.territory else ""
    label = f", for {account.label}" if account.label else ""
    click.echo(f"{account.id} {account.email}: {account.role}, plan {account.plan}{place}{label}")


def _plain(account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "email": account.email,
        "role": account.role,
        "plan": account.plan,
        "territory": account.territory,
        "label": account.label,
        "created_at": account.created_at.isoformat(),
    }
