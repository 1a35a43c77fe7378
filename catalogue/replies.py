"""What creating requests were answered with, so that one sent twice is answered twice alike.

Source: The Idempotency-Key HTTP Header Field (draft-ietf-httpapi-idempotency-key-header).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """An answer as it was given, and the hash of the request that it was given to."""

    request_sha256: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Replies(Protocol):
    """Replies by a hash of who asked and what key they gave the request.

    ``claim`` is the fencing token of the request that is being answered. Methods raise Unavailable
    when the database is away.
    """

    def claim(self, key_sha256: str, claim: str, *, now: datetime, until: datetime) -> Reply | None:
        """Return what was answered; None where this request is to be answered, before ``until``.

        Raises IdempotencyKeyBusy while another one is.
        """

    def keep(self, key_sha256: str, claim: str, reply: Reply, *, until: datetime) -> None:
        """Remember an answer until then, unless the claim has run out."""

    def release(self, key_sha256: str, claim: str) -> None:
        """Remember nothing: the request may be made again."""

    def expire(self, *, now: datetime) -> int:
        """Forget what is over; return how many."""
