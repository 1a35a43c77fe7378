"""``lathe tracks``: what operators decide of published tracks."""

import click

from catalogue.nouns import TrackId
from lathe.settings import read_settings

_track_ids = click.argument("track_ids", nargs=-1, required=True, metavar="TRACK…")


@click.group("tracks")
def command() -> None:
    """Take tracks down, and let them be heard again."""


@command.command("take-down")
@_track_ids
def take_down(track_ids: tuple[str, ...]) -> None:
    """Let nobody hear tracks from now on, whatever their rights say."""
    from lathe.wiring import now, open_records

    records, since = open_records(read_settings()), now()
    for track_id in track_ids:
        records.tracks.take_down(TrackId(track_id), since=since, now=since)
        click.echo(f"{track_id}: taken down")


@command.command("restore")
@_track_ids
def restore(track_ids: tuple[str, ...]) -> None:
    """Let tracks that were taken down be heard again, as their rights say."""
    from lathe.wiring import now, open_records

    records = open_records(read_settings())
    for track_id in track_ids:
        records.tracks.take_down(TrackId(track_id), since=None, now=now())
        click.echo(f"{track_id}: restored")
