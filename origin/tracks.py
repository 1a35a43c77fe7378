"""Listeners find tracks here, and get their manifests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from catalogue import errors
from catalogue.errors import RequestInvalid, TrackNotFound, TrackNotReady
from catalogue.licensing import Listener, Wish, grant_stream
from catalogue.nouns import Codec, Credit, CreditRole, Quality, RenditionId, Track, TrackId
from catalogue.people import Network
from manifests import dash, hls, json, manifest
from manifests.manifest import AlbumPlace, Manifest, build_manifest
from origin.access import SESSION_REFUSALS, AnyCaller, AnyListener, Parts, Who, counted
from origin.packing import answer_packed
from origin.problems import responses
from origin.routes import get_and_head
from origin.services import Services
from origin.throttle import Category
from origin.visit import Stream, Visit, visit_of

router = APIRouter(prefix="/v1", tags=["tracks"], responses=responses(errors.TooManyRequests))

FACES: Mapping[str, tuple[Callable[[Manifest], bytes], str]] = {
    "manifest": (json.render_json, manifest.MEDIA_TYPE),
    "master.m3u8": (lambda found: hls.render_multivariant(found).encode(), hls.MEDIA_TYPE),
    "manifest.mpd": (dash.render_mpd, dash.MEDIA_TYPE),
}
"""How each face of a manifest is rendered, and its media type, by the last part of its path."""

CODECS_MAX = 40
_PAGE_MAX = 200
TO_ROOT = "../../.."
"""From where a manifest stands to where signed URLs begin."""

STREAM_REFUSALS = (
    *SESSION_REFUSALS,
    errors.NotAllowed,
    errors.TrackNotFound,
    errors.TrackNotReady,
    errors.TrackTakenDown,
    errors.RequestInvalid,
    errors.TerritoryUnknown,
    errors.Unavailable,
)
_REFUSALS = responses(*STREAM_REFUSALS)


class QualityName(StrEnum):
    """A quality, as players name it."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    LOSSLESS = "lossless"
    HIRES = "hires"

    @property
    def quality(self) -> Quality:
        """The quality of that name."""
        return Quality[self.name]


def parse_wish(codecs: str, quality: QualityName | None, network: Network | None) -> Wish:
    """Return what a player wishes for. Raises RequestInvalid."""
    names = [name.strip() for name in codecs.split(",") if name.strip()]
    unknown = [name for name in names if name not in list(Codec)]
    if unknown:
        raise RequestInvalid(f"{unknown[0]!r} is no codec.", where="query.codecs")
    return Wish(
        preferred=None if quality is None else quality.quality,
        network=network,
        codecs=tuple(Codec(name) for name in names),
    )


async def find_wish(
    codecs: Annotated[
        str,
        Query(
            max_length=CODECS_MAX, description="limit to these, by commas: aac, alac, flac, vorbis"
        ),
    ] = "",
    quality: Annotated[
        QualityName | None, Query(description="no better than this; goes before the header")
    ] = None,
    network: Annotated[
        Network | None, Query(description="no better than it carries; goes before the header")
    ] = None,
    x_preferred_quality: Annotated[QualityName | None, Header()] = None,
    x_network_type: Annotated[Network | None, Header()] = None,
) -> Wish:
    """Return what a player wishes for. Raises RequestInvalid."""
    return parse_wish(codecs, quality or x_preferred_quality, network or x_network_type)


Wished = Annotated[Wish, Depends(find_wish)]


class CreditShown(BaseModel):
    """Who did what."""

    name: str
    role: CreditRole


def show_credits(said: Sequence[Credit]) -> list[CreditShown]:
    """Return credits as they are shown."""
    return [CreditShown(name=each.name, role=each.role) for each in said]


class TrackSummary(BaseModel):
    """A published track."""

    id: str
    title: str
    artist: str
    isrc: str | None = Field(description="null for a listener's own file")
    album_id: str | None
    territories: list[str]
    credits: list[CreditShown]
    genres: list[str]
    explicit: bool | None = Field(description="null: its label has not said")


class TrackPage(BaseModel):
    """A page of tracks; ``next`` continues it, null at the end."""

    tracks: list[TrackSummary]
    next: str | None


@router.get(
    "/tracks",
    dependencies=[counted(Category.SEARCH)],
    responses=responses(*SESSION_REFUSALS, errors.RequestInvalid),
)
def list_tracks(
    parts: Parts,
    after: Annotated[str, Query(max_length=60)] = "",
    limit: Annotated[int, Query(ge=1, le=_PAGE_MAX)] = 50,
) -> TrackPage:
    """Return published tracks in the order of their ids."""
    found = parts.tracks.page(after=after, limit=limit)
    last = found[-1].id if len(found) == limit else None
    return TrackPage(tracks=[summarise(track) for track in found], next=last)


class TrackFeatures(BaseModel):
    """What was heard in a track; docs/features.md defines each."""

    recipe: str
    tempo_bpm: float | None = Field(description="null where there is no pulse")
    tempo_confidence: float
    tempo_alternative_bpm: float | None = Field(description="the likelier of half and double")
    key: str | None = Field(examples=["C", "F#", "Bb"])
    mode: Literal["major", "minor"] | None
    key_strength: float
    energy: float
    valence: float = Field(description="an estimate of what listeners would say, no more")
    danceability: float
    acousticness: float
    beats_s: list[float]
    loudness_lufs: float | None = Field(description="integrated, EBU R 128; null in silence")
    loudness_range_lu: float | None = Field(description="EBU Tech 3342")


@router.get(
    "/tracks/{track_id}/features",
    dependencies=[counted(Category.LIBRARY)],
    responses=responses(*SESSION_REFUSALS, errors.TrackNotFound, errors.TrackNotReady),
)
def get_features(
    track_id: Annotated[str, Path(max_length=60)], parts: Parts, caller: AnyCaller
) -> TrackFeatures:
    """Return what was heard in a track: tempo, key, beats and scores."""
    owner = parts.tracks.get(TrackId(track_id)).owner
    if owner is not None and owner != caller.account_id:
        raise TrackNotFound("No track has this id.", track=track_id)
    heard = parts.tracks.features(TrackId(track_id))
    if heard is None:
        raise TrackNotReady("Nothing of this track has been heard yet.", track=track_id)
    return TrackFeatures.model_validate(asdict(heard), extra="ignore")


def _declare_face(face: str, name: str, words: str, schema: dict[str, Any]) -> None:
    """Declare the route of one face of a manifest; ``words`` say what it answers with."""

    def get_face(
        track_id: Annotated[str, Path(max_length=60)],
        request: Request,
        parts: Parts,
        listener: AnyListener,
        who: Who,
        wish: Wished,
    ) -> Response:
        visit = visit_of(request.scope)
        manifest = grant_manifest(parts, visit, TrackId(track_id), listener, who, wish)
        return _fresh(request, manifest, face)

    get_face.__name__ = name
    get_face.__doc__ = f"Return {words}, with signed URLs."
    _, media_type = FACES[face]
    answer = {"description": words, "content": {media_type: {"schema": schema}}}
    get_and_head(
        router,
        f"/tracks/{{track_id}}/{face}",
        responses=_REFUSALS | {200: answer},
        dependencies=[counted(Category.STREAM)],
    )(get_face)


_declare_face(
    "manifest",
    "get_manifest",
    "the JSON manifest of a track: every tier's chunks and their exact positions",
    {"$ref": "/v1/schemas/manifest.json"},
)
_declare_face(
    "master.m3u8",
    "get_multivariant",
    "the HLS multivariant playlist of a track",
    {"type": "string"},
)
_declare_face("manifest.mpd", "get_mpd", "the DASH manifest of a track", {"type": "string"})


class _Schema(JSONResponse):
    media_type = "application/schema+json"


@router.get("/schemas/manifest.json", response_class=_Schema)
def get_manifest_schema() -> Response:
    """Return the JSON Schema of the JSON manifest."""
    return _Schema(json.read_schema())


def grant_manifest(
    parts: Services, visit: Visit, track_id: TrackId, listener: Listener, who: str, wish: Wish
) -> Manifest:
    """Return the manifest of a track for a listener, who is counted as ``who``.

    Raises what grant_stream raises, and TooManyRequests.
    """
    track = parts.tracks.get(track_id)
    grant = grant_stream(track, listener, wish=wish, now=parts.now())
    if parts.throttle.play(who, track_id):
        seconds = grant.renditions[0].seconds
        visit.streams.append(describe_stream(grant.quality, listener, seconds))

    def prefix(rendition: RenditionId) -> str:
        return TO_ROOT + parts.signer.sign(grant, rendition)

    place = find_place(parts, track)
    return build_manifest(track, grant, prefix, refresh_url="manifest", place=place)


def describe_stream(quality: Quality, listener: Listener, seconds: float) -> Stream:
    """Return a stream of so many seconds as it is counted."""
    return Stream(quality.label, listener.plan or "none", seconds)


def find_place(parts: Services, track: Track) -> AlbumPlace | None:
    """Return where on an album a track is, if it is on one."""
    if track.album_id is None:
        return None
    before, after = parts.tracks.neighbours(track)
    return AlbumPlace(album_id=track.album_id, previous=before, following=after)


def _fresh(request: Request, found: Manifest, face: str) -> Response:
    render, media_type = FACES[face]
    return answer_packed(request, render(found), media_type)


def summarise(track: Track) -> TrackSummary:
    """Return a track as lists show it."""
    return TrackSummary(
        id=track.id,
        title=track.metadata.title,
        artist=track.metadata.artist,
        isrc=track.metadata.isrc,
        album_id=track.album_id,
        territories=[right.territory for right in track.metadata.rights],
        credits=show_credits(track.metadata.details.credits),
        genres=list(track.metadata.details.genres),
        explicit=track.metadata.details.explicit,
    )
