"""Uploads: files that arrive piece by piece, and what is remembered of them. Source: tus 1.0."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType, Protocol

from catalogue.errors import UploadNotFound
from catalogue.nouns import Sha256

UploadId = NewType("UploadId", str)

_UPLOAD_ID = re.compile(r"upl_[0-9a-hjkmnp-tv-z]{26}")


def require_upload_id(text: str) -> UploadId:
    """Return ``text`` as the id of an upload. Raises UploadNotFound outside the grammar."""
    if _UPLOAD_ID.fullmatch(text) is None:
        raise UploadNotFound("No upload has this id.", upload=text[:60])
    return UploadId(text)


class UploadKind(StrEnum):
    """A file by itself, a part of one, or what was joined of parts."""

    WHOLE = "whole"
    PARTIAL = "partial"
    FINAL = "final"


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """What is known of an upload beside its bytes.

    ``size_bytes`` is None until the sender says it. ``said`` is what the sender says of it, as it
    came (``Upload-Metadata``), and ``filename`` what it is called there. ``handle`` is by what the
    store finds it: None until the first byte came. ``sha256`` is that of the whole file, None until
    it is known. ``joined`` names the parts of a final one, as its sender did. One that is
    ``adopted_at`` is in the store as a master. Nobody but its writer may write to it before
    ``claimed_until``. From ``expires_at`` on it may be gone.
    """

    id: UploadId
    label: str
    kind: UploadKind
    size_bytes: int | None
    said: str
    filename: str
    created_at: datetime
    expires_at: datetime
    joined: str = ""
    handle: str | None = None
    sha256: Sha256 | None = None
    finished_at: datetime | None = None
    adopted_at: datetime | None = None
    claimed_until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadBounds:
    """How many uploads a label may have open, and how large they may be together.

    One whose length was not said yet counts as ``unsaid_bytes``.
    """

    count: int
    size_bytes: int
    unsaid_bytes: int = 0


class Uploads(Protocol):
    """Uploads of labels. Who does not own one does not find it.

    ``claim`` is the fencing token of the one writer that an upload has at a time. Methods raise
    UploadNotFound, and Unavailable when the database is away.
    """

    def add(self, upload: Upload, *, bounds: UploadBounds) -> None:
        """Remember a new upload. Raises UploadsFull."""

    def get(self, upload_id: UploadId, *, label: str) -> Upload:
        """Return an upload."""

    def page(self, *, label: str, after: str, limit: int) -> list[Upload]:
        """Return up to ``limit`` uploads of a label, by id after ``after``."""

    def claim(
        self, upload_id: UploadId, claim: str, *, label: str, now: datetime, until: datetime
    ) -> Upload:
        """Let nobody else write to an upload before ``until``. Raises UploadBusy."""

    def renew(self, upload_id: UploadId, claim: str, *, until: datetime) -> None:
        """Stay the one who writes. Raises UploadBusy when somebody else is by now."""

    def release(self, upload_id: UploadId, claim: str) -> None:
        """Let others write."""

    def begin(self, upload_id: UploadId, claim: str, *, handle: str) -> None:
        """Remember by what the store finds an upload. Raises UploadBusy."""

    def measure(
        self, upload_id: UploadId, claim: str, *, size_bytes: int, bounds: UploadBounds
    ) -> None:
        """Remember how large an upload is going to be. Raises UploadBusy and UploadsFull."""

    def prolong(self, upload_id: UploadId, *, expires_at: datetime) -> None:
        """Let an upload live until then."""

    def finish(self, upload_id: UploadId, *, sha256: Sha256 | None, now: datetime) -> None:
        """Remember that all of an upload is there, and what it hashes to if that is known."""

    def adopt(self, upload_id: UploadId, *, now: datetime) -> None:
        """Remember that an upload has become a master."""

    def remove(self, upload_ids: Sequence[UploadId]) -> None:
        """Forget uploads; those that there are not are none."""

    def expired(self, *, now: datetime, limit: int) -> list[UploadId]:
        """Return up to ``limit`` uploads whose time is over, those first that are over longest."""
