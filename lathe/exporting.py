"""Renditions as files of their own: joined, and tagged by what is known of the track."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from catalogue.errors import ObjectDamaged, PressedFolderUnreadable, TierUnknown
from catalogue.nouns import Codec, Rendition, Tags, Track, TrackId
from catalogue.sleeves import Sleeve
from lathe.pressing import read_pressing, rendition_prefix, safe_name
from lathe.wiring import House
from pipeline.tags import write_tags
from storage.faults import not_writable
from storage.keys import rendition_key

Read = Callable[[Rendition, str], bytes]
"""Returns an object of a rendition by its name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What can be exported: renditions, what reads them, and what is known of the music."""

    name: str
    renditions: Sequence[Rendition]
    read: Read
    tags: Tags
    cover: bytes | None


def source_of_folder(folder: Path) -> Source:
    """Return what a pressed folder holds; its master says what it is.

    Raises PressedFolderUnreadable.
    """
    pressing = read_pressing(folder)

    def read(rendition: Rendition, name: str) -> bytes:
        path = folder / rendition_prefix(rendition.id) / name
        try:
            return path.read_bytes()
        except OSError as fault:
            raise PressedFolderUnreadable(f"{path}: {fault.strerror}.") from fault

    return Source(
        name=folder.name,
        renditions=pressing.renditions,
        read=read,
        tags=pressing.master.tags,
        cover=None,
    )


def source_of_track(house: House, track_id: TrackId) -> Source:
    """Return what is published of a track; its label says what it is.

    Raises TrackNotFound and Unavailable.
    """
    track = house.tracks.get(track_id)

    def read(rendition: Rendition, name: str) -> bytes:
        return house.store.read(rendition_key(rendition.id, name))

    master = house.tracks.master_of(track_id)
    sleeve = None if master is None else house.sleeves.of_master(master)
    return Source(
        name=safe_name(track.metadata.title),
        renditions=track.renditions,
        read=read,
        tags=_describe(house, track),
        cover=_largest_cover(house, sleeve),
    )


def export(source: Source, out: Path, tiers: Sequence[str]) -> Iterator[Path]:
    """Write renditions below ``out``, whole or not at all, and give where each is.

    All of them where no tier is named. A file that is there already is replaced. Raises TierUnknown
    for a tier that there is no rendition of, ObjectDamaged, PressedFolderUnreadable,
    OutputNotWritable, DiskFull and Unavailable.
    """
    there = {rendition.tier.name: rendition for rendition in source.renditions}
    for name in tiers:
        if name not in there:
            raise TierUnknown(f"{source.name} has no rendition of it.", tier=name)
    for name in tiers or there:
        rendition = there[name]
        suffix = "ogg" if rendition.tier.codec is Codec.VORBIS else "m4a"
        path = out / f"{source.name}.{name}.{suffix}"
        with _writing(path) as draft:
            _join(source, rendition, draft)
            write_tags(draft, source.tags, source.cover)
        yield path


def _join(source: Source, rendition: Rendition, draft: Path) -> None:
    with open(draft, "wb") as file:
        for stored in (rendition.init, *(chunk.body for chunk in rendition.chunks)):
            data = source.read(rendition, stored.name)
            if hashlib.sha256(data).hexdigest() != stored.sha256:
                raise ObjectDamaged(
                    f"{stored.name} of {rendition.id} is not what was pressed.",
                    object=stored.name,
                    rendition=rendition.id,
                )
            file.write(data)


@contextmanager
def _writing(path: Path) -> Iterator[Path]:
    """Give a draft that becomes ``path`` at the end, and is gone where something fails."""
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise not_writable(str(path.parent), fault) from fault
    try:
        yield draft
        with open(draft, "rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as fault:
        raise not_writable(str(path), fault) from fault
    finally:
        draft.unlink(missing_ok=True)


def _describe(house: House, track: Track) -> Tags:
    metadata = track.metadata
    genres = metadata.details.genres
    tags = Tags(
        title=metadata.title,
        artist=metadata.artist or None,
        isrc=metadata.isrc,
        genre=genres[0] if genres else None,
    )
    if track.album_id is None:
        return tags
    album = house.tracks.album(track.album_id)
    return replace(
        tags,
        album=album.title,
        date=album.details.released_on,
        track_number=None if track.number is None else str(track.number),
    )


def _largest_cover(house: House, sleeve: Sleeve | None) -> bytes | None:
    if sleeve is None or not sleeve.pictures:
        return None
    return house.store.read(rendition_key(sleeve.id, sleeve.pictures[-1].name))
