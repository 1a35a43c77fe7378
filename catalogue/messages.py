"""Messages that labels sent of their releases: each is obeyed once, and none after a newer one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredMessage:
    """A message that was answered: what it was about, when it was made, and the answer.

    ``release`` is what its label calls the release. One that was not ``applied`` changed nothing.
    """

    id: str
    label: str
    release: str
    created_at: datetime
    received_at: datetime
    applied: bool
    acknowledgement: bytes


class Messages(Protocol):
    """Messages by label and id. Methods raise Unavailable when the database is away."""

    def find(self, label: str, message_id: str) -> StoredMessage | None:
        """Return a message that was answered before."""

    def newest(self, label: str, release: str) -> datetime | None:
        """Return when the newest message that was applied to a release was made."""

    def keep(self, message: StoredMessage) -> None:
        """Remember a message and its answer; one that is there already stays."""
