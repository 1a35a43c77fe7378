"""``lathe ingest``: releases as the industry's own messages tell of them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from catalogue.errors import LatheError
from lathe.cli import EXIT_FAILED, EXIT_FINDINGS, show_error
from lathe.cli.reporting import show_name
from lathe.settings import read_settings

if TYPE_CHECKING:
    from origin.ern.message import ErnMessage
    from origin.ern.taking import Taken

_MESSAGES = "*.xml"
_ACKNOWLEDGED = ".ack.xml"
_NOT_MESSAGES = ("BatchComplete", "Manifest")


@click.group("ingest")
def command() -> None:
    """Take releases in by messages."""


@command.command("ern")
@click.argument(
    "folder", metavar="FOLDER", type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@click.option("--label", required=True, help="Whose releases they are.")
@click.option("--bulk", is_flag=True, help="Let others go before.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each message.")
def ern(folder: Path, label: str, bulk: bool, as_json: bool) -> int:
    """Obey the ERN messages in FOLDER and below, the oldest first, each with the files beside it.

    Each is acknowledged in a file beside it, NAME.ack.xml. Exits with 0, 3 when something is to be
    known, and 1 when a message was refused.
    """
    from catalogue.nouns import WorkQueue
    from lathe.wiring import build_intake, now, open_house
    from origin.ern.files import FolderFiles
    from origin.ern.taking import ErnDesk, ErnOutcome

    house = open_house(read_settings())
    intake = build_intake(house, beside_workers=False)
    desk = ErnDesk(messages=house.messages, tracks=house.tracks, intake=intake, now=now)
    queue = WorkQueue.BULK if bulk else WorkQueue.URGENT
    failed = odd = 0
    read, unreadable = _read_all(folder)
    failed += unreadable
    for path, message in read:
        try:
            files = FolderFiles(path.parent, house.store)
            taken = desk.obey(message, files.find, label=label, queue=queue)
            path.with_name(path.stem + _ACKNOWLEDGED).write_bytes(taken.acknowledgement)
        except LatheError as fault:
            show_error(fault, file=show_name(path))
            failed += 1
            continue
        failed += taken.outcome is ErnOutcome.REFUSED
        odd += bool(taken.warnings) or taken.outcome is ErnOutcome.SUPERSEDED
        _tell(path, taken, as_json=as_json)
    if failed:
        return EXIT_FAILED
    return EXIT_FINDINGS if odd else 0


def _read_all(folder: Path) -> "tuple[list[tuple[Path, ErnMessage]], int]":
    """Return the messages below a folder, the oldest first, and how many cannot be read."""
    from origin.ern.reader import read_message

    found, unreadable = [], 0
    for path in sorted(folder.rglob(_MESSAGES)):
        if path.name.startswith(_NOT_MESSAGES) or path.name.endswith(_ACKNOWLEDGED):
            continue
        try:
            found.append((path, read_message(path.read_bytes())))
        except LatheError as fault:
            show_error(fault, file=show_name(path))
            unreadable += 1
    return sorted(found, key=lambda each: each[1].created_at), unreadable


def _tell(path: Path, taken: "Taken", *, as_json: bool) -> None:
    shipment = taken.shipment
    if as_json:
        told = {
            "file": show_name(path),
            "message": taken.message.id,
            "outcome": taken.outcome,
            "delivery": None if shipment is None else shipment.id,
            "faults": [
                {"where": each.pointer, "code": each.code, "detail": each.detail}
                for each in taken.faults
            ],
            "warnings": [{"where": where, "said": said} for where, said in taken.warnings],
        }
        click.echo(json.dumps(told))
        return
    into = "" if shipment is None else f": {shipment.id}, {len(shipment.tracks)} tracks"
    click.echo(f"{show_name(path)}: {taken.outcome}{into}")
    for fault in taken.faults:
        click.echo(f"  {fault.pointer}: {fault.code}: {fault.detail} {fault.advice}")
    for where, said in taken.warnings:
        click.echo(f"  {where}: {said}")
