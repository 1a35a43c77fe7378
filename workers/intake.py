"""Taking a master in: its bytes into the store, a job into the ledger, a hint into the queue."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from catalogue.errors import MasterEmpty, QueueUnavailable
from catalogue.identifiers import WORLDWIDE
from catalogue.nouns import (
    AccountId,
    Delivery,
    DeliveryId,
    Job,
    JobId,
    Metadata,
    Right,
    Sha256,
    TrackId,
    WorkQueue,
)
from catalogue.port import Holds, Jobs, Tracks
from storage.keys import master_key, master_place
from storage.port import ObjectStore
from workers.queue import Queue

_LONGEST_ADOPTION = timedelta(hours=6)


@dataclass(frozen=True, kw_only=True, slots=True)
class Incoming:
    """A file that somebody sent: its own name, and its bytes in the store's staging folder."""

    filename: str
    path: Path
    size_bytes: int
    sha256: Sha256


@dataclass(frozen=True, kw_only=True, slots=True)
class Intake:
    """Takes masters in: of labels, and of listeners who own what they send.

    Without a ``queue`` a sweeper finds the jobs: the one inside another process cannot be reached.
    """

    tracks: Tracks
    jobs: Jobs
    holds: Holds
    store: ObjectStore
    queue: Queue | None
    now: Callable[[], datetime]
    new_id: Callable[[str], str]

    def accept(
        self,
        incoming: Incoming,
        metadata: Metadata,
        *,
        label: str,
        queue: WorkQueue = WorkQueue.URGENT,
        owner: AccountId | None = None,
    ) -> Job:
        """Return the job that presses a master, which is moved into the store.

        What an ``owner`` sends is matched with the catalogue first.
        Raises MasterEmpty, PlaceCondemned, and Unavailable when store or catalogue are away.
        """
        if incoming.size_bytes == 0:
            raise MasterEmpty(f"{incoming.filename} has 0 bytes.", size_bytes=0)
        delivery_id = DeliveryId(self.new_id("dlv"))
        places = [master_place(incoming.sha256)]
        self.holds.hold(places, delivery_id, until=self.now() + _LONGEST_ADOPTION)
        self.store.adopt(master_key(incoming.sha256), incoming.path)
        delivery = Delivery(
            id=delivery_id,
            label=label,
            track_id=TrackId(self.new_id("trk")),
            master_sha256=incoming.sha256,
            filename=incoming.filename,
            size_bytes=incoming.size_bytes,
            created_at=self.now(),
            queue=queue,
            owner=owner,
        )
        job = self.tracks.accept(delivery, metadata, JobId(self.new_id("job")))
        self.holds.release(delivery_id)
        if self.queue is not None:
            self._send(self.queue, job)
        return job

    def accept_own(
        self, incoming: Incoming, owner: AccountId, *, title: str, artist: str, queue: WorkQueue
    ) -> Job:
        """Return the job that matches a listener's own file, or presses it for its owner alone."""
        metadata = Metadata(
            title=title or Path(incoming.filename).stem or "untitled",
            artist=artist,
            isrc=None,
            rights=(Right(territory=WORLDWIDE),),
        )
        return self.accept(incoming, metadata, label=owner, queue=queue, owner=owner)

    def _send(self, queue: Queue, job: Job) -> None:
        sent_at = self.now()
        # What is not sent now is in the ledger: a sweeper sends it when the queue has room.
        with suppress(QueueUnavailable):
            if queue.send(job.id, job.queue):
                self.jobs.mark_sent(job.id, now=sent_at)
