"""Taking a master in: its bytes into the store, a job into the ledger, a hint into the queue."""

from collections.abc import Callable, Sequence
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
    Shipment,
    TrackDetails,
    TrackId,
    WorkQueue,
)
from catalogue.port import Holds, Jobs, Parcel, Shipments, Tracks
from storage.keys import ObjectKey, master_key, master_place
from storage.port import ObjectStore
from workers.queue import Queue

_LONGEST_ADOPTION = timedelta(hours=6)


@dataclass(frozen=True, kw_only=True, slots=True)
class Incoming:
    """A file that somebody sent: its own name, and what makes it the store's object of a key."""

    filename: str
    size_bytes: int
    sha256: Sha256
    adopt: Callable[[ObjectKey], object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A track of a shipment: what is said of it, and its master unless that stays as it is."""

    metadata: Metadata
    master: Incoming | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Intake:
    """Takes masters in: of labels, and of listeners who own what they send.

    Without a ``queue`` a sweeper finds the jobs: the one inside another process cannot be reached.
    """

    tracks: Tracks
    shipments: Shipments
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
        delivery = self._describe(
            incoming, DeliveryId(self.new_id("dlv")), label, self._new_track(), queue, owner
        )
        self._store([incoming], delivery.id)
        job = self.tracks.accept(delivery, metadata, JobId(self.new_id("job")))
        self.holds.release(delivery.id)
        self._send([job])
        return job

    def ship(
        self,
        items: Sequence[Item],
        *,
        label: str,
        queue: WorkQueue = WorkQueue.URGENT,
        warnings: Sequence[tuple[str, str]] = (),
    ) -> Shipment:
        """Return what a label sent in one call: all of it is taken in, or nothing.

        Raises MasterEmpty, TrackNotFound, PlaceCondemned and Unavailable.
        """
        shipment_id = DeliveryId(self.new_id("dlv"))
        parcels = []
        for place, item in enumerate(items):
            track_id = self._new_track()
            if item.master is None:
                parcels.append(Parcel(track_id=track_id, metadata=item.metadata))
                continue
            name = DeliveryId(f"{shipment_id}.{place}")
            delivery = self._describe(item.master, name, label, track_id, queue, None)
            job_id = JobId(self.new_id("job"))
            parcels.append(
                Parcel(track_id=track_id, metadata=item.metadata, delivery=delivery, job_id=job_id)
            )
        self._store([item.master for item in items if item.master is not None], shipment_id)
        shipment = self.shipments.accept(
            shipment_id, label, parcels, warnings=warnings, now=self.now()
        )
        self.holds.release(shipment_id)
        self._send([track.job for track in shipment.tracks if track.job is not None])
        return shipment

    def accept_own(
        self, incoming: Incoming, owner: AccountId, *, title: str, artist: str, queue: WorkQueue
    ) -> Job:
        """Return the job that matches a listener's own file, or presses it for its owner alone.

        A title or an artist that is not said is what the file says, once it has been read.
        """
        said = {"title": title, "artist": artist}
        metadata = Metadata(
            title=title or Path(incoming.filename).stem or "untitled",
            artist=artist,
            isrc=None,
            rights=(Right(territory=WORLDWIDE),),
            details=TrackDetails(unsaid=tuple(name for name, text in said.items() if not text)),
        )
        return self.accept(incoming, metadata, label=owner, queue=queue, owner=owner)

    def send(self, job: Job) -> None:
        """Tell the workers of a job that is due."""
        self._send([job])

    def _new_track(self) -> TrackId:
        return TrackId(self.new_id("trk"))

    def _describe(
        self,
        incoming: Incoming,
        delivery_id: DeliveryId,
        label: str,
        track_id: TrackId,
        queue: WorkQueue,
        owner: AccountId | None,
    ) -> Delivery:
        if incoming.size_bytes == 0:
            raise MasterEmpty(f"{incoming.filename} has 0 bytes.", size_bytes=0)
        return Delivery(
            id=delivery_id,
            label=label,
            track_id=track_id,
            master_sha256=incoming.sha256,
            filename=incoming.filename,
            size_bytes=incoming.size_bytes,
            created_at=self.now(),
            queue=queue,
            owner=owner,
        )

    def _store(self, masters: Sequence[Incoming], holder: DeliveryId) -> None:
        """Make masters objects of the store, which nobody removes before they are referred to."""
        places = list(dict.fromkeys(master_place(each.sha256) for each in masters))
        if places:
            self.holds.hold(places, holder, until=self.now() + _LONGEST_ADOPTION)
        for each in masters:
            each.adopt(master_key(each.sha256))

    def _send(self, jobs: Sequence[Job]) -> None:
        sent_at = self.now()
        # What is not sent now is in the ledger: a sweeper sends it when the queue has room.
        with suppress(QueueUnavailable):
            for job in jobs:
                if self.queue is not None and self.queue.send(job.id, job.queue):
                    self.jobs.mark_sent(job.id, now=sent_at)
