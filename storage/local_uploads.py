"""Uploads on the local folder: a file each, which grows; how long it is tells what was received."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catalogue.errors import UploadNotFound
from catalogue.uploads import UploadId, require_upload_id
from storage.faults import not_writable
from storage.keys import ObjectKey
from storage.local import UPLOADS, LocalStore, make_folder

_PIECE_BYTES = 1 << 20
# What else is on the disk, such as the catalogue, has to be written when uploads have filled it.
ROOM_LEFT_BYTES = 8 << 20


class LocalUploads:
    """See storage.port.UploadStore. The files stand in ``.uploads`` below ``root``."""

    def __init__(self, root: Path) -> None:
        self._folder, self._store = root / UPLOADS, LocalStore(root)

    def begin(self, upload_id: UploadId) -> str:
        """See UploadStore.begin."""
        with _writing():
            make_folder(self._folder)
            self._path(upload_id).touch()
        return "file"

    def size_bytes(self, upload_id: UploadId, handle: str) -> int:
        """See UploadStore.size_bytes."""
        with _reading():
            return self._path(upload_id).stat().st_size

    def append(self, upload_id: UploadId, handle: str) -> "_LocalAppender":
        """See UploadStore.append."""
        with _reading():
            return _LocalAppender(os.open(self._path(upload_id), os.O_WRONLY))

    def finish(self, upload_id: UploadId, handle: str) -> None:
        """See UploadStore.finish."""

    def pieces(self, upload_id: UploadId) -> Iterator[bytes]:
        """See UploadStore.pieces."""
        with _reading(), open(self._path(upload_id), "rb", buffering=0) as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece

    def adopt(self, upload_id: UploadId, key: ObjectKey) -> bool:
        """See UploadStore.adopt."""
        if not self._path(upload_id).is_file():
            self._store.info(key)
            return False
        return self._store.adopt(key, self._path(upload_id))

    def drop(self, upload_id: UploadId) -> None:
        """See UploadStore.drop."""
        with _writing():
            self._path(upload_id).unlink(missing_ok=True)

    def _path(self, upload_id: UploadId) -> Path:
        return self._folder / require_upload_id(upload_id)


class _LocalAppender:
    """See storage.port.Appender."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.size_bytes = os.fstat(fd).st_size

    def write(self, data: bytes) -> None:
        """See Appender.write."""
        left = memoryview(data)
        with _writing():
            found = os.fstatvfs(self._fd)
            if found.f_bavail * found.f_frsize < len(left) + ROOM_LEFT_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            while left:
                # At its own place: one that lost its turn writes over nothing but its own.
                count = os.pwrite(self._fd, left, self.size_bytes)
                self.size_bytes += count
                left = left[count:]

    def close(self) -> None:
        """See Appender.close."""
        with _writing():
            try:
                os.fsync(self._fd)
            finally:
                os.close(self._fd)


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as fault:
        raise UploadNotFound("Nothing of the upload is there any more.") from fault
    except OSError as fault:
        raise not_writable("The upload cannot be received", fault) from fault


_reading = _writing
