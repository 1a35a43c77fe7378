"""One account plays on one device at a time: the lease, and what is played, from device to device.

A device that begins to play takes the lease and gets what was played last. While it plays it renews
the lease and tells its state; when another device has taken the lease, it is told so and stops.
"""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from catalogue import errors
from catalogue.errors import RequestInvalid
from catalogue.nouns import SessionId, TrackId
from catalogue.people import Lease, Playback, PlaybackState, Repeat
from origin.access import SESSION_REFUSALS, Parts, Signed, SignedIn, counted
from origin.problems import responses
from origin.services import Services
from origin.throttle import Category

router = APIRouter(
    prefix="/v1/playback",
    tags=["playback"],
    dependencies=[counted(Category.LIBRARY)],
    responses=responses(errors.TooManyRequests),
)

LEASE_LIFE = timedelta(seconds=60)
RENEW_AFTER = timedelta(seconds=20)
_QUEUE_MAX = 1000
_POSITION_MAX_S = 86_400.0

_REFUSALS = (*SESSION_REFUSALS, errors.Unavailable)


class StateSaid(BaseModel):
    """What a device plays now, and how."""

    model_config = ConfigDict(extra="forbid", strict=True)

    queue: list[Annotated[str, Field(max_length=60)]] = Field(
        max_length=_QUEUE_MAX, description="ids of tracks in the order of playing"
    )
    place: int = Field(ge=0, description="of the current track in the queue")
    position_s: float = Field(ge=0, le=_POSITION_MAX_S, description="where in the track it is")
    playing: bool
    shuffle: bool = False
    repeat: Repeat = Field(default=Repeat.OFF, strict=False)
    volume: float = Field(default=1.0, ge=0, le=1)


class LeaseShown(BaseModel):
    """Which device plays, or played last."""

    number: int
    session_id: str
    device: str
    expires_at: datetime
    alive: bool
    own: bool = Field(description="whether it is that of the device that asks")


class PlaybackShown(BaseModel):
    """What is played; ``position_s`` is where it is by now, not when it was told."""

    lease: LeaseShown | None
    state: StateSaid | None
    renew_after_s: int = Field(default=int(RENEW_AFTER.total_seconds()))


class LeaseWanted(BaseModel):
    """Which device shall play."""

    model_config = ConfigDict(extra="forbid", strict=True)

    session_id: str | None = Field(
        default=None, max_length=60, description="one of the account's; the one that asks if null"
    )


@router.get("", responses=responses(*_REFUSALS))
def get_playback(own: Signed, parts: Parts) -> PlaybackShown:
    """Return what the account plays, and on which device."""
    return _show(parts, own, parts.playbacks.get(own.account.id))


@router.post("/lease", responses=responses(*_REFUSALS, errors.RequestInvalid))
def take_lease(wanted: LeaseWanted, own: Signed, parts: Parts) -> PlaybackShown:
    """Let a device play: this one, or another of the account's, which finds it when it asks.

    Whichever device had the lease is told when it renews it.
    """
    now = parts.now()
    session = own.session
    if wanted.session_id not in (None, session.id):
        others = {each.id: each for each in parts.sessions.of(own.account.id, now=now)}
        chosen = others.get(SessionId(wanted.session_id or ""))
        if chosen is None:
            raise RequestInvalid("The account is not signed in there.", where="body.session_id")
        session = chosen
    taken = parts.playbacks.take(own.account.id, session, until=now + LEASE_LIFE)
    return _show(parts, own, taken)


@router.put(
    "/lease/{number}",
    responses=responses(*_REFUSALS, errors.RequestInvalid, errors.PlaybackTakenOver),
)
def renew_lease(
    number: Annotated[int, Path(ge=1, le=1 << 31)], said: StateSaid, own: Signed, parts: Parts
) -> PlaybackShown:
    """Keep the lease and tell what is played; one that ended is kept if nobody took it since."""
    if said.queue and said.place >= len(said.queue):
        raise RequestInvalid("There is no such place in the queue.", where="body.place")
    now = parts.now()
    state = PlaybackState(
        queue=tuple(TrackId(each) for each in said.queue),
        place=said.place,
        position_s=said.position_s,
        playing=said.playing,
        shuffle=said.shuffle,
        repeat=said.repeat,
        volume=said.volume,
        at=now,
    )
    kept = parts.playbacks.renew(own.account.id, number, until=now + LEASE_LIFE, state=state)
    return _show(parts, own, kept)


def _show(parts: Services, own: SignedIn, found: Playback) -> PlaybackShown:
    now, lease, state = parts.now(), found.lease, found.state
    return PlaybackShown(
        lease=None if lease is None else _show_lease(lease, own, now),
        state=None if state is None else _show_state(state, now),
    )


def _show_lease(lease: Lease, own: SignedIn, now: datetime) -> LeaseShown:
    return LeaseShown(
        number=lease.number,
        session_id=lease.session_id,
        device=lease.device,
        expires_at=lease.expires_at,
        alive=lease.expires_at > now,
        own=lease.session_id == own.session.id,
    )


def _show_state(state: PlaybackState, now: datetime) -> StateSaid:
    return StateSaid(
        queue=list(state.queue),
        place=state.place,
        position_s=locate(state, now),
        playing=state.playing,
        shuffle=state.shuffle,
        repeat=state.repeat,
        volume=state.volume,
    )


def locate(state: PlaybackState, now: datetime) -> float:
    """Return where in its track an account is by ``now``, in seconds.

    It went on since it was told if it played, but no longer than a lease lasts that is not renewed.
    """
    if not state.playing:
        return state.position_s
    played = max(timedelta(0), min(now - state.at, LEASE_LIFE))
    return min(state.position_s + played.total_seconds(), _POSITION_MAX_S)
