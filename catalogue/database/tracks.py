"""Tracks, deliveries and renditions in SQL."""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    Connection,
    Engine,
    Row,
    and_,
    exists,
    or_,
    select,
    update,
)

from catalogue.auditing import Deed, record
from catalogue.database.accepting import (
    claim_tracks,
    enter_delivery,
    keep_delivery,
    keep_track,
    read_rights,
)
from catalogue.database.announcing import announce_track
from catalogue.database.audits import keep
from catalogue.database.briefs import (
    ALBUM_DETAILS,
    RENDITION,
    Made,
    keep_made,
    make_track,
    read_alike,
    read_briefs,
    read_faces,
    read_listed,
)
from catalogue.database.engine import reading, writing
from catalogue.database.jobs import read_job
from catalogue.database.schema import (
    albums,
    features,
    masters,
    renditions,
    track_renditions,
    tracks,
)
from catalogue.errors import AlbumNotFound, TrackNotFound
from catalogue.nouns import (
    Album,
    AlbumId,
    Delivery,
    Features,
    Job,
    JobId,
    Metadata,
    Rendition,
    RenditionId,
    Sha256,
    Track,
    TrackId,
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
        with writing(self._engine) as connection:
            entry = enter_delivery(delivery, metadata)
            claim_tracks(connection, [entry])
            track_id = keep_track(connection, entry)
            keep_delivery(connection, delivery, track_id, job_id)
            return read_job(connection, job_id)

    def named(self, label: str, isrcs: Collection[str]) -> dict[str, TrackId]:
        """See Tracks.named."""
        own = and_(tracks.c.label == label, tracks.c.isrc.in_(isrcs))
        with reading(self._engine) as connection:
            rows = connection.execute(select(tracks.c.isrc, tracks.c.id).where(own))
            return {row.isrc: TrackId(row.id) for row in rows}

    def on_albums(self, label: str, upcs: Collection[str]) -> list[TrackId]:
        """See Tracks.on_albums."""
        own = and_(albums.c.label == label, albums.c.upc.in_(upcs))
        on_them = select(tracks.c.id).join(albums, albums.c.id == tracks.c.album_id).where(own)
        with reading(self._engine) as connection:
            return [TrackId(each) for each in connection.execute(on_them).scalars()]

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

    def alike(self, track_ids: Collection[TrackId]) -> dict[TrackId, Track]:
        """See Tracks.alike."""
        with reading(self._engine) as connection:
            return read_alike(connection, track_ids)

    def album(self, album_id: AlbumId) -> Album:
        """See Tracks.album."""
        published = exists().where(track_renditions.c.track_id == tracks.c.id)
        on_it = select(tracks).where(tracks.c.album_id == album_id, published)
        with reading(self._engine) as connection:
            row = connection.execute(select(albums).where(albums.c.id == album_id)).first()
            found = connection.execute(on_it.order_by(*_IN_ORDER)).all()
            if row is None or not found:
                raise AlbumNotFound("No album has this id.", album=str(album_id)[:60])
            licensed = read_rights(connection, [each.id for each in found])
        return Album(
            id=AlbumId(row.id),
            label=row.label,
            upc=row.upc,
            title=row.title,
            details=ALBUM_DETAILS.validate_python(row.details or {}),
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
        heard = (
            select(track_renditions.c.track_id, renditions.c.master_sha256)
            .join(renditions, renditions.c.id == track_renditions.c.rendition_id)
            .where(renditions.c.master_sha256.in_(masters))
            .distinct()
            .subquery()
        )
        query = (
            select(tracks, heard.c.master_sha256)
            .join(heard, heard.c.track_id == tracks.c.id)
            .where(tracks.c.owner.is_(None))
            .order_by(tracks.c.id)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
            licensed = read_rights(connection, [row.id for row in rows])
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
    return make_track(row, read_rights(connection, [row.id])[row.id], published)
