"""The nouns of the house: frozen values that every room passes to the next.

Positions and lengths are whole samples of the rate beside them; sizes are bytes; times are aware
datetimes in UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Annotated, NamedTuple, NewType

from pydantic import Field

from catalogue.quality import QualityReport

TrackId = NewType("TrackId", str)
AlbumId = NewType("AlbumId", str)
JobId = NewType("JobId", str)
DeliveryId = NewType("DeliveryId", str)
RenditionId = NewType("RenditionId", str)
AccountId = NewType("AccountId", str)
SessionId = NewType("SessionId", str)
Sha256 = NewType("Sha256", str)
"""64 lower-case hexadecimal digits."""


_LOW_MAX_KBPS, _NORMAL_MAX_KBPS = 96, 160


class Codec(StrEnum):
    """A coding that lathe cuts."""

    AAC = "aac"
    ALAC = "alac"
    FLAC = "flac"
    VORBIS = "vorbis"

    @property
    def lossless(self) -> bool:
        """Whether decoding gives back the very samples that were encoded."""
        return self in (Codec.ALAC, Codec.FLAC)


class Quality(IntEnum):
    """What a listener hears, from the least to the best; tiers of one quality sound alike."""

    LOW = 0
    NORMAL = 1
    HIGH = 2
    LOSSLESS = 3
    HIRES = 4

    @property
    def label(self) -> str:
        """How it is written outside."""
        return self.name.lower()


@dataclass(frozen=True, kw_only=True, slots=True)
class Tier:
    """A quality offered: one rung of the ladder.

    ``bitrate_kbps`` is nominal for stereo, ``mono_bitrate_kbps`` for mono; both are null for
    lossless tiers. ``hires`` tiers keep the master's own rate and depth; all others have
    ``rate_hz``, or where that is null the family's base rate, and lossless ones of them 16 bits.
    """

    name: str
    codec: Codec
    bitrate_kbps: int | None = None
    mono_bitrate_kbps: int | None = None
    rate_hz: int | None = None
    hires: bool = False

    @property
    def quality(self) -> Quality:
        """The quality it offers; a lossy one's by its nominal bit rate for stereo."""
        if self.codec.lossless:
            return Quality.HIRES if self.hires else Quality.LOSSLESS
        kbps = self.bitrate_kbps or 0
        if kbps > _NORMAL_MAX_KBPS:
            return Quality.HIGH
        return Quality.NORMAL if kbps > _LOW_MAX_KBPS else Quality.LOW


class Rung(NamedTuple):
    """What of a rendition a choice among several looks at."""

    codec: Codec
    quality: Quality
    media_type: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TierRefused:
    """A tier that a master does not earn, and why."""

    tier: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Artwork:
    """The first picture embedded in a master; the bytes themselves stay in the master."""

    media_type: str
    size_bytes: int
    sha256: Sha256


@dataclass(frozen=True, kw_only=True, slots=True)
class Tags:
    """What the master says of itself; every field may be absent."""

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    isrc: str | None = None
    date: str | None = None
    track_number: str | None = None
    genre: str | None = None
    artwork: Artwork | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Master:
    """The audio as received, as its container declares it before anything is decoded.

    ``bits`` is null for lossy sources. ``declared_samples`` is null where the container does not
    say (a streamed WAV). ``audio_md5`` is the checksum that a FLAC carries of its own PCM.
    """

    sha256: Sha256
    size_bytes: int
    container: str
    codec: str
    lossy: bool
    rate_hz: int
    channels: int
    bits: int | None
    declared_samples: int | None
    audio_md5: str | None
    tags: Tags

    @property
    def base_rate_hz(self) -> int:
        """The base rate of the master's family: 44,100 or 48,000."""
        return 44_100 if self.rate_hz % 44_100 == 0 else 48_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """What one decode of a master to its end measured.

    ``pcm_sha256`` hashes interleaved little-endian signed PCM, 2 bytes a sample for 16-bit
    masters and 3 for all others.
    """

    samples: int
    pcm_sha256: Sha256


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredObject:
    """One object of a rendition, by its name inside the rendition."""

    name: str
    size_bytes: int
    sha256: Sha256


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """A separately fetched stretch of a rendition.

    ``preroll_offset`` and ``preroll_size`` give the byte range of this chunk's pre-roll in the
    rendition's pre-roll object (size 0: none is needed); ``preroll_samples`` is how many samples
    that pre-roll decodes to, to be dropped.
    """

    index: int
    start_samples: int
    valid_samples: int
    preroll_samples: int
    preroll_offset: int
    preroll_size: int
    body: StoredObject


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendition:
    """One master at one tier, cut: everything a player must be told to play it exactly.

    ``frame_samples`` is null where packets have no fixed length (Vorbis). ``priming_samples``
    precede the first valid sample of the joined stream and ``padding_samples`` follow the last.
    """

    id: RenditionId
    master_sha256: Sha256
    tier: Tier
    recipe: str
    codec_string: str
    media_type: str
    rate_hz: int
    channels: int
    bits: int | None
    samples: int
    frame_samples: int | None
    priming_samples: int
    padding_samples: int
    init: StoredObject
    preroll: StoredObject | None
    chunks: tuple[Chunk, ...]

    @property
    def rung(self) -> Rung:
        """Where it stands among the renditions of a track."""
        return Rung(self.tier.codec, self.tier.quality, self.media_type)

    @property
    def seconds(self) -> float:
        """How long its valid samples last, to the microsecond."""
        return round(self.samples / self.rate_hz, 6)

    @property
    def size_bytes(self) -> int:
        """Bytes of the joined stream."""
        return self.init.size_bytes + sum(chunk.body.size_bytes for chunk in self.chunks)

    def objects(self) -> Mapping[str, StoredObject]:
        """Return every object of the rendition by name."""
        found = {self.init.name: self.init}
        if self.preroll is not None:
            found[self.preroll.name] = self.preroll
        return found | {chunk.body.name: chunk.body for chunk in self.chunks}


@dataclass(frozen=True, kw_only=True, slots=True)
class Features:
    """What is heard in a master; docs/features.md defines each.

    Scores, strengths and confidences are from 0 to 1; ``key`` is one of 12 tonics and ``mode``
    major or minor. Tempo and key are None where there is no pulse, or no pitch that stands out.
    ``vector`` has 50 numbers, for distances between masters of one ``recipe``. Loudness is that of
    EBU R 128, None in silence and where it was not measured.
    """

    recipe: str
    tempo_bpm: float | None
    tempo_confidence: float
    tempo_alternative_bpm: float | None
    key: str | None
    mode: str | None
    key_strength: float
    energy: float
    valence: float
    danceability: float
    acousticness: float
    beats_s: tuple[float, ...]
    vector: tuple[float, ...]
    loudness_lufs: float | None = None
    loudness_range_lu: float | None = None


class Measure(StrEnum):
    """What distance between tracks is measured by: scores with weights, or the whole vector."""

    SCORES = "scores"
    VECTOR = "vector"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprint:
    """What a recording is known by again: Chromaprint over all of it.

    ``encoded`` is Chromaprint's own compressed form, as AcoustID takes it. ``terms`` are those of
    its items that are indexed, as signed numbers of 32 bits, each with its position; empty when
    there is too little in it to know anything by. ``recipe`` tells how both were made.
    """

    recipe: str
    encoded: str
    terms: Annotated[tuple[tuple[int, int], ...], Field(exclude=True)] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Print:
    """A fingerprint as the catalogue keeps it, under a number of its own."""

    number: int
    master_sha256: Sha256
    encoded: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Recognition:
    """A published master in which another sound was recognised.

    ``confidence`` is the probability that both are one recording. ``offset_s`` is where in the
    master the sound begins, ``speed`` how much faster than the master it runs, ``coverage`` the
    share of it that was found there, and ``bit_error_rate`` how unlike it is where it was found.
    """

    master_sha256: Sha256
    confidence: float
    offset_s: float
    speed: float
    coverage: float
    bit_error_rate: float


class Kinship(StrEnum):
    """How two masters are one: the same bytes, the same samples, or the same recording."""

    SAME_FILE = "same-file"
    SAME_SAMPLES = "same-samples"
    SAME_RECORDING = "same-recording"


@dataclass(frozen=True, kw_only=True, slots=True)
class Resemblance:
    """A published track that a delivered master is kin to, with the evidence.

    The numbers are those of a Recognition; of the same samples they are certain.
    """

    track_id: TrackId
    kinship: Kinship
    confidence: float = 1.0
    offset_s: float = 0.0
    speed: float = 1.0
    bit_error_rate: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Pressing:
    """All that pressing one master gave; ``quality`` is None for one that was pressed long ago."""

    master: Master
    decoded: Decoded
    features: Features
    fingerprint: Fingerprint
    renditions: tuple[Rendition, ...]
    refused: tuple[TierRefused, ...]
    quality: QualityReport | None = None


class WorkQueue(StrEnum):
    """Which workers a job waits for.

    A label waits for what is urgent; a back catalogue is bulk; light is what needs no encoder.
    """

    URGENT = "urgent"
    BULK = "bulk"
    LIGHT = "light"


class Use(StrEnum):
    """What a right allows."""

    STREAM = "stream"
    DOWNLOAD = "download"


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """When, for what and how well a track may be heard somewhere.

    From ``starts_at`` until just before ``ends_at``, either of which may be open, and at most at
    ``max_quality`` when there is one.
    """

    starts_at: datetime | None = None
    ends_at: datetime | None = None
    uses: tuple[Use, ...] = tuple(Use)
    max_quality: Quality | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Right:
    """What holds for a track in a territory (ISO 3166-1 alpha-2, or Worldwide).

    A territory that has a right of its own goes by that alone, all others by the one Worldwide.
    One without windows is a territory that the track may not be heard in.
    """

    territory: str
    windows: tuple[Window, ...] = (Window(),)


class CreditRole(StrEnum):
    """What somebody did for a recording or a release."""

    MAIN = "main"
    FEATURED = "featured"
    PERFORMER = "performer"
    CONDUCTOR = "conductor"
    COMPOSER = "composer"
    LYRICIST = "lyricist"
    ARRANGER = "arranger"
    PRODUCER = "producer"
    REMIXER = "remixer"
    ENGINEER = "engineer"


@dataclass(frozen=True, kw_only=True, slots=True)
class Credit:
    """Who did what."""

    name: str
    role: CreditRole


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackDetails:
    """What a label says of a recording beside its title, to be shown and no more.

    ``explicit`` is None where it was not said. ``unsaid`` names what stands for something that
    nobody said, title or artist, until the master tells it.
    """

    credits: tuple[Credit, ...] = ()
    genres: tuple[str, ...] = ()
    explicit: bool | None = None
    unsaid: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AlbumDetails:
    """What a label says of an album beside its title, to be shown and no more.

    ``released_on`` is a date (ISO 8601), ``imprint`` the label as it stands on the album.
    """

    credits: tuple[Credit, ...] = ()
    genres: tuple[str, ...] = ()
    released_on: str | None = None
    imprint: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class AlbumSaid:
    """What a label says of the album that a recording is on; ``upc`` is its own name for it."""

    upc: str
    title: str
    disc: int
    number: int
    details: AlbumDetails = AlbumDetails()


@dataclass(frozen=True, kw_only=True, slots=True)
class Metadata:
    """What is said of a recording by who delivers it; only labels give an ISRC."""

    title: str
    artist: str
    isrc: str | None
    rights: tuple[Right, ...]
    album: AlbumSaid | None = None
    details: TrackDetails = TrackDetails()


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """What was sent: a master, by its hash, with metadata.

    Where it is one of a shipment's, its id is that of the shipment with its place there.

    ``queue`` is where its master waits to be pressed: urgent or bulk. What a listener sends has an
    ``owner`` instead of a label: it is matched with the catalogue, and else pressed for the owner
    alone.
    """

    id: DeliveryId
    label: str
    track_id: TrackId
    master_sha256: Sha256
    filename: str
    size_bytes: int
    created_at: datetime
    queue: WorkQueue = WorkQueue.URGENT
    owner: AccountId | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """A recording as the catalogue knows it; ``renditions`` is empty until it is published.

    From ``taken_down_at`` on nobody may hear it, whatever its rights say. One that has an ``owner``
    is nobody else's to hear, or to know of; its label is the owner's id. ``number`` is its place on
    a disc of the album.
    """

    id: TrackId
    label: str
    metadata: Metadata
    renditions: tuple[Rendition, ...] = ()
    updated_at: datetime
    taken_down_at: datetime | None = None
    owner: AccountId | None = None
    album_id: AlbumId | None = None
    number: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Album:
    """A label's album, and its published tracks in order, without renditions."""

    id: AlbumId
    label: str
    upc: str
    title: str
    tracks: tuple[Track, ...]
    details: AlbumDetails = AlbumDetails()


class JobState(StrEnum):
    """Where a job stands; catalogue.lifecycle tells what can happen to it there."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    CANCELLED = "cancelled"
    HELD = "held"

    @property
    def final(self) -> bool:
        """Whether nothing more happens by itself."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why a job stopped, in the words of the error tree."""

    code: str
    title: str
    detail: str
    advice: str
    measured: Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """Work asked for, how far it got, what it tried and why it stopped.

    ``attempts`` counts claims, so that it survives a killed worker. ``claim`` is the fencing
    token of the worker that holds the job, ``worker`` that one, or the last one of a
    job that has ended. ``resembles`` are the tracks that its master was found to be kin to;
    ``approved`` is whether an operator lets it be published in spite of them.
    """

    id: JobId
    delivery_id: DeliveryId
    track_id: TrackId
    queue: WorkQueue
    state: JobState
    stage: str
    percent: int
    attempts: int
    claim: str | None
    worker: str | None
    heartbeat_at: datetime | None
    due_at: datetime
    reason: Reason | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    resembles: tuple[Resemblance, ...] = ()
    approved: bool = False


class AttemptEnd(StrEnum):
    """How a worker's hold on a job ended."""

    DONE = "done"
    FAILED = "failed"
    RETRIED = "retried"
    RELEASED = "released"
    MOVED = "moved"
    SILENT = "silent"
    CANCELLED = "cancelled"
    QUARANTINED = "quarantined"
    HELD = "held"


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One worker's hold on a job: who, with what version, from when to when, and how far."""

    worker: str
    version: str
    stage: str
    percent: int
    started_at: datetime
    ended_at: datetime | None
    end: AttemptEnd | None
    code: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ShippedTrack:
    """A track that a shipment brought or changed; ``job`` presses the master that came with it."""

    track_id: TrackId
    isrc: str
    title: str
    filename: str | None
    job: Job | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Shipment:
    """What a label sent in one call: masters, metadata, rights; all of it was taken, or nothing.

    ``warnings`` are what is odd in it, each with a JSON pointer.
    """

    id: DeliveryId
    label: str
    created_at: datetime
    tracks: tuple[ShippedTrack, ...]
    warnings: tuple[tuple[str, str], ...] = ()
