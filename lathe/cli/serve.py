"""``lathe serve``: the origin, with workers inside when the queue is inline."""

import logging
import resource
import signal
import threading
from pathlib import Path

import click
from prometheus_client import CollectorRegistry

from lathe.logs import set_up
from lathe.settings import read_settings
from lathe.wiring import House, build_plant, hasten, make_key, open_house, open_measures
from workers.broker import INLINE

DEVELOPMENT_LABEL = "development"


@click.command("serve")
@click.option(
    "--deliver",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Deliver the masters that FOLDER/releases.json lists, and say what came of them.",
)
def command(folder: Path | None) -> None:
    """Serve manifests and chunks, and take deliveries, until SIGTERM or SIGINT.

    With the inline queue, which is the default, masters are pressed inside this process; with a
    Redis queue, `lathe worker` presses them.
    """
    from lathe.serving import Origin

    house = open_house(read_settings())
    if house.settings.logs == "json":
        set_up("json", logging.INFO)
    _allow_many_connections()
    registry = CollectorRegistry()
    own = hasten(house)
    origin = Origin(own, registry)
    measures = open_measures(own, registry, of_the_plant=True)
    click.echo(f"origin: {origin.url}")
    _print_development_key(house)
    plant = build_plant(house, measures) if house.settings.queue == INLINE else None
    stop = threading.Event()
    if plant is not None:
        plant.start()
    if folder is not None:
        threading.Thread(
            target=_demonstrate, args=(house, origin, folder, stop), daemon=True
        ).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server raises again what stopped it, and the workers have yet to stop then.
        signal.signal(number, lambda *_: origin.stop())
    try:
        origin.run()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        stop.set()
        if plant is not None:
            plant.stop()


def _allow_many_connections() -> None:
    """Let this process have as many connections as it may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _print_development_key(house: House) -> None:
    if house.settings.queue == INLINE and house.keys.is_empty():
        key = make_key(house, DEVELOPMENT_LABEL)
        click.echo(f"development key (shown once, stored as a hash): {key}")


def _demonstrate(house: House, origin: object, folder: Path, stop: threading.Event) -> None:
    from lathe.demonstration import demonstrate
    from lathe.serving import Origin

    assert isinstance(origin, Origin)
    if origin.wait_until_started(stop):
        demonstrate(house, origin.url, folder, label=DEVELOPMENT_LABEL, stop=stop)
