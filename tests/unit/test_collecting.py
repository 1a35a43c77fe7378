"""Orphans are found and removed; what is referred to, held or just being put never is."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from catalogue.database.engine import open_engine, upgrade
from catalogue.errors import ObjectNotFound, PlaceCondemned
from catalogue.nouns import JobId, RenditionId, Sha256
from storage.keys import ObjectKey, master_key, master_place, rendition_key
from storage.local import LocalStore
from tests.contract.conftest import Catalogue, open_catalogue
from tests.contract.examples import (
    AAC,
    NOON,
    WORKER,
    make_delivery,
    make_metadata,
    make_pressing,
)
from workers.collecting import Orphan, collect, find_orphans, remove_leftovers

LATER = NOON + timedelta(days=3)
ORPHAN = RenditionId("aac-256-00ff")
PRESSING = make_pressing(AAC)
JOB = JobId("job_1")


@dataclass(frozen=True)
class House:
    store: LocalStore
    catalogue: Catalogue

    def collect(self) -> list[Orphan]:
        return list(collect(self.store, self.catalogue.holds, now=lambda: LATER))

    def find(self) -> list[Orphan]:
        return list(find_orphans(self.store, self.catalogue.holds, now=lambda: LATER))

    def objects(self) -> list[ObjectKey]:
        return list(self.store.list(""))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A plant with a published track, and two orphans beside it."""
    engine = open_engine(f"sqlite:///{tmp_path / 'catalogue.sqlite3'}")
    upgrade(engine)
    house = House(LocalStore(tmp_path / "store"), open_catalogue(engine))
    delivery = make_delivery()
    house.store.put(master_key(delivery.master_sha256), b"master")
    house.catalogue.tracks.accept(delivery, make_metadata(), JOB)
    house.catalogue.jobs.claim(
        JOB, "one", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3
    )
    (rendition,) = PRESSING.renditions
    for name in rendition.objects():
        house.store.put(rendition_key(rendition.id, name), name.encode())
    house.catalogue.jobs.publish(JOB, "one", current=[rendition.id], pressing=PRESSING, now=NOON)
    yield house
    engine.dispose()


def add_orphans(house: House) -> None:
    house.store.put(rendition_key(ORPHAN, "init.mp4"), b"12")
    house.store.put(rendition_key(ORPHAN, "00000.m4s"), b"345")
    house.store.put(master_key(Sha256("f" * 64)), b"6789")


ORPHANS = [
    Orphan(place=f"masters/{'f' * 64}", objects=1, size_bytes=4),
    Orphan(place=f"renditions/{ORPHAN}", objects=2, size_bytes=5),
]


def test_a_plant_without_orphans_stays_as_it_is(house: House) -> None:
    before = house.objects()
    assert (house.find(), house.collect()) == ([], [])
    assert house.objects() == before


def test_orphans_are_told_and_then_removed(house: House) -> None:
    before = house.objects()
    add_orphans(house)
    assert house.find() == ORPHANS
    assert len(house.objects()) == len(before) + 3, "telling removes nothing"
    assert house.collect() == ORPHANS
    assert house.objects() == before
    assert house.catalogue.holds.condemned() == []


def test_what_somebody_holds_is_left(house: House) -> None:
    add_orphans(house)
    until = LATER + timedelta(seconds=1)
    house.catalogue.holds.hold([f"renditions/{ORPHAN}"], "worker", until=until)
    assert house.collect() == ORPHANS[:1]
    assert rendition_key(ORPHAN, "init.mp4") in house.objects()
    house.catalogue.holds.release("worker")
    assert house.collect() == ORPHANS[1:]


def test_a_removal_that_broke_off_is_finished(house: House) -> None:
    before = house.objects()
    add_orphans(house)
    place = f"renditions/{ORPHAN}"
    broke_off = LATER - timedelta(seconds=61)
    assert house.catalogue.holds.condemn(place, now=broke_off, stale_before=NOON)
    house.store.remove(rendition_key(ORPHAN, "init.mp4"))
    with pytest.raises(PlaceCondemned):
        house.catalogue.holds.hold([place], "worker", until=LATER)
    house.collect()
    assert house.objects() == before
    house.catalogue.holds.hold([place], "worker", until=LATER)


def test_what_another_is_removing_is_left_to_it(house: House) -> None:
    add_orphans(house)
    place = f"renditions/{ORPHAN}"
    assert house.catalogue.holds.condemn(place, now=LATER, stale_before=NOON)
    assert house.collect() == ORPHANS[:1]
    assert rendition_key(ORPHAN, "init.mp4") in house.objects()


def test_a_remover_that_was_still_for_long_removes_nothing_more(house: House) -> None:
    """Another may have finished, and a third may have put new objects there."""
    add_orphans(house)
    place = f"renditions/{ORPHAN}"
    house.catalogue.holds.leave([place], "worker", now=NOON)
    clock = iter([LATER, LATER, LATER])

    def now() -> datetime:
        time = next(clock, None)
        if time is not None:
            return time
        late = LATER + timedelta(minutes=2)
        sentence = {"now": late, "stale_before": late - timedelta(minutes=1)}
        if house.catalogue.holds.condemn(place, **sentence):
            house.catalogue.holds.absolve(place, since=late)
            house.catalogue.holds.hold([place], "another", until=late + timedelta(days=1))
        return late

    remove_leftovers(house.store, house.catalogue.holds, now=now)
    assert next(clock, None) is None
    assert rendition_key(ORPHAN, "init.mp4") in house.objects()


class Killed(BaseException):
    """What ends a process at once."""


class LastStore(LocalStore):
    """A store whose remover is killed when it is about to look for what is to be removed."""

    def list(self, prefix: str) -> Iterator[ObjectKey]:
        raise Killed


def test_a_removal_that_broke_off_is_finished_when_nothing_is_left_over(
    house: House, tmp_path: Path
) -> None:
    """Two workers remove one leftover; the second is killed when the first has forgotten it."""
    before = house.objects()
    add_orphans(house)
    place, holds = f"renditions/{ORPHAN}", house.catalogue.holds
    holds.leave([place], "cancelled", now=NOON)
    times = [LATER, LATER, LATER]

    def second_now() -> datetime:
        if len(times) == 1:
            remove_leftovers(house.store, holds, now=lambda: LATER)
            assert holds.leftovers(now=LATER, limit=9) == []
        return times.pop()

    with pytest.raises(Killed):
        remove_leftovers(LastStore(tmp_path / "store"), holds, now=second_now)
    house.store.put(rendition_key(ORPHAN, "init.mp4"), b"put by one who held it before")
    soon, later = LATER + timedelta(seconds=59), LATER + timedelta(seconds=61)
    remove_leftovers(house.store, holds, now=lambda: soon)
    with pytest.raises(PlaceCondemned):
        holds.hold([place], "worker", until=later + timedelta(days=1))
    remove_leftovers(house.store, holds, now=lambda: later)
    assert set(house.objects()) == {*before, master_key(Sha256("f" * 64))}
    holds.hold([place], "worker", until=later + timedelta(days=1))


def test_a_long_removal_keeps_its_place(house: House) -> None:
    before = house.objects()
    for number in range(50):
        house.store.put(rendition_key(ORPHAN, f"{number:05}.m4s"), b"chunk")
    time = LATER

    def now() -> datetime:
        nonlocal time
        time += timedelta(seconds=9)
        return time

    list(collect(house.store, house.catalogue.holds, now=now))
    assert house.objects() == before
    assert house.catalogue.holds.condemned() == []


def test_leftovers_go_by_themselves_unless_they_are_needed(house: House) -> None:
    before = house.objects()
    add_orphans(house)
    (published,) = PRESSING.renditions
    needed = f"renditions/{published.id}"
    house.catalogue.holds.leave([f"renditions/{ORPHAN}", needed], "worker", now=NOON)
    remove_leftovers(house.store, house.catalogue.holds, now=lambda: LATER)
    assert set(house.objects()) == {*before, master_key(Sha256("f" * 64))}
    assert house.catalogue.holds.leftovers(now=LATER, limit=9) == []


def test_leftovers_that_somebody_makes_anew_stay(house: House) -> None:
    add_orphans(house)
    place = f"renditions/{ORPHAN}"
    house.catalogue.holds.leave([place], "cancelled", now=NOON)
    house.catalogue.holds.hold([place], "worker", until=LATER + timedelta(days=1))
    remove_leftovers(house.store, house.catalogue.holds, now=lambda: LATER)
    assert rendition_key(ORPHAN, "init.mp4") in house.objects()
    assert house.catalogue.holds.leftovers(now=LATER, limit=9) == [], "the worker answers for it"


def test_a_place_is_not_emptied_with_its_neighbour(house: House) -> None:
    """One id may be the beginning of another."""
    longer = RenditionId(f"{ORPHAN}0")
    house.store.put(rendition_key(ORPHAN, "init.mp4"), b"1")
    house.store.put(rendition_key(longer, "init.mp4"), b"2")
    house.catalogue.holds.hold([f"renditions/{longer}"], "worker", until=LATER + timedelta(days=1))
    house.collect()
    assert house.store.read(rendition_key(longer, "init.mp4")) == b"2"


def test_a_master_about_to_be_accepted_is_safe(house: House) -> None:
    digest = Sha256(sha256(b"new").hexdigest())
    house.catalogue.holds.hold([master_place(digest)], "dlv_2", until=LATER + timedelta(hours=1))
    house.store.put(master_key(digest), b"new")
    assert house.collect() == []
    house.catalogue.tracks.accept(
        make_delivery(2, master_sha256=digest), make_metadata(isrc="ZZTST2600002"), JobId("job_2")
    )
    house.catalogue.holds.release("dlv_2")
    assert house.collect() == []


def test_old_drafts_are_dropped_and_young_ones_are_not(house: House) -> None:
    old, young = house.store.staging() / "old", house.store.staging() / "young"
    for draft in (old, young):
        draft.write_bytes(b"half")
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    os.utime(old, (long_ago.timestamp(), long_ago.timestamp()))
    assert house.store.drop_drafts(before=long_ago + timedelta(days=1)) == 1
    assert (old.exists(), young.exists()) == (False, True)


def test_removing_what_is_not_there_changes_nothing(house: House) -> None:
    before = house.objects()
    house.store.remove(rendition_key(ORPHAN, "init.mp4"))
    assert house.objects() == before
    with pytest.raises(ObjectNotFound):
        house.store.remove(ObjectKey("../etc/passwd"))
