"""Devices get their licences here, prove that they are there for it, and learn what changed."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from catalogue import errors
from catalogue.keeping import RENEW_AFTER, Verdict, judge_kept
from catalogue.licensing import Listener, listener_of
from catalogue.nouns import Quality, TrackId
from catalogue.offline import (
    ContentKeyId,
    Device,
    DeviceId,
    DownloadedTrack,
    Form,
    Renewal,
    Standing,
    StoredContentKey,
)
from catalogue.permissions import Action, require
from origin.access import SESSION_REFUSALS, Parts, Signed, Territory, counted
from origin.devices import Proof, ShortText
from origin.problems import responses
from origin.services import Services
from origin.throttle import Category
from protection.encoding import encode_bytes
from protection.licences import LicensedTrack, Terms
from protection.possession import (
    Purpose,
    build_statement,
    parse_device_key,
    verify_statement,
)
from protection.refusing import refuse_device
from protection.tokens import random_bytes

router = APIRouter(prefix="/v1", tags=["licences"], responses=responses(errors.TooManyRequests))
_counted = [counted(Category.LIBRARY)]

TRACKS_OF_A_LICENCE = 500
_MARK_BYTES, _MARK_MAX = 16, 24
_MOST = (1 << 31) - 1
_REFUSALS = (*SESSION_REFUSALS, errors.DeviceNotFound, errors.DeviceRevoked, errors.Unavailable)


class LicenceWanted(BaseModel):
    """A device that wants licences for what it keeps; ``mark`` is that of those it has, if any."""

    model_config = ConfigDict(extra="forbid", strict=True)

    device_id: ShortText
    mark: str = Field(max_length=_MARK_MAX, pattern=r"^[A-Za-z0-9_-]*$")
    challenge: ShortText
    signature: Proof


class TrackRefused(BaseModel):
    """A track that the device may not keep now, and the code of the error why."""

    track_id: str
    key_id: str
    code: str


class LicencesGiven(BaseModel):
    """Licences for all that a device may keep, each of up to 500 tracks."""

    licences: list[str] = Field(description="JWS in compact form: docs/formats.md")
    mark: str = Field(description="to be shown for the next ones")
    generation: int
    refused: list[TrackRefused]


class TrackChanged(BaseModel):
    """A track of a download as it is now."""

    download_id: str
    track_id: str
    key_id: str
    standing: Standing
    code: str | None = Field(description="of the error why it was revoked")
    kept: bool = Field(description="whether any download of the device still has it")


class Synced(BaseModel):
    """What changed for a device."""

    generation: int
    server_time: datetime
    tracks: list[TrackChanged]


class LicenceKeys(BaseModel):
    """The public keys that licences are signed with, by id: Ed25519 in base64url."""

    keys: Mapping[str, str]


@router.get("/licences/keys", dependencies=_counted, responses=responses(*SESSION_REFUSALS))
def get_licence_keys(parts: Parts) -> LicenceKeys:
    """Return the keys that devices pin."""
    return LicenceKeys(keys=parts.licences.public_keys())


@router.post(
    "/licences",
    dependencies=_counted,
    responses=responses(
        *_REFUSALS, errors.RoleMayNot, errors.RequestInvalid, errors.DeviceUntrusted
    ),
)
def give_licences(
    said: LicenceWanted, own: Signed, parts: Parts, territory: Territory
) -> LicencesGiven:
    """Return licences for all that a device keeps and still may, in one call.

    Plan, rights, takedowns and the device itself are looked at anew. What it may not keep is told
    here, and at its next sync.
    """
    require(own.account.role, Action.DOWNLOAD)
    device, mark = parts.devices.get(own.account.id, DeviceId(said.device_id)), _make_mark()
    statement = build_statement(
        Purpose.LICENCE,
        own.account.id,
        said.challenge,
        f"{said.device_id}\n{said.mark}".encode(),
    )
    verify_statement(parse_device_key(device.public_key), statement, said.signature)
    renewal = parts.devices.renew(
        device, said.challenge, shown=said.mark, mark=mark, now=parts.now()
    )
    if renewal is not Renewal.GIVEN:
        raise refuse_device(renewal)
    listener = listener_of(own.account, session=own.session.id, territory=territory)
    # What standard players open has keys of another kind: origin.clear_keys.
    keys = [key for key in parts.downloads.kept(device.id) if key.form is Form.SEALED]
    verdicts = judge_keys(parts, keys, listener)
    granted = [key for key in keys if verdicts[key.id].fault is None]
    ends = {key.id: verdicts[key.id].until for key in granted}
    generation = note_verdicts(parts, device, verdicts, ends=ends)
    sign = _Signing(parts, device, listener, mark=mark, generation=generation)
    licences = [sign.licence(batch, verdicts) for batch in _batches(granted)]
    return LicencesGiven(
        licences=licences,
        mark=mark,
        generation=generation,
        refused=[
            TrackRefused(track_id=key.track_id, key_id=key.id, code=fault.code)
            for key in keys
            if (fault := verdicts[key.id].fault) is not None
        ],
    )


@router.get(
    "/downloads/sync", dependencies=_counted, responses=responses(*_REFUSALS, errors.RequestInvalid)
)
def sync(
    device_id: Annotated[str, Query(max_length=60)],
    own: Signed,
    parts: Parts,
    territory: Territory,
    since: Annotated[int, Query(ge=0, le=_MOST, description="the generation that it knows")] = 0,
) -> Synced:
    """Return what was added, removed, revoked and given back since a device last asked.

    Everything it keeps is judged anew: what it may not keep any more is among what changed. From
    the generation 0 on, all that it has is told.
    """
    device = parts.devices.get(own.account.id, DeviceId(device_id))
    listener = listener_of(own.account, session=own.session.id, territory=territory)
    keys = parts.downloads.kept(device.id)
    generation = note_verdicts(parts, device, judge_keys(parts, keys, listener))
    changed = parts.downloads.changes(device.id, since=since)
    # What was taken meanwhile is among the changes, and what was removed is not kept for that.
    kept = {key.id for key in parts.downloads.kept(device.id)}
    kept |= {each.key.id for each in changed if each.standing is not Standing.REMOVED}
    return Synced(
        generation=generation,
        server_time=parts.now(),
        tracks=[_show(each, kept=each.key.id in kept) for each in changed],
    )


def judge_keys(
    parts: Services, keys: Sequence[StoredContentKey], listener: Listener
) -> Mapping[ContentKeyId, Verdict]:
    """Return whether what each content key seals may still be kept, and until which second."""
    now = parts.now()
    found: dict[ContentKeyId, Verdict] = {}
    for batch in _batches(keys):
        tracks = parts.tracks.alike([key.track_id for key in batch])
        judged: dict[tuple[TrackId, Quality], Verdict] = {}
        refused = []
        for key in batch:
            track = tracks[key.track_id]
            asked = track.id, key.quality
            verdict = judged.get(asked)
            if verdict is None:
                judged[asked] = verdict = judge_kept(track, key.quality, listener, now=now)
            found[key.id] = verdict
            if verdict.fault is not None and track.id != key.track_id:
                refused.append(key)
        if refused:
            # A refusal names the very track.
            listed = parts.tracks.listed([key.track_id for key in refused])
            for key in refused:
                track = listed[key.track_id]
                found[key.id] = judge_kept(track, key.quality, listener, now=now)
    return found


def _batches(keys: Sequence[StoredContentKey]) -> Iterator[Sequence[StoredContentKey]]:
    for start in range(0, len(keys), TRACKS_OF_A_LICENCE):
        yield keys[start : start + TRACKS_OF_A_LICENCE]


def note_verdicts(
    parts: Services,
    device: Device,
    verdicts: Mapping[ContentKeyId, Verdict],
    *,
    ends: Mapping[ContentKeyId, datetime] | None = None,
) -> int:
    """Note what a device may keep of what was judged, and until when it is given licences.

    Return its generation.
    """
    said = {
        key_id: None if verdict.fault is None else verdict.fault.code
        for key_id, verdict in verdicts.items()
    }
    return parts.downloads.judge(device.id, said, ends=ends)


def _make_mark() -> str:
    return encode_bytes(random_bytes(_MARK_BYTES))


class _Signing:
    """Licences of one device, given at one moment."""

    def __init__(
        self, parts: Services, device: Device, listener: Listener, *, mark: str, generation: int
    ) -> None:
        self._parts, self._device, self._listener = parts, device, listener
        self._mark, self._generation = mark, generation
        self._now = parts.now().replace(microsecond=0)

    def licence(
        self, keys: Sequence[StoredContentKey], verdicts: Mapping[ContentKeyId, Verdict]
    ) -> str:
        """Return the licence for the tracks of some keys."""
        parts, device = self._parts, self._device
        unwrap = parts.wrapper.unwrap
        tracks = [
            LicensedTrack(
                key.track_id,
                key.rendition_id,
                key.tier,
                key.chunk_count,
                verdicts[key.id].until,
                unwrap(key),
            )
            for key in keys
        ]
        terms = Terms(
            id=parts.new_id("lic"),
            account=device.account_id,
            device=device.id,
            thumbprint=device.thumbprint,
            mark=self._mark,
            generation=self._generation,
            territory=self._listener.territory or "",
            issued_at=self._now,
            renew_after=self._now + RENEW_AFTER,
            expires_at=max(track.until for track in tracks),
        )
        return parts.licences.sign(terms, parse_device_key(device.agreement_key), tracks)


def _show(track: DownloadedTrack, *, kept: bool) -> TrackChanged:
    return TrackChanged(
        download_id=track.download_id,
        track_id=track.track_id,
        key_id=track.key.id,
        standing=track.standing,
        code=track.code,
        kept=kept,
    )
