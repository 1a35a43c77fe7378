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
    TransferSpeedColumn,
)

from lathe.batch import Advanced, Event, Failed, Planned, Pressed, Started
from lathe.cli.reporting import show_name
from lathe.masters import Found

_HUNDRED = 100


class LiveProgress:
    """Moves the bars, which count bytes of masters, as events come."""

    def __init__(self, progress: Progress, masters: int, size_bytes: int) -> None:
        self._progress = progress
        self._sizes: dict[Path, int] = {}
        self._done: dict[Path, int] = {}
        self._tasks: dict[Path, TaskID] = {}
        self._whole = progress.add_task(f"{masters} masters", total=max(1, size_bytes))

    def hear(self, event: Event) -> None:
        """Take an event into account."""
        match event:
            case Started():
                name = show_name(Path(event.file.name))
                self._sizes[event.file], self._done[event.file] = event.size_bytes, 0
                self._tasks[event.file] = self._progress.add_task(name, total=event.size_bytes)
            case Advanced():
                self._reach(event.file, event.percent)
            case Planned() | Pressed() | Failed():
                self._reach(event.file, _HUNDRED)
                if event.file in self._tasks:
                    self._progress.remove_task(self._tasks.pop(event.file))

    def _reach(self, file: Path, percent: int) -> None:
        if file not in self._tasks:
            return
        done = self._sizes[file] * percent // _HUNDRED
        self._progress.update(self._tasks[file], completed=done)
        self._progress.advance(self._whole, max(0, done - self._done[file]))
        self._done[file] = max(done, self._done[file])


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
        TransferSpeedColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()
    ) as progress:
        yield LiveProgress(progress, masters, size_bytes)
