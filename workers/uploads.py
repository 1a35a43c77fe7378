"""Receiving files piece by piece: who writes, how much there is, and what it hashes to.

How much of an upload there is only its store knows, so that no two places can disagree. A writer
holds the upload by a claim that runs out by itself when its process dies.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING

from catalogue.errors import (
    MasterTooLarge,
    ObjectNotFound,
    UploadIncomplete,
    UploadJoined,
    UploadNotFound,
    UploadOffsetWrong,
    UploadSizeWrong,
    UploadSpent,
)
from catalogue.nouns import Sha256
from catalogue.offline import Policies
from catalogue.uploads import Upload, UploadBounds, UploadId, UploadKind, Uploads
from storage.keys import ObjectKey
from storage.port import Appender, UploadStore
from workers.intake import Incoming

if TYPE_CHECKING:
    from hashlib import _Hash

LIFE = timedelta(days=7)
"""How long an upload is kept after the last bytes came."""

CLAIM = timedelta(seconds=10)
"""After how long without a sign of its writer an upload may be written to by another."""

_JOINED_LIFE = timedelta(hours=1)
_RENEWED_AFTER = timedelta(seconds=3)
_HASHES = 1000
_EXPIRED_AT_ONCE = 100


class _Hashes:
    """What was received is hashed as it comes, for as long as it comes to this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: OrderedDict[UploadId, tuple[int, _Hash]] = OrderedDict()

    def take(self, upload_id: UploadId, size_bytes: int) -> "_Hash | None":
        """Return the hash over the first ``size_bytes``, if this process saw them."""
        with self._lock:
            known = self._known.pop(upload_id, None)
        if known is not None and known[0] == size_bytes:
            return known[1]
        return None if size_bytes else hashlib.sha256()

    def keep(self, upload_id: UploadId, size_bytes: int, digest: "_Hash") -> None:
        """Remember a hash over the first ``size_bytes``."""
        with self._lock:
            self._known[upload_id] = size_bytes, digest
            while len(self._known) > _HASHES:
                self._known.popitem(last=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Desk:
    """What a reception needs of the receiver."""

    uploads: Uploads
    store: UploadStore
    hashes: _Hashes
    now: Callable[[], datetime]


class Reception:
    """One request that writes to an upload, which nobody else writes to meanwhile.

    ``size_bytes`` is how much of the upload there is.
    """

    def __init__(self, desk: _Desk, upload: Upload, claim: str, *, most_bytes: int) -> None:
        self.upload = upload
        self._desk, self._claim = desk, claim
        self._renewed_at = desk.now()
        self._most_bytes = most_bytes if upload.size_bytes is None else upload.size_bytes
        handle = upload.handle
        if handle is None:
            handle = desk.store.begin(upload.id)
            desk.uploads.begin(upload.id, claim, handle=handle)
        self._handle = handle
        self._end: Appender | None = None
        if upload.finished_at is None:
            self._end = desk.store.append(upload.id, handle)
        self.size_bytes = self._size_bytes()
        self._hash = desk.hashes.take(upload.id, self.size_bytes)

    def expect(self, size_bytes: int) -> None:
        """Learn how large the upload is going to be."""
        self.upload = replace(self.upload, size_bytes=size_bytes)
        self._most_bytes = size_bytes

    def write(self, data: bytes) -> None:
        """Add bytes. Raises MasterTooLarge, UploadBusy, DiskFull and Unavailable."""
        now = self._desk.now()
        if now - self._renewed_at >= _RENEWED_AFTER:
            self._desk.uploads.renew(self.upload.id, self._claim, until=now + CLAIM)
            self._renewed_at = now
        if self.size_bytes + len(data) > self._most_bytes:
            raise MasterTooLarge(
                "More came than was said.",
                max_bytes=self._most_bytes,
                offset=self.size_bytes,
                size_bytes=len(data),
            )
        if not data:
            return
        assert self._end is not None, "nothing is written to an upload that is finished"
        before = self._end.size_bytes
        try:
            self._end.write(data)
        finally:
            written = self._end.size_bytes - before
            if self._hash is not None:
                self._hash.update(memoryview(data)[:written])
            self.size_bytes += written

    def close(self) -> Upload:
        """Make what came durable, and return the upload, which is finished when all of it came."""
        desk, upload = self._desk, self.upload
        try:
            if self._end is not None:
                self._end.close()
            if self._hash is not None:
                desk.hashes.keep(upload.id, self.size_bytes, self._hash)
            expires_at = desk.now() + LIFE
            desk.uploads.prolong(upload.id, expires_at=expires_at)
            upload = replace(upload, expires_at=expires_at, handle=self._handle)
            if upload.finished_at is None and self.size_bytes == upload.size_bytes:
                desk.store.finish(upload.id, self._handle)
                sha256 = None if self._hash is None else Sha256(self._hash.hexdigest())
                finished_at = desk.now()
                desk.uploads.finish(upload.id, sha256=sha256, now=finished_at)
                upload = replace(upload, sha256=sha256, finished_at=finished_at)
        finally:
            desk.uploads.release(upload.id, self._claim)
        return upload

    def _size_bytes(self) -> int:
        if self._end is not None:
            return self._end.size_bytes
        assert self.upload.size_bytes is not None
        return self.upload.size_bytes


class Receiver:
    """Takes uploads of labels, up to ``max_bytes`` each."""

    def __init__(
        self,
        uploads: Uploads,
        store: UploadStore,
        policies: Policies,
        *,
        max_bytes: int,
        now: Callable[[], datetime],
        new_id: Callable[[str], str],
    ) -> None:
        self.max_bytes = max_bytes
        self._uploads, self._store, self._policies = uploads, store, policies
        self._now, self._new_id = now, new_id
        self._desk = _Desk(uploads=uploads, store=store, hashes=_Hashes(), now=now)

    def begin(
        self,
        label: str,
        *,
        size_bytes: int | None,
        said: str = "",
        filename: str = "",
        kind: UploadKind = UploadKind.WHOLE,
        joined: str = "",
    ) -> Upload:
        """Return a new upload. Raises MasterTooLarge and UploadsFull."""
        self._require_fit(size_bytes)
        upload = Upload(
            id=UploadId(self._new_id("upl")),
            label=label,
            kind=kind,
            size_bytes=size_bytes,
            said=said,
            filename=filename,
            joined=joined,
            created_at=self._now(),
            expires_at=self._now() + LIFE,
        )
        self._uploads.add(upload, bounds=self._bounds(label))
        if size_bytes == 0:
            return self.open(upload.id, label, at=0).close()
        return upload

    def find(self, upload_id: UploadId, label: str) -> tuple[Upload, int]:
        """Return an upload, and how much of it there is. Raises UploadNotFound."""
        upload = self._uploads.get(upload_id, label=label)
        return upload, self._measure(upload)

    def page(self, label: str, *, after: str, limit: int) -> list[Upload]:
        """Return up to ``limit`` uploads of a label, by id after ``after``."""
        return self._uploads.page(label=label, after=after, limit=limit)

    def open(
        self, upload_id: UploadId, label: str, *, at: int, size_bytes: int | None = None
    ) -> Reception:
        """Return the upload's end, which is ``at``, for one writer; it has to be closed.

        ``size_bytes`` is how large it is going to be, where that was not said before. Raises
        UploadNotFound, UploadBusy, UploadOffsetWrong, UploadSizeWrong, MasterTooLarge, UploadsFull.
        """
        self._require_fit(size_bytes)
        now, claim = self._now(), self._new_id("clm")
        upload = self._uploads.claim(upload_id, claim, label=label, now=now, until=now + CLAIM)
        try:
            if upload.kind is UploadKind.FINAL and upload.finished_at is not None:
                raise UploadJoined("It was joined of parts, and ends there.")
            if size_bytes is not None and upload.size_bytes not in (None, size_bytes):
                raise UploadSizeWrong(
                    f"It is to have {upload.size_bytes} bytes, not {size_bytes}.",
                    size_bytes=upload.size_bytes,
                    said=size_bytes,
                )
            reception = Reception(self._desk, upload, claim, most_bytes=self.max_bytes)
        except BaseException:
            self._uploads.release(upload_id, claim)
            raise
        try:
            self._settle(reception, claim, at=at, size_bytes=size_bytes)
        except BaseException:
            reception.close()
            raise
        return reception

    def _settle(self, reception: Reception, claim: str, *, at: int, size_bytes: int | None) -> None:
        """Require that an upload is where its sender thinks, and learn how large it is to be."""
        upload, there = reception.upload, reception.size_bytes
        if there != at:
            raise UploadOffsetWrong(f"There are {there} bytes, not {at}.", offset=there, said=at)
        if upload.size_bytes is not None or size_bytes is None:
            return
        if there > size_bytes:
            raise UploadSizeWrong(
                f"There are {there} bytes already.", size_bytes=there, said=size_bytes
            )
        bounds = self._bounds(upload.label)
        self._uploads.measure(upload.id, claim, size_bytes=size_bytes, bounds=bounds)
        reception.expect(size_bytes)

    def join(
        self, upload_ids: Sequence[UploadId], label: str, *, joined: str, said: str, filename: str
    ) -> Upload:
        """Return what partial uploads are together, in their order; ``joined`` names them.

        Raises UploadNotFound, UploadIncomplete, MasterTooLarge and UploadsFull.
        """
        parts = [self._finished(each, label) for each in upload_ids]
        for part in parts:
            if part.kind is not UploadKind.PARTIAL:
                raise UploadNotFound("It is no part of a file.", upload=part.id)
        size_bytes = sum(part.size_bytes or 0 for part in parts)
        whole = self.begin(
            label,
            size_bytes=size_bytes,
            said=said,
            filename=filename,
            kind=UploadKind.FINAL,
            joined=joined,
        )
        reception = self.open(whole.id, label, at=0)
        try:
            for part in parts:
                for piece in self._store.pieces(part.id):
                    reception.write(piece)
        except BaseException:
            reception.close()
            self.remove(whole.id, label)
            raise
        joined_whole = reception.close()
        for part in parts:
            # Who never heard of it joins them again.
            self._uploads.prolong(part.id, expires_at=self._now() + _JOINED_LIFE)
        return joined_whole

    def require_whole(self, upload_id: UploadId, label: str) -> tuple[Upload, Sha256]:
        """Return a finished upload, and what it hashes to.

        Raises UploadNotFound and UploadIncomplete.
        """
        upload = self._finished(upload_id, label)
        if upload.kind is UploadKind.PARTIAL:
            raise UploadIncomplete("It is a part of a file.", upload=upload.id)
        if upload.sha256 is not None:
            return upload, upload.sha256
        digest = hashlib.sha256()
        for piece in self._store.pieces(upload.id):
            digest.update(piece)
        sha256 = Sha256(digest.hexdigest())
        self._uploads.finish(upload.id, sha256=sha256, now=upload.finished_at or self._now())
        return upload, sha256

    def take(self, upload_id: UploadId, label: str) -> Incoming:
        """Return a finished upload as what may be taken in as a master, more than once.

        Raises what require_whole raises; to adopt it, UploadSpent where nothing of it is kept.
        """
        upload, sha256 = self.require_whole(upload_id, label)

        def adopt(key: ObjectKey) -> None:
            try:
                self._store.adopt(upload.id, key)
            except ObjectNotFound as fault:
                raise UploadSpent("Its master is gone.", upload=upload.id) from fault
            self._uploads.adopt(upload.id, now=self._now())

        return Incoming(
            filename=upload.filename, size_bytes=upload.size_bytes or 0, sha256=sha256, adopt=adopt
        )

    def hash(self, upload_id: UploadId, label: str, algorithm: str) -> str | None:
        """Return what a finished upload hashes to by one of hashlib's algorithms.

        None where its bytes have become a master, unless it is SHA-256. Raises what require_whole
        raises.
        """
        upload, sha256 = self.require_whole(upload_id, label)
        if algorithm == "sha256":
            return sha256
        if upload.adopted_at is not None:
            return None
        digest = hashlib.new(algorithm, usedforsecurity=False)
        for piece in self._store.pieces(upload.id):
            digest.update(piece)
        return digest.hexdigest()

    def remove(self, upload_id: UploadId, label: str) -> None:
        """End an upload and remove what came of it. Raises UploadNotFound and UploadBusy."""
        now, claim = self._now(), self._new_id("clm")
        self._uploads.claim(upload_id, claim, label=label, now=now, until=now + CLAIM)
        self._store.drop(upload_id)
        self._uploads.remove([upload_id])

    def expire(self) -> int:
        """Remove uploads whose time is over; return how many."""
        gone = self._uploads.expired(now=self._now(), limit=_EXPIRED_AT_ONCE)
        for upload_id in gone:
            self._store.drop(upload_id)
        self._uploads.remove(gone)
        return len(gone)

    def _finished(self, upload_id: UploadId, label: str) -> Upload:
        """Return an upload of which all has come. Raises UploadNotFound and UploadIncomplete."""
        upload = self._uploads.get(upload_id, label=label)
        if upload.finished_at is not None:
            return upload
        there = self._measure(upload)
        if there == upload.size_bytes:
            # The process that took the last byte died before it said so.
            upload = self.open(upload_id, label, at=there).close()
        if upload.finished_at is None:
            raise UploadIncomplete(
                f"There are {there} of its bytes.",
                upload=upload.id,
                received_bytes=there,
                size_bytes=upload.size_bytes,
            )
        return upload

    def _measure(self, upload: Upload) -> int:
        if upload.finished_at is not None:
            return upload.size_bytes or 0
        if upload.handle is None:
            return 0
        return self._store.size_bytes(upload.id, upload.handle)

    def _require_fit(self, size_bytes: int | None) -> None:
        if size_bytes is not None and size_bytes > self.max_bytes:
            raise MasterTooLarge(
                "It has more bytes than accepted.", max_bytes=self.max_bytes, size_bytes=size_bytes
            )

    def _bounds(self, label: str) -> UploadBounds:
        policy = self._policies.get(label)
        return UploadBounds(
            count=policy.max_uploads,
            size_bytes=policy.max_upload_bytes,
            unsaid_bytes=self.max_bytes,
        )
