"""What a master says of itself, read with mutagen."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import mutagen
from mutagen.flac import FLAC, Picture
from mutagen.id3 import ID3, PictureType, TextFrame
from mutagen.mp4 import MP4, MP4Cover, MP4Tags

from catalogue.nouns import Artwork, Sha256, Tags

# For each field: the Vorbis comment, the ID3v2 frame and the MP4 atom that carry it.
_NAMES = {
    "title": ("title", "TIT2", "\xa9nam"),
    "artist": ("artist", "TPE1", "\xa9ART"),
    "album": ("album", "TALB", "\xa9alb"),
    "isrc": ("isrc", "TSRC", "----:com.apple.iTunes:ISRC"),
    "date": ("date", "TDRC", "\xa9day"),
    "track_number": ("tracknumber", "TRCK", "trkn"),
    "genre": ("genre", "TCON", "\xa9gen"),
}
_MAX_CHARACTERS = 1000
_COVER_TYPES = {MP4Cover.FORMAT_JPEG: "image/jpeg", MP4Cover.FORMAT_PNG: "image/png"}


def read_tags(path: Path) -> Tags:
    """Return the tags and first picture of a file; empty where it has none that can be read."""
    try:
        file = mutagen.File(path)
        if file is None or file.tags is None:
            return Tags()
        language = _language(file.tags)
        fields = {name: _field(file.tags, names[language]) for name, names in _NAMES.items()}
        return Tags(**fields, artwork=_artwork(file))
    except Exception:  # A file that decodes is a master, however its tags are broken.
        return Tags()


def read_flac_md5(path: Path) -> str | None:
    """Return the checksum of its PCM that a FLAC carries, in hexadecimal; None when unset."""
    try:
        info: Any = mutagen.File(path, options=[FLAC]).info
    except (mutagen.MutagenError, AttributeError):
        return None
    signature = info.md5_signature
    return f"{signature:032x}" if signature else None


def read_picture(path: Path) -> bytes | None:
    """Return the front cover that a file carries, else its first picture; None without any."""
    try:
        found = list(_pictures(mutagen.File(path)))
    except Exception:  # As with its tags.
        return None
    covers = [data for kind, _, data in found if kind == PictureType.COVER_FRONT]
    return next(iter(covers or [data for _, _, data in found]), None)


def _field(tags: Any, name: str) -> str | None:
    value: Any = tags.get(name)
    if isinstance(value, TextFrame):
        value = list(value)
    while isinstance(value, list | tuple) and value:
        value = value[0]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return str(value).strip()[:_MAX_CHARACTERS] or None if value else None


def _language(tags: Any) -> int:
    """Return which of a field's names these tags know it by."""
    if isinstance(tags, ID3):
        return 1
    return 2 if isinstance(tags, MP4Tags) else 0


def _artwork(file: Any) -> Artwork | None:
    for _, media_type, data in _pictures(file):
        digest = hashlib.sha256(data).hexdigest()
        return Artwork(media_type=media_type, size_bytes=len(data), sha256=Sha256(digest))
    return None


def _pictures(file: Any) -> Iterable[tuple[int, str, bytes]]:
    """Give the kind, the media type and the bytes of each picture of a file."""
    tags: Any = file.tags
    if isinstance(file, MP4):
        for cover in tags.get("covr", []):
            media_type = _COVER_TYPES.get(cover.imageformat, "application/octet-stream")
            yield PictureType.COVER_FRONT, media_type, bytes(cover)
    elif isinstance(tags, ID3):
        frames: Any = tags
        for frame in frames.getall("APIC"):
            yield frame.type, frame.mime, frame.data
    else:
        for picture in getattr(file, "pictures", []):
            assert isinstance(picture, Picture)
            yield picture.type, picture.mime, picture.data
