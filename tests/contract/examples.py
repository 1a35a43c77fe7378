"""Nouns to test with: small, valid, and the same each time."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

from catalogue.licensing import Grant
from catalogue.nouns import (
    AccountId,
    Chunk,
    Codec,
    Decoded,
    Delivery,
    DeliveryId,
    Features,
    Fingerprint,
    Master,
    Metadata,
    Pressing,
    Quality,
    Reason,
    Rendition,
    RenditionId,
    Right,
    Sha256,
    StoredObject,
    Tags,
    Tier,
    Track,
    TrackId,
)
from catalogue.people import Account, Plan, Role
from catalogue.port import WorkerName

WORKER = WorkerName(name="machine:1", version="0.1.0")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

OGG = Tier(name="ogg-160", codec=Codec.VORBIS, bitrate_kbps=160, hires=False)
AAC = Tier(name="aac-256", codec=Codec.AAC, bitrate_kbps=256, hires=False)
ALAC = Tier(name="alac", codec=Codec.ALAC, bitrate_kbps=None, hires=False)
ALAC_HIRES = Tier(name="alac-hires", codec=Codec.ALAC, bitrate_kbps=None, hires=True)
LADDER = (OGG, AAC, ALAC, ALAC_HIRES)

REASON = Reason(
    code="master-corrupt",
    title="The master cannot be decoded to its end",
    detail="It stops at sample 4811.",
    advice="Export it again.",
    measured={"samples": 4811, "ratio": 0.5, "strict": True, "tool": "ffmpeg", "md5": None},
)

FEATURES = Features(
    recipe="features-1",
    tempo_bpm=120.5,
    tempo_confidence=0.9,
    tempo_alternative_bpm=60.25,
    key="C",
    mode="major",
    key_strength=0.8,
    energy=0.5,
    valence=0.4,
    danceability=0.3,
    acousticness=0.2,
    beats_s=(0.1, 0.6),
    vector=(0.0,) * 50,
)

_MEDIA = {
    Codec.AAC: ("mp4", "m4s", "mp4a.40.2", "audio/mp4"),
    Codec.ALAC: ("mp4", "m4s", "alac", "audio/mp4"),
    Codec.VORBIS: ("ogg", "ogg", "vorbis", "audio/ogg"),
}


def sha256_of(text: str) -> Sha256:
    """Return a hash that is the same for the same text."""
    return Sha256(hashlib.sha256(text.encode()).hexdigest())


def make_stored(name: str, size_bytes: int = 1000) -> StoredObject:
    """Return the account of an object that was stored."""
    return StoredObject(name=name, size_bytes=size_bytes, sha256=sha256_of(name))


def make_master(name: str = "master", **changes: Any) -> Master:
    """Return a master of CD quality, with ``changes``."""
    plain = Master(
        sha256=sha256_of(name),
        size_bytes=176_444,
        container="flac",
        codec="flac",
        lossy=False,
        rate_hz=44_100,
        channels=2,
        bits=16,
        declared_samples=44_100,
        audio_md5="0" * 32,
        tags=Tags(title="Prelude", artist="The Players"),
    )
    return replace(plain, **changes)


def make_rendition(
    tier: Tier = AAC,
    *,
    master: str = "master",
    rate_hz: int = 44_100,
    lengths: Sequence[int] = (442_368, 442_368, 24_000),
    sizes: Sequence[int] = (300_000, 310_000, 17_000),
) -> Rendition:
    """Return a rendition whose chunks have these ``lengths`` in samples and ``sizes`` in bytes."""
    header, body, codec_string, media_type = _MEDIA[tier.codec]
    digits = sha256_of(f"{master} {tier.name}")[:32]
    starts = [0, *accumulate(lengths)]
    chunks = tuple(
        Chunk(
            index=index,
            start_samples=starts[index],
            valid_samples=length,
            preroll_samples=1024 if index else 0,
            preroll_offset=max(0, index - 1) * 700,
            preroll_size=700 if index else 0,
            body=make_stored(f"{index:05d}.{body}", size_bytes),
        )
        for index, (length, size_bytes) in enumerate(zip(lengths, sizes, strict=True))
    )
    return Rendition(
        id=RenditionId(f"{tier.name}-{digits}"),
        master_sha256=sha256_of(master),
        tier=tier,
        recipe="0123456789ab",
        codec_string=codec_string,
        media_type=media_type,
        rate_hz=rate_hz,
        channels=2,
        bits=16 if tier.codec.lossless else None,
        samples=starts[-1],
        frame_samples=None if tier.codec is Codec.VORBIS else 4096,
        priming_samples=1024 if tier.codec is Codec.AAC else 0,
        padding_samples=0,
        init=make_stored(f"init.{header}"),
        preroll=make_stored(f"preroll.{body}") if len(lengths) > 1 else None,
        chunks=chunks,
    )


FINGERPRINT = Fingerprint(
    recipe="chromaprint-1", encoded="AQAAAA", terms=((5, 0), (7, 3), (7, 9), (-(1 << 31), 1200))
)


def make_pressing(*tiers: Tier, master: str = "master") -> Pressing:
    """Return what pressing a master at ``tiers`` gave."""
    renditions = tuple(make_rendition(tier, master=master) for tier in tiers)
    decoded = Decoded(samples=renditions[0].samples, pcm_sha256=sha256_of(f"{master} pcm"))
    return Pressing(
        master=make_master(master),
        decoded=decoded,
        features=FEATURES,
        fingerprint=FINGERPRINT,
        renditions=renditions,
        refused=(),
    )


def make_metadata(*territories: str, isrc: str = "ZZTST2600001", title: str = "Ode") -> Metadata:
    """Return what a label says of a recording; licensed worldwide unless territories are given."""
    rights = tuple(Right(territory=each) for each in territories or ("Worldwide",))
    return Metadata(title=title, artist="The Players", isrc=isrc, rights=rights)


def make_delivery(number: int = 1, **changes: Any) -> Delivery:
    """Return the delivery of that number, with a track id of its own, with ``changes``."""
    plain = Delivery(
        id=DeliveryId(f"dlv_{number:026d}"),
        label="the-label",
        track_id=TrackId(f"trk_{number:026d}"),
        master_sha256=sha256_of("master"),
        filename="ode.flac",
        size_bytes=176_444,
        created_at=NOON,
    )
    return replace(plain, **changes)


def make_track(*territories: str, renditions: Sequence[Rendition] | None = None) -> Track:
    """Return a track, published at one tier unless ``renditions`` are given."""
    return Track(
        id=TrackId(f"trk_{1:026d}"),
        label="the-label",
        metadata=make_metadata(*territories),
        renditions=(make_rendition(),) if renditions is None else tuple(renditions),
        updated_at=NOON,
    )


ADA, BOB = AccountId("acc_ada"), AccountId("acc_bob")


def make_account(account_id: AccountId = ADA, **changes: Any) -> Account:
    """Return the account of a listener on the best plan, with ``changes``."""
    plain = Account(
        id=account_id,
        email=f"{account_id}@example.org",
        role=Role.PREMIUM,
        plan=Plan.PREMIUM,
        territory=None,
        label=None,
        created_at=NOON,
    )
    return replace(plain, **changes)


def make_grant(
    rendition_id: str,
    *,
    track: str,
    expires_at: datetime,
    session: str = "anon",
) -> Grant:
    """Return the grant of one rendition, whatever its id and the track's."""
    return Grant(
        track_id=TrackId(track),
        session=session,
        territory="US",
        quality=Quality.HIRES,
        renditions=(replace(make_rendition(), id=RenditionId(rendition_id)),),
        expires_at=expires_at,
        refresh_after=expires_at - timedelta(minutes=10),
    )
