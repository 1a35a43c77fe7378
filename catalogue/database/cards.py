"""Cards of tracks and faces of renditions, as catalogue.database.briefs has laid them there."""

from collections.abc import Collection

import msgspec
from sqlalchemy import Engine

from catalogue.database.briefs import CARDS, FACES, LISTED, CardRung
from catalogue.database.direct import is_plain, open_direct
from catalogue.nouns import AlbumId, RenditionId, Rung, Tier, TrackId
from catalogue.port import Card, Kind

_KINDS_BYTES = 16 << 20


class _Metadata(msgspec.Struct):
    title: str
    artist: str | None
    isrc: str | None
    rights: msgspec.Raw


class _Read(msgspec.Struct):
    """What of a card a manifest needs; what tells its kind is left as it is written."""

    id: TrackId
    label: str
    metadata: _Metadata
    taken_down_at: str | None
    owner: str | None
    album_id: AlbumId | None
    before: TrackId | None
    after: TrackId | None
    rungs: msgspec.Raw
    shown: tuple[tuple[RenditionId, float], ...]


_READ = msgspec.json.Decoder(_Read)
_RUNGS = msgspec.json.Decoder(tuple[CardRung, ...])


class SqlCards:
    """See catalogue.port.Cards."""

    def __init__(self, engine: Engine) -> None:
        self._direct = open_direct(engine, {"cards": CARDS, "faces": FACES})
        self._kinds: dict[tuple[object, ...], Kind] = {}
        self._kinds_bytes = 0

    async def tracks(self, track_ids: Collection[TrackId]) -> dict[TrackId, Card]:
        """See Cards.tracks."""
        rows = await self._direct.rows("cards", ids=list(filter(is_plain, track_ids)))
        found = [self._read(card) for _, card in rows or () if card is not None]
        return {card.id: card for card in found}

    async def faces(
        self, rendition_ids: Collection[RenditionId], *, version: int
    ) -> dict[RenditionId, bytes]:
        """See Cards.faces."""
        ids = list(filter(is_plain, rendition_ids))
        rows = await self._direct.rows("faces", ids=ids, version=version)
        return {RenditionId(name.decode("ascii")): face for name, face in rows or ()}

    def _read(self, text: bytes) -> Card:
        read = _READ.decode(text)
        said = read.metadata
        # Alike in what is written is alike in all that can be asked of it.
        key = read.label, bytes(said.rights), read.taken_down_at, read.owner, bytes(read.rungs)
        kind = self._kinds.get(key)
        if kind is None:
            self._kinds_bytes += len(text)
            if self._kinds_bytes > _KINDS_BYTES:
                self._kinds.clear()
                self._kinds_bytes = len(text)
            rungs = tuple(_climb(each) for each in _RUNGS.decode(read.rungs))
            kind = self._kinds[key] = Kind(track=LISTED.decode(text), rungs=rungs)
        return Card(
            id=read.id,
            title=said.title,
            artist=said.artist,
            isrc=said.isrc,
            album_id=read.album_id,
            before=read.before,
            after=read.after,
            kind=kind,
            renditions=read.shown,
        )


def _climb(said: CardRung) -> Rung:
    tier = Tier(name="", codec=said.codec, bitrate_kbps=said.bitrate_kbps, hires=said.hires)
    return Rung(tier.codec, tier.quality, said.media_type)
