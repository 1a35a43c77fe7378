"""What manifests are made of, loaded at once for all who wait for it."""

from collections.abc import Collection, Mapping, Sequence

from anyio import to_thread

from catalogue.nouns import Codec, RenditionId, Track, TrackId
from catalogue.port import Card, card_of
from manifests.json import render_face
from manifests.manifest import VERSION, AlbumPlace
from origin.remembered import Batched, Collapsed
from origin.services import Services
from origin.tracks import find_place

Faces = Mapping[RenditionId, bytes]
"""How the JSON of a manifest shows renditions."""

Codecs = tuple[Codec, ...] | None
"""Of which codecs faces are wanted: of all if empty, and of none if None."""

_Wanted = tuple[TrackId, Codecs]


class Loader:
    """Reads from the catalogue: what is kept ready, on the event loop, and all else in threads.

    Nobody gets what was read before it was asked for.
    """

    def __init__(self, parts: Services) -> None:
        self._parts = parts
        self._cards = Batched(self._load_cards)
        self._faces = Batched(self._load_faces)
        self._whole: Collapsed[tuple[TrackId, int], tuple[Track, AlbumPlace | None]] = Collapsed()

    async def card(self, track_id: TrackId, codecs: Codecs) -> tuple[Card, Faces] | None:
        """Return the card of a track with the faces that are wanted; None if there is no track."""
        return await self._cards.get((track_id, codecs))

    async def faces(self, ids: tuple[RenditionId, ...]) -> Sequence[bytes] | None:
        """Return the faces of some renditions, in order; None unless all of them exist."""
        return await self._faces.get(ids)

    async def whole(self, track_id: TrackId, turn: int) -> tuple[Track, AlbumPlace | None]:
        """Return a track with all of its renditions, and its place. Raises TrackNotFound.

        ``turn`` is how often anything has changed: who asks after a change waits for nothing that
        was begun before it.
        """
        parts = self._parts

        def find() -> tuple[Track, AlbumPlace | None]:
            track = parts.tracks.get(track_id)
            return track, find_place(parts, track)

        async def load() -> tuple[Track, AlbumPlace | None]:
            return await to_thread.run_sync(find)

        return await self._whole.run((track_id, turn), load)

    async def _load_cards(
        self, wanted: Collection[_Wanted]
    ) -> Mapping[_Wanted, tuple[Card, Faces]]:
        """Return those of some tracks that exist, each with the faces that are wanted with it."""
        ids = {track_id for track_id, _ in wanted}
        cards = await self._parts.cards.tracks(ids)
        if len(cards) < len(ids):
            cards |= await to_thread.run_sync(self._make_cards, ids - cards.keys())
        shown = {
            (track_id, codecs): _choose(cards[track_id], codecs)
            for track_id, codecs in wanted
            if track_id in cards
        }
        faces = await self._find_faces({each for those in shown.values() for each in those})
        return {
            key: (cards[key[0]], {each: faces[each] for each in those if each in faces})
            for key, those in shown.items()
        }

    def _make_cards(self, track_ids: Collection[TrackId]) -> dict[TrackId, Card]:
        briefs = self._parts.tracks.briefs(track_ids, version=VERSION, render=render_face)
        return {track_id: card_of(brief) for track_id, brief in briefs.items()}

    async def _load_faces(
        self, asked: Collection[tuple[RenditionId, ...]]
    ) -> Mapping[tuple[RenditionId, ...], Sequence[bytes]]:
        """Return the faces of several manifests' renditions, of those that have all of them."""
        found = await self._find_faces({each for wanted in asked for each in wanted})
        return {
            wanted: [found[each] for each in wanted]
            for wanted in asked
            if found.keys() >= set(wanted)
        }

    async def _find_faces(self, ids: Collection[RenditionId]) -> Faces:
        """Return the faces of those of some renditions that exist."""
        if not ids:
            return {}
        found = await self._parts.cards.faces(ids, version=VERSION)
        missing = [each for each in ids if each not in found]
        if missing:
            found |= await to_thread.run_sync(self._make_faces, missing)
        return found

    def _make_faces(self, ids: Collection[RenditionId]) -> dict[RenditionId, bytes]:
        made = self._parts.tracks.faces(ids, version=VERSION, render=render_face)
        return {each: face.encode() for each, face in made.items()}


def _choose(card: Card, codecs: Codecs) -> Sequence[RenditionId]:
    if codecs is None:
        return ()
    return [
        rendition_id
        for (rendition_id, _), rung in zip(card.renditions, card.kind.rungs, strict=True)
        if not codecs or rung.codec in codecs
    ]
