"""Content keys in SQL, and how far what they seal is sealed."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, and_, bindparam, select, tuple_, update

from catalogue.database.engine import insert_new, reading, writing
from catalogue.database.schema import content_keys
from catalogue.nouns import Quality, RenditionId, TrackId
from catalogue.offline import ContentKeyId, DeviceId, Form, StoredContentKey

KEY_COLUMNS = [
    content_keys.c[name]
    for name in (
        "id",
        "track_id",
        "rendition_id",
        "tier",
        "quality",
        "owner",
        "kek",
        "wrapped",
        "count",
        "size_bytes",
    )
]
"""What of a row build_key needs."""

_BATCH = 500
_QUALITIES = {int(each): each for each in Quality}
# What is said of none is sealed.
_FORMS = {"": Form.SEALED, **{form.value: form for form in Form}}
_REWRAPPED = update(content_keys).where(content_keys.c.id == bindparam("key_id"))


class SqlContentKeys:
    """See catalogue.offline.ContentKeys."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keys(
        self, wanted: Sequence[StoredContentKey], *, now: datetime
    ) -> Mapping[tuple[TrackId, RenditionId], StoredContentKey]:
        """See ContentKeys.keys."""
        found: dict[tuple[TrackId, RenditionId], StoredContentKey] = {}
        # In one order for all, so that no two wait for each other.
        ordered = sorted(wanted, key=_place)
        with writing(self._engine) as connection:
            for start in range(0, len(ordered), _BATCH):
                batch = {_place(key): key for key in ordered[start : start + _BATCH]}
                known = _read_keys(connection, batch)
                for place, key in batch.items():
                    if place not in known:
                        insert_new(connection, content_keys, _columns(key) | _waiting(now))
                # Of two that make one at once, the first one's is there.
                found |= _by_rendition(_read_keys(connection, batch))
        return found

    def due(self, *, now: datetime, limit: int) -> list[ContentKeyId]:
        """See ContentKeys.due."""
        at = content_keys.c.due_at
        query = select(content_keys.c.id).where(at <= now).order_by(at, content_keys.c.id)
        with reading(self._engine) as connection:
            return [ContentKeyId(each) for each in connection.execute(query.limit(limit)).scalars()]

    def claim(
        self, key_id: ContentKeyId, *, now: datetime, until: datetime
    ) -> StoredContentKey | None:
        """See ContentKeys.claim."""
        free = and_(content_keys.c.id == key_id, content_keys.c.due_at <= now)
        with writing(self._engine) as connection:
            taken = update(content_keys).where(free).values(due_at=until)
            row = connection.execute(taken.returning(*KEY_COLUMNS)).first()
        return None if row is None else build_key(row)

    def progress(self, key_id: ContentKeyId, sealed_bytes: int, *, until: datetime) -> None:
        """See ContentKeys.progress."""
        open_ = and_(content_keys.c.id == key_id, content_keys.c.due_at.is_not(None))
        with writing(self._engine) as connection:
            said = {"sealed_bytes": sealed_bytes, "due_at": until}
            connection.execute(update(content_keys).where(open_).values(**said))

    def put_off(self, key_id: ContentKeyId, *, until: datetime) -> None:
        """See ContentKeys.put_off."""
        waits = and_(content_keys.c.id == key_id, content_keys.c.due_at.is_not(None))
        with writing(self._engine) as connection:
            connection.execute(update(content_keys).where(waits).values(due_at=until))

    def finish(self, key_id: ContentKeyId, *, now: datetime) -> None:
        """See ContentKeys.finish."""
        waits = and_(content_keys.c.id == key_id, content_keys.c.due_at.is_not(None))
        said = {"sealed_at": now, "sealed_bytes": content_keys.c.size_bytes, "due_at": None}
        with writing(self._engine) as connection:
            connection.execute(update(content_keys).where(waits).values(**said))

    def sealed(self, key_id: ContentKeyId) -> StoredContentKey | None:
        """See ContentKeys.sealed."""
        own = and_(content_keys.c.id == key_id, content_keys.c.sealed_at.is_not(None))
        with reading(self._engine) as connection:
            row = connection.execute(select(*KEY_COLUMNS).where(own)).first()
        return None if row is None else build_key(row)

    def shared(self, track_ids: Collection[TrackId], form: Form) -> list[StoredContentKey]:
        """See ContentKeys.shared."""
        c = content_keys.c
        own = and_(c.track_id.in_(track_ids), c.owner == owner_of(form, None))
        query = select(*KEY_COLUMNS).where(own).order_by(c.track_id, c.id)
        with reading(self._engine) as connection:
            return [build_key(row) for row in connection.execute(query)]

    def wrapped_otherwise(self, kek: str, *, after: str, limit: int) -> list[StoredContentKey]:
        """See ContentKeys.wrapped_otherwise."""
        query = (
            select(*KEY_COLUMNS)
            .where(content_keys.c.kek != kek, content_keys.c.id > after)
            .order_by(content_keys.c.id)
            .limit(limit)
        )
        with reading(self._engine) as connection:
            return [build_key(row) for row in connection.execute(query)]

    def rewrap(self, keys: Sequence[StoredContentKey]) -> None:
        """See ContentKeys.rewrap."""
        rows = [{"key_id": key.id, "kek": key.kek, "wrapped": key.wrapped} for key in keys]
        with writing(self._engine) as connection:
            if rows:
                connection.execute(_REWRAPPED, rows)


_Place = tuple[str, str, str]


def _place(key: StoredContentKey) -> _Place:
    return key.track_id, key.rendition_id, owner_of(key.form, key.device_id)


def owner_of(form: Form, device_id: DeviceId | None) -> str:
    """Return whose a content key is, as its row tells it, which is also where its form stands."""
    whose = device_id or ""
    return whose if form is Form.SEALED else f"{form}:{whose}"


def _read_keys(
    connection: Connection, places: Collection[_Place]
) -> Mapping[_Place, StoredContentKey]:
    c = content_keys.c
    named = tuple_(c.track_id, c.rendition_id, c.owner).in_(list(places))
    rows = connection.execute(select(*KEY_COLUMNS).where(named))
    return {_place(key): key for key in map(build_key, rows)}


def _by_rendition(
    keys: Mapping[_Place, StoredContentKey],
) -> dict[tuple[TrackId, RenditionId], StoredContentKey]:
    return {(key.track_id, key.rendition_id): key for key in keys.values()}


def _columns(key: StoredContentKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "track_id": key.track_id,
        "rendition_id": key.rendition_id,
        "tier": key.tier,
        "quality": key.quality,
        "owner": owner_of(key.form, key.device_id),
        "kek": key.kek,
        "wrapped": key.wrapped,
        "count": key.chunk_count,
        "size_bytes": key.size_bytes,
    }


def _waiting(now: datetime) -> dict[str, Any]:
    return {"sealed_bytes": 0, "sealed_at": None, "due_at": now, "created_at": now}


def build_key(row: Row[Any]) -> StoredContentKey:
    """Return the content key of a row that begins with its columns."""
    key_id, track_id, rendition_id, tier, quality, owner, kek, wrapped, count, size_bytes = row[:10]
    form, _, whose = owner.rpartition(":")
    return StoredContentKey(
        key_id,
        track_id,
        rendition_id,
        tier,
        _QUALITIES[quality],
        whose or None,
        kek,
        bytes(wrapped),
        count,
        size_bytes,
        _FORMS[form],
    )
