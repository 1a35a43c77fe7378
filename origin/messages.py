"""Labels deliver by the industry's own messages here; docs/ddex.md has what is made of them."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from catalogue import errors
from catalogue.errors import ErnUnreadable
from catalogue.nouns import WorkQueue
from origin.access import LABEL_REFUSALS, Label, Parts, counted
from origin.ern.acknowledgement import MEDIA_TYPE
from origin.ern.files import UploadedFiles
from origin.ern.reader import MESSAGE_MAX_BYTES
from origin.ern.taking import ErnDesk, Taken
from origin.problems import responses
from origin.services import Services
from origin.throttle import Category

router = APIRouter(
    prefix="/v1/deliveries/ern",
    tags=["deliveries"],
    dependencies=[counted(Category.GLOBAL)],
    responses=responses(errors.TooManyRequests, *LABEL_REFUSALS),
)

_XML = {"schema": {"type": "string"}}


@router.post(
    "",
    response_class=Response,
    openapi_extra={"requestBody": {"required": True, "content": {MEDIA_TYPE: _XML}}},
    responses=responses(
        errors.RequestInvalid,
        errors.ErnUnreadable,
        errors.MasterEmpty,
        errors.UploadSpent,
        errors.Unavailable,
    )
    | {200: {"description": "the acknowledgement", "content": {MEDIA_TYPE: _XML}}},
)
async def take_message(
    request: Request,
    label: Label,
    parts: Parts,
    bulk: Annotated[bool, Query(description="let others go before")] = False,
) -> Response:
    """Obey an ERN message whose files have been uploaded under the names that it gives them.

    The answer is its acknowledgement (FtpAcknowledgementMessage); ``Lathe-Outcome`` is applied,
    replayed, superseded or refused, and ``Location`` is the delivery that came of it.
    """
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > MESSAGE_MAX_BYTES:
            raise ErnUnreadable("It is too long.", max_bytes=MESSAGE_MAX_BYTES)
    queue = WorkQueue.BULK if bulk else WorkQueue.URGENT
    taken = await parts.senders.run(lambda: _take(parts, label, bytes(data), queue))
    headers = {"Lathe-Outcome": str(taken.outcome)}
    if taken.shipment is not None:
        headers["Location"] = f"/v1/deliveries/{taken.shipment.id}"
    return Response(taken.acknowledgement, media_type=MEDIA_TYPE, headers=headers)


def _take(parts: Services, label: str, data: bytes, queue: WorkQueue) -> Taken:
    desk = ErnDesk(messages=parts.messages, tracks=parts.tracks, intake=parts.intake, now=parts.now)
    files = UploadedFiles(parts.receiver, label)
    return desk.take(data, files.find, label=label, queue=queue)
