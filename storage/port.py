"""The port to the bytes: what every object store promises."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from catalogue.breaker import Breaker
from catalogue.uploads import UploadId
from storage.keys import ObjectKey

LOST_UPLOAD = timedelta(days=30)
"""After how long an upload that nothing was added to cannot be one that the catalogue knows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectInfo:
    """What the store knows of an object without reading it."""

    size_bytes: int


class ObjectStore(Protocol):
    """Immutable objects under keys.

    An object is visible whole or not at all, and once visible never changes: a put under a key
    that exists keeps what is there. Of writers that race for one key, one wins where the store
    decides atomically (the local folder, Amazon S3); on others each may be told that it did, and
    the last one's bytes stand. Nothing in lathe leans on it: keys derive from content, so racing
    writers bring equal bytes. Every method raises Unavailable when the store is away.

    ``breaker`` stands before a store that has a server.
    """

    breaker: Breaker | None

    def put(self, key: ObjectKey, data: bytes | bytearray) -> bool:
        """Store ``data`` durably and return True, or return False where equal bytes stand.

        Raises ObjectDiffers where other bytes stand under ``key``.
        """

    def adopt(self, key: ObjectKey, path: Path) -> bool:
        """Store the file at ``path`` as ``put`` does, without reading it into memory.

        The file is consumed: it is gone afterwards, whichever answer is given. Keys of adopted
        objects hold their own hash, so an object that stands there is taken for equal when its
        size is.
        """

    def info(self, key: ObjectKey) -> ObjectInfo:
        """Return what is known of an object. Raises ObjectNotFound."""

    def read(self, key: ObjectKey, *, start: int = 0, size_bytes: int | None = None) -> bytes:
        """Return ``size_bytes`` bytes from ``start`` (fewer at the end). Raises ObjectNotFound."""

    def as_file(self, key: ObjectKey) -> AbstractContextManager[Path]:
        """Give a path to the object's bytes for as long as the context lasts.

        Raises ObjectNotFound.
        """

    def list(self, prefix: str) -> Iterator[ObjectKey]:
        """Yield the keys that start with ``prefix``, in order, without holding them all."""

    def remove(self, key: ObjectKey) -> None:
        """Remove an object, or do nothing when there is none."""

    def drop_drafts(self, *, before: datetime) -> int:
        """Remove what was half written or received and not touched since then; return how many.

        Uploads, which the catalogue knows, only where it must have forgotten them: LOST_UPLOAD
        before.
        """

    def staging(self) -> Path:
        """Return a folder for files that are still being received, on the adopting volume."""


class Appender(Protocol):
    """A place at the end of an upload, for one writer at a time.

    ``size_bytes`` is how much of the upload there is, with what was written here.
    """

    @property
    def size_bytes(self) -> int:
        """How much there is."""

    def write(self, data: bytes) -> None:
        """Add bytes. Raises DiskFull; what found room before counts."""

    def close(self) -> None:
        """Make what was written durable: it counts from now on, whatever happens."""


class UploadStore(Protocol):
    """Files that grow while they are received, until they are finished and become objects.

    ``handle`` is what ``begin`` gave. Methods raise Unavailable when the store is away, and
    UploadNotFound where nothing of the upload is there.
    """

    def begin(self, upload_id: UploadId) -> str:
        """Make room for an upload, and return by what it is found again."""

    def size_bytes(self, upload_id: UploadId, handle: str) -> int:
        """Return how many bytes there are, of an upload that grows or is finished."""

    def append(self, upload_id: UploadId, handle: str) -> Appender:
        """Return the end of an upload."""

    def finish(self, upload_id: UploadId, handle: str) -> None:
        """Add nothing more; again, it changes nothing."""

    def pieces(self, upload_id: UploadId) -> Iterator[bytes]:
        """Yield the bytes of a finished upload."""

    def adopt(self, upload_id: UploadId, key: ObjectKey) -> bool:
        """Make a finished upload the object of ``key``, as ObjectStore.adopt does with a file.

        One that was adopted already is taken for equal. Raises ObjectNotFound where there is
        neither.
        """

    def drop(self, upload_id: UploadId) -> None:
        """Remove all of an upload, whatever there is."""
