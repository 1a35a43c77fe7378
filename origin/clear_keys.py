"""Keys for standard players, as the key system ``org.w3.clearkey`` has them.

This is no DRM. A player is given the key as it is, and nothing hides it from whoever has the
player: what it keeps out are those who are not signed in, may not keep the track, or have the
objects alone. Labels say whether that is enough for them: catalogue.offline.LabelPolicy.

Source: W3C Encrypted Media Extensions, 9.1.
"""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catalogue import errors
from catalogue.errors import DownloadNotFound, LatheError, RequestInvalid, StandardPlayersNotAllowed
from catalogue.licensing import listener_of
from catalogue.offline import ContentKeyId, DeviceId, Form, StoredContentKey
from catalogue.permissions import Action, require
from origin.access import Parts, Signed, Territory, counted
from origin.devices import ShortText
from origin.licences import TRACKS_OF_A_LICENCE, judge_keys, note_verdicts
from origin.problems import responses
from origin.services import Services
from origin.throttle import Category
from origin.tracks import STREAM_REFUSALS
from protection.cenc import CencKey, build_key_set, derive_cenc_key, parse_key_id

router = APIRouter(prefix="/v1", tags=["licences"], responses=responses(errors.TooManyRequests))

_BODY_MAX_BYTES = 64 << 10


class ClearKeysWanted(BaseModel):
    """What a player asks for: ids of keys in base64url."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kids: list[ShortText] = Field(min_length=1, max_length=TRACKS_OF_A_LICENCE)
    type: Literal["temporary"] = "temporary"


class ClearKey(BaseModel):
    """A key as a JWK (RFC 7517)."""

    kty: Literal["oct"]
    kid: str
    k: str


class ClearKeys(BaseModel):
    """A licence: a JWK set, and until when whoever keeps it may use it."""

    keys: list[ClearKey]
    type: Literal["temporary"]
    expires_at: datetime


async def read_wanted(request: Request) -> ClearKeysWanted:
    """Return what a player asks for, which it sends as JSON of any media type.

    Raises RequestInvalid.
    """
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _BODY_MAX_BYTES:
            raise RequestInvalid("It asks for too much.", where="body", max_bytes=_BODY_MAX_BYTES)
    try:
        return ClearKeysWanted.model_validate_json(bytes(body))
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(map(str, ("body", *first["loc"])))
        raise RequestInvalid(f"{first['msg']}.", where=where) from fault


@router.post(
    "/licences/clearkey",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"*/*": {"schema": ClearKeysWanted.model_json_schema()}},
        }
    },
    dependencies=[counted(Category.LIBRARY)],
    responses=responses(
        *STREAM_REFUSALS, errors.DeviceNotFound, errors.DeviceRevoked, errors.DownloadNotFound
    ),
)
def give_clear_keys(
    said: Annotated[ClearKeysWanted, Depends(read_wanted)],
    device_id: Annotated[str, Query(max_length=60)],
    own: Signed,
    parts: Parts,
    territory: Territory,
    response: Response,
) -> ClearKeys:
    """Return the keys of what a device keeps in common encryption, and still may.

    Plan, rights, takedowns, the label's policy and the device are looked at anew. Of several keys
    those that may not be had are left out; where none may, why the first may not is told.
    """
    require(own.account.role, Action.DOWNLOAD)
    device = parts.devices.get(own.account.id, DeviceId(device_id))
    kept = parts.downloads.kept(device.id, only=_read_ids(said))
    keys = [key for key in kept if key.form is Form.CENC]
    if not keys:
        raise DownloadNotFound("No download of the device has such a key.", device=device.id)
    listener = listener_of(own.account, session=own.session.id, territory=territory)
    verdicts = judge_keys(parts, keys, listener)
    faults = {key.id: verdicts[key.id].fault or _ask_label(parts, key) for key in keys}
    granted = [key for key in keys if faults[key.id] is None]
    ends = {key.id: verdicts[key.id].until for key in granted}
    note_verdicts(parts, device, verdicts, ends=ends)
    if not granted:
        raise next(fault for fault in faults.values() if fault is not None)
    response.headers["Cache-Control"] = "no-store"
    found = build_key_set(_open(parts, key) for key in granted)
    return ClearKeys.model_validate(found | {"expires_at": min(ends.values())})


def _read_ids(said: ClearKeysWanted) -> set[ContentKeyId]:
    try:
        return {ContentKeyId(parse_key_id(each)) for each in said.kids}
    except ValueError as fault:
        raise RequestInvalid(f"A key id is none: {fault}.", where="body.kids") from fault


def _ask_label(parts: Services, key: StoredContentKey) -> LatheError | None:
    """Return why the label of a track does not let its key be given to standard players."""
    (track,) = parts.tracks.listed([key.track_id]).values()
    if parts.policies.get(track.label).standard_players:
        return None
    return StandardPlayersNotAllowed("Its label lets it no more.", track=key.track_id)


def _open(parts: Services, key: StoredContentKey) -> CencKey:
    return derive_cenc_key(parts.wrapper.unwrap(key))
