"""Accounts register the devices that keep downloads, and remove them again."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from catalogue import errors
from catalogue.errors import DeviceUnfit
from catalogue.offline import Device, DeviceId, DeviceKind, DeviceLimits
from catalogue.permissions import Action, require
from origin.access import SESSION_REFUSALS, Parts, Signed, counted
from origin.problems import responses
from origin.sessions import PRINTABLE
from origin.throttle import Category
from protection.encoding import encode_bytes
from protection.possession import (
    CHALLENGE_BYTES,
    Purpose,
    build_statement,
    parse_device_key,
    verify_statement,
)
from protection.refusing import refuse_device
from protection.tokens import random_bytes

router = APIRouter(
    prefix="/v1/devices",
    tags=["devices"],
    dependencies=[counted(Category.LIBRARY)],
    responses=responses(errors.TooManyRequests),
)

CHALLENGE_LIFE = timedelta(minutes=5)
AT_ONCE, LATELY, LATELY_LASTS = 5, 10, timedelta(days=30)
"""How many devices an account has at once, and how many it registers within that time."""

_KEY_MAX, _PROOF_MAX, _CHALLENGE_MAX = 90, 90, 60
_REFUSALS = (*SESSION_REFUSALS, errors.RoleMayNot, errors.Unavailable)

ShortText = Annotated[str, Field(max_length=_CHALLENGE_MAX, pattern=PRINTABLE)]
Proof = Annotated[str, Field(max_length=_PROOF_MAX)]


class Challenge(BaseModel):
    """What a device signs to show that it is here now. It is good once."""

    challenge: str
    expires_at: datetime


class ChallengeWanted(BaseModel):
    """What a challenge is for: a device of the account, or a new one."""

    model_config = ConfigDict(extra="forbid", strict=True)

    device_id: ShortText | None = None


class Registration(BaseModel):
    """A new device. Keys are uncompressed P-256 points in base64url; docs/formats.md tells more."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(min_length=1, max_length=100, pattern=PRINTABLE)
    kind: DeviceKind = Field(strict=False)
    public_key: str = Field(max_length=_KEY_MAX, description="which signs: ECDSA with SHA-256")
    agreement_key: str = Field(max_length=_KEY_MAX, description="for which keys are wrapped")
    challenge: ShortText
    signature: Proof


class DeviceShown(BaseModel):
    """A device of an account."""

    id: str
    name: str
    kind: DeviceKind
    thumbprint: str = Field(description="of its signing key: RFC 7638")
    created_at: datetime
    seen_at: datetime
    generation: int = Field(description="grows with whatever changes in what it may have")
    flagged: bool = Field(description="whether its licences were seen on another device")


class DeviceList(BaseModel):
    """The devices of an account, the oldest first."""

    devices: list[DeviceShown]
    most: int


@router.post("/challenges", status_code=201, responses=responses(*_REFUSALS, errors.RequestInvalid))
def make_challenge(wanted: ChallengeWanted, own: Signed, parts: Parts) -> Challenge:
    """Return what a device signs next; one for a device ends those that it had before."""
    require(own.account.role, Action.DOWNLOAD)
    challenge, now = encode_bytes(random_bytes(CHALLENGE_BYTES)), parts.now()
    until = now + CHALLENGE_LIFE
    device_id = None if wanted.device_id is None else DeviceId(wanted.device_id)
    parts.devices.challenge(own.account.id, challenge, now=now, until=until, device_id=device_id)
    return Challenge(challenge=challenge, expires_at=until)


@router.post(
    "",
    status_code=201,
    responses=responses(
        *_REFUSALS,
        errors.RequestInvalid,
        errors.DeviceUnfit,
        errors.DeviceUntrusted,
        errors.DeviceExists,
        errors.DevicesFull,
        errors.TooManySwaps,
    ),
)
def register_device(said: Registration, own: Signed, parts: Parts) -> DeviceShown:
    """Register a device of this account, which proves that it has the keys."""
    require(own.account.role, Action.DOWNLOAD)
    key, agreement = parse_device_key(said.public_key), parse_device_key(said.agreement_key)
    if said.public_key == said.agreement_key:
        raise DeviceUnfit("One key cannot be for both.")
    now = parts.now()
    words = (said.name, said.kind, said.public_key, said.agreement_key)
    if not parts.devices.spend(own.account.id, said.challenge, now=now):
        raise refuse_device("the challenge is not open")
    statement = build_statement(
        Purpose.REGISTER, own.account.id, said.challenge, "\n".join(words).encode()
    )
    verify_statement(key, statement, said.signature)
    device = Device(
        id=DeviceId(parts.new_id("dev")),
        account_id=own.account.id,
        name=said.name,
        kind=said.kind,
        public_key=said.public_key,
        agreement_key=agreement.text,
        thumbprint=key.thumbprint,
        created_at=now,
        seen_at=now,
    )
    limits = DeviceLimits(at_once=AT_ONCE, lately=LATELY, since=now - LATELY_LASTS)
    parts.devices.register(device, limits)
    return _show(device)


@router.get("", responses=responses(*SESSION_REFUSALS, errors.Unavailable))
def list_devices(own: Signed, parts: Parts) -> DeviceList:
    """Return the devices of this account."""
    return DeviceList(
        devices=[_show(each) for each in parts.devices.of(own.account.id)], most=AT_ONCE
    )


@router.delete(
    "/{device_id}",
    status_code=204,
    responses=responses(*SESSION_REFUSALS, errors.DeviceNotFound, errors.Unavailable),
)
def remove_device(
    device_id: Annotated[str, Path(max_length=60)], own: Signed, parts: Parts
) -> Response:
    """Remove a device and its downloads: it gets no licence any more."""
    parts.devices.revoke(own.account.id, DeviceId(device_id), now=parts.now())
    return Response(status_code=204)


def _show(device: Device) -> DeviceShown:
    return DeviceShown(
        id=device.id,
        name=device.name,
        kind=device.kind,
        thumbprint=device.thumbprint,
        created_at=device.created_at,
        seen_at=device.seen_at,
        generation=device.generation,
        flagged=device.clones > 0,
    )
