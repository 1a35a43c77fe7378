"""``lathe explain``: every question that the rules ask, and their answers."""

import json
from datetime import datetime

import click

from catalogue.auditing import decisions_since
from catalogue.errors import SessionMissing
from catalogue.licensing import Finding, Listener, Wish, explain, listener_of
from catalogue.nouns import Quality, TrackId, Use
from catalogue.people import Network
from lathe.cli import EXIT_FAILED, show_error
from lathe.cli.accounts import find_account
from lathe.cli.arguments import home, instant
from lathe.cli.audit import write_json, write_line
from lathe.settings import read_settings

GUEST = "guest"


@click.command("explain")
@click.argument("track_id", metavar="TRACK")
@click.argument("named", metavar="ACCOUNT")
@click.argument("territory", type=home, required=False)
@click.option(
    "--at",
    "moment",
    type=instant,
    metavar="TIME",
    help="ISO 8601, UTC unless it says; now if left out.",
)
@click.option("--use", type=click.Choice([use.value for use in Use]), default=Use.STREAM.value)
@click.option("--quality", type=click.Choice([quality.label for quality in Quality]))
@click.option("--network", type=click.Choice([network.value for network in Network]))
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def command(
    track_id: str,
    named: str,
    territory: str | None,
    moment: datetime | None,
    use: str,
    quality: str | None,
    network: str | None,
    as_json: bool,
) -> int:
    """Say why ACCOUNT may hear TRACK, or why not, when an edge says that it is in TERRITORY.

    ACCOUNT is an id, an e-mail address, or guest. An account that has a territory of its own is
    at home there. The answer is for TIME by what is recorded now; what of it was changed since TIME
    is told as well. Ends with 1 where it may not.
    """
    from lathe.wiring import now, open_records

    today = now()
    at = today if moment is None else moment
    settings = read_settings()
    records = open_records(settings)
    track = records.tracks.get(TrackId(track_id))
    subjects: list[str] = [track.id]
    place = territory or settings.territory or None
    if named != GUEST:
        account = find_account(records, named)
        listener = listener_of(account, session=account.id, territory=place)
        subjects.append(account.id)
    elif settings.guests is None:
        raise SessionMissing("LATHE_GUESTS lets nobody listen who is not signed in.")
    else:
        listener = Listener(territory=place, plan_quality=settings.guests.quality)
    wish = Wish(
        preferred=None if quality is None else Quality[quality.upper()],
        network=None if network is None else Network(network),
    )
    findings = explain(track, listener, use=Use(use), wish=wish, now=at)
    fault = findings[-1].fault
    changes = [] if at >= today else decisions_since(at, records.audits, subjects)
    if as_json:
        told = {
            "track": track.id,
            "territory": listener.territory,
            "at": at.isoformat(),
            "granted": fault is None,
            "findings": [_plain(finding) for finding in findings],
            "changed_since": [json.loads(write_json(change)) for change in changes],
        }
        click.echo(json.dumps(told))
    else:
        for finding in findings:
            click.echo(f"{'no ' if finding.fault else 'yes'}  {finding.question}: {finding.told}")
        if changes:
            click.echo("That is by what is recorded now. What was changed since then:")
        for change in changes:
            click.echo(f"  {write_line(change)}")
        if fault is not None:
            show_error(fault)
    return 0 if fault is None else EXIT_FAILED


def _plain(finding: Finding) -> dict[str, object]:
    return {
        "question": finding.question,
        "told": finding.told,
        "code": None if finding.fault is None else finding.fault.code,
    }
