"""Listeners go on from a track they like: similar ones, and a radio that begins with it."""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from catalogue import errors
from catalogue.errors import TrackNotReady
from catalogue.licensing import Listener, grant_stream, may_stream
from catalogue.nouns import Features, Measure, Sha256, Track, TrackId
from catalogue.port import HeardMaster
from catalogue.rules import SCORE_WEIGHTS
from origin.access import AnyListener, Parts, counted
from origin.problems import responses
from origin.services import Services
from origin.throttle import Category
from origin.tracks import STREAM_REFUSALS, TrackSummary, summarise

router = APIRouter(
    prefix="/v1",
    tags=["tracks"],
    dependencies=[counted(Category.RECOMMENDATIONS)],
    responses=responses(errors.TooManyRequests),
)

PER_ARTIST = 3
_TRACKS, _TRACKS_MAX = 25, 100
_RECENT_MAX = 1000
_FIRST_LOOK, _WIDER, _FARTHEST = 4, 4, 8000

_REFUSALS = responses(*STREAM_REFUSALS)


class SimilarTrack(TrackSummary):
    """A track, how far from the seed it is, and in what the two are alike."""

    distance: float = Field(ge=0, description="0 for what sounds the same by this measure")
    reason: str = Field(examples=["tempo 121 to 120 BPM, energy 0.62 to 0.60"])


class Similar(BaseModel):
    """Tracks like another, the nearest first."""

    by: Measure
    tracks: list[SimilarTrack]


class RadioOrder(BaseModel):
    """What to play from: a seed, and what was heard lately and is to be left out."""

    model_config = ConfigDict(extra="forbid", strict=True)

    seed: str = Field(max_length=60, description="the id of a track")
    by: Measure = Field(default=Measure.SCORES, strict=False)
    limit: int = Field(default=_TRACKS, ge=1, le=_TRACKS_MAX)
    recently_played: list[Annotated[str, Field(max_length=60)]] = Field(
        default_factory=list, max_length=_RECENT_MAX, description="ids of tracks to leave out"
    )


@router.get("/tracks/{track_id}/similar", responses=_REFUSALS)
def get_similar(
    track_id: Annotated[str, Path(max_length=60)],
    parts: Parts,
    listener: AnyListener,
    by: Measure = Measure.SCORES,
    limit: Annotated[int, Query(ge=1, le=_TRACKS_MAX)] = _TRACKS,
) -> Similar:
    """Return tracks like this one that may be streamed here, at most three of an artist."""
    seed = _Seed(parts, TrackId(track_id), listener)
    return Similar(by=by, tracks=seed.find(by=by, limit=limit, without=()))


@router.post("/radio", responses=_REFUSALS)
def make_radio(order: RadioOrder, parts: Parts, listener: AnyListener) -> Similar:
    """Return a radio: the seed first, then tracks like it, at most three of an artist.

    What may not be streamed here and what was played lately is left out.
    """
    seed = _Seed(parts, TrackId(order.seed), listener)
    found = seed.find(by=order.by, limit=order.limit - 1, without=order.recently_played)
    return Similar(by=order.by, tracks=[seed.itself(), *found])


class _Seed:
    """A track that others are looked for from. Raises what ``grant_stream`` raises."""

    def __init__(self, parts: Services, track_id: TrackId, listener: Listener) -> None:
        self._parts, self._listener = parts, listener
        self._track = parts.tracks.get(track_id)
        grant_stream(self._track, listener, now=parts.now())
        heard = parts.tracks.features(track_id)
        if heard is None:
            raise TrackNotReady("Nothing of this track has been heard yet.", track=track_id)
        self._heard = heard
        self._atlas = parts.open_atlas(heard.recipe)

    def itself(self) -> SimilarTrack:
        return _describe(self._track, 0.0, "the seed")

    def find(self, *, by: Measure, limit: int, without: Collection[str]) -> list[SimilarTrack]:
        """Return the nearest tracks; looks farther until there are enough, within bounds."""
        count = min(_FARTHEST, _FIRST_LOOK * limit + len(without) + 1)
        while True:
            near = self._atlas.nearest(self._heard, by=by, count=count)
            distances = {each.master_sha256: each.distance for each in near}
            chosen = self._choose(list(distances), limit, without)
            if len(chosen) == limit or len(near) < count or count == _FARTHEST:
                return self._explain(chosen, distances)
            count = min(_FARTHEST, count * _WIDER)

    def _choose(
        self, masters: Sequence[Sha256], limit: int, without: Collection[str]
    ) -> dict[Sha256, Track]:
        place = {master: turn for turn, master in enumerate(masters)}
        of_artist = Counter({_artist(self._track): 1})
        own = self._parts.tracks.master_of(self._track.id)
        left_out, now = {*without, self._track.id}, self._parts.now()
        chosen: dict[Sha256, Track] = {}
        found = self._parts.tracks.heard_from(masters)
        for master, track in sorted(found, key=lambda each: place[each[0]]):
            if len(chosen) == limit:
                break
            # Of tracks that share a master one is enough: they sound the same.
            if master == own or master in chosen or track.id in left_out:
                continue
            if of_artist[_artist(track)] == PER_ARTIST:
                continue
            if not may_stream(track, self._listener, now=now):
                continue
            of_artist[_artist(track)] += 1
            chosen[master] = track
        return chosen

    def _explain(
        self, chosen: dict[Sha256, Track], distances: dict[Sha256, float]
    ) -> list[SimilarTrack]:
        heard = {each.master_sha256: each for each in self._parts.tracks.compared(list(chosen))}
        return [
            _describe(track, distances[master], explain(self._heard, heard[master]))
            for master, track in chosen.items()
        ]


def explain(seed: Features, other: HeardMaster) -> str:
    """Return in words in which two of the scores two tracks are most alike, weights regarded."""
    told: dict[str, tuple[float, str]] = {
        name: (
            SCORE_WEIGHTS[name] * (1 - abs(getattr(seed, name) - getattr(other, name))),
            f"{name} {getattr(other, name):.2f} to {getattr(seed, name):.2f}",
        )
        for name in SCORE_WEIGHTS
        if name != "tempo"
    }
    if seed.tempo_bpm is not None and other.tempo_bpm is not None:
        octaves = abs(math.log2(seed.tempo_bpm / other.tempo_bpm))
        told["tempo"] = (
            SCORE_WEIGHTS["tempo"] * (1 - min(1.0, octaves)),
            f"tempo {other.tempo_bpm:.0f} to {seed.tempo_bpm:.0f} BPM",
        )
    best = sorted(told.values(), key=lambda each: -each[0])[:2]
    return ", ".join(words for _, words in best)


def _artist(track: Track) -> str:
    return track.metadata.artist.casefold()


def _describe(track: Track, distance: float, reason: str) -> SimilarTrack:
    return SimilarTrack(**summarise(track).model_dump(), distance=round(distance, 4), reason=reason)
