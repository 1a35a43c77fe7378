"""Labels take their own tracks down, and let them be heard again."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from catalogue import errors
from catalogue.errors import TrackNotFound
from catalogue.nouns import TrackId
from origin.access import LABEL_REFUSALS, Label, Parts, counted
from origin.problems import responses
from origin.services import Services
from origin.throttle import Category

router = APIRouter(
    prefix="/v1/tracks/{track_id}/takedown",
    tags=["deliveries"],
    dependencies=[counted(Category.GLOBAL)],
    responses=responses(
        errors.TooManyRequests, *LABEL_REFUSALS, errors.TrackNotFound, errors.Unavailable
    ),
)

Name = Annotated[str, Path(max_length=60)]


@router.put("", status_code=204)
def take_down(track_id: Name, label: Label, parts: Parts) -> Response:
    """Let nobody hear a track from now on, whatever its rights say; it answers 410 everywhere."""
    now = parts.now()
    parts.tracks.take_down(_find(parts, track_id, label), since=now, now=now)
    return Response(status_code=204)


@router.delete("", status_code=204)
def restore(track_id: Name, label: Label, parts: Parts) -> Response:
    """Let a track that was taken down be heard again, as its rights say."""
    parts.tracks.take_down(_find(parts, track_id, label), since=None, now=parts.now())
    return Response(status_code=204)


def _find(parts: Services, track_id: str, label: str) -> TrackId:
    """Return the id of a label's own track. Raises TrackNotFound."""
    name = TrackId(track_id)
    found = parts.tracks.listed([name]).get(name)
    if found is None or found.label != label:
        raise TrackNotFound("No track of yours has this id.", track=track_id)
    return name
