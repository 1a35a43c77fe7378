"""Finding and removing objects that nothing refers to, while the plant goes on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from catalogue.port import Holds
from storage.keys import ObjectKey, place_of
from storage.port import ObjectStore

DRAFT_LIFE = timedelta(days=2)
_LEFTOVERS = 100
# A remover that was still for the first stops, for after the second another may have gone on.
_RENEWAL = timedelta(seconds=10)
_SILENCE = timedelta(minutes=1)

Clock = Callable[[], datetime]


@dataclass(frozen=True, kw_only=True, slots=True)
class Orphan:
    """A place of the store that nothing refers to: a master or a rendition."""

    place: str
    objects: int
    size_bytes: int


def find_orphans(store: ObjectStore, holds: Holds, *, now: Clock) -> Iterator[Orphan]:
    """Yield every orphan, in order; nothing is changed."""
    for place, keys in _places(store):
        if holds.is_orphan(place, now=now()):
            yield _weigh(store, place, keys)


def collect(store: ObjectStore, holds: Holds, *, now: Clock) -> Iterator[Orphan]:
    """Remove every orphan and yield it; finish removals that broke off before.

    A place is condemned in the catalogue before it is emptied, so that nobody can begin to use it
    meanwhile; a place that somebody holds or refers to is never touched.
    """
    _finish(store, holds, now)
    for place, keys in _places(store):
        if holds.is_orphan(place, now=now()):
            orphan = _weigh(store, place, keys)
            if _remove(store, holds, place, now):
                yield orphan


def remove_leftovers(store: ObjectStore, holds: Holds, *, now: Clock) -> None:
    """Remove what cancelled, failed and lost attempts left, unless somebody needs it by now.

    The store is asked only for places that the catalogue names. What breaks off is done again, also
    where nothing is left over any more: of two removers of one leftover, the second may have begun
    when the first had forgotten it.
    """
    _finish(store, holds, now)
    for leftover in holds.leftovers(now=now(), limit=_LEFTOVERS):
        orphan = holds.is_orphan(leftover.place, now=now())
        if not orphan or _remove(store, holds, leftover.place, now):
            holds.forget(leftover)


def _finish(store: ObjectStore, holds: Holds, now: Clock) -> None:
    """Finish removals that broke off: nobody can use their places before."""
    for place in holds.condemned():
        _remove(store, holds, place, now)


def _remove(store: ObjectStore, holds: Holds, place: str, now: Clock) -> bool:
    """Remove all that stands at an orphaned place; False when that is no longer ours to do."""
    since = now()
    if not holds.condemn(place, now=since, stale_before=since - _SILENCE):
        return False
    # What was put since the place was found goes, too.
    for key in [key for key in store.list(place) if place_of(key) == place]:
        if now() - since > _RENEWAL:
            renewed = now()
            if not holds.renew(place, since=since, now=renewed):
                return False
            since = renewed
        store.remove(key)
    return holds.absolve(place, since=since)


def _places(store: ObjectStore) -> Iterator[tuple[str, list[ObjectKey]]]:
    for place, keys in groupby(store.list(""), key=place_of):
        yield place, list(keys)


def _weigh(store: ObjectStore, place: str, keys: list[ObjectKey]) -> Orphan:
    size_bytes = sum(store.info(key).size_bytes for key in keys)
    return Orphan(place=place, objects=len(keys), size_bytes=size_bytes)
