"""Shipments in SQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select

from catalogue.database.accepting import Entry, claim_tracks, keep_delivery, keep_track
from catalogue.database.engine import reading, writing
from catalogue.database.jobs import build_job
from catalogue.database.schema import deliveries, jobs, shipment_tracks, shipments, tracks
from catalogue.errors import DeliveryNotFound, TrackNotFound
from catalogue.nouns import DeliveryId, JobId, Shipment, ShippedTrack, TrackId
from catalogue.port import Parcel


class SqlShipments:
    """See catalogue.port.Shipments."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def accept(
        self,
        shipment_id: DeliveryId,
        label: str,
        parcels: Sequence[Parcel],
        *,
        warnings: Sequence[tuple[str, str]],
        now: datetime,
    ) -> Shipment:
        """See Shipments.accept."""
        entries = [_enter(label, parcel, now) for parcel in parcels]
        with writing(self._engine) as connection:
            alone = [
                entry.isrc
                for entry, parcel in zip(entries, parcels, strict=True)
                if parcel.delivery is None
            ]
            _require_known(connection, label, alone)
            connection.execute(
                insert(shipments).values(
                    id=shipment_id,
                    label=label,
                    created_at=now,
                    warnings=[list(each) for each in warnings],
                )
            )
            claim_tracks(connection, entries)
            for place, (entry, parcel) in enumerate(zip(entries, parcels, strict=True)):
                track_id = keep_track(connection, entry)
                if parcel.delivery is not None:
                    assert parcel.job_id is not None
                    keep_delivery(connection, parcel.delivery, track_id, parcel.job_id)
                connection.execute(
                    insert(shipment_tracks).values(
                        shipment_id=shipment_id,
                        place=place,
                        track_id=track_id,
                        isrc=entry.isrc,
                        title=entry.metadata.title,
                        job_id=parcel.job_id,
                    )
                )
            return _read(connection, [shipment_id])[0]

    def get(self, shipment_id: DeliveryId, *, label: str | None) -> Shipment:
        """See Shipments.get."""
        with reading(self._engine) as connection:
            found = _read(connection, [shipment_id])
        if not found or label not in (None, found[0].label):
            raise DeliveryNotFound("No delivery has this id.", delivery=shipment_id[:60])
        return found[0]

    def page(self, *, label: str | None, after: str, limit: int) -> list[Shipment]:
        """See Shipments.page."""
        query = select(shipments.c.id).where(shipments.c.id > after).order_by(shipments.c.id)
        if label is not None:
            query = query.where(shipments.c.label == label)
        with reading(self._engine) as connection:
            ids = list(connection.execute(query.limit(limit)).scalars())
            return _read(connection, ids)


def _enter(label: str, parcel: Parcel, now: datetime) -> Entry:
    assert parcel.metadata.isrc is not None, "a label names its recordings"
    return Entry(
        label=label,
        isrc=parcel.metadata.isrc,
        track_id=parcel.track_id,
        metadata=parcel.metadata,
        now=now,
    )


def _require_known(connection: Connection, label: str, isrcs: Sequence[str]) -> None:
    query = select(tracks.c.isrc).where(tracks.c.label == label, tracks.c.isrc.in_(isrcs))
    known = set(connection.execute(query).scalars())
    for isrc in isrcs:
        if isrc not in known:
            raise TrackNotFound("The label has delivered no master with this ISRC.", isrc=isrc)


def _read(connection: Connection, ids: Sequence[str]) -> list[Shipment]:
    """Return some shipments, by id."""
    whole = select(shipments).where(shipments.c.id.in_(ids)).order_by(shipments.c.id)
    rows = connection.execute(whole).all()
    on_it = (
        select(shipment_tracks, deliveries.c.filename)
        .select_from(
            shipment_tracks.outerjoin(jobs, jobs.c.id == shipment_tracks.c.job_id).outerjoin(
                deliveries, deliveries.c.id == jobs.c.delivery_id
            )
        )
        .where(shipment_tracks.c.shipment_id.in_(ids))
        .order_by(shipment_tracks.c.shipment_id, shipment_tracks.c.place)
    )
    shipped: dict[str, list[Row[Any]]] = {row.id: [] for row in rows}
    for row in connection.execute(on_it):
        shipped[row.shipment_id].append(row)
    own = (
        select(jobs)
        .join(shipment_tracks, shipment_tracks.c.job_id == jobs.c.id)
        .where(shipment_tracks.c.shipment_id.in_(ids))
    )
    pressing = {JobId(row.id): build_job(row) for row in connection.execute(own)}
    return [
        Shipment(
            id=DeliveryId(row.id),
            label=row.label,
            created_at=row.created_at,
            warnings=tuple((pointer, said) for pointer, said in row.warnings),
            tracks=tuple(
                ShippedTrack(
                    track_id=TrackId(each.track_id),
                    isrc=each.isrc,
                    title=each.title,
                    filename=each.filename,
                    job=None if each.job_id is None else pressing[each.job_id],
                )
                for each in shipped[row.id]
            ),
        )
        for row in rows
    ]
