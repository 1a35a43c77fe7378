"""Published renditions, remembered by the process: they never change, so they never expire."""

from collections import OrderedDict
from threading import Lock

from catalogue.errors import ObjectNotFound
from catalogue.nouns import Rendition, RenditionId, StoredObject
from catalogue.port import Tracks

_CAPACITY = 1024


class PublishedRenditions:
    """The declarations of the renditions used last, ``_CAPACITY`` of them at most."""

    def __init__(self, tracks: Tracks) -> None:
        self._tracks = tracks
        self._known: OrderedDict[RenditionId, tuple[Rendition, dict[str, StoredObject]]] = (
            OrderedDict()
        )
        self._lock = Lock()

    def recall(self, rendition_id: RenditionId) -> tuple[Rendition, dict[str, StoredObject]] | None:
        """Return a rendition and its objects by name if they are remembered; never waits long."""
        with self._lock:
            found = self._known.get(rendition_id)
            if found is not None:
                self._known.move_to_end(rendition_id)
            return found

    def load(self, rendition_id: RenditionId) -> tuple[Rendition, dict[str, StoredObject]]:
        """Return a rendition and its objects by name, from the catalogue if need be.

        Raises ObjectNotFound when no such rendition is published.
        """
        if (found := self.recall(rendition_id)) is not None:
            return found
        rendition = self._tracks.rendition(rendition_id)
        if rendition is None:
            raise ObjectNotFound("No such rendition is published.")
        entry = rendition, dict(rendition.objects())
        with self._lock:
            self._known[rendition_id] = entry
            while len(self._known) > _CAPACITY:
                self._known.popitem(last=False)
        return entry
