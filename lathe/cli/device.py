"""``lathe device``: a device of a listener that keeps downloads in a folder."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

_FOLDER = click.option(
    "--folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the device.",
)
_PASSPHRASE = click.option(
    "--passphrase",
    envvar="DEVICE_PASSPHRASE",
    prompt=True,
    hide_input=True,
    help="Opens the device's keys; better given as DEVICE_PASSPHRASE than on the command line.",
)
_TOKEN = click.option(
    "--token",
    envvar="LISTENER_TOKEN",
    required=True,
    help="Session's token; better given as LISTENER_TOKEN than on the command line.",
)


def _online(command: Callable[..., Any]) -> Callable[..., Any]:
    return _FOLDER(_PASSPHRASE(_TOKEN(command)))


@click.group("device")
def command() -> None:
    """Keep tracks on this machine, and play them with no network."""


@command.command("register")
@click.argument("origin", metavar="URL")
@click.option("--name", default="lathe", show_default=True, help="What the listener calls it.")
@_online
def register(origin: str, name: str, folder: Path, passphrase: str, token: str) -> None:
    """Make keys in a folder and register them as a device at the origin at URL."""
    from catalogue.offline import DeviceKind

    with _keeper(origin, token) as keeper:
        shelf = keeper.register(folder, passphrase, name=name, kind=DeviceKind.COMPUTER)
    click.echo(shelf.registered().device)


@command.command("take")
@click.option("--track", "track_id", metavar="TRACK", help="A track.")
@click.option("--album", "album_id", metavar="ALBUM", help="An album.")
@click.option("--quality", help="No better than low, normal, high, lossless or hires.")
@click.option("--codec", help="aac, flac, alac or vorbis.")
@_online
def take(
    track_id: str | None,
    album_id: str | None,
    quality: str | None,
    codec: str | None,
    folder: Path,
    passphrase: str,
    token: str,
) -> None:
    """Download a track or an album, and get the licence for it."""
    if (track_id is None) == (album_id is None):
        raise click.UsageError("Name a --track or an --album.")
    said = {"track_id": track_id, "album_id": album_id, "quality": quality, "codec": codec}
    shelf = _open(folder, passphrase)
    with _keeper(shelf.registered().origin, token) as keeper:
        taken = keeper.take(shelf, **{name: each for name, each in said.items() if each})
        for left_out in taken["left_out"]:
            click.echo(f"left out: {left_out['track_id']}: {left_out['problem']['code']}", err=True)
        while not keeper.download(taken["id"])["ready"]:
            time.sleep(0.2)
        keeper.fetch(shelf, taken["id"])
        keeper.renew(shelf)
    click.echo(taken["id"])


@command.command("sync")
@_online
def sync(folder: Path, passphrase: str, token: str) -> None:
    """Renew the licences, say what changed, and remove what no download has any more."""
    shelf = _open(folder, passphrase)
    with _keeper(shelf.registered().origin, token) as keeper:
        changed = keeper.sync(shelf)["tracks"]
        refused = keeper.renew(shelf)["refused"]
    for each in changed:
        click.echo(f"{each['standing']}: {each['track_id']}")
    for each in refused:
        click.echo(f"not renewed: {each['track_id']}: {each['code']}", err=True)


@command.command("list")
@_FOLDER
@_PASSPHRASE
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout.")
def list_kept(folder: Path, passphrase: str, as_json: bool) -> None:
    """Say which tracks are on this device."""
    for kept in _open(folder, passphrase).kept():
        said = kept.said
        if as_json:
            click.echo(json.dumps(asdict(said), ensure_ascii=False))
        else:
            click.echo(f"{said.track_id}  {said.tier}  {said.artist}: {said.title}")


def _open(folder: Path, passphrase: str) -> Any:
    from lathe.client import Shelf

    return Shelf.open(folder, passphrase)


@contextmanager
def _keeper(origin: str, token: str) -> Iterator[Any]:
    import httpx

    from lathe.client import Keeper
    from lathe.wiring import now

    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=origin, headers=headers, timeout=30) as http:
        yield Keeper(http, now)
