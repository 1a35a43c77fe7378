"""What keeps objects from being collected: see catalogue.port.Holds."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from catalogue.errors import PlaceCondemned
from catalogue.nouns import JobId
from storage.keys import master_place, rendition_place
from tests.contract.conftest import Catalogue
from tests.contract.examples import (
    AAC,
    NOON,
    WORKER,
    make_delivery,
    make_metadata,
    make_pressing,
    sha256_of,
)

LATER = NOON + timedelta(hours=1)
PLACE = master_place(sha256_of("nobody's"))
PRESSING = make_pressing(AAC)
JOB = JobId("job_1")


def test_what_nobody_needs_may_be_emptied(catalogue: Catalogue) -> None:
    assert catalogue.holds.is_orphan(PLACE, now=NOON)
    assert catalogue.holds.condemned() == []
    assert catalogue.holds.condemn(PLACE, now=NOON)
    assert catalogue.holds.condemned() == [PLACE]
    catalogue.holds.absolve(PLACE)
    assert catalogue.holds.condemned() == []


def test_a_held_place_is_safe_until_it_is_released(catalogue: Catalogue) -> None:
    catalogue.holds.hold([PLACE], "one", until=LATER)
    catalogue.holds.hold([PLACE], "two", until=LATER)
    catalogue.holds.release("one")
    assert not catalogue.holds.condemn(PLACE, now=NOON)
    catalogue.holds.release("two")
    assert catalogue.holds.condemn(PLACE, now=NOON)


def test_a_hold_ends_with_its_time(catalogue: Catalogue) -> None:
    catalogue.holds.hold([PLACE], "one", until=LATER)
    assert not catalogue.holds.is_orphan(PLACE, now=NOON)
    assert catalogue.holds.is_orphan(PLACE, now=LATER)


def test_a_condemned_place_is_held_by_nobody(catalogue: Catalogue) -> None:
    other = master_place(sha256_of("other"))
    catalogue.holds.condemn(PLACE, now=NOON)
    with pytest.raises(PlaceCondemned):
        catalogue.holds.hold([other, PLACE], "one", until=LATER)
    assert catalogue.holds.is_orphan(other, now=NOON), "all of them or none"
    catalogue.holds.absolve(PLACE)
    catalogue.holds.hold([other, PLACE], "one", until=LATER)


def test_what_is_referred_to_is_no_orphan(catalogue: Catalogue) -> None:
    delivery = make_delivery()
    catalogue.tracks.accept(delivery, make_metadata(), JOB)
    assert not catalogue.holds.condemn(master_place(delivery.master_sha256), now=LATER)
    (rendition,) = PRESSING.renditions
    assert catalogue.holds.is_orphan(rendition_place(rendition.id), now=LATER)
    catalogue.jobs.claim(JOB, "one", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3)
    catalogue.jobs.publish(JOB, "one", current=[rendition.id], pressing=PRESSING, now=NOON)
    assert not catalogue.holds.condemn(rendition_place(rendition.id), now=LATER)


def test_a_worker_s_holds_end_with_its_attempt(catalogue: Catalogue) -> None:
    catalogue.tracks.accept(make_delivery(), make_metadata(), JOB)
    catalogue.jobs.claim(JOB, "one", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3)
    catalogue.holds.hold([PLACE], "one", until=LATER)
    catalogue.desk.cancel(JOB, now=NOON)
    assert catalogue.holds.is_orphan(PLACE, now=NOON)


def test_holding_and_condemning_at_once_never_both_succeed(catalogue: Catalogue) -> None:
    barrier = Barrier(2)

    def hold(place: str) -> bool:
        barrier.wait()
        try:
            catalogue.holds.hold([place], "one", until=LATER)
        except PlaceCondemned:
            return False
        return True

    def condemn(place: str) -> bool:
        barrier.wait()
        return catalogue.holds.condemn(place, now=NOON)

    places = [master_place(sha256_of(str(number))) for number in range(20)]
    with ThreadPoolExecutor(2) as threads:
        for place in places:
            held, condemned = threads.submit(hold, place), threads.submit(condemn, place)
            assert held.result() != condemned.result()
