"""The ports to what is remembered: keys, tracks and jobs.

Every adapter passes the same contract suite. Methods raise Unavailable when the database is away.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from catalogue.nouns import (
    AccountId,
    Album,
    AlbumId,
    Attempt,
    Delivery,
    DeliveryId,
    Features,
    Fingerprint,
    Job,
    JobId,
    JobState,
    Measure,
    Metadata,
    Pressing,
    Print,
    Reason,
    Rendition,
    RenditionId,
    Resemblance,
    Rung,
    Sha256,
    Shipment,
    Track,
    TrackId,
    WorkQueue,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerName:
    """A worker as the ledger knows it: where it runs, and lathe's version there."""

    name: str
    version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueCensus:
    """How many jobs of a queue are in each state, and since when the oldest one is due."""

    queue: WorkQueue
    states: Mapping[JobState, int]
    oldest_due_at: datetime | None
    drained: bool


class Scope(StrEnum):
    """What a label's API key is good for: delivering, seeing where deliveries stand, listening."""

    DELIVER = "deliver"
    SEE = "see"
    STREAM = "stream"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredKey:
    """An API key as the catalogue keeps it: whose it is, what for, and the hash of its secret.

    ``used_at`` is when it was last used, to the hour.
    """

    id: str
    label: str
    secret_sha256: str
    created_at: datetime
    name: str = ""
    scopes: frozenset[Scope] = frozenset(Scope)
    used_at: datetime | None = None
    revoked_at: datetime | None = None


class Keys(Protocol):
    """API keys of labels."""

    def add(self, key: StoredKey) -> None:
        """Remember a new key."""

    def find(self, key_id: str) -> StoredKey | None:
        """Return a key by its id, revoked or not, or None."""

    def page(self, *, label: str | None, after: str, limit: int) -> list[StoredKey]:
        """Return up to ``limit`` keys by id after ``after``, of one label or of all."""

    def use(self, key_id: str, *, now: datetime) -> None:
        """Note that a key was used."""

    def revoke(self, key_id: str, *, now: datetime) -> None:
        """Let a key open nothing from now on; again, it changes nothing. Raises KeyNotFound."""

    def remove(self, key_id: str, *, now: datetime) -> None:
        """Forget a key that nobody was given."""

    def is_empty(self) -> bool:
        """Return whether nobody was ever given a key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeardMaster:
    """What tracks are compared by: see Features."""

    master_sha256: Sha256
    heard_at: datetime
    tempo_bpm: float | None
    energy: float
    valence: float
    danceability: float
    vector: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Brief:
    """A track as manifests need it, its renditions without chunks.

    ``before`` and ``after`` are the published tracks beside it on its album.
    """

    track: Track
    before: TrackId | None = None
    after: TrackId | None = None


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Kind:
    """All that tells how tracks may be heard and at which tiers, the same for many.

    ``track`` is one of them, and ``rungs`` are those that each of them has, in order. No two kinds
    are equal, though they may be alike.
    """

    track: Track
    rungs: tuple[Rung, ...]


class Card(NamedTuple):
    """A track as most manifests need it.

    ``renditions`` are the ids of its renditions, in order, and how many seconds each lasts;
    ``before`` and ``after`` are the published tracks beside it on its album.
    """

    id: TrackId
    title: str
    artist: str | None
    isrc: str | None
    album_id: AlbumId | None
    before: TrackId | None
    after: TrackId | None
    kind: Kind
    renditions: tuple[tuple[RenditionId, float], ...]


def card_of(brief: Brief) -> Card:
    """Return the card of a track that was read briefly; its kind is its own."""
    track = brief.track
    return Card(
        id=track.id,
        title=track.metadata.title,
        artist=track.metadata.artist,
        isrc=track.metadata.isrc,
        album_id=track.album_id,
        before=brief.before,
        after=brief.after,
        kind=Kind(track=track, rungs=tuple(each.rung for each in track.renditions)),
        renditions=tuple((each.id, each.seconds) for each in track.renditions),
    )


class Cards(Protocol):
    """What of tracks is kept ready, read on an event loop in no time.

    What is not there, or cannot be told at once for whatever reason, is left out: to ask Tracks
    makes it, or tells the reason.
    """

    async def tracks(self, track_ids: Collection[TrackId]) -> dict[TrackId, Card]:
        """Return the cards of some tracks, by id."""

    async def faces(
        self, rendition_ids: Collection[RenditionId], *, version: int
    ) -> dict[RenditionId, bytes]:
        """Return how a version of the manifest shows some renditions, by id: see Tracks.faces."""


class Tracks(Protocol):
    """Recordings, what labels said of them, and their published renditions."""

    def accept(self, delivery: Delivery, metadata: Metadata, job_id: JobId) -> Job:
        """Remember a delivery, its track and a queued job in one transaction; return the job.

        A label's ISRC names one track: when the label delivered it before, ``delivery.track_id``
        is set aside, and the track it has keeps its id and takes the new metadata. So does an
        owner's file. The job waits in the delivery's queue, or among light work when its master
        has been pressed before.
        """

    def named(self, label: str, isrcs: Collection[str]) -> dict[str, TrackId]:
        """Return the tracks of a label that have some ISRCs, by ISRC."""

    def on_albums(self, label: str, upcs: Collection[str]) -> list[TrackId]:
        """Return the tracks that are on a label's albums of some UPCs."""

    def get(self, track_id: TrackId) -> Track:
        """Return a track with its current renditions. Raises TrackNotFound."""

    def briefs(
        self,
        track_ids: Collection[TrackId],
        *,
        version: int,
        render: Callable[[Rendition], str],
    ) -> dict[TrackId, Brief]:
        """Return those of some tracks that exist, by id.

        What of it is not kept yet is made and kept, and so are faces: see there.
        """

    def faces(
        self,
        rendition_ids: Collection[RenditionId],
        *,
        version: int,
        render: Callable[[Rendition], str],
    ) -> dict[RenditionId, str]:
        """Return how a version of the manifest shows those of some renditions that exist, by id.

        Faces are kept by the ``version`` of the manifest that shows them; those that there are not
        yet are rendered, with all of their chunks, and kept.
        """

    def listed(self, track_ids: Collection[TrackId]) -> dict[TrackId, Track]:
        """Return those of some tracks that exist, by id, without renditions."""

    def alike(self, track_ids: Collection[TrackId]) -> dict[TrackId, Track]:
        """Return for those of some tracks that exist one that may be used as they may, by id.

        It is the track itself or another of those asked for that has the same label, owner,
        takedown and rights, so that many are judged at once. It comes without renditions.
        """

    def album(self, album_id: AlbumId) -> Album:
        """Return an album with its published tracks, in order. Raises AlbumNotFound."""

    def neighbours(self, track: Track) -> tuple[TrackId | None, TrackId | None]:
        """Return the published tracks before and after one on its album."""

    def take_down(self, track_id: TrackId, *, since: datetime | None, now: datetime) -> None:
        """Take a track down, or, since None, let it be heard again. Raises TrackNotFound."""

    def features(self, track_id: TrackId) -> Features | None:
        """Return what was heard in a track's current master, if that is known.

        Raises TrackNotFound.
        """

    def master_of(self, track_id: TrackId) -> Sha256 | None:
        """Return the master that a track is heard from now; None when it is not published."""

    def heard_since(
        self, recipe: str, *, since: datetime, after: str, limit: int
    ) -> list[HeardMaster]:
        """Return up to ``limit`` public masters' features of ``recipe``, in the order of hearing.

        Those heard later than ``since``, and those heard then whose hash is greater than ``after``.
        """

    def compared(self, masters: Collection[Sha256]) -> list[HeardMaster]:
        """Return what was heard in some masters."""

    def heard_from(self, masters: Collection[Sha256]) -> list[tuple[Sha256, Track]]:
        """Return the published tracks of ``masters`` that have no owner, without renditions."""

    def page(self, *, after: str, limit: int) -> list[Track]:
        """Return up to ``limit`` published tracks, by id after ``after``, without renditions.

        None that has an owner.
        """

    def rendition(self, rendition_id: RenditionId) -> Rendition | None:
        """Return a published rendition, current or not; None when there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parcel:
    """One track of a shipment: what is said of it, and its master, which ``job_id`` presses.

    ``track_id`` is for a track that there is not yet. One without a delivery is changed alone.
    """

    track_id: TrackId
    metadata: Metadata
    delivery: Delivery | None = None
    job_id: JobId | None = None


class Shipments(Protocol):
    """What labels sent, call by call."""

    def accept(
        self,
        shipment_id: DeliveryId,
        label: str,
        parcels: Sequence[Parcel],
        *,
        warnings: Sequence[tuple[str, str]],
        now: datetime,
    ) -> Shipment:
        """Remember a shipment, its tracks and a queued job for each master in one transaction.

        See Tracks.accept. Raises TrackNotFound for a parcel without a master whose ISRC the label
        has not delivered before.
        """

    def get(self, shipment_id: DeliveryId, *, label: str | None) -> Shipment:
        """Return a shipment of a label, or of any. Raises DeliveryNotFound."""

    def page(self, *, label: str | None, after: str, limit: int) -> list[Shipment]:
        """Return up to ``limit`` shipments by id after ``after``, of one label or of all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Neighbour:
    """A master, and how far from what was asked about it stands."""

    master_sha256: Sha256
    distance: float


class Atlas(Protocol):
    """Where every master stands among the others of one recipe of features."""

    def nearest(self, heard: Features, *, by: Measure, count: int) -> list[Neighbour]:
        """Return the ``count`` masters nearest to what was heard, the nearest first.

        What was heard within the last seconds may not be among them yet.
        """


class Jobs(Protocol):
    """The job ledger: the truth about work asked for.

    ``claim`` is the fencing token of the worker that holds a job. Every change by a worker names
    it and raises JobLost when another worker holds the job by now.
    """

    def get(self, job_id: JobId) -> Job:
        """Return a job. Raises JobNotFound."""

    def delivery(self, job_id: JobId) -> Delivery:
        """Return the delivery that a job presses. Raises JobNotFound."""

    def of_owner(self, owner: AccountId, *, after: str, limit: int) -> list[Job]:
        """Return up to ``limit`` jobs of an owner's files, by id after ``after``."""

    def due(
        self,
        queue: WorkQueue,
        *,
        now: datetime,
        stale_before: datetime,
        sent_before: datetime,
        limit: int,
    ) -> list[JobId]:
        """Return jobs of ``queue`` that a worker should be told of, the longest waiting first.

        Running ones whose heartbeat stopped before ``stale_before``, then queued ones that are
        due; unless sent since ``sent_before`` (and since they became due, or since their last
        heartbeat). None while the queue is drained.
        """

    def mark_sent(self, job_id: JobId, *, now: datetime) -> None:
        """Remember that a message for this job, unless it is due later only, is on its way."""

    def claim(
        self,
        job_id: JobId,
        claim: str,
        *,
        worker: WorkerName,
        now: datetime,
        stale_before: datetime,
        max_silences: int,
    ) -> Job | None:
        """Take a queued job that is due, or a running one that went silent; None when neither.

        Counts the attempt. A job whose workers went silent ``max_silences`` times is quarantined
        instead. Nothing is taken from a drained queue.
        """

    def beat(self, job_id: JobId, claim: str, *, stage: str, percent: int, now: datetime) -> None:
        """Record that the work goes on, and how far it is."""

    def release(self, job_id: JobId, claim: str, *, now: datetime) -> None:
        """Hand a job back unfinished, as if this attempt had not been made."""

    def move(self, job_id: JobId, claim: str, *, queue: WorkQueue, now: datetime) -> None:
        """Hand a job that is no light work to ``queue``, as if this attempt had not been made."""

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
        resembles: Sequence[Resemblance] = (),
        revealed: Fingerprint | None = None,
    ) -> None:
        """End a job well: in one transaction, publish what was pressed and point its track at it.

        ``current`` are the renditions that the track has from now on; ``pressing`` is what was
        made, or None when all of them were published before. Publishing twice changes nothing.
        What was heard in an owner's master is found by nobody, until the master is published for
        a track without one: then it is ``revealed``.
        """

    def match(
        self, job_id: JobId, claim: str, *, resembles: Sequence[Resemblance], now: datetime
    ) -> None:
        """End the job of an owner's master that is known as other tracks: it is not kept."""

    def withhold(
        self,
        job_id: JobId,
        claim: str,
        *,
        reason: Reason,
        resembles: Sequence[Resemblance],
        now: datetime,
    ) -> None:
        """End a job that is not published unless an operator approves it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackOf:
    """A track, and the label that delivered it."""

    track_id: TrackId
    label: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipes:
    """By what recipes a master is heard now."""

    features: str
    fingerprint: str


POSITION_BITS = 20
"""How many bits of a place are a position in a fingerprint; one of 36 hours fits."""


class Prints(Protocol):
    """Fingerprints of published masters, found by their terms."""

    def postings(self, terms: Collection[int], *, most: int) -> Sequence[tuple[int, int]]:
        """Return where ``terms`` stand: each with a place; none of what has ``most`` or more.

        A place is the number of a fingerprint, shifted by POSITION_BITS, and the position in it.
        """

    def read(self, numbers: Collection[int]) -> list[Print]:
        """Return the fingerprints that have these numbers."""

    def tracks_of(self, master_sha256: Sha256) -> list[TrackOf]:
        """Return the tracks without an owner that are heard from a master, the oldest first."""

    def hidden(self, master_sha256: Sha256) -> str | None:
        """Return the encoded fingerprint of a master that is not public; None for all others."""

    def unheard(self, *, recipes: Recipes, after: str, limit: int) -> list[Sha256]:
        """Return up to ``limit`` published masters that were not heard by ``recipes``.

        By their hashes, after ``after``.
        """

    def keep(
        self,
        master_sha256: Sha256,
        *,
        features: Features,
        fingerprint: Fingerprint,
        now: datetime,
    ) -> None:
        """Keep what was heard in a published master, in the place of what other recipes heard."""

    def twins(self, pcm_sha256: Sha256) -> list[Sha256]:
        """Return the published masters that decode to the same samples."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """What is to be expected of a job that has not ended.

    ``ahead`` is how many jobs wait before it, None where it runs. ``ends_at`` goes by how long
    others took; None where none has ended yet.
    """

    ahead: int | None
    ends_at: datetime | None


class Desk(Protocol):
    """What operators see of the ledger, and how they steer it."""

    def outlook(self, jobs: Collection[Job], *, now: datetime) -> dict[JobId, Outlook]:
        """Return what is to be expected of those of some jobs that have not ended."""

    def page(
        self,
        *,
        states: Collection[JobState],
        queues: Collection[WorkQueue],
        after: str,
        limit: int,
    ) -> list[Job]:
        """Return up to ``limit`` jobs by id after ``after``; all states, or queues, when none."""

    def attempts(self, job_id: JobId) -> list[Attempt]:
        """Return who held a job, the first one first."""

    def census(self, *, now: datetime) -> list[QueueCensus]:
        """Return how full each queue is."""

    def workers(self, *, since: datetime) -> list[str]:
        """Return the names of workers that hold a job and gave a sign of life ``since`` then."""

    def cancel(self, job_id: JobId, *, now: datetime) -> None:
        """End a job that has not ended; a worker that holds it loses it. Raises JobStateWrong."""

    def revive(self, job_id: JobId, *, now: datetime) -> None:
        """Queue a job again that ended without success; raises JobStateWrong for any other."""

    def approve(self, job_id: JobId, *, now: datetime) -> None:
        """Queue a job again that was withheld, to be published. Raises JobStateWrong."""

    def quarantine(self, job_id: JobId, *, reason: Reason, now: datetime) -> None:
        """Set a job aside until it is revived. Raises JobStateWrong."""

    def drain(self, queue: WorkQueue, *, now: datetime) -> None:
        """Let no worker take a job of ``queue`` from now on; what runs goes on."""

    def resume(self, queue: WorkQueue) -> None:
        """Let workers take jobs of ``queue`` again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Leftover:
    """A hold whose time is over: ``holder`` may have put objects there that nobody needs."""

    place: str
    holder: str
    until: datetime


class Holds(Protocol):
    """Who may put objects where, so that nothing is collected that somebody is about to use.

    A place is a prefix of object keys. It is collected in three steps: condemned in the catalogue,
    emptied in the store, absolved in the catalogue. A condemned place cannot be held, and a held
    or referenced one cannot be condemned. Whoever empties a place renews its sentence, whose time
    ``since`` is also what tells one sentence from another; one that is not renewed is taken over.

    The holds of a job are over when the job is, and remain as leftovers until they are forgotten.
    """

    def hold(self, places: Collection[str], holder: str, *, until: datetime) -> None:
        """Keep ``places`` from being collected. Raises PlaceCondemned when one just is."""

    def leave(self, places: Collection[str], holder: str, *, now: datetime) -> None:
        """Make leftovers of ``places``, held before or not: what was put there goes if it can."""

    def release(self, holder: str) -> None:
        """Give up all that ``holder`` holds: all it put there is referred to."""

    def leftovers(self, *, now: datetime, limit: int) -> list[Leftover]:
        """Return up to ``limit`` holds whose time is over, the oldest first."""

    def forget(self, leftover: Leftover) -> None:
        """Give up a hold whose time is over, unless it was changed since it was looked up."""

    def is_orphan(self, place: str, *, now: datetime) -> bool:
        """Return whether nothing refers to ``place`` and nobody holds it."""

    def condemn(self, place: str, *, now: datetime, stale_before: datetime) -> bool:
        """Condemn ``place`` if it is an orphan, and return whether the caller may empty it.

        It may not while another does, who gave a sign of life after ``stale_before``.
        """

    def renew(self, place: str, *, since: datetime, now: datetime) -> bool:
        """Give a sign of life, and return whether the place is still the caller's to empty."""

    def condemned(self) -> list[str]:
        """Return the places that are being removed, or whose removal broke off."""

    def absolve(self, place: str, *, since: datetime) -> bool:
        """Let an emptied place be used again, and return False where another empties it by now."""
