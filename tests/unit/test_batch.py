"""Batches: what is told of each master and in what order, and that none is another's business."""

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from catalogue.errors import LatheError, ListUnreadable
from lathe.batch import (
    Advanced,
    Event,
    Failed,
    Order,
    Planned,
    Pressed,
    Started,
    Tally,
    run_batch,
)
from lathe.masters import Found, find_masters
from lathe.pressing import Overwrite
from pipeline.tiers import choose_tiers, read_ladder
from tests.audio_tools import BROKEN, FIXTURES

LADDER = read_ladder()
FAST = choose_tiers(LADDER, ["aac-128", "alac"])
TINY, SHORT, EMPTY = FIXTURES / "tiny.wav", FIXTURES / "short.flac", BROKEN / "empty.flac"
ODE = FIXTURES / "ode-24.wav"
NONE = Path("none.wav")

Hear = Callable[[Event], None]


@pytest.fixture
def order(tmp_path: Path) -> Order:
    return Order(out=tmp_path / "out", tiers=FAST)


def run(
    order: Order, *paths: Path, hear: Hear = lambda _: None, stop: threading.Event | None = None
) -> tuple[Tally, list[Event]]:
    """Run a batch; return how it went, and what was told."""
    told: list[Event] = []

    def listen(event: Event) -> None:
        told.append(event)
        hear(event)

    found = find_masters(paths, order.out)
    return run_batch(found, order, listen, stop or threading.Event()), told


def counts(tally: Tally) -> dict[str, int]:
    """Return what was counted, without the zeros."""
    names = ("pressed", "kept", "planned", "failed", "unavailable", "findings")
    found = {name: int(getattr(tally, name)) for name in names}
    return {name: count for name, count in found.items() if count}


def kinds(told: Iterable[Event], path: Path) -> list[str]:
    """Return what was told of one file, each stage once."""
    words = [
        each.stage if isinstance(each, Advanced) else type(each).__name__
        for each in told
        if each.file == path
    ]
    return list(dict.fromkeys(words))


def codes(told: Iterable[Event]) -> list[tuple[str, str]]:
    return [
        (each.file.name, each.fault.code)
        for each in told
        if isinstance(each, Failed) and isinstance(each.fault, LatheError)
    ]


# --------------------------------------------------------------------------- what is told


def test_a_master_starts_advances_and_is_pressed(order: Order) -> None:
    tally, told = run(order, SHORT)
    assert kinds(told, SHORT) == [
        "Started",
        "hash",
        "probe",
        "press",
        "measure",
        "publish",
        "Pressed",
    ]
    assert told[0] == Started(file=SHORT, size_bytes=SHORT.stat().st_size)
    percents = [each.percent for each in told if isinstance(each, Advanced)]
    assert percents == sorted(percents) and percents[-1] == 99
    assert counts(tally) == {"pressed": 1}
    assert tally.sound_s == 1023 / 44_100


def test_masters_are_taken_in_order_one_after_the_other(order: Order) -> None:
    _, told = run(order, SHORT, TINY, ODE)
    turns = list(dict.fromkeys(each.file for each in told))
    assert turns == [SHORT, TINY, ODE]
    ends = [each.file for each in told if isinstance(each, Pressed)]
    assert ends == turns
    assert told.index(Started(file=TINY, size_bytes=48)) > told.index(
        next(each for each in told if isinstance(each, Pressed))
    )


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_a_bad_master_never_stops_the_rest(order: Order, jobs: int) -> None:
    bad = [BROKEN / "flipped.flac", EMPTY, NONE, BROKEN / "wrong-md5.flac"]
    tally, told = run(replace(order, jobs=jobs), bad[0], TINY, *bad[1:], SHORT)
    assert counts(tally) == {"pressed": 2, "failed": 4}
    assert sorted(codes(told)) == [
        ("empty.flac", "master-empty"),
        ("flipped.flac", "master-corrupt"),
        ("none.wav", "master-not-a-file"),
        ("wrong-md5.flac", "master-checksum"),
    ]
    assert len(list(order.out.iterdir())) == 2


def test_what_is_no_file_never_starts(order: Order) -> None:
    _, told = run(order, NONE)
    assert kinds(told, NONE) == ["Failed"]


def test_a_broken_master_starts_and_fails(order: Order) -> None:
    _, told = run(order, BROKEN / "text.wav")
    assert kinds(told, BROKEN / "text.wav") == ["Started", "hash", "probe", "Failed"]


def test_only_one_event_is_told_at_a_time(order: Order) -> None:
    speaking = threading.Lock()

    def hear(_: Event) -> None:
        assert speaking.acquire(blocking=False)
        speaking.release()

    tally, _ = run(replace(order, jobs=4, cores=4), TINY, SHORT, ODE, EMPTY, hear=hear)
    assert counts(tally) == {"pressed": 3, "failed": 1}


def test_an_empty_batch_is_nothing(order: Order) -> None:
    tally, told = run(order)
    assert (counts(tally), told, tally.sound_s) == ({}, [], 0.0)
    assert not order.out.exists()


def test_an_output_that_cannot_be_written_is_told_of_each_master(order: Order) -> None:
    order.out.write_text("a file")
    tally, told = run(order, TINY, SHORT)
    assert counts(tally) == {"failed": 2, "unavailable": 2}
    assert {code for _, code in codes(told)} == {"output-not-writable"}


@pytest.mark.parametrize(
    ("path", "tiers", "named", "findings"),
    [
        (SHORT, FAST, [], ()),
        (FIXTURES / "lossy.mp3", FAST, [], ("the master is lossy (mp3)",)),
        (SHORT, LADDER, [], ()),
        (
            SHORT,
            LADDER,
            ["alac", "flac-hires"],
            ("no flac-hires: the master has 16 bits: a hi-res tier would only pad it",),
        ),
    ],
)
def test_findings_are_told_of_the_pressed_and_of_the_kept(
    order: Order, path: Path, tiers: tuple[object, ...], named: list[str], findings: tuple[str, ...]
) -> None:
    chosen = tuple(tier for tier in LADDER if tier in tiers)
    wanted = replace(order, tiers=chosen, named=frozenset(named))
    for kept in (False, True):
        tally, told = run(wanted, path)
        (last,) = [each for each in told if isinstance(each, Pressed)]
        assert (last.pressed.kept, last.findings) == (kept, findings)
        assert tally.findings == len(findings)


def test_a_wav_that_does_not_tell_its_length_is_a_finding(order: Order, tmp_path: Path) -> None:
    """Programs that write into a pipe cannot go back to the header and put it there."""
    path = tmp_path / "streamed.wav"
    command = ["ffmpeg", "-v", "error", "-i", str(ODE), "-c", "copy", "-f", "wav", "-"]
    path.write_bytes(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
    tally, told = run(order, path)
    assert (codes(told), counts(tally)) == ([], {"pressed": 1, "findings": 1})
    (last,) = [each for each in told if isinstance(each, Pressed)]
    assert last.pressed.pressing.decoded.samples == 240_011
    assert "does not declare its length" in last.findings[0]


# --------------------------------------------------------------------------- going on


def test_a_second_run_keeps_what_the_first_one_made(order: Order) -> None:
    run(order, TINY)
    tally, told = run(order, TINY, SHORT)
    assert counts(tally) == {"pressed": 1, "kept": 1}
    assert kinds(told, TINY) == ["Started", "hash", "Pressed"]
    assert tally.sound_s == 1023 / 44_100, "what is kept took no time"


@pytest.mark.parametrize(
    ("overwrite", "same", "changed"),
    [
        (Overwrite.NEVER, "kept", "kept"),
        (Overwrite.IF_CHANGED, "kept", "pressed"),
        (Overwrite.ALWAYS, "pressed", "pressed"),
    ],
)
def test_what_is_there_is_overwritten_as_ordered(
    order: Order, overwrite: Overwrite, same: str, changed: str
) -> None:
    run(order, TINY, SHORT)
    again = replace(order, overwrite=overwrite)
    assert counts(run(again, TINY, SHORT)[0]) == {same: 2}
    assert counts(run(replace(again, tiers=FAST[:1]), TINY, SHORT)[0]) == {changed: 2}


@pytest.mark.parametrize("jobs", [1, 4])
def test_one_master_many_times_is_one_folder(order: Order, tmp_path: Path, jobs: int) -> None:
    copy = shutil.copy(TINY, tmp_path / "tiny.wav")
    tally, _ = run(replace(order, jobs=jobs), *[TINY, Path(copy)] * 4)
    assert tally.pressed + tally.kept == 8 and tally.failed == 0
    assert jobs > 1 or tally.pressed == 1
    assert len(list(order.out.iterdir())) == 1


# --------------------------------------------------------------------------- dry runs


def test_a_dry_run_plans_without_a_trace(order: Order) -> None:
    dry = replace(order, dry_run=True)
    tally, told = run(dry, SHORT, EMPTY, TINY)
    assert counts(tally) == {"planned": 2, "failed": 1}
    assert kinds(told, SHORT) == ["Started", "Planned"]
    assert not order.out.exists()
    plans = {each.file: each for each in told if isinstance(each, Planned)}
    assert {path: (plan.plan.kept, plan.plan.samples) for path, plan in plans.items()} == {
        SHORT: (False, 1023),
        TINY: (False, 1),
    }
    _, made = run(order, SHORT, TINY)
    for each in made:
        if isinstance(each, Pressed):
            plan = plans[each.file]
            assert plan.plan.folder == each.pressed.folder
            assert list(plan.plan.renditions) == [
                one.id for one in each.pressed.pressing.renditions
            ]
    kept = [each for each in run(dry, SHORT, TINY)[1] if isinstance(each, Planned)]
    assert [plan.plan.kept for plan in kept] == [True, True]


# --------------------------------------------------------------------------- stopping


def test_a_batch_that_is_stopped_first_does_nothing(order: Order) -> None:
    stop = threading.Event()
    stop.set()
    tally, told = run(order, TINY, SHORT, stop=stop)
    assert (counts(tally), told) == ({}, [])
    assert not order.out.exists()


def test_stopping_between_masters_keeps_what_is_whole(order: Order) -> None:
    stop = threading.Event()

    def hear(event: Event) -> None:
        if isinstance(event, Pressed):
            stop.set()

    tally, told = run(order, TINY, SHORT, ODE, hear=hear, stop=stop)
    assert counts(tally) == {"pressed": 1}
    assert {each.file for each in told} == {TINY}
    assert counts(run(order, TINY, SHORT, ODE)[0]) == {"pressed": 2, "kept": 1}


@pytest.mark.parametrize("stage", ["hash", "probe", "press"])
def test_stopping_in_a_press_leaves_nothing_and_is_no_failure(order: Order, stage: str) -> None:
    stop = threading.Event()

    def hear(event: Event) -> None:
        if isinstance(event, Advanced) and event.stage == stage:
            stop.set()

    tally, told = run(order, FIXTURES / "prelude.flac", TINY, hear=hear, stop=stop)
    assert counts(tally) == {}
    assert not any(isinstance(each, Pressed | Failed) for each in told)
    assert list(order.out.iterdir()) == []


def test_masters_are_found_only_a_little_ahead_of_their_turn(order: Order) -> None:
    """A list of millions may come through a pipe, and a stopped batch reads no more of it."""
    stop, taken = threading.Event(), 0

    def endless() -> Iterator[Found]:
        nonlocal taken
        while True:
            taken += 1
            yield Found(path=NONE, size_bytes=0)

    def hear(event: Event) -> None:
        if isinstance(event, Failed):
            stop.set()

    tally = run_batch(endless(), replace(order, jobs=2), hear, stop)
    assert tally.failed >= 1
    assert taken <= 6


def test_a_list_that_breaks_off_ends_the_batch_after_those_under_way(order: Order) -> None:
    def broken() -> Iterator[Found]:
        yield from find_masters([TINY, SHORT], order.out)
        raise ListUnreadable("It breaks off.")

    told: list[Event] = []
    with pytest.raises(ListUnreadable):
        run_batch(broken(), replace(order, jobs=2), told.append, threading.Event())
    pressed = [each.pressed.folder for each in told if isinstance(each, Pressed)]
    assert sorted(order.out.iterdir()) == sorted(pressed)


def test_a_listener_that_fails_fails_the_batch(order: Order) -> None:
    def refuse(_: Event) -> None:
        raise BrokenPipeError("nobody listens")

    with pytest.raises(BrokenPipeError):
        run_batch(find_masters([TINY], order.out), order, refuse, threading.Event())
    assert not order.out.exists()
