"""The ports to what is remembered: keys, tracks and jobs.

Every adapter passes the same contract suite. Methods raise Unavailable when the database is away.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from catalogue.nouns import (
    Delivery,
    Job,
    JobId,
    Metadata,
    Pressing,
    Reason,
    Rendition,
    RenditionId,
    Track,
    TrackId,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredKey:
    """An API key as the catalogue keeps it: whose it is, and the hash of its secret."""

    id: str
    label: str
    secret_sha256: str


class Keys(Protocol):
    """API keys of labels."""

    def add(self, key: StoredKey, *, now: datetime) -> None:
        """Remember a new key."""

    def find(self, key_id: str) -> StoredKey | None:
        """Return a key by its id, or None."""

    def remove(self, key_id: str) -> None:
        """Forget a key: it opens nothing from now on."""

    def is_empty(self) -> bool:
        """Return whether no key was ever made."""


class Tracks(Protocol):
    """Recordings, what labels said of them, and their published renditions."""

    def accept(self, delivery: Delivery, metadata: Metadata, job_id: JobId) -> Job:
        """Remember a delivery, its track and a queued job in one transaction; return the job.

        A label's ISRC names one track: when the label delivered it before, ``delivery.track_id``
        is set aside, and the track it has keeps its id and takes the new metadata.
        """

    def get(self, track_id: TrackId) -> Track:
        """Return a track with its current renditions. Raises TrackNotFound."""

    def page(self, *, after: str, limit: int) -> list[Track]:
        """Return up to ``limit`` published tracks, without renditions, by id after ``after``."""

    def rendition(self, rendition_id: RenditionId) -> Rendition | None:
        """Return a published rendition, current or not; None when there is none."""


class Jobs(Protocol):
    """The job ledger: the truth about work asked for.

    ``claim`` is the fencing token of the worker that holds a job. Every change by a worker names
    it and raises JobLost when another worker holds the job by now.
    """

    def get(self, job_id: JobId) -> Job:
        """Return a job. Raises JobNotFound."""

    def delivery(self, job_id: JobId) -> Delivery:
        """Return the delivery that a job presses. Raises JobNotFound."""

    def due(
        self, *, now: datetime, stale_before: datetime, sent_before: datetime, limit: int
    ) -> list[JobId]:
        """Return jobs that a worker should be told of, the longest waiting first.

        Queued ones that are due, and running ones whose heartbeat stopped before
        ``stale_before``; unless sent since ``sent_before`` (and since they became due, or since
        their last heartbeat).
        """

    def mark_sent(self, job_id: JobId, *, now: datetime) -> None:
        """Remember that a message for this job is on its way."""

    def claim(
        self,
        job_id: JobId,
        claim: str,
        *,
        now: datetime,
        stale_before: datetime,
        max_silences: int,
    ) -> Job | None:
        """Take a queued job that is due, or a running one that went silent; None when neither.

        Counts the attempt. A job whose workers went silent ``max_silences`` times is quarantined
        instead.
        """

    def beat(self, job_id: JobId, claim: str, *, stage: str, percent: int, now: datetime) -> None:
        """Record that the work goes on, and how far it is."""

    def release(self, job_id: JobId, claim: str, *, now: datetime) -> None:
        """Hand a job back unfinished, as if this attempt had not been made."""

    def retry(
        self, job_id: JobId, claim: str, *, reason: Reason, due_at: datetime, now: datetime
    ) -> None:
        """Queue a job again for ``due_at``, with the reason why this attempt failed."""

    def fail(self, job_id: JobId, claim: str, *, reason: Reason, now: datetime) -> None:
        """End a job that cannot succeed."""

    def missing(self, wanted: Sequence[RenditionId]) -> list[RenditionId]:
        """Return those of ``wanted`` that are not published."""

    def publish(
        self,
        job_id: JobId,
        claim: str,
        *,
        current: Sequence[RenditionId],
        pressing: Pressing | None,
        now: datetime,
    ) -> None:
        """End a job well: in one transaction, publish what was pressed and point its track at it.

        ``current`` are the renditions that the track has from now on; ``pressing`` is what was
        made, or None when all of them were published before. Publishing twice changes nothing.
        """
