"""What commands have in common: paths and lists of them, territories, and being stopped."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import click

from catalogue.errors import ListUnreadable, TerritoryUnknown
from catalogue.identifiers import parse_home
from lathe.masters import read_list

ANY_PATH = click.Path(path_type=Path, readable=False)
"""A path that may be unreadable: that is told of as every other fault, and stops nothing else."""


def home(value: str) -> str:
    """Return the territory that an argument names, as somebody's home: an option's type."""
    try:
        return parse_home(value)
    except TerritoryUnknown as fault:
        raise click.BadParameter(f"{fault.detail} {fault.advice}") from fault


def instant(value: str) -> datetime:
    """Return the time that an argument names, in UTC unless it says another: an option's type."""
    try:
        found = datetime.fromisoformat(value)
    except ValueError as fault:
        raise click.BadParameter("It is no time in ISO 8601.") from fault
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def read_paths(name: str) -> Iterator[Path]:
    """Give the paths of a list that is named; ``-`` is stdin. Raises ListUnreadable."""
    if name == "-":
        yield from read_list(sys.stdin)
        return
    try:
        with open(name, encoding="utf-8", errors="surrogateescape") as file:
            yield from read_list(file)
    except OSError as fault:
        raise ListUnreadable(f"{name}: {fault.strerror}.") from fault


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """Give an event that the first SIGINT or SIGTERM sets; the second one acts as usual."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, _: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
