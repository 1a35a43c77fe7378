"""The nouns of those who listen: accounts, where they are signed in, and what they play."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from catalogue.nouns import AccountId, Quality, SessionId, TrackId


class Role(StrEnum):
    """What an account is for; catalogue.permissions tells what each role may.

    A listener is premium when its plan is, and a user otherwise.
    """

    USER = "user"
    PREMIUM = "premium"
    CURATOR = "curator"
    LABEL = "label"
    OPERATOR = "operator"
    ADMIN = "admin"


class Plan(StrEnum):
    """What a listener has subscribed to; it bounds the quality that is heard."""

    FREE = "free"
    VOICE = "voice"
    INDIVIDUAL = "individual"
    PREMIUM = "premium"

    @property
    def quality(self) -> Quality:
        """The best quality that the plan reaches."""
        return _PLAN_QUALITIES[self]


_PLAN_QUALITIES: Mapping[Plan, Quality] = {
    Plan.FREE: Quality.NORMAL,
    Plan.VOICE: Quality.HIGH,
    Plan.INDIVIDUAL: Quality.LOSSLESS,
    Plan.PREMIUM: Quality.HIRES,
}


class Network(StrEnum):
    """What a player is connected by; it bounds the quality that is sensible there."""

    G2 = "2g"
    G3 = "3g"
    G4 = "4g"
    G5 = "5g"
    WIFI = "wifi"

    @property
    def quality(self) -> Quality:
        """The best quality that it carries without a stall."""
        return _NETWORK_QUALITIES[self]


_NETWORK_QUALITIES: Mapping[Network, Quality] = {
    Network.G2: Quality.LOW,
    Network.G3: Quality.NORMAL,
    Network.G4: Quality.HIGH,
    Network.G5: Quality.LOSSLESS,
    Network.WIFI: Quality.HIRES,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Somebody who signs in: a listener, or who works for a label or for the plant.

    ``territory`` is where the account is at home (ISO 3166-1 alpha-2), None when not known;
    ``label`` is the one that an account of that role works for.
    """

    id: AccountId
    email: str
    role: Role
    plan: Plan
    territory: str | None
    label: str | None
    created_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A device on which an account is signed in, until ``expires_at`` unless it is used before."""

    id: SessionId
    account_id: AccountId
    device: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


class Repeat(StrEnum):
    """What is played after the end: nothing, the same track, or the queue again."""

    OFF = "off"
    ONE = "one"
    ALL = "all"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaybackState:
    """What an account plays and how, as its device told it at a moment.

    ``place`` is that of the current track in ``queue``, which is in the order of playing;
    ``position_s`` is where in the track it was, and it has gone on since if ``playing``. ``volume``
    is from 0 to 1.
    """

    queue: tuple[TrackId, ...]
    place: int
    position_s: float
    playing: bool
    shuffle: bool
    repeat: Repeat
    volume: float
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """Which device an account plays on, until ``expires_at`` unless it is renewed.

    Each that is given has a greater ``number`` than all before, and ends the one before.
    """

    number: int
    session_id: SessionId
    device: str
    expires_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Playback:
    """What is known of an account's playing; nothing of what never was."""

    lease: Lease | None = None
    state: PlaybackState | None = None
