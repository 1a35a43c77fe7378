"""Many tracks at once, as briefly as manifests need them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import BindParameter, Connection, Row, and_, bindparam, case, exists, func, select

from catalogue.database.engine import insert_new
from catalogue.database.schema import faces, renditions, rights, track_renditions, tracks
from catalogue.nouns import Rendition, TrackId
from catalogue.port import Face

RENDITION = TypeAdapter(Rendition)

# Written once: to build them takes longer than to run them.
_IDS: BindParameter[str] = bindparam("ids", expanding=True)
_VERSION: BindParameter[int] = bindparam("version")
_ROWS = (
    select(tracks, rights.c.territory, rights.c.windows)
    .select_from(tracks.outerjoin(rights, rights.c.track_id == tracks.c.id))
    .where(tracks.c.id.in_(_IDS))
    .order_by(rights.c.territory)
)
_FACES = (
    select(
        track_renditions.c.track_id,
        faces.c.brief,
        faces.c.face,
        case((faces.c.brief.is_(None), renditions.c.declaration)).label("declaration"),
    )
    .select_from(
        track_renditions.join(
            renditions, renditions.c.id == track_renditions.c.rendition_id
        ).outerjoin(
            faces, and_(faces.c.rendition_id == renditions.c.id, faces.c.version == _VERSION)
        )
    )
    .where(track_renditions.c.track_id.in_(_IDS))
    .order_by(track_renditions.c.track_id, track_renditions.c.place)
)
_ALBUM, _ORDER = tracks.c.album_id, (tracks.c.disc, tracks.c.number, tracks.c.id)
_NEIGHBOURS = select(
    tracks.c.id,
    func.lag(tracks.c.id).over(partition_by=_ALBUM, order_by=_ORDER),
    func.lead(tracks.c.id).over(partition_by=_ALBUM, order_by=_ORDER),
).where(_ALBUM.in_(_IDS), exists().where(track_renditions.c.track_id == tracks.c.id))


def read_rows(
    connection: Connection, track_ids: Collection[TrackId]
) -> Mapping[str, list[Row[Any]]]:
    """Return the rows of some tracks with one of their rights each, by track."""
    found: dict[str, list[Row[Any]]] = {}
    for row in connection.execute(_ROWS, {"ids": list(track_ids)}):
        found.setdefault(row.id, []).append(row)
    return found


def read_faces(
    connection: Connection,
    track_ids: Collection[TrackId],
    *,
    version: int,
    render: Callable[[Rendition], str],
) -> tuple[Mapping[str, list[Face]], list[Face]]:
    """Return the faces of some tracks' renditions, by track, and which of them had to be made."""
    found: dict[str, list[Face]] = {}
    made = []
    wanted = {"ids": list(track_ids), "version": version}
    for track_id, brief, text, declaration in connection.execute(_FACES, wanted):
        if brief is None:
            whole = RENDITION.validate_json(declaration)
            face = Face(rendition=replace(whole, chunks=()), text=render(whole))
            made.append(face)
        else:
            face = Face(rendition=RENDITION.validate_json(brief), text=text)
        found.setdefault(track_id, []).append(face)
    return found, made


def keep_faces(connection: Connection, made: Collection[Face], *, version: int) -> None:
    """Remember faces that were made, for those who ask next."""
    for face in made:
        row = {
            "rendition_id": face.rendition.id,
            "version": version,
            "brief": RENDITION.dump_json(face.rendition).decode(),
            "face": face.text,
        }
        insert_new(connection, faces, row)


def read_neighbours(
    connection: Connection, album_ids: Collection[str]
) -> Mapping[str, tuple[TrackId | None, TrackId | None]]:
    """Return what comes before and after each published track of some albums, by track."""
    if not album_ids:
        return {}
    rows = connection.execute(_NEIGHBOURS, {"ids": list(album_ids)})
    return {row[0]: (row[1], row[2]) for row in rows}
