"""``lathe play``: a track that is on this device, with no network."""

import sys
from pathlib import Path

import click


@click.command("play")
@click.argument("track_id", metavar="TRACK")
@click.option("--offline", is_flag=True, required=True, help="From the device's folder alone.")
@click.option(
    "--folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the device.",
)
@click.option(
    "--passphrase",
    envvar="DEVICE_PASSPHRASE",
    prompt=True,
    hide_input=True,
    help="Opens the device's keys; better given as DEVICE_PASSPHRASE than on the command line.",
)
@click.option(
    "--output",
    default="-",
    help="WAV to write; - for stdout, as for `lathe play … | mpv -`.",
    show_default=True,
)
def command(track_id: str, offline: bool, folder: Path, passphrase: str, output: str) -> None:
    """Decode a track that this device keeps, as long as its licence lasts.

    Exits with 1 when it does not open here and now.
    """
    from lathe.client import Shelf, play_kept
    from lathe.wiring import now

    assert offline
    shelf = Shelf.open(folder, passphrase)
    target = sys.stdout.buffer if output == "-" else Path(output)
    play_kept(shelf, track_id, target, now=now())
