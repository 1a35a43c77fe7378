"""Where what a device keeps is to be fetched: manifests of sealed and of encrypted tracks."""

from dataclasses import replace
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Depends, Path, Response
from fastapi.responses import JSONResponse

from catalogue import errors
from catalogue.errors import DownloadNotReady, TrackNotFound
from catalogue.keeping import judge_kept
from catalogue.licensing import Grant, grant_stream, listener_of
from catalogue.nouns import Rendition, Track, Use
from catalogue.offline import (
    Download,
    DownloadedTrack,
    DownloadId,
    Form,
    StoredContentKey,
    sealed_rendition,
)
from catalogue.permissions import Action, require
from manifests import dash
from manifests.manifest import build_manifest
from manifests.sealed import MEDIA_TYPE, render_sealed
from origin.access import Parts, Signed, SignedIn, Territory, counted
from origin.problems import responses
from origin.renditions import sealed_objects
from origin.services import Services
from origin.taking import find_briefs
from origin.throttle import Category
from origin.tracks import STREAM_REFUSALS
from protection.cenc import SCHEME, build_pssh

router = APIRouter(
    prefix="/v1/downloads",
    tags=["downloads"],
    dependencies=[counted(Category.LIBRARY)],
    responses=responses(errors.TooManyRequests),
)

_TO_ROOT = "../../../.."


class Asked(NamedTuple):
    """A track of a download that is asked for, by whom and from where."""

    own: SignedIn
    parts: Services
    territory: str | None
    download_id: DownloadId
    track_id: str


async def find_asked(
    download_id: Annotated[str, Path(max_length=60)],
    track_id: Annotated[str, Path(max_length=60)],
    own: Signed,
    parts: Parts,
    territory: Territory,
) -> Asked:
    """Return what a request is for."""
    return Asked(own, parts, territory, DownloadId(download_id), track_id)


AnyAsked = Annotated[Asked, Depends(find_asked)]


@router.get(
    "/{download_id}/tracks/{track_id}",
    responses=responses(*STREAM_REFUSALS, errors.DownloadNotFound, errors.DownloadNotReady)
    | {200: {"description": "the manifest", "content": {MEDIA_TYPE: {}}}},
    response_class=JSONResponse,
)
def get_sealed_manifest(asked: AnyAsked) -> Response:
    """Return where the sealed objects of a track are, with signed URLs, and how they are played."""
    found = _open_kept(asked, Form.SEALED)
    body = render_sealed(
        found.track,
        found.rendition,
        key_id=found.key.id,
        objects=sealed_objects(found.rendition, found.key),
        base_url=f"{_TO_ROOT}{found.prefix}",
        expires_at=found.grant.expires_at,
    )
    return Response(body, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})


@router.get(
    "/{download_id}/tracks/{track_id}/manifest.mpd",
    responses=responses(*STREAM_REFUSALS, errors.DownloadNotFound, errors.DownloadNotReady)
    | {200: {"description": "the MPD", "content": {dash.MEDIA_TYPE: {}}}},
    response_class=Response,
)
def get_encrypted_mpd(asked: AnyAsked) -> Response:
    """Return the DASH manifest of a track that is kept in common encryption, with signed URLs."""
    found = _open_kept(asked, Form.CENC)
    granted = replace(found.grant, renditions=(found.rendition,))
    told = build_manifest(
        found.track,
        granted,
        lambda _: f"{_TO_ROOT}/..{found.prefix}",
        refresh_url="manifest.mpd",
    )
    key_id = found.key.id
    pssh = build_pssh(bytes.fromhex(key_id))
    body = dash.render_mpd(told, dash.CommonEncryption(scheme=SCHEME, key_id=key_id, pssh=pssh))
    return Response(body, media_type=dash.MEDIA_TYPE, headers={"Cache-Control": "no-store"})


class _Kept(NamedTuple):
    """A track of a download that is there, and may be fetched under a signed prefix."""

    track: Track
    rendition: Rendition
    key: StoredContentKey
    grant: Grant
    prefix: str


def _open_kept(asked: Asked, form: Form) -> _Kept:
    """Return a track of a download, if it may be fetched now in this form.

    Raises DownloadNotFound, DownloadNotReady, TrackNotFound and what grant_stream raises.
    """
    own, parts = asked.own, asked.parts
    require(own.account.role, Action.DOWNLOAD)
    download = parts.downloads.get(own.account.id, asked.download_id)
    kept = _find_track(download, asked.track_id, form)
    listener = listener_of(own.account, session=own.session.id, territory=asked.territory)
    (brief,) = find_briefs(parts, [kept.track_id]).values()
    fault = judge_kept(brief.track, kept.key.quality, listener, now=parts.now()).fault
    if fault is not None:
        raise fault
    grant = grant_stream(brief.track, listener, use=Use.DOWNLOAD, now=parts.now())
    if not kept.sealed:
        raise DownloadNotReady(
            "It is being sealed.", sealed_bytes=kept.sealed_bytes, size_bytes=kept.key.size_bytes
        )
    path = f"/{asked.track_id}/{sealed_rendition(kept.key)}/"
    prefix = parts.signer.sign_prefix(grant.expires_at, grant.session, path)
    rendition = parts.published.rendition(kept.key.rendition_id)
    return _Kept(brief.track, rendition, kept.key, grant, prefix)


def _find_track(download: Download, track_id: str, form: Form) -> DownloadedTrack:
    found = next((each for each in download.tracks if each.track_id == track_id), None)
    if found is None or found.key.form is not form:
        raise TrackNotFound("The download has no such track in this form.", track=track_id)
    return found
