"""What a catalogue of sleeves promises: see catalogue.sleeves.Sleeves."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from catalogue.errors import Unavailable
from catalogue.sleeves import Picture, Preview, Sleeve, Sleeves, is_sleeve, sleeve_id
from storage.keys import rendition_place
from tests.contract.conftest import Catalogue
from tests.contract.examples import (
    AAC,
    NOON,
    make_pressing,
    make_stored,
    sha256_of,
)

MASTER = sha256_of("master")
SLEEVE = Sleeve(
    id=sleeve_id(MASTER, "one"),
    master_sha256=MASTER,
    pictures=(Picture(name="cover-64.jpg", width=64, height=60),),
    preview=Preview(name="preview.m4a", start_s=12.3, length_s=30.0),
    stored=(make_stored("cover-64.jpg"), make_stored("preview.m4a"), make_stored("waveform.dat")),
)
BARE = replace(SLEEVE, id=sleeve_id(MASTER, "two"), pictures=(), preview=None)


def test_ids_tell_masters_and_recipes_apart() -> None:
    others = {sleeve_id(sha256_of(name), recipe) for name in "ab" for recipe in "cd"}
    assert len(others) == 4
    assert all(is_sleeve(each) for each in others)
    assert not is_sleeve(make_pressing(AAC).renditions[0].id)


def test_a_sleeve_is_kept_by_its_master(catalogue: Catalogue) -> None:
    sleeves = catalogue.sleeves
    assert sleeves.of_master(MASTER) is None
    assert sleeves.find(SLEEVE.id) is None
    for _ in range(2):
        sleeves.put(SLEEVE, now=NOON)
        assert sleeves.of_master(MASTER) == sleeves.find(SLEEVE.id) == SLEEVE
    sleeves.put(replace(BARE, master_sha256=sha256_of("another")), now=NOON)
    assert sleeves.of_master(MASTER) == SLEEVE


def test_a_master_has_the_last_sleeve_that_was_made(catalogue: Catalogue) -> None:
    sleeves = catalogue.sleeves
    sleeves.put(SLEEVE, now=NOON)
    sleeves.put(BARE, now=NOON)
    assert sleeves.of_master(MASTER) == BARE
    assert sleeves.find(SLEEVE.id) is None


def test_nobody_collects_a_sleeve_that_is_kept(catalogue: Catalogue) -> None:
    place = rendition_place(SLEEVE.id)
    assert catalogue.holds.is_orphan(place, now=NOON)
    catalogue.holds.hold([place], "a claim", until=NOON)
    catalogue.sleeves.put(SLEEVE, now=NOON)
    assert catalogue.holds.leftovers(now=NOON, limit=9) == [], "it need not be looked after"
    assert not catalogue.holds.is_orphan(place, now=NOON)
    assert not catalogue.holds.condemn(place, now=NOON, stale_before=NOON)
    catalogue.sleeves.put(BARE, now=NOON)
    assert catalogue.holds.is_orphan(place, now=NOON)


METHODS: dict[str, Callable[[Sleeves], Any]] = {
    "put": lambda sleeves: sleeves.put(SLEEVE, now=NOON),
    "of_master": lambda sleeves: sleeves.of_master(MASTER),
    "find": lambda sleeves: sleeves.find(SLEEVE.id),
}


def test_every_method_is_tried_when_the_catalogue_is_away() -> None:
    assert set(METHODS) == {name for name in vars(Sleeves) if not name.startswith("_")}


@pytest.mark.parametrize("method", METHODS)
def test_sleeves_that_are_away_say_so(away_catalogue: Catalogue, method: str) -> None:
    with pytest.raises(Unavailable):
        METHODS[method](away_catalogue.sleeves)
