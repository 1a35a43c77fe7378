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
from manifests.manifest import VERSION, Heading, Manifest
from manifests.template import Template

# Stands once in a face: all texts in it are names that the plant itself gives, and so are prefixes.
_NO_BASE = b'"base_url":""'


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
    return _dump(_describe(manifest.heading) | times | {"renditions": shown}).encode()


def build_json_template(heading: Heading, faces: Sequence[bytes], *, refresh_url: str) -> Template:
    """Return the template of what ``render_json`` makes of a manifest that has times.

    ``faces`` are those of its renditions.
    """
    slots = [len(faces), len(faces) + 1, *range(len(faces))]
    told = msgspec.json.encode(_describe(heading))
    pieces = [told[:-1] + b',"expires_at":"', b'","refresh_after":"']
    # Faces are long, and copied once.
    text: list[bytes | memoryview] = [b'","refresh_url":', msgspec.json.encode(refresh_url)]
    between = b',"renditions":['
    for face in faces:
        place = face.index(_NO_BASE)
        pieces.append(b"".join([*text, between, face[:place], b'"base_url":"']))
        text, between = [b'"', memoryview(face)[place + len(_NO_BASE) :]], b","
    pieces.append(b"".join([*text, b"]}"]))
    return Template(pieces, slots)


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


def _describe(heading: Heading) -> dict[str, Any]:
    place = heading.place
    return {
        "version": VERSION,
        "track": {
            "id": heading.track_id,
            "title": heading.title,
            "artist": heading.artist,
            "isrc": heading.isrc,
            "duration_s": heading.seconds,
        },
        "album": None
        if place is None
        else {"id": place.album_id, "previous": place.previous, "next": place.following},
        "quality": heading.quality,
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
