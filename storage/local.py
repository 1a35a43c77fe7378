"""The object store on a local folder.

An object is written beside its place under a name that no key can have, flushed to disk, and
linked into place: it appears whole, and never over another one.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from catalogue.breaker import Breaker
from catalogue.errors import ObjectDiffers, ObjectNotFound, StoreUnavailable
from storage.faults import not_writable
from storage.keys import ObjectKey, is_key, require_key
from storage.port import LOST_UPLOAD, ObjectInfo

UPLOADS = ".uploads"
_DRAFTS = ".drafts"


class LocalStore:
    """Objects as files below ``root``; the key is the path."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.breaker: Breaker | None = None

    def path(self, key: ObjectKey) -> Path:
        """Return where the object of ``key`` stands, whether or not it exists."""
        return self._root / require_key(key)

    def put(self, key: ObjectKey, data: bytes | bytearray) -> bool:
        """Store ``data`` durably: see ObjectStore.put."""
        place = self.path(key)
        with _writing(key):
            make_folder(place.parent)
            draft = place.with_name(f".{uuid4().hex}")
            try:
                with open(draft, "xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                created = _link(draft, place)
            finally:
                draft.unlink(missing_ok=True)
        if not created and place.read_bytes() != data:
            raise ObjectDiffers(f"{key} holds other bytes.", key=key)
        return created

    def adopt(self, key: ObjectKey, path: Path) -> bool:
        """Store a received file by moving it: see ObjectStore.adopt."""
        place = self.path(key)
        with _writing(key):
            with open(path, "rb") as file:
                os.fsync(file.fileno())
                size_bytes = os.fstat(file.fileno()).st_size
            make_folder(place.parent)
            created = _link(path, place)
            path.unlink()
        if not created and place.stat().st_size != size_bytes:
            raise ObjectDiffers(f"{key} holds other bytes.", key=key)
        return created

    def info(self, key: ObjectKey) -> ObjectInfo:
        """Return the object's size: see ObjectStore.info."""
        with _reading(key):
            return ObjectInfo(size_bytes=self.path(key).stat().st_size)

    def read(self, key: ObjectKey, *, start: int = 0, size_bytes: int | None = None) -> bytes:
        """Return a range of the object: see ObjectStore.read."""
        with _reading(key), open(self.path(key), "rb") as file:
            file.seek(start)
            return file.read(-1 if size_bytes is None else size_bytes)

    @contextmanager
    def as_file(self, key: ObjectKey) -> Iterator[Path]:
        """Give the object's own path: see ObjectStore.as_file."""
        self.info(key)
        yield self.path(key)

    def list(self, prefix: str) -> Iterator[ObjectKey]:
        """Yield keys in order, folder by folder: see ObjectStore.list."""
        for top in ("masters", "renditions"):
            for name in _walk(self._root, top):
                if name.startswith(prefix) and is_key(name):
                    yield require_key(name)

    def remove(self, key: ObjectKey) -> None:
        """Remove the object's file, and its folder with the last one: see ObjectStore.remove."""
        place = self.path(key)
        with _writing(key):
            place.unlink(missing_ok=True)
            with suppress(OSError):
                place.parent.rmdir()

    def drop_drafts(self, *, before: datetime) -> int:
        """Remove hidden files that were left behind: see ObjectStore.drop_drafts."""
        dropped = 0
        self.staging()
        with _writing("drafts"):
            for path in self._root.rglob("*"):
                is_upload = path.parent.name == UPLOADS
                is_draft = path.name.startswith(".") or path.parent.name == _DRAFTS or is_upload
                oldest = before - LOST_UPLOAD if is_upload else before
                if is_draft and path.is_file() and path.stat().st_mtime < oldest.timestamp():
                    path.unlink(missing_ok=True)
                    dropped += 1
        return dropped

    def staging(self) -> Path:
        """Return the folder of drafts: see ObjectStore.staging."""
        folder = self._root / _DRAFTS
        with _writing("drafts"):
            make_folder(folder)
        return folder


def _link(draft: Path, place: Path) -> bool:
    """Make ``draft`` appear at ``place`` and return True; return False where something stands."""
    try:
        os.link(draft, place)
    except FileExistsError:
        return False
    _sync(place.parent)
    return True


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that a power cut does not take them away again."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _walk(root: Path, folder: str) -> Iterator[str]:
    """Yield the files below a folder in the order of their whole names."""
    with suppress(ObjectNotFound), _reading(folder), os.scandir(root / folder) as found:
        names = sorted(
            f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name
            for entry in found
        )
        for name in names:
            if name.endswith("/"):
                yield from _walk(root, f"{folder}/{name[:-1]}")
            else:
                yield f"{folder}/{name}"


@contextmanager
def _writing(key: str) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise not_writable(key, fault) from fault


@contextmanager
def _reading(key: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as fault:
        raise ObjectNotFound(f"{key} does not exist.", key=key) from fault
    except OSError as fault:
        raise StoreUnavailable(f"{key}: {fault.strerror}.", key=key) from fault
