"""``lathe audit``: who did what."""

import json
from datetime import datetime

import click

from catalogue.auditing import Deed, Record
from lathe.cli.arguments import instant
from lathe.settings import read_settings

_PAGE = 500


@click.command("audit")
@click.option(
    "--since", type=instant, metavar="TIME", help="No older: ISO 8601, UTC unless it says."
)
@click.option("--deed", type=click.Choice([deed.value for deed in Deed]))
@click.option("--subject", help="The id of an account, a key or a track, or an address tried.")
@click.option("--actor", help="An account's or a key's id, or operator:NAME.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line on stdout.")
def command(
    since: datetime | None, deed: str | None, subject: str | None, actor: str | None, as_json: bool
) -> None:
    """Print the audit trail, the oldest record first.

    It holds sign-ins, accounts and plans, keys, rights and takedowns: what was done, by whom, from
    where and by which request.
    """
    from lathe.wiring import open_records

    audits, after = open_records(read_settings()).audits, 0
    wanted = None if deed is None else Deed(deed)
    while found := audits.page(
        after=after, limit=_PAGE, since=since, deed=wanted, subject=subject, actor=actor
    ):
        for entry in found:
            click.echo(write_json(entry) if as_json else write_line(entry))
        after = found[-1].number


def write_json(entry: Record) -> str:
    """Return a record as a JSON object."""
    return json.dumps(
        {
            "number": entry.number,
            "at": entry.at.isoformat(),
            "deed": entry.deed,
            "subject": entry.subject,
            "actor": entry.actor,
            "address": entry.address,
            "request_id": entry.request_id,
            "details": dict(entry.details),
        },
        ensure_ascii=False,
    )


def write_line(entry: Record) -> str:
    """Return a record in words."""
    where = f" from {entry.address}" if entry.address else ""
    details = "".join(f" {name}={value}" for name, value in entry.details.items())
    return (
        f"{entry.at:%Y-%m-%dT%H:%M:%SZ} {entry.actor}{where}: {entry.deed} {entry.subject}{details}"
    )
