"""What goes with a track beside its sound: cover, waveform and preview, under signed URLs."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from catalogue import errors
from catalogue.errors import RightsMissing, SubscriptionTooLow, TrackNotReady
from catalogue.licensing import Listener, refusal_of, urls_end_at
from catalogue.nouns import Track, TrackId, Use
from catalogue.sleeves import Sleeve
from origin.access import SESSION_REFUSALS, AnyListener, Parts, counted
from origin.problems import responses
from origin.services import Services
from origin.throttle import Category
from origin.tracks import TO_ROOT

router = APIRouter(prefix="/v1", tags=["tracks"], responses=responses(errors.TooManyRequests))

_DRAWINGS = {
    "waveform": "waveform.svg",
    "loudness": "loudness.svg",
    "spectrogram": "spectrogram.png",
}


class PictureShown(BaseModel):
    """The front cover in one size, as JPEG."""

    url: str
    width: int
    height: int


class WaveformShown(BaseModel):
    """The waveform in the two forms of audiowaveform, version 2, of 8 bits."""

    dat: str
    json_: str = Field(alias="json")


class PreviewShown(BaseModel):
    """The loudest passage of a track, faded, as fragmented MP4 with AAC."""

    url: str
    start_s: float = Field(description="where in the track it begins")
    length_s: float


class SleeveShown(BaseModel):
    """What goes with a track; URLs are signed, relative to this one, and end at ``expires_at``."""

    artwork: list[PictureShown] = Field(description="from the smallest on; empty: it has no cover")
    waveform: WaveformShown
    preview: PreviewShown | None = Field(
        description="null: too short a track, or no right to hear it here and now"
    )
    expires_at: datetime


class DrawingsShown(BaseModel):
    """Signed URLs of what was drawn of a master, relative to this one."""

    waveform: str = Field(description="SVG, a row for each channel")
    loudness: str = Field(description="SVG: short-term loudness from -60 to 0 LUFS, a line at -23")
    spectrogram: str = Field(description="PNG")
    expires_at: datetime


@router.get(
    "/tracks/{track_id}/sleeve",
    dependencies=[counted(Category.LIBRARY)],
    responses=responses(
        *SESSION_REFUSALS,
        errors.NotAllowed,
        errors.TrackNotFound,
        errors.TrackNotReady,
        errors.TrackTakenDown,
        errors.TerritoryUnknown,
        errors.Unavailable,
    ),
)
def get_sleeve(
    track_id: Annotated[str, Path(max_length=60)],
    response: Response,
    parts: Parts,
    listener: AnyListener,
) -> SleeveShown:
    """Return the cover of a track in several sizes, its waveform, and a preview.

    The preview is for everybody who might hear the track here on some plan.
    """
    track = parts.tracks.get(TrackId(track_id))
    may_hear = _may_hear(track, listener, parts.now())
    heard_from = parts.tracks.master_of(track.id)
    sleeve = None if heard_from is None else parts.sleeves.of_master(heard_from)
    if sleeve is None:
        raise TrackNotReady("Nothing goes with this track yet.", track=track_id)
    prefix, expires_at = _sign(parts, track.id, sleeve, session=listener.session)
    response.headers["Cache-Control"] = "no-store"
    preview = None
    if sleeve.preview is not None and may_hear:
        preview = PreviewShown(
            url=prefix + sleeve.preview.name,
            start_s=sleeve.preview.start_s,
            length_s=sleeve.preview.length_s,
        )
    return SleeveShown(
        artwork=[
            PictureShown(url=prefix + each.name, width=each.width, height=each.height)
            for each in sleeve.pictures
        ],
        waveform=WaveformShown(dat=f"{prefix}waveform.dat", json=f"{prefix}waveform.json"),
        preview=preview,
        expires_at=expires_at,
    )


def show_drawings(
    parts: Services, track_id: TrackId, sleeve: Sleeve, *, session: str
) -> DrawingsShown:
    """Return where the drawings of a master are, of which a track was delivered."""
    prefix, expires_at = _sign(parts, track_id, sleeve, session=session)
    drawn = {name: prefix + file for name, file in _DRAWINGS.items()}
    return DrawingsShown(**drawn, expires_at=expires_at)


def _may_hear(track: Track, listener: Listener, now: datetime) -> bool:
    """Return whether a track may be heard here and now, on whatever plan.

    Raises what keeps a listener from knowing of it at all.
    """
    fault = refusal_of(track, listener, use=Use.STREAM, now=now)
    if fault is None or isinstance(fault, SubscriptionTooLow):
        return True
    if isinstance(fault, RightsMissing):
        return False
    raise fault


def _sign(
    parts: Services, track_id: TrackId, sleeve: Sleeve, *, session: str
) -> tuple[str, datetime]:
    expires_at = urls_end_at(parts.now())
    prefix = parts.signer.sign_prefix(expires_at, session, f"/{track_id}/{sleeve.id}/")
    return TO_ROOT + prefix, expires_at
