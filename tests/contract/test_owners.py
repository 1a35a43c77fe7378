"""What listeners own: heard by them, found by nobody; see catalogue.port."""

from dataclasses import replace
from datetime import timedelta

import pytest

from catalogue.nouns import AccountId, JobId, JobState, Kinship, Resemblance, Track, TrackId
from catalogue.people_port import StoredAccount
from tests.contract.conftest import Catalogue
from tests.contract.examples import (
    AAC,
    ADA,
    ALAC,
    BOB,
    FINGERPRINT,
    NOON,
    WORKER,
    make_account,
    make_delivery,
    make_metadata,
    make_pressing,
    sha256_of,
)

PRESSING = make_pressing(AAC, ALAC)
MASTER = PRESSING.master.sha256
CURRENT = [rendition.id for rendition in PRESSING.renditions]
LATER = NOON + timedelta(hours=1)


@pytest.fixture
def owners(catalogue: Catalogue) -> Catalogue:
    """A catalogue with two accounts."""
    for own in (ADA, BOB):
        catalogue.accounts.add(StoredAccount(account=make_account(own), password="x"))
    return catalogue


def bring(catalogue: Catalogue, number: int, owner: AccountId | None) -> JobId:
    """Return the job of a master that an owner, or a label, brings; a worker has it."""
    job_id = JobId(f"job_{number}")
    delivery = make_delivery(number, owner=owner)
    metadata = make_metadata()
    if owner is not None:
        delivery = replace(delivery, label=owner)
        metadata = replace(metadata, isrc=None)
    catalogue.tracks.accept(delivery, metadata, job_id)
    claimed = catalogue.jobs.claim(
        job_id, f"clm_{number}", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3
    )
    assert claimed is not None
    return job_id


def publish(catalogue: Catalogue, number: int, owner: AccountId | None) -> Track:
    """Return the track of a master that is brought and pressed."""
    job_id = bring(catalogue, number, owner)
    catalogue.jobs.publish(job_id, f"clm_{number}", current=CURRENT, pressing=PRESSING, now=NOON)
    return catalogue.tracks.get(catalogue.jobs.get(job_id).track_id)


def found(catalogue: Catalogue) -> list[str]:
    """Return what of the catalogue leads to the master."""
    ways = {
        "page": catalogue.tracks.page(after="", limit=9),
        "heard from": catalogue.tracks.heard_from([MASTER]),
        "heard since": catalogue.tracks.heard_since(
            PRESSING.features.recipe, since=NOON - timedelta(days=1), after="", limit=9
        ),
        "postings": catalogue.prints.postings({5, 7}, most=99),
        "tracks of": catalogue.prints.tracks_of(MASTER),
    }
    return [name for name, leads in ways.items() if leads]


EVERY_WAY = ["page", "heard from", "heard since", "postings", "tracks of"]


def test_what_is_owned_is_found_by_nobody(owners: Catalogue) -> None:
    track = publish(owners, 1, ADA)
    assert (track.owner, track.label, track.metadata.isrc) == (ADA, ADA, None)
    assert [rendition.id for rendition in track.renditions] == CURRENT
    assert owners.tracks.features(track.id) == PRESSING.features
    assert found(owners) == []
    assert owners.prints.hidden(MASTER) == FINGERPRINT.encoded


def test_what_is_public_is_found_whoever_owns_it_too(owners: Catalogue) -> None:
    public = publish(owners, 1, None)
    own = publish(owners, 2, ADA)
    assert public.owner is None
    assert own.id != public.id
    assert found(owners) == EVERY_WAY
    assert owners.prints.hidden(MASTER) is None
    assert [each.track_id for each in owners.prints.tracks_of(MASTER)] == [public.id]
    assert [track.id for _, track in owners.tracks.heard_from([MASTER])] == [public.id]


@pytest.mark.parametrize("pressed_again", [False, True])
def test_what_was_hidden_is_revealed_when_a_label_publishes_it(
    owners: Catalogue, pressed_again: bool
) -> None:
    publish(owners, 1, ADA)
    job_id = bring(owners, 2, None)
    owners.jobs.publish(
        job_id,
        "clm_2",
        current=CURRENT,
        pressing=PRESSING if pressed_again else None,
        revealed=None if pressed_again else FINGERPRINT,
        now=LATER,
    )
    assert found(owners) == EVERY_WAY
    (heard,) = owners.tracks.heard_since(PRESSING.features.recipe, since=NOON, after="", limit=9)
    assert heard.heard_at == LATER
    owners.prints.keep(MASTER, features=PRESSING.features, fingerprint=FINGERPRINT, now=LATER)
    assert found(owners) == EVERY_WAY


def test_what_is_hidden_stays_so_when_it_is_heard_again(owners: Catalogue) -> None:
    publish(owners, 1, ADA)
    renewed = replace(FINGERPRINT, recipe="chromaprint-2")
    owners.prints.keep(MASTER, features=PRESSING.features, fingerprint=renewed, now=LATER)
    assert found(owners) == []


def test_an_owner_s_file_is_one_track_and_another_owner_s_another(owners: Catalogue) -> None:
    first, again, other = (
        publish(owners, number, owner) for number, owner in enumerate((ADA, ADA, BOB))
    )
    assert first.id == again.id != other.id
    jobs = owners.jobs.of_owner(ADA, after="", limit=9)
    assert [job.id for job in jobs] == ["job_0", "job_1"]
    assert [job.id for job in owners.jobs.of_owner(ADA, after="job_0", limit=9)] == ["job_1"]


def test_a_file_that_is_matched_is_not_kept(owners: Catalogue) -> None:
    job_id = bring(owners, 1, ADA)
    place = f"masters/{MASTER}"
    assert not owners.holds.is_orphan(place, now=LATER)
    kin = Resemblance(track_id=TrackId("trk_1"), kinship=Kinship.SAME_RECORDING, confidence=0.97)
    owners.jobs.match(job_id, "clm_1", resembles=[kin], now=NOON)
    job = owners.jobs.get(job_id)
    assert (job.state, job.percent, job.resembles) == (JobState.DONE, 100, (kin,))
    assert owners.holds.is_orphan(place, now=LATER)
    assert owners.tracks.get(job.track_id).renditions == ()
    bring(owners, 2, BOB)
    assert not owners.holds.is_orphan(place, now=LATER)


def test_a_track_that_an_owner_hears_stays_when_its_file_is_matched_later(
    owners: Catalogue,
) -> None:
    track = publish(owners, 1, ADA)
    job_id = bring(owners, 2, ADA)
    owners.jobs.match(job_id, "clm_2", resembles=[], now=LATER)
    assert owners.tracks.get(track.id).renditions == track.renditions
    assert not owners.holds.is_orphan(f"masters/{sha256_of('master')}", now=LATER)
