"""``lathe worker``: worker processes on the Redis queue."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

import click
from prometheus_client import CollectorRegistry

from catalogue.errors import SettingsInvalid
from catalogue.nouns import WorkQueue
from lathe.logs import set_up
from lathe.settings import Settings, read_settings
from workers.broker import INLINE

log = logging.getLogger(__name__)

_BULK_NICENESS = 10
_LOOK_S = 0.5
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_STOP_TIMEOUT_S = 15.0


@click.command("worker")
@click.option(
    "--queues",
    default=",".join(WorkQueue),
    show_default=True,
    help="Which jobs to take, by queue.",
)
@click.option("--threads", type=click.IntRange(1, 64), help="Jobs at once in each process.")
@click.option(
    "--processes", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes."
)
@click.option("--number", type=int, default=0, hidden=True)
def command(queues: str, threads: int | None, processes: int, number: int) -> None:
    """Press what labels deliver until SIGTERM or SIGINT; unfinished jobs are handed back.

    A worker that takes bulk jobs only leaves the processor to others that want it.
    """
    chosen = _parse_queues(queues)
    settings = read_settings()
    if threads is not None:
        settings = settings.model_copy(update={"threads": threads})
    if settings.queue == INLINE:
        raise SettingsInvalid(
            "An inline queue is worked inside `lathe serve`.", setting="LATHE_QUEUE"
        )
    set_up(settings.logs, logging.INFO)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    if processes == 1:
        _work(settings, chosen, number, stop)
    else:
        own = ["--queues", ",".join(chosen), "--threads", str(settings.threads)]
        _supervise([sys.executable, "-m", "lathe.cli", "worker", *own], processes, stop)


def _parse_queues(text: str) -> list[WorkQueue]:
    try:
        return [WorkQueue(name.strip()) for name in text.split(",")]
    except ValueError as fault:
        raise click.BadParameter(f"{fault}; there are {', '.join(WorkQueue)}") from fault


def _work(
    settings: Settings, queues: Sequence[WorkQueue], number: int, stop: threading.Event
) -> None:
    from lathe.wiring import build_plant, open_house, open_measures

    if set(queues) == {WorkQueue.BULK}:
        os.nice(_BULK_NICENESS)
    house = open_house(settings)
    plant = build_plant(
        house, open_measures(house, CollectorRegistry(), port_offset=number), queues
    )
    plant.start()
    log.info("started", extra={"queues": ",".join(queues), "threads": settings.threads})
    stop.wait()
    plant.stop()
    log.info("stopped")


def _supervise(command: Sequence[str], processes: int, stop: threading.Event) -> None:
    """Keep ``processes`` running until told to stop; one that dies at once is given more time."""
    children: dict[int, subprocess.Popen[bytes]] = {}
    pauses = dict.fromkeys(range(processes), _FIRST_PAUSE_S)
    begin_at = dict.fromkeys(range(processes), 0.0)
    clock = 0.0
    try:
        while not stop.is_set():
            for number in range(processes):
                child = children.get(number)
                if child is not None and child.poll() is not None:
                    log.error("a worker process ended", extra={"status": child.returncode})
                    del children[number]
                    begin_at[number] = clock + pauses[number]
                    pauses[number] = min(2 * pauses[number], _LONGEST_PAUSE_S)
                if number not in children and clock >= begin_at[number]:
                    children[number] = subprocess.Popen([*command, "--number", str(number)])
            stop.wait(_LOOK_S)
            clock += _LOOK_S
    finally:
        for child in children.values():
            child.terminate()
        for child in children.values():
            try:
                child.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
