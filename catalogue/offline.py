"""Devices, what they have downloaded, and the keys that it is sealed with: nouns and ports.

Every adapter of a port passes the same contract suite. Methods raise Unavailable when what keeps it
is away.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, NewType, Protocol

from catalogue.nouns import AccountId, Quality, RenditionId, TrackId
from catalogue.quality import QualityPolicy

DeviceId = NewType("DeviceId", str)
DownloadId = NewType("DownloadId", str)
ContentKeyId = NewType("ContentKeyId", str)
"""32 lower-case hexadecimal digits."""


class Form(StrEnum):
    """What a content key makes of a rendition.

    Sealed objects open on a device that has a licence. What is in common encryption (CENC) is for
    standard players, which are given its key as it is.
    """

    SEALED = "sealed"
    CENC = "cenc"


class DeviceKind(StrEnum):
    """What a device is."""

    PHONE = "phone"
    TABLET = "tablet"
    COMPUTER = "computer"
    CAR = "car"
    SPEAKER = "speaker"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """A player that may keep downloads; protection.possession has the form of its keys.

    ``generation`` grows with whatever changes in what it may have. ``serial`` counts its licences,
    ``mark`` is that of the newest, ``basis`` the mark that it showed to get that, and ``repeats``
    how often it has shown that since. ``clones`` is how often a mark was shown that its own device
    cannot have.
    """

    id: DeviceId
    account_id: AccountId
    name: str
    kind: DeviceKind
    public_key: str
    agreement_key: str
    thumbprint: str
    created_at: datetime
    seen_at: datetime
    revoked_at: datetime | None = None
    generation: int = 0
    serial: int = 0
    mark: str = ""
    basis: str = ""
    repeats: int = 0
    clones: int = 0


class Renewal(StrEnum):
    """What came of showing a mark."""

    GIVEN = "given"
    NOT_OPEN = "the challenge is not open"
    COPIED = "its licence was copied: another has renewed it"


REPEATS_MOST = 5
"""How often a device may show one mark again, because answers were lost on their way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceLimits:
    """How many devices an account has at once, and registers from ``since`` on."""

    at_once: int
    lately: int
    since: datetime


class Devices(Protocol):
    """The devices of accounts, and the challenges that they answer."""

    def challenge(
        self,
        account_id: AccountId,
        challenge: str,
        *,
        now: datetime,
        until: datetime,
        device_id: DeviceId | None = None,
    ) -> None:
        """Remember a challenge for an account, and forget those that have ended.

        One for a device takes the place of those before.
        """

    def spend(self, account_id: AccountId, challenge: str, *, now: datetime) -> bool:
        """Return whether a challenge for a new device was open; it never is again."""

    def register(self, device: Device, limits: DeviceLimits) -> None:
        """Remember a new device. Raises DeviceExists, DevicesFull and TooManySwaps."""

    def of(self, account_id: AccountId) -> list[Device]:
        """Return the devices of an account that were not revoked, the oldest first."""

    def get(self, account_id: AccountId, device_id: DeviceId) -> Device:
        """Return a device of an account. Raises DeviceNotFound, and DeviceRevoked."""

    def revoke(self, account_id: AccountId, device_id: DeviceId, *, now: datetime) -> None:
        """Remove a device, its downloads, and the keys that are its own. Raises DeviceNotFound."""

    def renew(
        self, device: Device, challenge: str, *, shown: str, mark: str, now: datetime
    ) -> Renewal:
        """Let ``mark`` be that of a device's newest licence, if it shows the newest before.

        Or, up to ``REPEATS_MOST`` times, where the answer was lost, the one before that. Any other
        one was copied, which is counted and recorded. The challenge is spent with it, or neither.
        Raises DeviceRevoked.
        """


class DownloadKind(StrEnum):
    """What was downloaded."""

    TRACK = "track"
    ALBUM = "album"
    PLAYLIST = "playlist"


class SealedFor(StrEnum):
    """Whom a content key seals for."""

    ALL = "all"
    DEVICE = "device"


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelPolicy:
    """What a label demands of how its recordings are kept on devices, and what it may upload.

    ``standard_players`` is whether they may be kept in common encryption, whose keys are given to
    players that hide them from nobody. ``max_uploads`` is how many uploads it may have open, and
    ``max_upload_bytes`` how large they may be together. ``quality`` is what rules say of its
    masters.
    """

    sealed_for: SealedFor = SealedFor.ALL
    standard_players: bool = False
    max_uploads: int = 1000
    max_upload_bytes: int = 1 << 40
    quality: QualityPolicy = field(default_factory=QualityPolicy)


class Policies(Protocol):
    """What labels demand."""

    def get(self, label: str) -> LabelPolicy:
        """Return what a label demands: the usual, unless it was said otherwise."""

    def put(self, label: str, policy: LabelPolicy, *, now: datetime) -> None:
        """Remember what a label demands; what is sealed stays as it is."""


class Standing(StrEnum):
    """Whether a device may have a track of a download."""

    ACTIVE = "active"
    REMOVED = "removed"
    REVOKED = "revoked"


class StoredContentKey(NamedTuple):
    """A content key, wrapped: protection.content_keys has its form.

    It seals one rendition of one track in one form, for every device, or for the ``device_id``
    alone.
    """

    id: ContentKeyId
    track_id: TrackId
    rendition_id: RenditionId
    tier: str
    quality: Quality
    device_id: DeviceId | None
    kek: str
    wrapped: bytes
    chunk_count: int
    size_bytes: int
    form: Form = Form.SEALED

    def __repr__(self) -> str:
        """Return what may be shown: not the key, though it is wrapped."""
        return f"StoredContentKey({self.id!r}, {self.track_id!r}, {self.rendition_id!r})"


@dataclass(frozen=True, kw_only=True, slots=True)
class DownloadedTrack:
    """A track of a download, and how far it is sealed.

    ``generation`` is that of the device when its ``standing`` last changed, ``code`` the error that
    took it away. ``licensed_until`` is when the newest licence for it ends.
    """

    download_id: DownloadId
    track_id: TrackId
    key: StoredContentKey
    sealed_bytes: int
    sealed: bool
    standing: Standing = Standing.ACTIVE
    code: str | None = None
    licensed_until: datetime | None = None
    generation: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Download:
    """What a device keeps: a track, or a collection of them in order."""

    id: DownloadId
    account_id: AccountId
    device_id: DeviceId
    kind: DownloadKind
    subject: str
    title: str
    created_at: datetime
    tracks: tuple[DownloadedTrack, ...]


class ContentKeys(Protocol):
    """The keys that renditions are sealed with, and how far that is."""

    def keys(
        self, wanted: Sequence[StoredContentKey], *, now: datetime
    ) -> Mapping[tuple[TrackId, RenditionId], StoredContentKey]:
        """Return the keys of renditions of tracks; where there is none, the one wanted is kept.

        What is new waits to be sealed.
        """

    def due(self, *, now: datetime, limit: int) -> list[ContentKeyId]:
        """Return up to ``limit`` keys whose renditions wait to be sealed and are nobody's now."""

    def claim(
        self, key_id: ContentKeyId, *, now: datetime, until: datetime
    ) -> StoredContentKey | None:
        """Return a key whose rendition is the caller's to seal until then; None when it is not.

        Two that seal the same after all write equal bytes.
        """

    def progress(self, key_id: ContentKeyId, sealed_bytes: int, *, until: datetime) -> None:
        """Note how much is sealed."""

    def put_off(self, key_id: ContentKeyId, *, until: datetime) -> None:
        """Let nobody seal it until then."""

    def finish(self, key_id: ContentKeyId, *, now: datetime) -> None:
        """Note that a rendition is sealed; doing so again changes nothing."""

    def sealed(self, key_id: ContentKeyId) -> StoredContentKey | None:
        """Return a key whose rendition is sealed; None where there is none, or not yet."""

    def shared(self, track_ids: Collection[TrackId], form: Form) -> list[StoredContentKey]:
        """Return the keys of tracks in one form that are no device's own, by track and id."""

    def wrapped_otherwise(self, kek: str, *, after: str, limit: int) -> list[StoredContentKey]:
        """Return up to ``limit`` keys that ``kek`` does not wrap, by id after ``after``."""

    def rewrap(self, keys: Sequence[StoredContentKey]) -> None:
        """Keep keys as they are wrapped now."""


class Downloads(Protocol):
    """What devices have downloaded."""

    def add(self, download: Download, *, most: int, now: datetime) -> Download:
        """Remember a new download and return it. Raises DownloadsFull, DeviceRevoked.

        ``most`` is how many tracks a device may have. A track that the device has already in the
        same rendition is there twice, and counts twice.
        """

    def of(self, account_id: AccountId, device_id: DeviceId | None = None) -> list[Download]:
        """Return the downloads of an account, or of one of its devices, the oldest first."""

    def get(self, account_id: AccountId, download_id: DownloadId) -> Download:
        """Return a download. Raises DownloadNotFound."""

    def remove(self, account_id: AccountId, download_id: DownloadId, *, now: datetime) -> None:
        """Remove a download. Raises DownloadNotFound."""

    def kept(
        self, device_id: DeviceId, *, only: Collection[ContentKeyId] | None = None
    ) -> list[StoredContentKey]:
        """Return the content keys of all that a device has not removed, each once, by id.

        Or of them ``only`` some.
        """

    def changes(self, device_id: DeviceId, *, since: int) -> list[DownloadedTrack]:
        """Return the tracks of a device that changed after its generation ``since``.

        From 0 on, none that was removed.
        """

    def count(self, device_id: DeviceId) -> int:
        """Return how many tracks a device has not removed."""

    def judge(
        self,
        device_id: DeviceId,
        verdicts: Mapping[ContentKeyId, str | None],
        *,
        ends: Mapping[ContentKeyId, datetime] | None = None,
    ) -> int:
        """Note what was taken away from a device, with the error's code, or given back.

        And until when it is given licences for content keys: ``ends``. Return the generation of
        the device. Raises DeviceRevoked.
        """


def sealed_rendition(key: StoredContentKey) -> RenditionId:
    """Return how the objects that a content key makes are addressed and stored."""
    return RenditionId(f"{key.form}-{key.id}")


def key_of_sealed(rendition_id: RenditionId) -> ContentKeyId | None:
    """Return the content key of such objects; None for a rendition in clear."""
    form, _, key_id = rendition_id.partition("-")
    return ContentKeyId(key_id) if form in tuple(Form) else None
