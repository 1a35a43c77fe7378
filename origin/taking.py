"""What is taken onto a device: the tracks that are meant, and a content key for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from catalogue import errors
from catalogue.errors import LatheError, StandardPlayersNotAllowed, TrackNotFound
from catalogue.keeping import choose_kept
from catalogue.licensing import Listener, Wish, grant_stream
from catalogue.nouns import AlbumId, RenditionId, Track, TrackId, Use
from catalogue.offline import (
    ContentKeyId,
    DeviceId,
    DownloadKind,
    Form,
    SealedFor,
    StoredContentKey,
)
from catalogue.port import Brief
from manifests.json import render_face
from manifests.manifest import VERSION
from origin.renditions import sealed_objects
from origin.services import Services
from protection.content_keys import make_content_key


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is to be downloaded; ``name`` is the id of a track or an album."""

    kind: DownloadKind
    name: str
    title: str
    track_ids: Sequence[TrackId]


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The content keys of what is taken, and which tracks are not, and why."""

    keys: Sequence[StoredContentKey]
    refused: Sequence[tuple[TrackId, LatheError]]


def find_track(track_id: str, title: str) -> Subject:
    """Return a track as what is to be downloaded."""
    ids = [TrackId(track_id)]
    return Subject(kind=DownloadKind.TRACK, name=track_id, title=title, track_ids=ids)


def find_album(parts: Services, album_id: str, title: str) -> Subject:
    """Return an album as what is to be downloaded. Raises AlbumNotFound."""
    album = parts.tracks.album(AlbumId(album_id))
    return Subject(
        kind=DownloadKind.ALBUM,
        name=album.id,
        title=title or album.title,
        track_ids=[track.id for track in album.tracks],
    )


def find_playlist(track_ids: Sequence[str], title: str) -> Subject:
    """Return a playlist, each of its tracks once, as what is to be downloaded."""
    ids = list(dict.fromkeys(map(TrackId, track_ids)))
    return Subject(kind=DownloadKind.PLAYLIST, name="", title=title, track_ids=ids)


def choose_keys(
    parts: Services,
    subject: Subject,
    listener: Listener,
    wish: Wish,
    device_id: DeviceId,
    form: Form,
) -> Choice:
    """Return what is taken of a subject, as well as rights and wish allow.

    Content keys that there are not yet are made, and wait for a worker. Raises why a track alone is
    not taken; where nothing of a collection may be, why its first track may not.
    """
    briefs, now = find_briefs(parts, subject.track_ids), parts.now()
    chosen: list[StoredContentKey] = []
    refused: list[tuple[TrackId, LatheError]] = []
    make = partial(_make_key, parts, device_id, form)
    for track_id in subject.track_ids:
        try:
            brief = briefs.get(track_id)
            if brief is None:
                raise TrackNotFound("No track has this id.", track=track_id)
            grant = grant_stream(brief.track, listener, use=Use.DOWNLOAD, wish=wish, now=now)
            chosen.append(make(brief.track, choose_kept(grant).id))
        except (errors.NotAllowed, errors.Gone, errors.NotFound) as fault:
            refused.append((track_id, fault))
    if not chosen:
        raise refused[0][1]
    keys = parts.content_keys.keys(chosen, now=now)
    return Choice(keys=[keys[each.track_id, each.rendition_id] for each in chosen], refused=refused)


def find_briefs(parts: Services, track_ids: Sequence[TrackId]) -> dict[TrackId, Brief]:
    """Return those of some tracks that exist, with their renditions, by id."""
    return parts.tracks.briefs(track_ids, version=VERSION, render=render_face)


def _make_key(
    parts: Services, device_id: DeviceId, form: Form, track: Track, rendition_id: RenditionId
) -> StoredContentKey:
    """Return a new content key, in case there is none yet for the rendition of a track."""
    rendition = parts.published.rendition(rendition_id)
    policy = parts.policies.get(track.label)
    if form is Form.CENC and not policy.standard_players:
        raise StandardPlayersNotAllowed(
            "Its label lets it be kept sealed, and no other way.", track=track.id
        )
    wrapped = parts.wrapper.wrap(make_content_key())
    key = StoredContentKey(
        id=ContentKeyId(wrapped.id),
        track_id=track.id,
        rendition_id=rendition.id,
        tier=rendition.tier.name,
        quality=rendition.tier.quality,
        device_id=device_id if policy.sealed_for is SealedFor.DEVICE else None,
        kek=wrapped.kek,
        wrapped=wrapped.wrapped,
        chunk_count=len(rendition.chunks),
        size_bytes=0,
        form=form,
    )
    made = sealed_objects(rendition, key).values()
    return key._replace(size_bytes=sum(each.size_bytes for each in made))
