"""Where the files of messages are: beside them in a folder, or among a label's uploads.

No path is built from what a message says: it is looked up among the files that there are.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from uuid import uuid4

from catalogue.errors import (
    MasterNotAFile,
    ObjectDiffers,
    ResourceHashDiffers,
    ResourceMissing,
    UploadIncomplete,
)
from catalogue.nouns import Sha256
from catalogue.uploads import Upload, UploadKind
from origin.ern.message import ErnFile
from storage.faults import not_writable
from storage.keys import ObjectKey
from storage.port import ObjectStore
from workers.intake import Incoming
from workers.uploads import Receiver

_PIECE_BYTES = 1 << 20
_PAGE = 500


class FolderFiles:
    """The files below a folder, by their paths in it."""

    def __init__(self, folder: Path, store: ObjectStore) -> None:
        self._store = store
        self._paths = dict(_walk(folder))

    def find(self, said: ErnFile) -> Incoming:
        """Return a file that a message in the folder names.

        Raises ResourceMissing and ResourceHashDiffers.
        """
        path = self._paths.get(_plain(said.path))
        if path is None:
            raise ResourceMissing(f"{said.path[:200]!r} is not there.", file=said.path[:200])
        own = hashlib.sha256()
        asked = hashlib.new(said.algorithm, usedforsecurity=False) if said.algorithm else None
        size_bytes = 0
        for piece in _read(path):
            own.update(piece)
            size_bytes += len(piece)
            if asked is not None:
                asked.update(piece)
        _require_hash(said, None if asked is None else asked.hexdigest())
        sha256 = Sha256(own.hexdigest())
        return Incoming(
            filename=path.name,
            size_bytes=size_bytes,
            sha256=sha256,
            adopt=lambda key: self._adopt(key, path, sha256),
        )

    def _adopt(self, key: ObjectKey, path: Path, sha256: Sha256) -> None:
        """Make a copy of a file an object, if it still is what it was."""
        copy, digest = self._store.staging() / uuid4().hex, hashlib.sha256()
        try:
            try:
                with open(copy, "xb") as draft:
                    for piece in _read(path):
                        digest.update(piece)
                        draft.write(piece)
            except OSError as fault:
                raise not_writable(str(copy), fault) from fault
            if digest.hexdigest() != sha256:
                raise ObjectDiffers(f"{path.name} changes while it is read.", file=path.name)
            self._store.adopt(key, copy)
        finally:
            copy.unlink(missing_ok=True)


class UploadedFiles:
    """A label's uploads, by the names that it gave them; of several the newest."""

    def __init__(self, receiver: Receiver, label: str) -> None:
        self._receiver, self._label = receiver, label
        self._uploads: dict[str, Upload] | None = None

    def find(self, said: ErnFile) -> Incoming:
        """Return the upload that a message names. Raises ResourceMissing, ResourceHashDiffers."""
        if self._uploads is None:
            self._uploads = {each.filename: each for each in self._all()}
        name = PurePosixPath(said.path).name
        upload = self._uploads.get(name)
        if upload is None:
            raise ResourceMissing(f"No upload is called {name[:200]!r}.", file=name[:200])
        try:
            incoming = self._receiver.take(upload.id, self._label)
        except UploadIncomplete as fault:
            raise ResourceMissing(fault.detail, file=name[:200]) from fault
        if said.algorithm is not None:
            _require_hash(said, self._receiver.hash(upload.id, self._label, said.algorithm))
        return incoming

    def _all(self) -> Iterator[Upload]:
        after = ""
        while page := self._receiver.page(self._label, after=after, limit=_PAGE):
            yield from (each for each in page if each.kind is not UploadKind.PARTIAL)
            after = page[-1].id


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(folder).as_posix(), path


def _plain(said: str) -> str:
    """Return a path as files are known by: without what leads nowhere."""
    parts = [part for part in said.replace("\\", "/").split("/") if part not in ("", ".")]
    return "/".join(parts)


def _read(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece
    except OSError as fault:
        raise MasterNotAFile(f"{path.name}: {fault.strerror}.") from fault


def _require_hash(said: ErnFile, measured: str | None) -> None:
    if measured is not None and said.digest is not None and measured != said.digest:
        raise ResourceHashDiffers(
            f"{said.path[:200]!r} hashes to {measured}.",
            file=said.path[:200],
            algorithm=said.algorithm,
            measured=measured,
            said=said.digest[:200],
        )
