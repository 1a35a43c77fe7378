"""``lathe export``: renditions as files of their own."""

import json
from pathlib import Path

import click

from lathe.cli import EXIT_FAILED, show_error
from lathe.settings import read_settings

_TRACK = "trk_"


@click.command("export")
@click.argument("things", nargs=-1, required=True, metavar="TRACK|DIR…")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Where files go.")
@click.option("--tiers", default="", help="Only these, by commas; all of them if left out.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each file.")
def command(things: tuple[str, ...], out: Path, tiers: str, as_json: bool) -> int:
    """Write what was pressed as whole files, with tags and cover; the sound stays as it is.

    TRACK is the id of a published track, tagged by what its label says of it; DIR is a pressed
    folder, tagged by what its master says of itself.
    """
    from catalogue.errors import LatheError
    from catalogue.nouns import TrackId
    from lathe.exporting import export, source_of_folder, source_of_track
    from lathe.wiring import open_house

    names = [name.strip() for name in tiers.split(",") if name.strip()]
    house = open_house(read_settings()) if any(map(_is_track, things)) else None
    failed = False
    for thing in things:
        try:
            if house is not None and _is_track(thing):
                source = source_of_track(house, TrackId(thing))
            else:
                source = source_of_folder(Path(thing))
            for path in export(source, out, names):
                told = {"source": thing, "file": str(path), "size_bytes": path.stat().st_size}
                click.echo(json.dumps(told) if as_json else str(path))
        except LatheError as fault:
            failed = True
            show_error(fault, file=thing)
    return EXIT_FAILED if failed else 0


def _is_track(thing: str) -> bool:
    return thing.startswith(_TRACK)
