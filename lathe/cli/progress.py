"""A live view of a batch on a terminal: each master under way, and the whole with time left."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lathe.batch import Advanced, Event, Failed, Planned, Pressed, Started
from lathe.cli.reporting import show_name
from lathe.masters import Found

_HUNDRED = 100


class LiveProgress:
    """Moves the bars as events come."""

    def __init__(self, progress: Progress, masters: int, size_bytes: int) -> None:
        self._progress = progress
        self._sizes: dict[Path, int] = {}
        self._tasks: dict[Path, TaskID] = {}
        self._whole = progress.add_task(f"{masters} masters", total=max(1, size_bytes))

    def hear(self, event: Event) -> None:
        """Take an event into account."""
        match event:
            case Started():
                name = show_name(Path(event.file.name))
                self._sizes[event.file] = event.size_bytes
                self._tasks[event.file] = self._progress.add_task(name, total=_HUNDRED)
            case Advanced():
                if event.file in self._tasks:
                    self._progress.update(self._tasks[event.file], completed=event.percent)
            case Planned() | Pressed() | Failed():
                if event.file in self._tasks:
                    self._progress.remove_task(self._tasks.pop(event.file))
                self._progress.advance(self._whole, self._sizes.pop(event.file, 0))


@contextmanager
def show_progress(find: Callable[[], Iterable[Found]]) -> Iterator[LiveProgress]:
    """Give a live view on stderr of pressing what ``find`` finds."""
    masters = size_bytes = 0
    for found in find():
        masters += 1
        size_bytes += found.size_bytes
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()
    ) as progress:
        yield LiveProgress(progress, masters, size_bytes)
