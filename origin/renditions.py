"""Published renditions, remembered by the process: they never change, so they never expire."""

from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256
from threading import Lock
from typing import NamedTuple

from catalogue.errors import ObjectNotFound
from catalogue.nouns import Rendition, RenditionId, Sha256, StoredObject
from catalogue.offline import ContentKeys, Form, StoredContentKey, key_of_sealed, sealed_rendition
from catalogue.port import Tracks
from catalogue.sleeves import Sleeves, is_sleeve
from protection.cenc import INIT_OVERHEAD_BYTES
from protection.sealing import OVERHEAD_BYTES, sealed_name

_CAPACITY = 1024


class Published(NamedTuple):
    """A rendition, and the objects that are served of it by name, ``sealed`` or in clear.

    A sleeve has none.
    """

    rendition: Rendition | None
    objects: Mapping[str, StoredObject]
    sealed: bool


class PublishedRenditions:
    """The declarations of the renditions used last, ``_CAPACITY`` of them at most."""

    def __init__(self, tracks: Tracks, keys: ContentKeys, sleeves: Sleeves) -> None:
        self._tracks, self._keys, self._sleeves = tracks, keys, sleeves
        self._known: OrderedDict[RenditionId, Published] = OrderedDict()
        self._lock = Lock()

    def recall(self, rendition_id: RenditionId) -> Published | None:
        """Return a rendition if it is remembered; never waits long."""
        with self._lock:
            found = self._known.get(rendition_id)
            if found is not None:
                self._known.move_to_end(rendition_id)
            return found

    def load(self, rendition_id: RenditionId) -> Published:
        """Return a rendition, from the catalogue if need be.

        Raises ObjectNotFound when no such rendition is published, or sealed.
        """
        if (found := self.recall(rendition_id)) is not None:
            return found
        find = self._find_sleeve if is_sleeve(rendition_id) else self._find
        entry = find(rendition_id)
        with self._lock:
            self._known[rendition_id] = entry
            while len(self._known) > _CAPACITY:
                self._known.popitem(last=False)
        return entry

    def rendition(self, rendition_id: RenditionId) -> Rendition:
        """Return a published rendition. Raises ObjectNotFound."""
        found = self.load(rendition_id).rendition
        if found is None:
            raise ObjectNotFound("No such rendition is published.")
        return found

    def _find(self, rendition_id: RenditionId) -> Published:
        key_id = key_of_sealed(rendition_id)
        key = None if key_id is None else self._keys.sealed(key_id)
        if key_id is not None and (key is None or sealed_rendition(key) != rendition_id):
            raise ObjectNotFound("No such rendition is sealed.")
        rendition = self._tracks.rendition(rendition_id if key is None else key.rendition_id)
        if rendition is None:
            raise ObjectNotFound("No such rendition is published.")
        objects = dict(rendition.objects()) if key is None else sealed_objects(rendition, key)
        return Published(rendition, objects, key is not None)

    def _find_sleeve(self, rendition_id: RenditionId) -> Published:
        sleeve = self._sleeves.find(rendition_id)
        if sleeve is None:
            raise ObjectNotFound("There is no such sleeve.")
        return Published(None, sleeve.objects(), False)


def sealed_objects(rendition: Rendition, key: StoredContentKey) -> dict[str, StoredObject]:
    """Return what a content key makes of the objects of a rendition, by name.

    What stands for the hash of their bytes is one of what makes them: a key seals one rendition,
    and gives the same bytes each time.
    """
    found = {}
    for stored in rendition.objects().values():
        if key.form is Form.CENC:
            own, more_bytes = stored.name, INIT_OVERHEAD_BYTES * (stored is rendition.init)
        else:
            own, more_bytes = sealed_name(stored.name), OVERHEAD_BYTES
        tag = sha256(f"{key.id}/{own}".encode()).hexdigest()
        size_bytes = stored.size_bytes + more_bytes
        found[own] = StoredObject(name=own, size_bytes=size_bytes, sha256=Sha256(tag))
    return found
