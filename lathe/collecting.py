"""Finding and removing objects that nothing refers to, while the plant goes on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from catalogue.port import Holds
from storage.keys import ObjectKey, place_of
from storage.port import ObjectStore

DRAFT_LIFE = timedelta(days=2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Orphan:
    """A place of the store that nothing refers to: a master or a rendition."""

    place: str
    objects: int
    size_bytes: int


def find_orphans(
    store: ObjectStore, holds: Holds, *, now: Callable[[], datetime]
) -> Iterator[Orphan]:
    """Yield every orphan, in order; nothing is changed."""
    for place, keys in _places(store):
        if holds.is_orphan(place, now=now()):
            yield _weigh(store, place, keys)


def collect(store: ObjectStore, holds: Holds, *, now: Callable[[], datetime]) -> Iterator[Orphan]:
    """Remove every orphan and yield it; finish removals that broke off before.

    A place is condemned in the catalogue before it is emptied, so that nobody can begin to use it
    meanwhile; a place that somebody holds or refers to is never touched.
    """
    for place in holds.condemned():
        for key in list(store.list(place)):
            if place_of(key) == place:
                store.remove(key)
        holds.absolve(place)
    for place, keys in _places(store):
        if holds.condemn(place, now=now()):
            # What was put between the listing and the sentence goes, too.
            orphan = _weigh(store, place, keys)
            for key in [key for key in store.list(place) if place_of(key) == place]:
                store.remove(key)
            holds.absolve(place)
            yield orphan


def _places(store: ObjectStore) -> Iterator[tuple[str, list[ObjectKey]]]:
    for place, keys in groupby(store.list(""), key=place_of):
        yield place, list(keys)


def _weigh(store: ObjectStore, place: str, keys: list[ObjectKey]) -> Orphan:
    size_bytes = sum(store.info(key).size_bytes for key in keys)
    return Orphan(place=place, objects=len(keys), size_bytes=size_bytes)
