"""Listeners take tracks, albums and playlists onto their devices.

A download is sealed by workers; its tracks are then fetched by signed URLs and opened with a
licence: origin.licences.
"""

from contextlib import suppress
from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from catalogue import errors
from catalogue.errors import DownloadsFull, QueueUnavailable
from catalogue.licensing import Wish, listener_of
from catalogue.nouns import Codec
from catalogue.offline import (
    DeviceId,
    Download,
    DownloadedTrack,
    DownloadId,
    DownloadKind,
    Form,
    Standing,
)
from catalogue.permissions import Action, require
from origin.access import SESSION_REFUSALS, Parts, Signed, Territory, counted
from origin.devices import ShortText
from origin.problems import Problem, describe, responses
from origin.services import Services
from origin.sessions import PRINTABLE
from origin.taking import Subject, choose_keys, find_album, find_playlist, find_track
from origin.throttle import Category
from origin.tracks import STREAM_REFUSALS, QualityName

router = APIRouter(
    prefix="/v1/downloads",
    tags=["downloads"],
    dependencies=[counted(Category.LIBRARY)],
    responses=responses(errors.TooManyRequests),
)

TRACKS_OF_A_DEVICE = 10_000
CENC_CODECS = (Codec.AAC, Codec.FLAC)
"""What is kept in common encryption: no player that asks for it reads encrypted ALAC."""

_PLAYLIST_MAX = 500
_REFUSALS = (*SESSION_REFUSALS, errors.Unavailable)


class DownloadWanted(BaseModel):
    """A track, an album, or a playlist, to be kept on a device."""

    model_config = ConfigDict(extra="forbid", strict=True)

    device_id: ShortText
    track_id: ShortText | None = None
    album_id: ShortText | None = None
    track_ids: list[ShortText] | None = Field(
        default=None, min_length=1, max_length=_PLAYLIST_MAX, description="those of a playlist"
    )
    title: str = Field(default="", max_length=200, pattern=PRINTABLE)
    quality: QualityName | None = Field(
        default=None, strict=False, description="no better than this"
    )
    codec: Codec | None = Field(default=None, strict=False)
    form: Form = Field(
        default=Form.SEALED, strict=False, description="cenc is for standard players"
    )

    @model_validator(mode="after")
    def _require_one(self) -> Self:
        said = [each for each in (self.track_id, self.album_id, self.track_ids) if each is not None]
        if len(said) != 1:
            raise ValueError("one of track_id, album_id and track_ids is needed")
        if self.form is Form.CENC and self.codec not in (None, *CENC_CODECS):
            raise ValueError("only aac and flac are kept in the form cenc")
        return self

    @property
    def wish(self) -> Wish:
        """What of it is wished for."""
        usual = CENC_CODECS if self.form is Form.CENC else ()
        return Wish(
            preferred=None if self.quality is None else self.quality.quality,
            codecs=usual if self.codec is None else (self.codec,),
        )


class DownloadedTrackShown(BaseModel):
    """A track of a download: how far it is sealed, and whether it may be kept."""

    track_id: str
    key_id: str
    tier: str
    form: Form
    size_bytes: int
    sealed_bytes: int
    sealed: bool
    standing: Standing
    code: str | None
    licensed_until: datetime | None = Field(description="when the newest licence for it ends")


class TrackNotTaken(BaseModel):
    """A track of a collection that this listener may not keep, and why."""

    track_id: str
    problem: Problem


class Progress(BaseModel):
    """How many tracks and bytes are sealed, and of how many."""

    tracks_done: int
    tracks: int
    bytes_done: int
    bytes: int


class DownloadShown(BaseModel):
    """A download. ``ready`` is whether all of it is sealed, and can be fetched."""

    id: str
    device_id: str
    kind: DownloadKind
    subject: str
    title: str
    created_at: datetime
    ready: bool
    progress: Progress
    tracks: list[DownloadedTrackShown]


class DownloadTaken(DownloadShown):
    """A new download, and what of its collection is not in it."""

    left_out: list[TrackNotTaken]


class DownloadList(BaseModel):
    """The downloads of an account, the oldest first."""

    downloads: list[DownloadShown]


@router.post(
    "",
    status_code=202,
    responses=responses(
        *STREAM_REFUSALS,
        errors.AlbumNotFound,
        errors.DeviceNotFound,
        errors.DeviceRevoked,
        errors.DownloadsFull,
    ),
)
def take_download(
    wanted: DownloadWanted, own: Signed, parts: Parts, territory: Territory
) -> DownloadTaken:
    """Take a track, an album or a playlist onto a device; workers seal what is not sealed yet.

    The size of each track is told here, before anything is fetched. Of a collection, what may not
    be kept is left out and told; a track alone that may not be kept is refused.
    """
    require(own.account.role, Action.DOWNLOAD)
    device = parts.devices.get(own.account.id, DeviceId(wanted.device_id))
    subject = _find_subject(parts, wanted)
    if subject.kind is not DownloadKind.TRACK:
        parts.throttle.count(Category.COLLECTIONS, own.account.id)
    listener = listener_of(own.account, session=own.session.id, territory=territory)
    held = parts.downloads.count(device.id)
    if held + len(subject.track_ids) > TRACKS_OF_A_DEVICE:
        # Before anything is made that it has no room for.
        raise DownloadsFull(
            f"The device holds {held} tracks.",
            held=held,
            more=len(subject.track_ids),
            most=TRACKS_OF_A_DEVICE,
        )
    choice = choose_keys(parts, subject, listener, wanted.wish, device.id, wanted.form)
    download_id = DownloadId(parts.new_id("dwn"))
    download = Download(
        id=download_id,
        account_id=own.account.id,
        device_id=device.id,
        kind=subject.kind,
        subject=subject.name,
        title=subject.title,
        created_at=parts.now(),
        tracks=tuple(
            DownloadedTrack(
                download_id=download_id,
                track_id=key.track_id,
                key=key,
                sealed_bytes=0,
                sealed=False,
            )
            for key in choice.keys
        ),
    )
    taken = parts.downloads.add(download, most=TRACKS_OF_A_DEVICE, now=parts.now())
    _send(parts, taken)
    left_out = [
        TrackNotTaken(track_id=track_id, problem=describe(fault))
        for track_id, fault in choice.refused
    ]
    return DownloadTaken(**_show(taken).model_dump(), left_out=left_out)


@router.get("", responses=responses(*_REFUSALS, errors.RequestInvalid))
def list_downloads(
    own: Signed, parts: Parts, device_id: Annotated[str | None, Query(max_length=60)] = None
) -> DownloadList:
    """Return the downloads of this account, or of one of its devices."""
    device = None if device_id is None else DeviceId(device_id)
    found = parts.downloads.of(own.account.id, device)
    return DownloadList(downloads=[_show(each) for each in found])


@router.get("/{download_id}", responses=responses(*_REFUSALS, errors.DownloadNotFound))
def get_download(
    download_id: Annotated[str, Path(max_length=60)], own: Signed, parts: Parts
) -> DownloadShown:
    """Return a download, and how far it is sealed."""
    return _show(parts.downloads.get(own.account.id, DownloadId(download_id)))


@router.delete(
    "/{download_id}", status_code=204, responses=responses(*_REFUSALS, errors.DownloadNotFound)
)
def remove_download(
    download_id: Annotated[str, Path(max_length=60)], own: Signed, parts: Parts
) -> Response:
    """Remove a download; its tracks count no more, and the device is told at its next sync."""
    parts.downloads.remove(own.account.id, DownloadId(download_id), now=parts.now())
    return Response(status_code=204)


def _find_subject(parts: Services, wanted: DownloadWanted) -> Subject:
    if wanted.track_id is not None:
        return find_track(wanted.track_id, wanted.title)
    if wanted.album_id is not None:
        return find_album(parts, wanted.album_id, wanted.title)
    return find_playlist(wanted.track_ids or [], wanted.title)


def _send(parts: Services, download: Download) -> None:
    """Tell workers what waits to be sealed; what they are not told now the sweeper tells them."""
    if parts.intake.queue is None:
        return
    with suppress(QueueUnavailable):
        for track in download.tracks:
            if not track.sealed and not parts.intake.queue.send_sealing(track.key.id):
                return


# --------------------------------------------------------------------------- what is shown


def _show(download: Download) -> DownloadShown:
    tracks = download.tracks
    return DownloadShown(
        id=download.id,
        device_id=download.device_id,
        kind=download.kind,
        subject=download.subject,
        title=download.title,
        created_at=download.created_at,
        ready=all(each.sealed for each in tracks),
        progress=Progress(
            tracks_done=sum(each.sealed for each in tracks),
            tracks=len(tracks),
            bytes_done=sum(each.sealed_bytes for each in tracks),
            bytes=sum(each.key.size_bytes for each in tracks),
        ),
        tracks=[
            DownloadedTrackShown(
                track_id=each.track_id,
                key_id=each.key.id,
                tier=each.key.tier,
                form=each.key.form,
                size_bytes=each.key.size_bytes,
                sealed_bytes=each.sealed_bytes,
                sealed=each.sealed,
                standing=each.standing,
                code=each.code,
                licensed_until=each.licensed_until,
            )
            for each in tracks
        ],
    )
