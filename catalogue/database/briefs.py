"""Many tracks at once, as briefly as manifests need them.

All of a track is kept on a card, one row that is read in no time. A card is made when it is first
needed, and holds for one edition of its track and of the album: whatever changes either raises its
edition (catalogue.database.announcing), so that no card outlives what it tells of.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple
from zlib import crc32

import msgspec
from pydantic import TypeAdapter
from sqlalchemy import (
    BindParameter,
    Connection,
    Row,
    and_,
    bindparam,
    case,
    exists,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from catalogue.database.among import among
from catalogue.database.engine import insert_all
from catalogue.database.schema import (
    albums,
    cards,
    faces,
    renditions,
    rights,
    track_renditions,
    tracks,
)
from catalogue.nouns import (
    AccountId,
    AlbumDetails,
    AlbumId,
    Codec,
    Metadata,
    Rendition,
    RenditionId,
    Right,
    Track,
    TrackDetails,
    TrackId,
    Window,
)
from catalogue.port import Brief

RENDITION = TypeAdapter(Rendition)
WINDOWS = TypeAdapter(tuple[Window, ...])
TRACK_DETAILS = TypeAdapter(TrackDetails)
ALBUM_DETAILS = TypeAdapter(AlbumDetails)


class CardRung(msgspec.Struct, array_like=True):
    """What of a rendition a choice among several looks at, as it is written on a card."""

    codec: Codec
    bitrate_kbps: int | None
    hires: bool
    media_type: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Card:
    """What a card tells of a track, and what stands beside it.

    ``rungs`` are what has to be known to choose among its renditions, ``shown`` their ids and how
    many seconds each lasts, in order.
    """

    id: TrackId
    label: str
    metadata: Metadata
    updated_at: datetime
    taken_down_at: datetime | None
    owner: AccountId | None
    album_id: AlbumId | None
    number: int | None
    before: TrackId | None
    after: TrackId | None
    rungs: tuple[CardRung, ...]
    shown: tuple[tuple[RenditionId, float], ...]

    def brief(self, published: tuple[Rendition, ...]) -> Brief:
        """Return the track briefly, with its renditions."""
        track = Track(
            id=self.id,
            label=self.label,
            metadata=self.metadata,
            renditions=published,
            updated_at=self.updated_at,
            taken_down_at=self.taken_down_at,
            owner=self.owner,
            album_id=self.album_id,
            number=self.number,
        )
        return Brief(track=track, before=self.before, after=self.after)


class _Licensed(msgspec.Struct):
    """The rights of a track, as they are written on its card."""

    rights: msgspec.Raw


class _Kind(msgspec.Struct):
    """What of a card tells how its track may be used, and from those of which others it differs."""

    label: str
    metadata: _Licensed
    taken_down_at: str | None = None
    owner: str | None = None


_CARD = msgspec.json.Decoder(_Card)
_KIND = msgspec.json.Decoder(_Kind)
LISTED = msgspec.json.Decoder(Track)
"""Reads of a card what a track is without renditions."""

_RENDITIONS = msgspec.json.Decoder(tuple[Rendition, ...])
# Cards of another shape are none.
_SHAPE = msgspec.json.schema_components([_Card, Rendition])
_VERSION = crc32(json.dumps(_SHAPE).encode()) & 0x7FFFFFFF

# Written once: to build them takes longer than to run them.
_DERIVED = "version", "edition", "album_edition", "card", "renditions"
_FACES_VERSION: BindParameter[int] = bindparam("version")
_ALBUM_EDITION = func.coalesce(albums.c.edition, 0)
_HELD = tracks.outerjoin(albums, albums.c.id == tracks.c.album_id).outerjoin(
    cards,
    and_(
        cards.c.track_id == tracks.c.id,
        cards.c.version == _VERSION,
        cards.c.edition == tracks.c.edition,
        cards.c.album_edition == _ALBUM_EDITION,
    ),
)
CARDS = select(tracks.c.id, cards.c.card).select_from(_HELD).where(among(tracks.c.id))
_CARDS_WHOLE = CARDS.add_columns(cards.c.renditions)
# Editions are read with or before all that a card of them tells.
_ROWS = (
    select(tracks, _ALBUM_EDITION.label("album_edition"), rights.c.territory, rights.c.windows)
    .select_from(
        tracks.outerjoin(albums, albums.c.id == tracks.c.album_id).outerjoin(
            rights, rights.c.track_id == tracks.c.id
        )
    )
    .where(among(tracks.c.id))
    .order_by(rights.c.territory)
)
_OWN_FACES = and_(faces.c.rendition_id == renditions.c.id, faces.c.version == _FACES_VERSION)
_BRIEFLY = (
    select(
        track_renditions.c.track_id,
        renditions.c.id,
        faces.c.brief,
        case((faces.c.brief.is_(None), renditions.c.declaration)).label("declaration"),
    )
    .select_from(
        track_renditions.join(
            renditions, renditions.c.id == track_renditions.c.rendition_id
        ).outerjoin(faces, _OWN_FACES)
    )
    .where(among(track_renditions.c.track_id))
    .order_by(track_renditions.c.track_id, track_renditions.c.place)
)
FACES = select(faces.c.rendition_id, faces.c.face).where(
    among(faces.c.rendition_id), faces.c.version == _FACES_VERSION
)
_DECLARATIONS = select(renditions.c.declaration).where(among(renditions.c.id))
_ALBUM, _ORDER = tracks.c.album_id, (tracks.c.disc, tracks.c.number, tracks.c.id)
_NEIGHBOURS = select(
    tracks.c.id,
    func.lag(tracks.c.id).over(partition_by=_ALBUM, order_by=_ORDER),
    func.lead(tracks.c.id).over(partition_by=_ALBUM, order_by=_ORDER),
).where(among(_ALBUM), exists().where(track_renditions.c.track_id == tracks.c.id))


class Made(NamedTuple):
    """What had to be made of some tracks, to be kept for those who ask next."""

    cards: Sequence[dict[str, Any]]
    faces: Sequence[dict[str, Any]]


def read_briefs(
    connection: Connection,
    track_ids: Collection[TrackId],
    *,
    version: int,
    render: Callable[[Rendition], str],
) -> tuple[dict[TrackId, Brief], Made]:
    """Return some tracks briefly, and what had to be made for that: see keep_made."""
    found, missing = {}, []
    for track_id, card, published in connection.execute(_CARDS_WHOLE, {"ids": list(track_ids)}):
        if card is None:
            missing.append(track_id)
        else:
            found[TrackId(track_id)] = _CARD.decode(card).brief(_RENDITIONS.decode(published))
    if not missing:
        return found, Made((), ())
    rows = _read_rows(connection, missing)
    shown, made = _read_renditions(connection, missing, version=version, render=render)
    beside = _read_neighbours(connection, {row.album_id for row, *_ in rows.values()} - {None})
    new = []
    for track_id, (row, *more) in rows.items():
        before, after = beside.get(track_id, (None, None))
        track = make_track(row, _make_rights([row, *more]), tuple(shown.get(track_id, ())))
        found[TrackId(track_id)] = Brief(track=track, before=before, after=after)
        card = _Card(
            id=track.id,
            label=track.label,
            metadata=track.metadata,
            updated_at=track.updated_at,
            taken_down_at=track.taken_down_at,
            owner=track.owner,
            album_id=track.album_id,
            number=track.number,
            before=before,
            after=after,
            rungs=tuple(_rung(each) for each in track.renditions),
            shown=tuple((each.id, each.seconds) for each in track.renditions),
        )
        new.append(
            {
                "track_id": track_id,
                "version": _VERSION,
                "edition": row.edition,
                "album_edition": row.album_edition,
                "card": msgspec.json.encode(card).decode(),
                "renditions": msgspec.json.encode(track.renditions).decode(),
            }
        )
    return found, Made(new, made)


def _rung(rendition: Rendition) -> CardRung:
    tier = rendition.tier
    return CardRung(tier.codec, tier.bitrate_kbps, tier.hires, rendition.media_type)


def read_listed(connection: Connection, track_ids: Collection[TrackId]) -> dict[TrackId, Track]:
    """Return some tracks without renditions."""
    found: dict[TrackId, Track] = {}
    missing = []
    for track_id, card in connection.execute(CARDS, {"ids": list(track_ids)}).all():
        if card is None:
            missing.append(track_id)
        else:
            found[track_id] = LISTED.decode(card)
    for track_id, rows in _read_rows(connection, missing).items() if missing else ():
        found[TrackId(track_id)] = make_track(rows[0], _make_rights(rows), ())
    return found


def read_alike(connection: Connection, track_ids: Collection[TrackId]) -> dict[TrackId, Track]:
    """Return for each of some tracks one that may be used as it may, without renditions."""
    found: dict[TrackId, Track] = {}
    kinds: dict[tuple[Any, ...], Track] = {}
    missing = []
    for track_id, card in connection.execute(CARDS, {"ids": list(track_ids)}).all():
        if card is None:
            missing.append(track_id)
            continue
        said = _KIND.decode(card)
        kind = said.label, bytes(said.metadata.rights), said.taken_down_at, said.owner
        track = kinds.get(kind)
        if track is None:
            track = kinds[kind] = LISTED.decode(card)
        found[track_id] = track
    return found | read_listed(connection, missing) if missing else found


def read_faces(
    connection: Connection,
    rendition_ids: Collection[RenditionId],
    *,
    version: int,
    render: Callable[[Rendition], str],
) -> tuple[dict[RenditionId, str], Made]:
    """Return the faces of some renditions, and those that had to be made: see keep_made."""
    wanted = {"ids": list(rendition_ids), "version": version}
    found = {RenditionId(name): face for name, face in connection.execute(FACES, wanted)}
    missing = [each for each in rendition_ids if each not in found]
    if not missing:
        return found, Made((), ())
    made = []
    for declaration in connection.execute(_DECLARATIONS, {"ids": missing}).scalars():
        row = _make_face(RENDITION.validate_json(declaration), version, render)
        made.append(row)
        found[RenditionId(row["rendition_id"])] = row["face"]
    return found, Made((), made)


def keep_made(connection: Connection, made: Made) -> None:
    """Keep what had to be made, for those who ask next."""
    # In one order, so that none waits for another that waits for it.
    insert_all(connection, faces, sorted(made.faces, key=lambda row: str(row["rendition_id"])))
    if not made.cards:
        return
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    new = dialect.insert(cards)
    # Who made one of an older edition comes too late, or makes one that is never read.
    update = {name: new.excluded[name] for name in _DERIVED}
    insertion = new.on_conflict_do_update(index_elements=["track_id"], set_=update)
    connection.execute(insertion, sorted(made.cards, key=lambda row: str(row["track_id"])))


def make_track(row: Row[Any], licensed: Iterable[Right], published: tuple[Rendition, ...]) -> Track:
    """Return the track that a row of its table holds."""
    return Track(
        id=TrackId(row.id),
        label=row.label,
        metadata=Metadata(
            title=row.title,
            artist=row.artist,
            isrc=row.isrc if row.owner is None else None,
            rights=tuple(licensed),
            details=TRACK_DETAILS.validate_python(row.details or {}),
        ),
        renditions=published,
        updated_at=row.updated_at,
        taken_down_at=row.taken_down_at,
        owner=None if row.owner is None else AccountId(row.owner),
        album_id=None if row.album_id is None else AlbumId(row.album_id),
        number=row.number,
    )


def make_right(row: Row[Any]) -> Right:
    """Return the right that a row of its table holds."""
    windows = (Window(),) if row.windows is None else WINDOWS.validate_python(row.windows)
    return Right(territory=row.territory, windows=windows)


def _make_rights(rows: Iterable[Row[Any]]) -> list[Right]:
    return [make_right(row) for row in rows if row.territory is not None]


def _read_rows(connection: Connection, track_ids: Sequence[str]) -> Mapping[str, list[Row[Any]]]:
    """Return the rows of some tracks with one of their rights each, by track."""
    found: dict[str, list[Row[Any]]] = {}
    for row in connection.execute(_ROWS, {"ids": track_ids}):
        found.setdefault(row.id, []).append(row)
    return found


def _read_renditions(
    connection: Connection,
    track_ids: Sequence[str],
    *,
    version: int,
    render: Callable[[Rendition], str],
) -> tuple[Mapping[str, list[Rendition]], list[dict[str, Any]]]:
    """Return the renditions of some tracks without chunks, by track, and faces that were made."""
    found: dict[str, list[Rendition]] = {}
    made = {}
    wanted = {"ids": track_ids, "version": version}
    for track_id, rendition_id, brief, declaration in connection.execute(_BRIEFLY, wanted):
        if brief is None:
            face = _make_face(RENDITION.validate_json(declaration), version, render)
            brief, made[rendition_id] = face["brief"], face
        found.setdefault(track_id, []).append(RENDITION.validate_json(brief))
    return found, list(made.values())


def _make_face(
    rendition: Rendition, version: int, render: Callable[[Rendition], str]
) -> dict[str, Any]:
    return {
        "rendition_id": rendition.id,
        "version": version,
        "brief": RENDITION.dump_json(replace(rendition, chunks=())).decode(),
        "face": render(rendition),
    }


def _read_neighbours(
    connection: Connection, album_ids: Collection[str]
) -> Mapping[str, tuple[TrackId | None, TrackId | None]]:
    """Return what comes before and after each published track of some albums, by track."""
    if not album_ids:
        return {}
    rows = connection.execute(_NEIGHBOURS, {"ids": list(album_ids)})
    return {row[0]: (row[1], row[2]) for row in rows}
