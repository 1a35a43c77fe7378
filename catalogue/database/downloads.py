"""Downloads in SQL."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    and_,
    bindparam,
    func,
    insert,
    select,
    update,
)

from catalogue.database.among import among
from catalogue.database.content_keys import KEY_COLUMNS, build_key
from catalogue.database.engine import reading, writing
from catalogue.database.schema import content_keys, devices, download_tracks, downloads
from catalogue.errors import DeviceRevoked, DownloadNotFound, DownloadsFull
from catalogue.nouns import AccountId
from catalogue.offline import (
    ContentKeyId,
    DeviceId,
    Download,
    DownloadedTrack,
    DownloadId,
    DownloadKind,
    Standing,
    StoredContentKey,
)

_BATCH = 500
_THESE = among(download_tracks.c.content_key_id)
_TRACKS = (
    select(
        *KEY_COLUMNS,
        download_tracks.c.download_id,
        download_tracks.c.standing,
        download_tracks.c.code,
        download_tracks.c.licensed_until,
        download_tracks.c.generation,
        content_keys.c.sealed_bytes,
        content_keys.c.sealed_at.is_not(None).label("sealed"),
    )
    .join(content_keys, content_keys.c.id == download_tracks.c.content_key_id)
    .order_by(download_tracks.c.download_id, download_tracks.c.place)
)


_DEVICE = download_tracks.c.device_id == bindparam("device")
_KEPT = and_(_DEVICE, download_tracks.c.standing != Standing.REMOVED)
_KEYS = (
    select(*KEY_COLUMNS)
    .where(content_keys.c.id.in_(select(download_tracks.c.content_key_id).where(_KEPT)))
    .order_by(content_keys.c.id)
)
_JUDGED = select(download_tracks.c.content_key_id, download_tracks.c.code).where(_KEPT).distinct()
# Where nothing is taken away, as a rule nothing was, either.
_TAKEN = _JUDGED.where(download_tracks.c.code.is_not(None))
_TURNED = (
    update(download_tracks)
    .where(_KEPT, _THESE)
    .values(
        standing=bindparam("now_standing"),
        code=bindparam("now_code"),
        generation=bindparam("now_generation"),
    )
)
_LICENSED = update(download_tracks).where(_DEVICE, _THESE).values(licensed_until=bindparam("end"))
_LOCKED = (
    select(devices.c.generation)
    .where(devices.c.id == bindparam("device"), devices.c.revoked_at.is_(None))
    .with_for_update()
)


class SqlDownloads:
    """See catalogue.offline.Downloads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, download: Download, *, most: int, now: datetime) -> Download:
        """See Downloads.add."""
        device_id = download.device_id
        with writing(self._engine) as connection:
            generation = _next_generation(connection, device_id)
            held = _count(connection, device_id)
            if held + len(download.tracks) > most:
                raise DownloadsFull(
                    f"The device holds {held} tracks.",
                    held=held,
                    more=len(download.tracks),
                    most=most,
                )
            row = {
                "id": download.id,
                "account_id": download.account_id,
                "device_id": device_id,
                "kind": download.kind,
                "subject": download.subject,
                "title": download.title,
                "created_at": now,
            }
            connection.execute(insert(downloads).values(**row))
            rows = [
                {
                    "download_id": download.id,
                    "place": place,
                    "track_id": each.track_id,
                    "device_id": device_id,
                    "content_key_id": each.key.id,
                    "standing": Standing.ACTIVE,
                    "generation": generation,
                }
                for place, each in enumerate(download.tracks)
            ]
            connection.execute(insert(download_tracks), rows)
        return self.get(download.account_id, download.id)

    def of(self, account_id: AccountId, device_id: DeviceId | None = None) -> list[Download]:
        """See Downloads.of."""
        own = and_(downloads.c.account_id == account_id, downloads.c.removed_at.is_(None))
        if device_id is not None:
            own = and_(own, downloads.c.device_id == device_id)
        with reading(self._engine) as connection:
            return _read_downloads(connection, own)

    def get(self, account_id: AccountId, download_id: DownloadId) -> Download:
        """See Downloads.get."""
        with reading(self._engine) as connection:
            found = _read_downloads(connection, _own(account_id, download_id))
        if not found:
            raise _not_found(download_id)
        return found[0]

    def remove(self, account_id: AccountId, download_id: DownloadId, *, now: datetime) -> None:
        """See Downloads.remove."""
        own = _own(account_id, download_id)
        with writing(self._engine) as connection:
            device_id = connection.execute(select(downloads.c.device_id).where(own)).scalar()
            if device_id is None:
                raise _not_found(download_id)
            # The device first, as everywhere.
            generation = _next_generation(connection, device_id)
            gone = update(downloads).where(own).values(removed_at=now)
            if connection.execute(gone).rowcount != 1:
                raise _not_found(download_id)
            connection.execute(
                update(download_tracks)
                .where(download_tracks.c.download_id == download_id)
                .values(standing=Standing.REMOVED, generation=generation)
            )

    def count(self, device_id: DeviceId) -> int:
        """See Downloads.count."""
        with reading(self._engine) as connection:
            return _count(connection, device_id)

    def kept(
        self, device_id: DeviceId, *, only: Collection[ContentKeyId] | None = None
    ) -> list[StoredContentKey]:
        """See Downloads.kept."""
        query = _KEYS if only is None else _KEYS.where(content_keys.c.id.in_(only))
        with reading(self._engine) as connection:
            rows = connection.execute(query, {"device": device_id}).all()
        return [build_key(row) for row in rows]

    def changes(self, device_id: DeviceId, *, since: int) -> list[DownloadedTrack]:
        """See Downloads.changes."""
        changed = and_(
            download_tracks.c.device_id == device_id, download_tracks.c.generation > since
        )
        if not since:
            changed = and_(changed, download_tracks.c.standing != Standing.REMOVED)
        with reading(self._engine) as connection:
            return [_build_track(row) for row in connection.execute(_TRACKS.where(changed))]

    def judge(
        self,
        device_id: DeviceId,
        verdicts: Mapping[ContentKeyId, str | None],
        *,
        ends: Mapping[ContentKeyId, datetime] | None = None,
    ) -> int:
        """See Downloads.judge."""
        taken_away = any(said is not None for said in verdicts.values())
        with writing(self._engine) as connection:
            generation = _lock(connection, device_id)
            _note_ends(connection, device_id, ends or {})
            turned: dict[str | None, list[str]] = {}
            judged = _JUDGED if taken_away else _TAKEN
            for key, known in connection.execute(judged, {"device": device_id}):
                if key in verdicts and verdicts[key] != known:
                    turned.setdefault(verdicts[key], []).append(key)
            if not turned:
                return generation
            generation = _next_generation(connection, device_id)
            for said, ids in turned.items():
                told = {
                    "device": device_id,
                    "ids": ids,
                    "now_standing": Standing.ACTIVE if said is None else Standing.REVOKED,
                    "now_code": said,
                    "now_generation": generation,
                }
                connection.execute(_TURNED, told)
        return generation


def _note_ends(
    connection: Connection, device_id: str, ends: Mapping[ContentKeyId, datetime]
) -> None:
    by_end: dict[datetime, list[ContentKeyId]] = {}
    for key_id, end in ends.items():
        by_end.setdefault(end, []).append(key_id)
    for end, ids in by_end.items():
        connection.execute(_LICENSED, {"device": device_id, "ids": ids, "end": end})


def _lock(connection: Connection, device_id: str) -> int:
    """Return the generation of a device, which nobody else changes meanwhile."""
    generation = connection.execute(_LOCKED, {"device": device_id}).scalar()
    if generation is None:
        raise DeviceRevoked("It was removed.", device=device_id)
    return int(generation)


def _count(connection: Connection, device_id: str) -> int:
    has = and_(
        download_tracks.c.device_id == device_id,
        download_tracks.c.standing != Standing.REMOVED,
    )
    query = select(func.count()).select_from(download_tracks).where(has)
    return int(connection.execute(query).scalar_one())


def _next_generation(connection: Connection, device_id: str) -> int:
    """Return the next generation of a device, and lock it."""
    here = and_(devices.c.id == device_id, devices.c.revoked_at.is_(None))
    grown = update(devices).where(here).values(generation=devices.c.generation + 1)
    generation = connection.execute(grown.returning(devices.c.generation)).scalar()
    if generation is None:
        raise DeviceRevoked("It was removed.", device=device_id)
    return int(generation)


def _read_downloads(connection: Connection, own: ColumnElement[bool]) -> list[Download]:
    order = downloads.c.created_at, downloads.c.id
    rows = connection.execute(select(downloads).where(own).order_by(*order)).all()
    found: dict[str, list[DownloadedTrack]] = {row.id: [] for row in rows}
    # Those that were found, whatever has come or gone meanwhile.
    for start in range(0, len(rows), _BATCH):
        these = download_tracks.c.download_id.in_(list(found)[start : start + _BATCH])
        for row in connection.execute(_TRACKS.where(these)):
            found[row.download_id].append(_build_track(row))
    return [
        Download(
            id=DownloadId(row.id),
            account_id=AccountId(row.account_id),
            device_id=DeviceId(row.device_id),
            kind=DownloadKind(row.kind),
            subject=row.subject,
            title=row.title,
            created_at=row.created_at,
            tracks=tuple(found[row.id]),
        )
        for row in rows
    ]


def _build_track(row: Row[Any]) -> DownloadedTrack:
    key = build_key(row)
    return DownloadedTrack(
        download_id=DownloadId(row.download_id),
        track_id=key.track_id,
        key=key,
        sealed_bytes=row.sealed_bytes,
        sealed=bool(row.sealed),
        standing=Standing(row.standing),
        code=row.code,
        licensed_until=row.licensed_until,
        generation=row.generation,
    )


def _own(account_id: AccountId, download_id: DownloadId) -> ColumnElement[bool]:
    return and_(
        downloads.c.id == download_id,
        downloads.c.account_id == account_id,
        downloads.c.removed_at.is_(None),
    )


def _not_found(download_id: DownloadId) -> DownloadNotFound:
    return DownloadNotFound("The account has no such download.", download=str(download_id)[:60])
