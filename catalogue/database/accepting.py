"""Taking in what a label says of a track, and the master that comes with it, in one transaction.

Whoever takes several in claims all of their tracks first, in the order of their ISRCs: so none
waits for another that waits for it.
"""

import base64
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, select, update

from catalogue.auditing import Deed, Detail, record
from catalogue.database.announcing import announce_album, announce_track
from catalogue.database.audits import keep
from catalogue.database.briefs import ALBUM_DETAILS, TRACK_DETAILS, WINDOWS, make_right
from catalogue.database.engine import insert_new
from catalogue.database.noticing import note_change
from catalogue.database.schema import albums, deliveries, jobs, masters, rights, tracks
from catalogue.nouns import (
    AccountId,
    AlbumDetails,
    AlbumSaid,
    Delivery,
    JobId,
    JobState,
    Metadata,
    Right,
    Sha256,
    TrackDetails,
    TrackId,
    WorkQueue,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What is said of a track by its ``label``; ``track_id`` is for one that there is not yet."""

    label: str
    isrc: str
    track_id: TrackId
    metadata: Metadata
    now: datetime
    owner: AccountId | None = None


def enter_delivery(delivery: Delivery, metadata: Metadata) -> Entry:
    """Return what is said of a track with a delivery."""
    return Entry(
        label=delivery.label,
        isrc=metadata.isrc or _name_file(delivery.master_sha256),
        track_id=delivery.track_id,
        metadata=metadata,
        now=delivery.created_at,
        owner=delivery.owner,
    )


def claim_tracks(connection: Connection, entries: Iterable[Entry]) -> None:
    """Make the tracks that there are not yet, and let nobody else change any of them meanwhile."""
    for entry in sorted(entries, key=lambda each: each.isrc):
        row = {
            "id": entry.track_id,
            "label": entry.label,
            "isrc": entry.isrc,
            "owner": entry.owner,
            "title": entry.metadata.title,
            "artist": entry.metadata.artist,
            "updated_at": entry.now,
        }
        insert_new(connection, tracks, row)
        connection.execute(select(tracks.c.id).where(_named(entry)).with_for_update())


def keep_track(connection: Connection, entry: Entry) -> TrackId:
    """Bring a track that was claimed up to date with what is said of it; return its id."""
    metadata, album = entry.metadata, entry.metadata.album
    known = select(tracks.c.id, tracks.c.album_id).where(_named(entry))
    track_id, left = connection.execute(known).one()
    said: dict[str, Any] = {
        "title": metadata.title,
        "artist": metadata.artist,
        "updated_at": entry.now,
        "album_id": None if album is None else _keep_album(connection, entry, album),
        "disc": None if album is None else album.disc,
        "number": None if album is None else album.number,
    }
    if metadata.details != TrackDetails():
        said["details"] = TRACK_DETAILS.dump_python(metadata.details, mode="json")
    connection.execute(update(tracks).where(_named(entry)).values(**said))
    announce_track(connection, track_id)
    for album_id in sorted({str(each) for each in (left, said["album_id"]) if each is not None}):
        announce_album(connection, album_id)
    _keep_rights(connection, track_id, entry)
    return TrackId(track_id)


def keep_delivery(
    connection: Connection, delivery: Delivery, track_id: TrackId, job_id: JobId
) -> None:
    """Remember a delivery and the job that presses its master."""
    now = delivery.created_at
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
    note_change(connection, job_id)


def _named(entry: Entry) -> Any:
    return and_(tracks.c.label == entry.label, tracks.c.isrc == entry.isrc)


def _queue_for(connection: Connection, delivery: Delivery) -> WorkQueue:
    pressed = select(masters.c.sha256).where(masters.c.sha256 == delivery.master_sha256)
    return delivery.queue if connection.execute(pressed).first() is None else WorkQueue.LIGHT


def _keep_rights(connection: Connection, track_id: str, entry: Entry) -> None:
    licensed = entry.metadata.rights
    before = read_rights(connection, [track_id])[track_id]
    if before != sorted(licensed, key=lambda right: right.territory):
        told: dict[str, Detail] = {
            "before": _write_rights(before),
            "after": _write_rights(licensed),
        }
        keep(connection, record(Deed.RIGHTS_SET, track_id, now=entry.now, **told))
    connection.execute(delete(rights).where(rights.c.track_id == track_id))
    rows = [
        {
            "track_id": track_id,
            "territory": right.territory,
            "windows": WINDOWS.dump_python(right.windows, mode="json"),
        }
        for right in licensed
    ]
    connection.execute(insert(rights), rows)


def _keep_album(connection: Connection, entry: Entry, said: AlbumSaid) -> str:
    """Make the album that a track is on, or bring it up to date; return its id."""
    # Like the track, it is new unless the label named it before.
    album_id = entry.track_id.replace("trk_", "alb_", 1)
    named = (albums.c.label == entry.label) & (albums.c.upc == said.upc)
    row = {"id": album_id, "label": entry.label, "upc": said.upc, "title": said.title}
    insert_new(connection, albums, row)
    values: dict[str, Any] = {"title": said.title}
    if said.details != AlbumDetails():
        values["details"] = ALBUM_DETAILS.dump_python(said.details, mode="json")
    connection.execute(update(albums).where(named).values(**values))
    return str(connection.execute(select(albums.c.id).where(named)).scalar_one())


def _name_file(master_sha256: Sha256) -> str:
    """Return what stands in the place of an ISRC where an owner's file has none: 60 bits of it."""
    digest = bytes.fromhex(master_sha256[:16])
    return base64.b32encode(digest)[:12].decode()


def read_rights(connection: Connection, track_ids: Collection[str]) -> dict[str, list[Right]]:
    """Return the rights of some tracks."""
    query = select(rights).where(rights.c.track_id.in_(track_ids))
    found: dict[str, list[Right]] = {track_id: [] for track_id in track_ids}
    for row in connection.execute(query.order_by(rights.c.territory)):
        found[row.track_id].append(make_right(row))
    return found


def _write_rights(licensed: Iterable[Right]) -> list[str]:
    """Return rights as the audit trail tells them: a territory, and its windows in JSON."""
    return [f"{right.territory} {WINDOWS.dump_json(right.windows).decode()}" for right in licensed]
