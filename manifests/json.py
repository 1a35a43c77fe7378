"""The JSON face of a manifest: everything a player must know to play to the sample.

Its schema is ``manifest.schema.json`` beside this module.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import msgspec

from catalogue.nouns import Chunk, Rendition, StoredObject
from manifests.manifest import VERSION, Manifest
from manifests.template import Template

# Stands once in a face: all texts in it are names that the plant itself gives, and so are prefixes.
_NO_BASE = '"base_url":""'


def render_json(manifest: Manifest) -> bytes:
    """Return the manifest as UTF-8 JSON."""
    times = {
        "expires_at": _instant(manifest.expires_at),
        "refresh_after": _instant(manifest.refresh_after),
        "refresh_url": manifest.refresh_url,
    }
    shown = [
        _rendition(rendition) | {"base_url": prefix}
        for rendition, prefix in zip(manifest.renditions, manifest.prefixes, strict=True)
    ]
    return _dump(_describe(manifest) | times | {"renditions": shown}).encode()


def build_json_template(manifest: Manifest, faces: Sequence[str]) -> Template:
    """Return the template of what ``render_json`` makes of a manifest that has times.

    ``faces`` are those of its renditions.
    """
    text, slots = f'{_dump(_describe(manifest))[:-1]},"expires_at":"', [len(faces), len(faces) + 1]
    pieces = [text, '","refresh_after":"']
    text = f'","refresh_url":{_dump(manifest.refresh_url)},"renditions":['
    for slot, face in enumerate(faces):
        before, _, after = face.partition(_NO_BASE)
        slots.append(slot)
        pieces.append(f'{text}{before}"base_url":"')
        text = f'"{after},'
    pieces.append(f"{text[:-1]}]}}")
    return Template([piece.encode() for piece in pieces], slots)


def render_face(rendition: Rendition) -> str:
    """Return what every manifest shows of a rendition, with an empty ``base_url``."""
    return _dump(_rendition(rendition))


@cache
def read_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of what ``render_json`` gives."""
    schema: dict[str, Any] = msgspec.json.decode(
        (files("manifests") / "manifest.schema.json").read_text("utf-8")
    )
    return schema


def _describe(manifest: Manifest) -> dict[str, Any]:
    first = manifest.renditions[0]
    return {
        "version": VERSION,
        "track": {
            "id": manifest.track_id,
            "title": manifest.title,
            "artist": manifest.artist,
            "isrc": manifest.isrc,
            "duration_s": round(first.samples / first.rate_hz, 6),
        },
        "album": None
        if manifest.place is None
        else {
            "id": manifest.place.album_id,
            "previous": manifest.place.previous,
            "next": manifest.place.following,
        },
        "quality": manifest.quality,
    }


def _rendition(rendition: Rendition) -> dict[str, Any]:
    return {
        "id": rendition.id,
        "tier": rendition.tier.name,
        "codec": rendition.codec_string,
        "media_type": rendition.media_type,
        "lossless": rendition.tier.codec.lossless,
        "bitrate_bps": rendition.size_bytes * 8 * rendition.rate_hz // rendition.samples,
        "rate_hz": rendition.rate_hz,
        "channels": rendition.channels,
        "bits": rendition.bits,
        "samples": rendition.samples,
        "frame_samples": rendition.frame_samples,
        "priming_samples": rendition.priming_samples,
        "padding_samples": rendition.padding_samples,
        "size_bytes": rendition.size_bytes,
        "base_url": "",
        "init": _stored(rendition.init),
        "preroll": None if rendition.preroll is None else _stored(rendition.preroll),
        "chunks": [_chunk(chunk) for chunk in rendition.chunks],
    }


def _chunk(chunk: Chunk) -> dict[str, Any]:
    return _stored(chunk.body) | describe_positions(chunk)


def describe_positions(chunk: Chunk) -> dict[str, Any]:
    """Return what manifests say of where a chunk stands, and of its pre-roll."""
    return {
        "start_samples": chunk.start_samples,
        "valid_samples": chunk.valid_samples,
        "preroll_samples": chunk.preroll_samples,
        "preroll_range": [chunk.preroll_offset, chunk.preroll_offset + chunk.preroll_size]
        if chunk.preroll_size
        else None,
    }


def _stored(stored: StoredObject) -> dict[str, Any]:
    return {"name": stored.name, "size_bytes": stored.size_bytes, "sha256": stored.sha256}


def _dump(value: object) -> str:
    return msgspec.json.encode(value).decode()


@lru_cache(maxsize=1024)
def _instant(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
