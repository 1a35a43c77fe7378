"""Listeners hear albums through, and have the next tracks ready before they are due."""

import json
from datetime import date
from typing import Annotated, Any
from urllib.parse import urljoin

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from catalogue import errors
from catalogue.errors import LatheError
from catalogue.licensing import may_stream
from catalogue.nouns import AlbumId, TrackId
from manifests.json import render_json
from manifests.manifest import Manifest
from origin.access import SESSION_REFUSALS, AnyListener, Parts, Who, counted
from origin.problems import Problem, describe, responses
from origin.throttle import Category
from origin.tracks import (
    CreditShown,
    TrackSummary,
    Wished,
    grant_manifest,
    show_credits,
    summarise,
)
from origin.visit import visit_of

router = APIRouter(prefix="/v1", tags=["albums"], responses=responses(errors.TooManyRequests))

_PREFETCHED_MAX = 10


class AlbumTrack(TrackSummary):
    """A track of an album, and whether this listener may hear it now."""

    playable: bool


class AlbumShown(BaseModel):
    """An album; its tracks are in order."""

    id: str
    title: str
    upc: str
    credits: list[CreditShown]
    genres: list[str]
    released_on: date | None
    imprint: str
    tracks: list[AlbumTrack]


class Coming(BaseModel):
    """The tracks that will be played next."""

    model_config = ConfigDict(extra="forbid", strict=True)

    tracks: list[Annotated[str, Field(max_length=60)]] = Field(
        min_length=1, max_length=_PREFETCHED_MAX
    )


class FirstFetched(BaseModel):
    """What to fetch of a rendition to begin with; paths of this origin."""

    tier: str
    init: str
    chunk: str


class Prefetched(BaseModel):
    """What a track needs to begin at once, or why it cannot be heard."""

    track_id: str
    manifest_url: str = Field(description="which the URLs in the manifest are relative to")
    manifest: dict[str, Any] | None
    first: list[FirstFetched]
    problem: Problem | None


class PrefetchedTracks(BaseModel):
    """The tracks asked for, in the same order."""

    tracks: list[Prefetched]


@router.get(
    "/albums/{album_id}",
    dependencies=[counted(Category.LIBRARY)],
    responses=responses(*SESSION_REFUSALS, errors.AlbumNotFound),
)
def get_album(
    album_id: Annotated[str, Path(max_length=60)], parts: Parts, listener: AnyListener
) -> AlbumShown:
    """Return an album with its published tracks in order."""
    album, now = parts.tracks.album(AlbumId(album_id)), parts.now()
    return AlbumShown(
        id=album.id,
        title=album.title,
        upc=album.upc,
        credits=show_credits(album.details.credits),
        genres=list(album.details.genres),
        released_on=_read_date(album.details.released_on),
        imprint=album.details.imprint,
        tracks=[
            AlbumTrack(
                **summarise(track).model_dump(), playable=may_stream(track, listener, now=now)
            )
            for track in album.tracks
        ],
    )


def _read_date(said: str | None) -> date | None:
    return None if said is None else date.fromisoformat(said)


@router.post(
    "/prefetch",
    dependencies=[counted(Category.STREAM)],
    responses=responses(*SESSION_REFUSALS, errors.RequestInvalid),
)
def prefetch(
    coming: Coming,
    request: Request,
    parts: Parts,
    listener: AnyListener,
    who: Who,
    wish: Wished,
) -> PrefetchedTracks:
    """Return the manifests of the tracks to come, and where their first chunks are.

    One that cannot be heard says why, and does not keep the others back. Each counts as a request
    for its manifest.
    """
    found, visit = [], visit_of(request.scope)
    for place, track_id in enumerate(coming.tracks):
        url = f"/v1/tracks/{track_id}/manifest"
        try:
            # The first is counted as every request is.
            if place:
                parts.throttle.admit_more(visit, Category.STREAM, who)
            manifest = grant_manifest(parts, visit, TrackId(track_id), listener, who, wish)
        except LatheError as fault:
            if isinstance(fault, errors.Unavailable | errors.Broken):
                raise
            refused = Prefetched(
                track_id=track_id,
                manifest_url=url,
                manifest=None,
                first=[],
                problem=describe(fault),
            )
            found.append(refused)
            continue
        found.append(
            Prefetched(
                track_id=track_id,
                manifest_url=url,
                manifest=json.loads(render_json(manifest)),
                first=_first(manifest, url),
                problem=None,
            )
        )
    return PrefetchedTracks(tracks=found)


def _first(manifest: Manifest, url: str) -> list[FirstFetched]:
    return [
        FirstFetched(
            tier=rendition.tier.name,
            init=urljoin(url, f"{prefix}{rendition.init.name}"),
            chunk=urljoin(url, f"{prefix}{rendition.chunks[0].body.name}"),
        )
        for rendition, prefix in zip(manifest.renditions, manifest.prefixes, strict=True)
    ]
