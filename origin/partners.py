"""Operators export keys here, for the licence server of a partner whose certificate is known."""

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from catalogue import errors
from catalogue.auditing import Deed, record
from catalogue.errors import PartnerNotFound, TrackNotEncrypted
from catalogue.nouns import TrackId
from catalogue.offline import Form
from catalogue.permissions import Action
from manifests.cpix import MEDIA_TYPE, render_cpix
from origin.access import SESSION_REFUSALS, Parts, counted, requires
from origin.devices import ShortText
from origin.licences import TRACKS_OF_A_LICENCE
from origin.problems import responses
from origin.throttle import Category
from protection.cenc import derive_cenc_key
from protection.cpix import seal_keys

router = APIRouter(
    prefix="/v1",
    tags=["partners"],
    dependencies=[counted(Category.ADMIN), Depends(requires(Action.EXPORT_KEYS))],
    responses=responses(errors.TooManyRequests),
)


class KeysWanted(BaseModel):
    """A partner, and the tracks whose keys it is given."""

    model_config = ConfigDict(extra="forbid", strict=True)

    partner: ShortText
    track_ids: list[ShortText] = Field(min_length=1, max_length=TRACKS_OF_A_LICENCE)


@router.post(
    "/cpix",
    responses=responses(
        *SESSION_REFUSALS,
        errors.RoleMayNot,
        errors.PartnerNotFound,
        errors.TrackNotEncrypted,
        errors.RequestInvalid,
        errors.Unavailable,
    )
    | {200: {"description": "a CPIX document", "content": {MEDIA_TYPE: {}}}},
    response_class=Response,
)
def export_keys(said: KeysWanted, parts: Parts) -> Response:
    """Return the keys of what is encrypted of some tracks, readable by the partner alone.

    Keys that are one device's own are not among them. The audit trail tells of it.
    """
    partner = parts.partners.get(said.partner)
    if partner is None:
        raise PartnerNotFound("No certificate of that name is kept.", partner=said.partner)
    wanted = [TrackId(each) for each in dict.fromkeys(said.track_ids)]
    found = parts.content_keys.shared(wanted, Form.CENC)
    bare = next((each for each in wanted if each not in {key.track_id for key in found}), None)
    if bare is not None:
        raise TrackNotEncrypted("No key of it is shared in that form.", track=bare)
    keys = [parts.wrapper.unwrap(key) for key in found]
    document = render_cpix(seal_keys(partner, map(derive_cenc_key, keys)))
    told = [str(key.id) for key in found]
    parts.audits.add(record(Deed.KEYS_EXPORTED, partner.name, now=parts.now(), keys=told))
    return Response(document, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})
