"""Pressing many masters: some at once, one's failure no other's business, every step an event."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from catalogue.errors import Stopped, Unavailable
from catalogue.nouns import Tier
from lathe.masters import Found
from lathe.pressing import FolderPlan, Overwrite, PressedFolder, plan_folder, press_to_folder


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """A master's turn has come."""

    file: Path
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Advanced:
    """A master's press got further."""

    file: Path
    stage: str
    percent: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """What a press would make (a dry run)."""

    file: Path
    plan: FolderPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class Pressed:
    """A master is pressed, or was before. ``findings`` say what an operator should know of it."""

    file: Path
    pressed: PressedFolder
    seconds: float
    findings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """A master could not be pressed."""

    file: Path
    fault: Exception
    seconds: float


Event = Started | Advanced | Planned | Pressed | Failed
Listener = Callable[[Event], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What is wanted of every master; ``named`` are the tiers that were asked for by name."""

    out: Path
    tiers: Sequence[Tier]
    named: frozenset[str] = frozenset()
    overwrite: Overwrite = Overwrite.IF_CHANGED
    dry_run: bool = False
    jobs: int = 1
    cores: int = 1


@dataclass(slots=True)
class Tally:
    """How a batch went so far."""

    pressed: int = 0
    kept: int = 0
    planned: int = 0
    failed: int = 0
    unavailable: int = 0
    findings: int = 0
    sound_s: float = 0.0
    began_s: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds since the batch began."""
        return time.monotonic() - self.began_s

    def count(self, event: Event) -> None:
        """Take an event into account."""
        match event:
            case Pressed(pressed=folder, findings=findings):
                self.kept += folder.kept
                self.pressed += not folder.kept
                self.findings += len(findings)
                if not folder.kept:
                    pressing = folder.pressing
                    self.sound_s += pressing.decoded.samples / pressing.master.rate_hz
            case Planned():
                self.planned += 1
            case Failed(fault=fault):
                self.failed += 1
                self.unavailable += isinstance(fault, Unavailable)


def run_batch(
    found: Iterable[Found], order: Order, listener: Listener, stop: threading.Event
) -> Tally:
    """Press everything ``found`` as ordered, and return how it went.

    ``listener`` hears one event at a time. As soon as ``stop`` is set, presses under way are
    given up and nothing of them is left. While fewer masters are under way than there are cores,
    each is pressed by several.
    """
    tally = Tally()
    lock = threading.Lock()

    def tell(event: Event) -> None:
        with lock:
            tally.count(event)
            listener(event)

    under_way = _UnderWay(order)
    with ThreadPoolExecutor(order.jobs, thread_name_prefix="press") as pool:
        futures: set[Future[None]] = set()
        for each, is_last in _look_ahead(found):
            if stop.is_set():
                break
            under_way.enter(last=is_last)
            futures.add(pool.submit(_take, each, order, under_way, tell, stop))
            if len(futures) >= order.jobs:
                done, futures = wait(futures, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
        for future in futures:
            future.result()
    return tally


class _UnderWay:
    """How many masters are being pressed: with it goes how many cores each may have."""

    def __init__(self, order: Order) -> None:
        self._order, self._lock = order, threading.Lock()
        self._count, self._all_known = 0, False

    def enter(self, *, last: bool) -> None:
        with self._lock:
            self._count += 1
            self._all_known = last

    def leave(self) -> None:
        with self._lock:
            self._count -= 1

    def lanes(self) -> int:
        with self._lock:
            at_once = self._count if self._all_known else self._order.jobs
        return max(1, self._order.cores // max(1, at_once))


def _take(
    found: Found,
    order: Order,
    under_way: _UnderWay,
    tell: Listener,
    stop: threading.Event,
) -> None:
    began = time.monotonic()
    try:
        if stop.is_set():
            return
        if found.fault is not None:
            raise found.fault
        tell(Started(file=found.path, size_bytes=found.size_bytes))
        tell(
            _plan(found.path, order)
            if order.dry_run
            else _press(found, order, under_way, tell, stop)
        )
    except Stopped:
        return
    except Exception as fault:
        tell(Failed(file=found.path, fault=fault, seconds=time.monotonic() - began))
    finally:
        under_way.leave()


def _plan(path: Path, order: Order) -> Planned:
    plan = plan_folder(path, order.out, order.tiers, overwrite=order.overwrite)
    return Planned(file=path, plan=plan)


def _press(
    found: Found, order: Order, under_way: _UnderWay, tell: Listener, stop: threading.Event
) -> Pressed:
    began = time.monotonic()
    pressed = press_to_folder(
        found.path,
        order.out,
        order.tiers,
        overwrite=order.overwrite,
        lanes=under_way.lanes(),
        report=lambda stage, percent: tell(Advanced(file=found.path, stage=stage, percent=percent)),
        should_stop=stop.is_set,
    )
    return Pressed(
        file=found.path,
        pressed=pressed,
        seconds=time.monotonic() - began,
        findings=tuple(_findings(pressed, order)),
    )


def _findings(pressed: PressedFolder, order: Order) -> Iterator[str]:
    master = pressed.pressing.master
    if master.lossy:
        yield f"the master is lossy ({master.codec})"
    if master.declared_samples is None and not master.lossy:
        yield "the master does not declare its length: whether it is whole cannot be told"
    for refused in pressed.pressing.refused:
        if refused.tier in order.named:
            yield f"no {refused.tier}: {refused.reason}"


def _look_ahead(found: Iterable[Found]) -> Iterator[tuple[Found, bool]]:
    """Give each with whether it is the last."""
    items = iter(found)
    for current in items:
        for following in items:
            yield current, False
            current = following
        yield current, True
