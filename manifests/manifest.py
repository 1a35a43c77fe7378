"""The model: what one listener is told about one track now. It is built, never stored."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from catalogue.errors import TrackNotReady
from catalogue.nouns import Codec, Rendition, RenditionId, Track
from catalogue.rules import Grant

VERSION = 1
MEDIA_TYPE = "application/vnd.lathe.manifest+json"

Prefix = Callable[[RenditionId], str]
"""Gives the URL prefix of a rendition, relative to where the manifest stands, ending in a slash."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """One track as one listener may hear it now.

    ``prefixes`` are the URL prefixes of ``renditions``, in the same order; ``expires_at`` and
    ``refresh_after`` are null for a manifest whose URLs are plain files.
    """

    title: str
    artist: str | None
    isrc: str | None
    track_id: str | None
    renditions: tuple[Rendition, ...]
    prefixes: tuple[str, ...]
    expires_at: datetime | None
    refresh_after: datetime | None
    refresh_url: str | None


def is_fragmented(rendition: Rendition) -> bool:
    """Return whether a rendition is in fragmented MP4, which HLS and DASH can carry."""
    return rendition.tier.codec is not Codec.VORBIS


def build_manifest(
    track: Track, grant: Grant, prefix: Prefix, *, refresh_url: str, codecs: Sequence[Codec]
) -> Manifest:
    """Return the manifest of a granted track, limited to ``codecs`` when any are named.

    Raises TrackNotReady when none of its renditions is in one of them.
    """
    chosen = tuple(
        rendition for rendition in track.renditions if not codecs or rendition.tier.codec in codecs
    )
    if not chosen:
        raise TrackNotReady("It has no rendition in the codecs asked for.", track=track.id)
    return Manifest(
        title=track.metadata.title,
        artist=track.metadata.artist,
        isrc=track.metadata.isrc,
        track_id=track.id,
        renditions=chosen,
        prefixes=tuple(prefix(rendition.id) for rendition in chosen),
        expires_at=grant.expires_at,
        refresh_after=grant.refresh_after,
        refresh_url=refresh_url,
    )
