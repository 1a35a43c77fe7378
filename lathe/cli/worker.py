"""``lathe worker``: worker threads on the Redis queue."""

import signal
import threading

import click

from catalogue.errors import SettingsInvalid
from lathe.settings import read_settings
from lathe.wiring import build_plant, open_house
from workers.broker import INLINE


@click.command("worker")
def command() -> None:
    """Press what labels deliver until SIGTERM or SIGINT; unfinished jobs are handed back."""
    settings = read_settings()
    if settings.queue == INLINE:
        raise SettingsInvalid(
            "An inline queue is worked inside `lathe serve`.", setting="LATHE_QUEUE"
        )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    plant = build_plant(open_house(settings))
    plant.start()
    click.echo(f"worker: {settings.threads} threads", err=True)
    stop.wait()
    plant.stop()
