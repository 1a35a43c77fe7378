"""What a device is told of a track that it keeps: where its sealed objects are, how it is played.

It is not signed: what protects is in the licence. Whoever alters it hears less, or nothing.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from catalogue.nouns import Chunk, Rendition, StoredObject, Track
from manifests.json import describe_positions
from protection.sealing import sealed_name

VERSION = 1
MEDIA_TYPE = "application/vnd.lathe.download+json"


def render_sealed(
    track: Track,
    rendition: Rendition,
    *,
    key_id: str,
    objects: Mapping[str, StoredObject],
    base_url: str,
    expires_at: datetime,
) -> bytes:
    """Return the manifest of a sealed track as UTF-8 JSON; ``objects`` are the sealed ones."""

    def tell(stored: StoredObject) -> dict[str, Any]:
        name = sealed_name(stored.name)
        return {"name": name, "size_bytes": objects[name].size_bytes}

    def tell_chunk(chunk: Chunk) -> dict[str, Any]:
        return tell(chunk.body) | describe_positions(chunk)

    said = {
        "version": VERSION,
        "track": {
            "id": track.id,
            "title": track.metadata.title,
            "artist": track.metadata.artist,
            "isrc": track.metadata.isrc,
            "duration_s": rendition.seconds,
        },
        "key_id": key_id,
        "tier": rendition.tier.name,
        "codec": rendition.codec_string,
        "media_type": rendition.media_type,
        "rate_hz": rendition.rate_hz,
        "channels": rendition.channels,
        "bits": rendition.bits,
        "samples": rendition.samples,
        "priming_samples": rendition.priming_samples,
        "padding_samples": rendition.padding_samples,
        "expires_at": expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "base_url": base_url,
        "init": tell(rendition.init),
        "preroll": None if rendition.preroll is None else tell(rendition.preroll),
        "chunks": [tell_chunk(chunk) for chunk in rendition.chunks],
    }
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
