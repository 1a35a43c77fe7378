"""Uploads in SQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, and_, delete, func, insert, or_, select, update

from catalogue.database.engine import reading, writing
from catalogue.database.schema import uploads
from catalogue.errors import UploadBusy, UploadNotFound, UploadsFull
from catalogue.nouns import Sha256
from catalogue.uploads import Upload, UploadBounds, UploadId, UploadKind

_OPEN = uploads.c.adopted_at.is_(None)


class SqlUploads:
    """See catalogue.uploads.Uploads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, upload: Upload, *, bounds: UploadBounds) -> None:
        """See Uploads.add."""
        row = {
            "id": upload.id,
            "label": upload.label,
            "kind": upload.kind,
            "size_bytes": upload.size_bytes,
            "said": upload.said,
            "filename": upload.filename,
            "joined": upload.joined,
            "created_at": upload.created_at,
            "expires_at": upload.expires_at,
        }
        with writing(self._engine) as connection:
            connection.execute(insert(uploads).values(**row))
            _require_room(connection, upload.label, bounds)

    def get(self, upload_id: UploadId, *, label: str) -> Upload:
        """See Uploads.get."""
        with reading(self._engine) as connection:
            return _build(connection, upload_id, label)

    def page(self, *, label: str, after: str, limit: int) -> list[Upload]:
        """See Uploads.page."""
        own = and_(uploads.c.label == label, uploads.c.id > after)
        query = select(uploads).where(own).order_by(uploads.c.id).limit(limit)
        with reading(self._engine) as connection:
            return [_read(row) for row in connection.execute(query)]

    def claim(
        self, upload_id: UploadId, claim: str, *, label: str, now: datetime, until: datetime
    ) -> Upload:
        """See Uploads.claim."""
        free = or_(uploads.c.claimed_until.is_(None), uploads.c.claimed_until <= now)
        own = and_(uploads.c.id == upload_id, uploads.c.label == label)
        with writing(self._engine) as connection:
            taken = update(uploads).where(own, free).values(claim=claim, claimed_until=until)
            if not connection.execute(taken).rowcount:
                found = connection.execute(select(uploads).where(own)).first()
                if found is None:
                    raise _not_found(upload_id)
                left_s = max(0.0, (found.claimed_until - now).total_seconds())
                raise _busy(upload_id, left_s=round(left_s, 1))
            return _build(connection, upload_id, label)

    def renew(self, upload_id: UploadId, claim: str, *, until: datetime) -> None:
        """See Uploads.renew."""
        self._change(upload_id, claim, claimed_until=until)

    def release(self, upload_id: UploadId, claim: str) -> None:
        """See Uploads.release."""
        held = update(uploads).where(_held(upload_id, claim))
        with writing(self._engine) as connection:
            connection.execute(held.values(claim=None, claimed_until=None))

    def begin(self, upload_id: UploadId, claim: str, *, handle: str) -> None:
        """See Uploads.begin."""
        self._change(upload_id, claim, handle=handle)

    def measure(
        self, upload_id: UploadId, claim: str, *, size_bytes: int, bounds: UploadBounds
    ) -> None:
        """See Uploads.measure."""
        held = update(uploads).where(_held(upload_id, claim)).values(size_bytes=size_bytes)
        with writing(self._engine) as connection:
            label = connection.execute(held.returning(uploads.c.label)).scalar()
            if label is None:
                raise _busy(upload_id)
            _require_room(connection, label, bounds)

    def prolong(self, upload_id: UploadId, *, expires_at: datetime) -> None:
        """See Uploads.prolong."""
        self._set(upload_id, expires_at=expires_at)

    def finish(self, upload_id: UploadId, *, sha256: Sha256 | None, now: datetime) -> None:
        """See Uploads.finish."""
        self._set(upload_id, finished_at=now, sha256=sha256)

    def adopt(self, upload_id: UploadId, *, now: datetime) -> None:
        """See Uploads.adopt."""
        self._set(upload_id, adopted_at=now)

    def remove(self, upload_ids: Sequence[UploadId]) -> None:
        """See Uploads.remove."""
        with writing(self._engine) as connection:
            connection.execute(delete(uploads).where(uploads.c.id.in_(upload_ids)))

    def expired(self, *, now: datetime, limit: int) -> list[UploadId]:
        """See Uploads.expired."""
        over = select(uploads.c.id).where(uploads.c.expires_at <= now)
        with reading(self._engine) as connection:
            found = connection.execute(over.order_by(uploads.c.expires_at).limit(limit)).scalars()
            return [UploadId(each) for each in found]

    def _change(self, upload_id: UploadId, claim: str, **values: Any) -> None:
        held = update(uploads).where(_held(upload_id, claim)).values(**values)
        with writing(self._engine) as connection:
            if not connection.execute(held).rowcount:
                raise _busy(upload_id)

    def _set(self, upload_id: UploadId, **values: Any) -> None:
        own = update(uploads).where(uploads.c.id == upload_id).values(**values)
        with writing(self._engine) as connection:
            if not connection.execute(own).rowcount:
                raise _not_found(upload_id)


def _require_room(connection: Connection, label: str, bounds: UploadBounds) -> None:
    each = func.coalesce(uploads.c.size_bytes, bounds.unsaid_bytes)
    open_now = select(func.count(), func.coalesce(func.sum(each), 0))
    found = connection.execute(open_now.where(uploads.c.label == label, _OPEN)).one()
    count, size_bytes = int(found[0]), int(found[1])
    if count > bounds.count or size_bytes > bounds.size_bytes:
        raise UploadsFull(
            f"They would be {count} with {size_bytes} bytes.",
            uploads=count,
            max_uploads=bounds.count,
            size_bytes=size_bytes,
            max_bytes=bounds.size_bytes,
        )


def _held(upload_id: UploadId, claim: str) -> Any:
    return and_(uploads.c.id == upload_id, uploads.c.claim == claim)


def _build(connection: Connection, upload_id: UploadId, label: str) -> Upload:
    own = and_(uploads.c.id == upload_id, uploads.c.label == label)
    row = connection.execute(select(uploads).where(own)).first()
    if row is None:
        raise _not_found(upload_id)
    return _read(row)


def _read(row: Row[Any]) -> Upload:
    return Upload(
        id=row.id,
        label=row.label,
        kind=UploadKind(row.kind),
        size_bytes=row.size_bytes,
        said=row.said,
        filename=row.filename,
        joined=row.joined,
        created_at=row.created_at,
        expires_at=row.expires_at,
        handle=row.handle,
        sha256=row.sha256,
        finished_at=row.finished_at,
        adopted_at=row.adopted_at,
        claimed_until=row.claimed_until,
    )


def _not_found(upload_id: str) -> UploadNotFound:
    return UploadNotFound("No upload of yours has this id.", upload=upload_id[:60])


def _busy(upload_id: str, **measured: float) -> UploadBusy:
    return UploadBusy("Another request writes to it.", upload=upload_id, **measured)
