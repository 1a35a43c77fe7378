"""Tracks, deliveries and renditions in SQL."""

import base64
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    Connection,
    Engine,
    Row,
    and_,
    delete,
    exists,
    insert,
    or_,
    select,
    update,
)

from catalogue.auditing import Deed, Detail, record
from catalogue.database.announcing import announce_album, announce_track
from catalogue.database.audits import keep
from catalogue.database.briefs import (
    RENDITION,
    WINDOWS,
    Made,
    keep_made,
    make_right,
    make_track,
    read_briefs,
    read_faces,
    read_listed,
)
from catalogue.database.engine import insert_new, reading, writing
from catalogue.database.jobs import read_job
from catalogue.database.schema import (
    albums,
    deliveries,
    features,
    jobs,
    masters,
    renditions,
    rights,
    track_renditions,
    tracks,
)
from catalogue.errors import AlbumNotFound, TrackNotFound
from catalogue.nouns import (
    Album,
    AlbumId,
    AlbumSaid,
    Delivery,
    Features,
    Job,
    JobId,
    JobState,
    Metadata,
    Rendition,
    RenditionId,
    Right,
    Sha256,
    Track,
    TrackId,
    WorkQueue,
)
from catalogue.port import Brief, HeardMaster

_FEATURES = TypeAdapter(Features)
_IN_ORDER = tracks.c.disc, tracks.c.number, tracks.c.id
# The beats are most of what is kept, and not needed to compare.
_COMPARED = select(
    features.c.master_sha256,
    features.c.created_at,
    *(
        features.c.heard[name].label(name)
        for name in ("tempo_bpm", "energy", "valence", "danceability", "vector")
    ),
)


class SqlTracks:
    """See catalogue.port.Tracks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def accept(self, delivery: Delivery, metadata: Metadata, job_id: JobId) -> Job:
        """See Tracks.accept."""
        now = delivery.created_at
        with writing(self._engine) as connection:
            track_id = _keep_track(connection, delivery, metadata)
            connection.execute(
                insert(deliveries).values(
                    id=delivery.id,
                    label=delivery.label,
                    track_id=track_id,
                    master_sha256=delivery.master_sha256,
                    filename=delivery.filename,
                    size_bytes=delivery.size_bytes,
                    created_at=now,
                    queue=delivery.queue,
                    owner=delivery.owner,
                )
            )
            connection.execute(
                insert(jobs).values(
                    id=job_id,
                    delivery_id=delivery.id,
                    track_id=track_id,
                    queue=_queue_for(connection, delivery),
                    state=JobState.QUEUED,
                    stage="wait",
                    percent=0,
                    attempts=0,
                    silences=0,
                    due_at=now,
                    created_at=now,
                    updated_at=now,
                )
            )
            return read_job(connection, job_id)

    def get(self, track_id: TrackId) -> Track:
        """See Tracks.get."""
        with reading(self._engine) as connection:
            row = connection.execute(select(tracks).where(tracks.c.id == track_id)).first()
            if row is None:
                raise _not_found(track_id)
            chosen = (
                select(renditions.c.declaration)
                .join(track_renditions, track_renditions.c.rendition_id == renditions.c.id)
                .where(track_renditions.c.track_id == track_id)
                .order_by(track_renditions.c.place)
            )
            declared = connection.execute(chosen).scalars().all()
            return _build_track(
                connection, row, tuple(RENDITION.validate_json(text) for text in declared)
            )

    def briefs(
        self,
        track_ids: Collection[TrackId],
        *,
        version: int,
        render: Callable[[Rendition], str],
    ) -> dict[TrackId, Brief]:
        """See Tracks.briefs."""
        with reading(self._engine) as connection:
            found, made = read_briefs(connection, track_ids, version=version, render=render)
        self._keep(made)
        return found

    def faces(
        self,
        rendition_ids: Collection[RenditionId],
        *,
        version: int,
        render: Callable[[Rendition], str],
    ) -> dict[RenditionId, str]:
        """See Tracks.faces."""
        with reading(self._engine) as connection:
            found, made = read_faces(connection, rendition_ids, version=version, render=render)
        self._keep(made)
        return found

    def _keep(self, made: Made) -> None:
        if made.cards or made.faces:
            with writing(self._engine) as connection:
                keep_made(connection, made)

    def listed(self, track_ids: Collection[TrackId]) -> dict[TrackId, Track]:
        """See Tracks.listed."""
        with reading(self._engine) as connection:
            return read_listed(connection, track_ids)

    def album(self, album_id: AlbumId) -> Album:
        """See Tracks.album."""
        published = exists().where(track_renditions.c.track_id == tracks.c.id)
        on_it = select(tracks).where(tracks.c.album_id == album_id, published)
        with reading(self._engine) as connection:
            row = connection.execute(select(albums).where(albums.c.id == album_id)).first()
            found = connection.execute(on_it.order_by(*_IN_ORDER)).all()
            if row is None or not found:
                raise AlbumNotFound("No album has this id.", album=str(album_id)[:60])
            licensed = _read_rights(connection, [each.id for each in found])
        return Album(
            id=AlbumId(row.id),
            label=row.label,
            upc=row.upc,
            title=row.title,
            tracks=tuple(make_track(each, licensed[each.id], ()) for each in found),
        )

    def neighbours(self, track: Track) -> tuple[TrackId | None, TrackId | None]:
        """See Tracks.neighbours."""
        if track.album_id is None:
            return None, None
        published = exists().where(track_renditions.c.track_id == tracks.c.id)
        on_it = select(tracks.c.id).where(tracks.c.album_id == track.album_id, published)
        with reading(self._engine) as connection:
            ids = list(connection.execute(on_it.order_by(*_IN_ORDER)).scalars())
        if track.id not in ids:
            return None, None
        place = ids.index(track.id)
        before = TrackId(ids[place - 1]) if place else None
        return before, TrackId(ids[place + 1]) if place + 1 < len(ids) else None

    def take_down(self, track_id: TrackId, *, since: datetime | None, now: datetime) -> None:
        """See Tracks.take_down."""
        own = update(tracks).where(tracks.c.id == track_id)
        with writing(self._engine) as connection:
            if connection.execute(own.values(taken_down_at=since)).rowcount != 1:
                raise _not_found(track_id)
            announce_track(connection, track_id)
            if since is None:
                keep(connection, record(Deed.RESTORED, track_id, now=now))
            else:
                taken = record(Deed.TAKEN_DOWN, track_id, now=now, since=since.isoformat())
                keep(connection, taken)

    def features(self, track_id: TrackId) -> Features | None:
        """See Tracks.features."""
        heard = (
            select(features.c.heard)
            .join(renditions, renditions.c.master_sha256 == features.c.master_sha256)
            .join(track_renditions, track_renditions.c.rendition_id == renditions.c.id)
            .where(track_renditions.c.track_id == track_id)
            .limit(1)
        )
        with reading(self._engine) as connection:
            if connection.execute(select(tracks.c.id).where(tracks.c.id == track_id)).first():
                found = connection.execute(heard).scalar()
                return None if found is None else _FEATURES.validate_python(found)
        raise _not_found(track_id)

    def master_of(self, track_id: TrackId) -> Sha256 | None:
        """See Tracks.master_of."""
        query = (
            select(renditions.c.master_sha256)
            .join(track_renditions, track_renditions.c.rendition_id == renditions.c.id)
            .where(track_renditions.c.track_id == track_id)
            .limit(1)
        )
        with reading(self._engine) as connection:
            found = connection.execute(query).scalar()
        return None if found is None else Sha256(found)

    def heard_since(
        self, recipe: str, *, since: datetime, after: str, limit: int
    ) -> list[HeardMaster]:
        """See Tracks.heard_since."""
        at, own = features.c.created_at, features.c.master_sha256
        later = or_(at > since, and_(at == since, own > after))
        public = _COMPARED.join(masters, masters.c.sha256 == own).where(masters.c.public)
        query = public.where(features.c.recipe == recipe, later)
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(at, own).limit(limit))
            return [_build_heard(row) for row in rows]

    def compared(self, masters: Collection[Sha256]) -> list[HeardMaster]:
        """See Tracks.compared."""
        query = _COMPARED.where(features.c.master_sha256.in_(masters))
        with reading(self._engine) as connection:
            return [_build_heard(row) for row in connection.execute(query)]

    def heard_from(self, masters: Collection[Sha256]) -> list[tuple[Sha256, Track]]:
        """See Tracks.heard_from."""
        query = (
            select(tracks, renditions.c.master_sha256)
            .join(track_renditions, track_renditions.c.track_id == tracks.c.id)
            .join(renditions, renditions.c.id == track_renditions.c.rendition_id)
            .where(renditions.c.master_sha256.in_(masters), tracks.c.owner.is_(None))
            .distinct()
            .order_by(tracks.c.id)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
            licensed = _read_rights(connection, [row.id for row in rows])
            return [
                (Sha256(row.master_sha256), make_track(row, licensed.get(row.id, []), ()))
                for row in rows
            ]

    def page(self, *, after: str, limit: int) -> list[Track]:
        """See Tracks.page."""
        published = exists().where(track_renditions.c.track_id == tracks.c.id)
        query = select(tracks).where(tracks.c.id > after, tracks.c.owner.is_(None), published)
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(tracks.c.id).limit(limit)).all()
            return [_build_track(connection, row, ()) for row in rows]

    def rendition(self, rendition_id: RenditionId) -> Rendition | None:
        """See Tracks.rendition."""
        query = select(renditions.c.declaration).where(renditions.c.id == rendition_id)
        with reading(self._engine) as connection:
            text = connection.execute(query).scalar()
        return None if text is None else RENDITION.validate_json(text)


def _not_found(track_id: TrackId) -> TrackNotFound:
    return TrackNotFound("No track has this id.", track=str(track_id)[:60])


def _queue_for(connection: Connection, delivery: Delivery) -> WorkQueue:
    pressed = select(masters.c.sha256).where(masters.c.sha256 == delivery.master_sha256)
    return delivery.queue if connection.execute(pressed).first() is None else WorkQueue.LIGHT


def _keep_track(connection: Connection, delivery: Delivery, metadata: Metadata) -> TrackId:
    """Make the delivery's track, or bring the one with its ISRC up to date; return its id."""
    album = metadata.album
    isrc = metadata.isrc or _name_file(delivery.master_sha256)
    named = (tracks.c.label == delivery.label) & (tracks.c.isrc == isrc)
    name = {"label": delivery.label, "isrc": isrc, "owner": delivery.owner}
    said = {"title": metadata.title, "artist": metadata.artist, "updated_at": delivery.created_at}
    insert_new(connection, tracks, {"id": delivery.track_id} | name | said)
    known = select(tracks.c.id, tracks.c.album_id).where(named).with_for_update()
    track_id, left = connection.execute(known).one()
    place = {
        "album_id": None if album is None else _keep_album(connection, delivery, album),
        "disc": None if album is None else album.disc,
        "number": None if album is None else album.number,
    }
    connection.execute(update(tracks).where(named).values(**said, **place))
    announce_track(connection, track_id)
    for album_id in sorted({str(each) for each in (left, place["album_id"]) if each is not None}):
        announce_album(connection, album_id)
    before = _read_rights(connection, [track_id])[track_id]
    if before != sorted(metadata.rights, key=lambda right: right.territory):
        told: dict[str, Detail] = {
            "before": _write_rights(before),
            "after": _write_rights(metadata.rights),
        }
        entry = record(Deed.RIGHTS_SET, track_id, now=delivery.created_at, **told)
        keep(connection, entry)
    connection.execute(delete(rights).where(rights.c.track_id == track_id))
    rows = [
        {
            "track_id": track_id,
            "territory": right.territory,
            "windows": WINDOWS.dump_python(right.windows, mode="json"),
        }
        for right in metadata.rights
    ]
    connection.execute(insert(rights), rows)
    return TrackId(track_id)


def _keep_album(connection: Connection, delivery: Delivery, said: AlbumSaid) -> str:
    """Make the album that a delivery is on, or bring it up to date; return its id."""
    # Like the delivery's track, it is new unless the label named it before.
    album_id = delivery.track_id.replace("trk_", "alb_", 1)
    named = (albums.c.label == delivery.label) & (albums.c.upc == said.upc)
    row = {"id": album_id, "label": delivery.label, "upc": said.upc, "title": said.title}
    insert_new(connection, albums, row)
    connection.execute(update(albums).where(named).values(title=said.title))
    return str(connection.execute(select(albums.c.id).where(named)).scalar_one())


def _name_file(master_sha256: Sha256) -> str:
    """Return what stands in the place of an ISRC where an owner's file has none: 60 bits of it."""
    digest = bytes.fromhex(master_sha256[:16])
    return base64.b32encode(digest)[:12].decode()


def _build_heard(row: Row[Any]) -> HeardMaster:
    return HeardMaster(
        master_sha256=Sha256(row.master_sha256),
        heard_at=row.created_at,
        tempo_bpm=row.tempo_bpm,
        energy=row.energy,
        valence=row.valence,
        danceability=row.danceability,
        vector=tuple(row.vector),
    )


def _build_track(connection: Connection, row: Row[Any], published: tuple[Rendition, ...]) -> Track:
    return make_track(row, _read_rights(connection, [row.id])[row.id], published)


def _read_rights(connection: Connection, track_ids: Collection[str]) -> dict[str, list[Right]]:
    """Return the rights of some tracks."""
    query = select(rights).where(rights.c.track_id.in_(track_ids))
    found: dict[str, list[Right]] = {track_id: [] for track_id in track_ids}
    for row in connection.execute(query.order_by(rights.c.territory)):
        found[row.track_id].append(make_right(row))
    return found


def _write_rights(licensed: Iterable[Right]) -> list[str]:
    """Return rights as the audit trail tells them: a territory, and its windows in JSON."""
    return [f"{right.territory} {WINDOWS.dump_json(right.windows).decode()}" for right in licensed]
