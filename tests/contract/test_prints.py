"""Fingerprints and the index of their terms: see catalogue.port.Prints."""

from collections.abc import Collection
from dataclasses import replace

import pytest

from catalogue.errors import CatalogueUnavailable
from catalogue.nouns import Fingerprint, JobId, TrackId
from catalogue.port import POSITION_BITS, Recipes, TrackOf
from tests.contract.conftest import Catalogue
from tests.contract.examples import (
    AAC,
    ALAC,
    FEATURES,
    FINGERPRINT,
    NOON,
    WORKER,
    make_delivery,
    make_metadata,
    make_pressing,
    sha256_of,
)


def publish(
    catalogue: Catalogue, number: int, fingerprint: Fingerprint = FINGERPRINT, *, isrc: int = 0
) -> TrackId:
    """Publish a master under a number, with a fingerprint."""
    job_id = JobId(f"job_{number}")
    pressing = replace(make_pressing(AAC, ALAC, master=f"m{number}"), fingerprint=fingerprint)
    delivery = make_delivery(number, master_sha256=pressing.master.sha256)
    metadata = make_metadata(isrc=f"ZZTST26{isrc or number:05}")
    job = catalogue.tracks.accept(delivery, metadata, job_id)
    catalogue.jobs.claim(job_id, "one", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3)
    current = [rendition.id for rendition in pressing.renditions]
    catalogue.jobs.publish(job_id, "one", current=current, pressing=pressing, now=NOON)
    return job.track_id


def postings(
    catalogue: Catalogue, wanted: Collection[int], *, most: int
) -> list[tuple[int, int, int]]:
    """Return terms, numbers and positions."""
    return [
        (term, place >> POSITION_BITS, place & ((1 << POSITION_BITS) - 1))
        for term, place in catalogue.prints.postings(wanted, most=most)
    ]


def test_an_empty_index_knows_nothing(catalogue: Catalogue) -> None:
    assert postings(catalogue, {5, 7}, most=9) == []
    assert postings(catalogue, set(), most=9) == []
    assert catalogue.prints.read({1}) == []
    assert catalogue.prints.tracks_of(sha256_of("m1")) == []


def test_a_published_master_is_found_by_its_terms(catalogue: Catalogue) -> None:
    publish(catalogue, 1)
    last = -(1 << 31)
    found = postings(catalogue, {7, last, 8}, most=9)
    (number,) = {number for _, number, _ in found}
    assert sorted(found) == [(last, number, 1200), (7, number, 3), (7, number, 9)]
    (known,) = catalogue.prints.read({number, number + 1})
    assert (known.number, known.master_sha256) == (number, sha256_of("m1"))
    assert known.encoded == FINGERPRINT.encoded


def test_a_term_that_stands_everywhere_is_left_out(catalogue: Catalogue) -> None:
    publish(catalogue, 1)
    publish(catalogue, 2)
    assert len(postings(catalogue, {5, 7}, most=5)) == 6
    assert {term for term, _, _ in postings(catalogue, {5, 7}, most=4)} == {5}
    assert postings(catalogue, {5, 7}, most=2) == []


def test_many_terms_are_asked_for_at_once(catalogue: Catalogue) -> None:
    many = tuple((term, term % 1000) for term in range(20_000))
    publish(catalogue, 1, Fingerprint(recipe="chromaprint-1", encoded="A", terms=many))
    assert len(postings(catalogue, range(30_000), most=100_000)) == 20_000


def test_publishing_twice_keeps_one_fingerprint(catalogue: Catalogue) -> None:
    publish(catalogue, 1)
    pressing = make_pressing(AAC, ALAC, master="m1")
    job_id = JobId("job_2")
    catalogue.tracks.accept(
        make_delivery(2, master_sha256=pressing.master.sha256),
        make_metadata(isrc="ZZTST2600002"),
        job_id,
    )
    catalogue.jobs.claim(job_id, "two", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3)
    current = [rendition.id for rendition in pressing.renditions]
    catalogue.jobs.publish(job_id, "two", current=current, pressing=pressing, now=NOON)
    assert len(postings(catalogue, {5}, most=9)) == 1


def test_a_fingerprint_of_a_new_recipe_takes_the_place_of_the_old_one(
    catalogue: Catalogue,
) -> None:
    publish(catalogue, 1)
    ((_, old, _),) = postings(catalogue, {5}, most=9)
    job_id = JobId("job_2")
    newer = Fingerprint(recipe="chromaprint-2", encoded="AQAAAQ", terms=((5, 0), (11, 2)))
    pressing = replace(make_pressing(AAC, ALAC, master="m1"), fingerprint=newer)
    catalogue.tracks.accept(
        make_delivery(2, master_sha256=pressing.master.sha256),
        make_metadata(isrc="ZZTST2600001"),
        job_id,
    )
    catalogue.jobs.claim(job_id, "two", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3)
    current = [rendition.id for rendition in pressing.renditions]
    catalogue.jobs.publish(job_id, "two", current=current, pressing=pressing, now=NOON)
    assert postings(catalogue, {11}, most=9) == [(11, old, 2)]
    assert [each.encoded for each in catalogue.prints.read({old})] == ["AQAAAQ"]


def test_a_fingerprint_without_terms_is_kept_and_never_found(catalogue: Catalogue) -> None:
    publish(catalogue, 1, Fingerprint(recipe="chromaprint-1", encoded="AQAAAA"))
    assert postings(catalogue, {0, 5, 7}, most=9) == []


def test_the_tracks_of_a_master_are_those_heard_from_it_now(catalogue: Catalogue) -> None:
    track_id = publish(catalogue, 1)
    assert catalogue.prints.tracks_of(sha256_of("m1")) == [
        TrackOf(track_id=track_id, label="the-label")
    ]
    assert publish(catalogue, 2, isrc=1) == track_id
    assert catalogue.prints.tracks_of(sha256_of("m1")) == []
    assert catalogue.prints.tracks_of(sha256_of("m2")) == [
        TrackOf(track_id=track_id, label="the-label")
    ]


def test_masters_of_the_same_samples_are_twins(catalogue: Catalogue) -> None:
    publish(catalogue, 1)
    assert catalogue.prints.twins(sha256_of("m1 pcm")) == [sha256_of("m1")]
    assert catalogue.prints.twins(sha256_of("m2 pcm")) == []


def test_a_database_that_is_away_says_so(away_catalogue: Catalogue) -> None:
    with pytest.raises(CatalogueUnavailable):
        away_catalogue.prints.postings({1}, most=9)
    with pytest.raises(CatalogueUnavailable):
        away_catalogue.prints.read({1})


RECIPES = Recipes(features=FEATURES.recipe, fingerprint=FINGERPRINT.recipe)


def test_masters_are_unheard_until_present_recipes_heard_them(catalogue: Catalogue) -> None:
    for number in (1, 2, 3):
        publish(catalogue, number)
    assert catalogue.prints.unheard(recipes=RECIPES, after="", limit=9) == []
    newer = Recipes(features=FEATURES.recipe, fingerprint="chromaprint-2")
    whole = catalogue.prints.unheard(recipes=newer, after="", limit=9)
    assert whole == sorted(sha256_of(f"m{number}") for number in (1, 2, 3))
    assert catalogue.prints.unheard(recipes=newer, after=whole[0], limit=1) == whole[1:2]
    anew = Fingerprint(recipe="chromaprint-2", encoded="B", terms=((99, 1),))
    catalogue.prints.keep(whole[0], features=FEATURES, fingerprint=anew, now=NOON)
    assert catalogue.prints.unheard(recipes=newer, after="", limit=9) == whole[1:]
    assert len(postings(catalogue, {99}, most=9)) == 1
    older = replace(FEATURES, recipe="features-0")
    catalogue.prints.keep(whole[1], features=older, fingerprint=FINGERPRINT, now=NOON)
    assert catalogue.prints.unheard(recipes=RECIPES, after="", limit=9) == sorted(whole[:2])
