"""Webhooks: labels have a URL called whenever the pressing of one of their masters changes.

A notice is written in the transaction of the change that it tells of, so that none is lost and none
tells of what did not happen. It is sent at least once, and in no certain order.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from catalogue.errors import WebhookUrlUnfit
from catalogue.nouns import DeliveryId, JobId, JobState, Reason, TrackId

HOOKS_MAX = 10
"""How many webhooks a label may have."""

_URL_MAX_CHARACTERS = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Webhook:
    """Where a label wants notices sent: all of them, or those of some ``states`` only.

    Its secret signs them, and is stored ``wrapped`` by the key ``kek`` of the ring that wraps
    content keys. ``failing_since`` is when the first of the last notices could not be sent.
    """

    id: str
    label: str
    url: str
    states: tuple[JobState, ...]
    created_at: datetime
    kek: str
    wrapped: bytes = field(repr=False)
    failing_since: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """What a webhook is told, and what became of that.

    ``number`` is the same whenever it is sent. ``due_at`` is None when it is not sent again:
    it was taken at ``delivered_at``, or given up. ``answer`` is what came back last: a status of
    HTTP, or words for there being none.
    """

    number: int
    webhook_id: str
    job_id: JobId
    delivery_id: DeliveryId
    track_id: TrackId
    isrc: str
    filename: str
    state: JobState
    reason: Reason | None
    at: datetime
    attempts: int = 0
    due_at: datetime | None = None
    delivered_at: datetime | None = None
    answer: str = ""


class Webhooks(Protocol):
    """Webhooks and their notices. Methods raise Unavailable when the database is away."""

    def add(self, webhook: Webhook) -> None:
        """Add a webhook. Raises WebhooksFull."""

    def listed(self, label: str | None) -> list[Webhook]:
        """Return the webhooks of a label, or of all, in the order of their ids."""

    def get(self, webhook_id: str, *, label: str | None) -> Webhook:
        """Return a webhook, of ``label`` if one is given. Raises WebhookNotFound."""

    def remove(self, webhook_id: str, *, label: str | None) -> None:
        """Remove a webhook, and what it was still to be told. Raises WebhookNotFound."""

    def notices(self, webhook_id: str, *, before: int | None, limit: int) -> Sequence[Notice]:
        """Return the notices of a webhook, the last first, from before a number."""

    def repeat(self, webhook_id: str, *, since: datetime, now: datetime) -> int:
        """Have every notice that was given up since then sent again; return how many."""

    def take(self, *, now: datetime, until: datetime, each: int, limit: int) -> Sequence[Notice]:
        """Return notices that are due, at most ``each`` of one webhook, the oldest first.

        They are due again at ``until`` unless something is said of them: for then whoever took
        them has died.
        """

    def delivered(self, notice: Notice, *, answer: str, now: datetime) -> None:
        """Note that a notice was taken by who it is for."""

    def put_off(
        self, notice: Notice, *, answer: str, due_at: datetime | None, now: datetime
    ) -> None:
        """Note that a notice could not be sent; None gives it up."""

    def expire(self, *, before: datetime) -> None:
        """Forget notices that tell of what happened before then and are not sent again."""

    def wrapped_otherwise(self, kek: str) -> Sequence[Webhook]:
        """Return the webhooks whose secrets another key than ``kek`` wraps."""

    def rewrap(self, webhooks: Collection[Webhook]) -> None:
        """Keep how the secrets of some webhooks are wrapped now."""


def parse_webhook_url(text: str) -> SplitResult:
    """Return the parts of a URL that notices may be sent to, as far as it tells by itself.

    Where its host leads is looked at whenever something is sent. Raises WebhookUrlUnfit.
    """
    if len(text) > _URL_MAX_CHARACTERS or not text.isascii() or not text.isprintable():
        raise WebhookUrlUnfit(
            f"It is longer than {_URL_MAX_CHARACTERS} characters, or not of ASCII alone.",
            characters=len(text),
        )
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as fault:
        raise WebhookUrlUnfit(f"It cannot be read: {fault}.") from fault
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0 or " " in text:
        raise WebhookUrlUnfit("It is no absolute URL of https.", scheme=parts.scheme[:20])
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise WebhookUrlUnfit("It has a user, a password or a fragment.")
    return parts
