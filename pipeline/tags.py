"""What files say of themselves: read from masters, and written into what leaves, with mutagen."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import mutagen
from mutagen.flac import FLAC, Picture
from mutagen.id3 import ID3, PictureType, TextFrame
from mutagen.mp4 import MP4, MP4Cover, MP4FreeForm, MP4Tags
from mutagen.oggvorbis import OggVorbis

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


def write_tags(path: Path, tags: Tags, cover: bytes | None) -> None:
    """Write tags and a front cover (JPEG) into a rendition that was joined to a file of its own.

    The sound is not touched: of MP4 the movie box grows, of Ogg the second packet. Raises
    ValueError for what is neither.
    """
    file: Any = mutagen.File(path)
    said = {name: getattr(tags, name) for name in _NAMES}
    if isinstance(file, MP4):
        _write_atoms(file, said, cover)
    elif isinstance(file, OggVorbis):
        for name, text in said.items():
            if text:
                file[_NAMES[name][0]] = [text]
        if cover is not None:
            picture = _untyped(Picture)()
            picture.type, picture.mime, picture.data = PictureType.COVER_FRONT, "image/jpeg", cover
            file["metadata_block_picture"] = [base64.b64encode(picture.write()).decode()]
    else:
        raise ValueError("Tags are written into MP4 and Ogg Vorbis.")
    file.save()


def _write_atoms(file: Any, said: Mapping[str, str | None], cover: bytes | None) -> None:
    if file.tags is None:
        file.add_tags()
    for name, text in said.items():
        atom = _NAMES[name][2]
        if not text:
            continue
        if atom == "trkn":
            number = text.partition("/")[0].strip()
            if number.isascii() and number.isdigit() and 0 < int(number) < 1 << 16:
                file.tags[atom] = [(int(number), 0)]
        elif atom.startswith("----"):
            file.tags[atom] = [_untyped(MP4FreeForm)(text.encode())]
        else:
            file.tags[atom] = [text]
    if cover is not None:
        file.tags["covr"] = [_untyped(MP4Cover)(cover, imageformat=MP4Cover.FORMAT_JPEG)]


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


def _untyped(kind: Any) -> Any:
    """Return a class of mutagen's, which says nothing of what makes one."""
    return kind
