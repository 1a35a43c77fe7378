"""The model: what one listener is told about one track now. It is built, never stored."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from catalogue.licensing import Grant
from catalogue.nouns import AlbumId, Codec, Rendition, RenditionId, Track, TrackId

VERSION = 1
MEDIA_TYPE = "application/vnd.lathe.manifest+json"

Prefix = Callable[[RenditionId], str]
"""Gives the URL prefix of a rendition, relative to where the manifest stands, ending in a slash."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AlbumPlace:
    """Where on an album a track is: what comes before and after it, without a gap."""

    album_id: AlbumId
    previous: TrackId | None
    following: TrackId | None


class Heading(NamedTuple):
    """What a manifest says of its track and its place, before it comes to renditions."""

    track_id: str | None
    title: str
    artist: str | None
    isrc: str | None
    seconds: float
    quality: str | None
    place: AlbumPlace | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """One track as one listener may hear it now.

    ``prefixes`` are the URL prefixes of ``renditions``, in the same order. ``quality`` is the
    bound that subscription, right and the player's wish set together; it, ``expires_at`` and
    ``refresh_after`` are null for a manifest whose URLs are plain files.
    """

    title: str
    artist: str | None
    isrc: str | None
    track_id: str | None
    quality: str | None
    renditions: tuple[Rendition, ...]
    prefixes: tuple[str, ...]
    expires_at: datetime | None
    refresh_after: datetime | None
    refresh_url: str | None
    place: AlbumPlace | None = None

    @property
    def heading(self) -> Heading:
        """What is said before its renditions."""
        return Heading(
            track_id=self.track_id,
            title=self.title,
            artist=self.artist,
            isrc=self.isrc,
            seconds=self.renditions[0].seconds,
            quality=self.quality,
            place=self.place,
        )


def is_fragmented(rendition: Rendition) -> bool:
    """Return whether a rendition is in fragmented MP4, which HLS and DASH can carry."""
    return rendition.tier.codec is not Codec.VORBIS


def build_manifest(
    track: Track,
    grant: Grant,
    prefix: Prefix,
    *,
    refresh_url: str,
    place: AlbumPlace | None = None,
) -> Manifest:
    """Return the manifest of a granted track, with the renditions that were granted."""
    return Manifest(
        title=track.metadata.title,
        artist=track.metadata.artist,
        isrc=track.metadata.isrc,
        track_id=track.id,
        quality=grant.quality.label,
        renditions=grant.renditions,
        prefixes=tuple(prefix(rendition.id) for rendition in grant.renditions),
        expires_at=grant.expires_at,
        refresh_after=grant.refresh_after,
        refresh_url=refresh_url,
        place=place,
    )
