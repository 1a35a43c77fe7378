"""What keeps objects from being collected: see catalogue.port.Holds."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier

import pytest

from catalogue.errors import PlaceCondemned
from catalogue.nouns import JobId
from storage.keys import master_place, rendition_place
from tests.contract.conftest import Catalogue
from tests.contract.examples import (
    AAC,
    NOON,
    REASON,
    WORKER,
    make_delivery,
    make_metadata,
    make_pressing,
    sha256_of,
)

LATER = NOON + timedelta(hours=1)
LONG_AGO = NOON - timedelta(minutes=1)
PLACE = master_place(sha256_of("nobody's"))
PRESSING = make_pressing(AAC)
JOB = JobId("job_1")


def condemn(catalogue: Catalogue, place: str = PLACE, *, now: datetime = NOON) -> bool:
    return catalogue.holds.condemn(place, now=now, stale_before=now - timedelta(minutes=1))


def test_what_nobody_needs_may_be_emptied(catalogue: Catalogue) -> None:
    assert catalogue.holds.is_orphan(PLACE, now=NOON)
    assert catalogue.holds.condemned() == []
    assert condemn(catalogue)
    assert catalogue.holds.condemned() == [PLACE]
    assert catalogue.holds.absolve(PLACE, since=NOON)
    assert catalogue.holds.condemned() == []


def test_a_place_is_emptied_by_one_at_a_time(catalogue: Catalogue) -> None:
    assert condemn(catalogue)
    assert not condemn(catalogue, now=NOON + timedelta(seconds=59))
    renewed = NOON + timedelta(seconds=30)
    assert catalogue.holds.renew(PLACE, since=NOON, now=renewed)
    assert not catalogue.holds.renew(PLACE, since=NOON, now=renewed), "that sentence is no more"
    assert not condemn(catalogue, now=NOON + timedelta(seconds=80)), "it gave a sign of life"
    taken_over = NOON + timedelta(seconds=91)
    assert condemn(catalogue, now=taken_over)
    assert not catalogue.holds.renew(PLACE, since=renewed, now=taken_over)
    assert not catalogue.holds.absolve(PLACE, since=renewed)
    assert catalogue.holds.condemned() == [PLACE], "the first remover has lost its place"
    assert catalogue.holds.absolve(PLACE, since=taken_over)
    assert catalogue.holds.condemned() == []


def test_leftovers_are_told_until_they_are_forgotten(catalogue: Catalogue) -> None:
    places = [master_place(sha256_of(str(number))) for number in range(3)]
    catalogue.holds.hold(places[:2], "one", until=LATER)
    assert catalogue.holds.leftovers(now=NOON, limit=9) == []
    catalogue.holds.leave(places[1:], "one", now=NOON)
    told = catalogue.holds.leftovers(now=NOON, limit=9)
    assert sorted(each.place for each in told) == sorted(places[1:])
    assert catalogue.holds.leftovers(now=NOON, limit=1) == told[:1]
    assert all(catalogue.holds.is_orphan(each.place, now=NOON) for each in told)
    catalogue.holds.forget(told[0])
    assert catalogue.holds.leftovers(now=NOON, limit=9) == told[1:]
    assert len(catalogue.holds.leftovers(now=LATER, limit=9)) == 2, "a hold that nobody gave up"


def test_a_hold_that_changed_meanwhile_is_not_forgotten(catalogue: Catalogue) -> None:
    catalogue.holds.leave([PLACE], "one", now=LONG_AGO)
    (seen,) = catalogue.holds.leftovers(now=NOON, limit=9)
    catalogue.holds.leave([PLACE], "one", now=NOON)
    catalogue.holds.forget(seen)
    (again,) = catalogue.holds.leftovers(now=NOON, limit=9)
    assert again.until == NOON


def test_a_held_place_is_safe_until_it_is_released(catalogue: Catalogue) -> None:
    catalogue.holds.hold([PLACE], "one", until=LATER)
    catalogue.holds.hold([PLACE], "two", until=LATER)
    catalogue.holds.release("one")
    assert not condemn(catalogue)
    catalogue.holds.release("two")
    assert condemn(catalogue)


def test_a_hold_ends_with_its_time(catalogue: Catalogue) -> None:
    catalogue.holds.hold([PLACE], "one", until=LATER)
    assert not catalogue.holds.is_orphan(PLACE, now=NOON)
    assert catalogue.holds.is_orphan(PLACE, now=LATER)


def test_a_condemned_place_is_held_by_nobody(catalogue: Catalogue) -> None:
    other = master_place(sha256_of("other"))
    assert condemn(catalogue)
    with pytest.raises(PlaceCondemned):
        catalogue.holds.hold([other, PLACE], "one", until=LATER)
    assert catalogue.holds.is_orphan(other, now=NOON), "all of them or none"
    assert catalogue.holds.absolve(PLACE, since=NOON)
    catalogue.holds.hold([other, PLACE], "one", until=LATER)


def test_what_is_referred_to_is_no_orphan(catalogue: Catalogue) -> None:
    delivery = make_delivery()
    catalogue.tracks.accept(delivery, make_metadata(), JOB)
    assert not condemn(catalogue, master_place(delivery.master_sha256), now=LATER)
    (rendition,) = PRESSING.renditions
    assert catalogue.holds.is_orphan(rendition_place(rendition.id), now=LATER)
    catalogue.jobs.claim(JOB, "one", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3)
    catalogue.jobs.publish(JOB, "one", current=[rendition.id], pressing=PRESSING, now=NOON)
    assert not condemn(catalogue, rendition_place(rendition.id), now=LATER)


def claim(catalogue: Catalogue, name: str, *, now: datetime = NOON) -> None:
    assert catalogue.jobs.claim(JOB, name, worker=WORKER, now=now, stale_before=now, max_silences=3)


def test_the_holds_of_all_attempts_end_with_the_job(catalogue: Catalogue) -> None:
    other = master_place(sha256_of("other"))
    catalogue.tracks.accept(make_delivery(), make_metadata(), JOB)
    claim(catalogue, "one")
    catalogue.holds.hold([PLACE], "one", until=LATER)
    catalogue.jobs.release(JOB, "one", now=NOON)
    assert not catalogue.holds.is_orphan(PLACE, now=NOON), "the next attempt needs it"
    claim(catalogue, "two")
    catalogue.holds.hold([PLACE, other], "two", until=LATER)
    catalogue.holds.hold([other], "somebody", until=LATER)
    catalogue.desk.cancel(JOB, now=NOON)
    assert catalogue.holds.is_orphan(PLACE, now=NOON)
    assert not catalogue.holds.is_orphan(other, now=NOON)
    told = catalogue.holds.leftovers(now=NOON, limit=9)
    assert sorted((each.place, each.holder) for each in told) == sorted(
        [(PLACE, "one"), (PLACE, "two"), (other, "two")]
    )


@pytest.mark.parametrize("end", ["fail", "quarantine", "silence"])
def test_however_a_job_ends_its_holds_are_over(catalogue: Catalogue, end: str) -> None:
    catalogue.tracks.accept(make_delivery(), make_metadata(), JOB)
    claim(catalogue, "one")
    catalogue.holds.hold([PLACE], "one", until=LATER)
    if end == "fail":
        catalogue.jobs.fail(JOB, "one", reason=REASON, now=NOON)
    elif end == "quarantine":
        catalogue.desk.quarantine(JOB, reason=REASON, now=NOON)
    else:
        assert not catalogue.jobs.claim(
            JOB, "two", worker=WORKER, now=NOON, stale_before=LATER, max_silences=1
        )
    assert [each.place for each in catalogue.holds.leftovers(now=NOON, limit=9)] == [PLACE]


def test_what_is_published_is_not_left_over(catalogue: Catalogue) -> None:
    (rendition,) = PRESSING.renditions
    catalogue.tracks.accept(make_delivery(), make_metadata(), JOB)
    claim(catalogue, "one")
    catalogue.holds.hold([PLACE, rendition_place(rendition.id)], "one", until=LATER)
    catalogue.jobs.publish(JOB, "one", current=[rendition.id], pressing=PRESSING, now=NOON)
    assert [each.place for each in catalogue.holds.leftovers(now=NOON, limit=9)] == [PLACE]


def test_holding_and_condemning_at_once_never_both_succeed(catalogue: Catalogue) -> None:
    barrier = Barrier(2)

    def hold(place: str) -> bool:
        barrier.wait()
        try:
            catalogue.holds.hold([place], "one", until=LATER)
        except PlaceCondemned:
            return False
        return True

    def sentence(place: str) -> bool:
        barrier.wait()
        return condemn(catalogue, place)

    places = [master_place(sha256_of(str(number))) for number in range(20)]
    with ThreadPoolExecutor(2) as threads:
        for place in places:
            held, condemned = threads.submit(hold, place), threads.submit(sentence, place)
            assert held.result() != condemned.result()
