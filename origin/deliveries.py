"""Labels deliver masters here with what they say of them, and see where all of it stands."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from catalogue import errors
from catalogue.errors import (
    JobStateWrong,
    MediaTypeUnsupported,
    RequestInvalid,
    TrackNotFound,
)
from catalogue.nouns import DeliveryId, Job, JobId, JobState, Shipment, ShippedTrack
from catalogue.port import Outlook, Scope
from catalogue.uploads import require_upload_id
from origin.access import LABEL_REFUSALS, AnyCaller, Label, Parts, counted, label_of
from origin.delivery_document import (
    DeliveryDocument,
    DeliveryMetadata,
    Draft,
    Findings,
    read_document,
    read_metadata,
)
from origin.jobs import RETRIED, JobStatus, describe_job, find_label, retry
from origin.problems import responses
from origin.receiving import Received, describe_form, receive
from origin.services import Services
from origin.throttle import Category
from workers.intake import Incoming, Item

router = APIRouter(
    prefix="/v1/deliveries",
    tags=["deliveries"],
    dependencies=[counted(Category.GLOBAL)],
    responses=responses(errors.TooManyRequests, *LABEL_REFUSALS),
)

_DOCUMENT_MAX_BYTES = 4 << 20
_LOOKED_AT_EVERY_S = 1.0
_TOLD_AT_LEAST_EVERY = timedelta(seconds=5)

Name = Annotated[str, Path(max_length=60)]


class DeliveryState(StrEnum):
    """Where a delivery stands: the worst that its tracks came to, or what they still wait for."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    HELD = "held"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Oddity(BaseModel):
    """What is odd in a delivery, and did not keep it from being taken."""

    pointer: str = Field(description="into what was sent, RFC 6901")
    said: str


class DeliveredTrack(BaseModel):
    """A track that a delivery brought or changed."""

    track_id: str
    isrc: str
    title: str
    filename: str | None = Field(description="what the master is called; null: none came")
    job: JobStatus | None = Field(description="where its master stands; null: none came")


class DeliveryStatus(BaseModel):
    """Where a delivery stands."""

    id: str
    state: DeliveryState
    percent: int = Field(ge=0, le=100)
    created_at: datetime
    ends_at: datetime | None = Field(description="when the last of it ends, as far as is known")
    finished_at: datetime | None
    warnings: list[Oddity]
    tracks: list[DeliveredTrack]


class DeliveryPage(BaseModel):
    """A page of deliveries; ``next`` continues it, null at the end."""

    deliveries: list[DeliveryStatus]
    next: str | None


def _describe_request() -> dict[str, Any]:
    described = describe_form(DeliveryMetadata)
    reference = {"$ref": f"#/components/schemas/{DeliveryDocument.__name__}"}
    described["requestBody"]["content"]["application/json"] = {"schema": reference}
    return described


@router.post(
    "",
    status_code=202,
    openapi_extra=_describe_request(),
    responses=responses(
        errors.RequestInvalid,
        errors.MetadataInvalid,
        errors.MasterEmpty,
        errors.MediaTypeUnsupported,
        errors.TooLarge,
        errors.UploadSpent,
        errors.Unavailable,
    ),
)
async def deliver(
    request: Request, response: Response, label: Label, parts: Parts
) -> DeliveryStatus:
    """Take a release of uploaded masters (JSON), or one master with its metadata (a form).

    All of it is taken, or nothing. A recording is known by its ISRC: one delivered before keeps its
    id and takes the new master when that is pressed, and what is said of it at once. The same
    master is pressed once, however often it comes.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        text = await _read_document(request)
        shipment = await parts.senders.run(lambda: _accept_document(parts, label, text))
    elif kind == "multipart/form-data":
        async with receive(request, parts.store, parts.max_master_bytes) as received:
            shipment = await parts.senders.run(lambda: _accept_form(parts, label, received))
    else:
        raise MediaTypeUnsupported(
            f"It is {kind[:60]!r}.", content_type="application/json, multipart/form-data"
        )
    response.headers["Location"] = f"/v1/deliveries/{shipment.id}"
    return await to_thread.run_sync(_describe, parts, shipment)


@router.get("", responses=responses(errors.RequestInvalid))
def list_deliveries(
    caller: AnyCaller,
    parts: Parts,
    after: Annotated[str, Query(max_length=60)] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> DeliveryPage:
    """Return a label's deliveries in the order they came; an operator sees those of all."""
    label = find_label(caller, Scope.SEE)
    found = parts.shipments.page(label=label, after=after, limit=limit)
    last = found[-1].id if len(found) == limit else None
    return DeliveryPage(deliveries=[_describe(parts, each) for each in found], next=last)


@router.get("/{delivery_id}", responses=responses(errors.DeliveryNotFound))
def get_delivery(delivery_id: Name, caller: AnyCaller, parts: Parts) -> DeliveryStatus:
    """Return where a delivery stands, track by track."""
    label = find_label(caller, Scope.SEE)
    return _describe(parts, parts.shipments.get(DeliveryId(delivery_id), label=label))


@router.get(
    "/{delivery_id}/events",
    response_class=StreamingResponse,
    responses=responses(errors.DeliveryNotFound) | {200: {"content": {"text/event-stream": {}}}},
)
def follow_delivery(delivery_id: Name, caller: AnyCaller, parts: Parts) -> StreamingResponse:
    """Tell where a delivery stands whenever that changes, until all of it has ended.

    Server-sent events (WHATWG HTML) of the type ``status``, each with what GET would answer; at
    least one in 5 seconds.
    """
    label = find_label(caller, Scope.SEE)
    shipment = parts.shipments.get(DeliveryId(delivery_id), label=label)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(
        _follow(parts, shipment.id), media_type="text/event-stream", headers=headers
    )


@router.post("/{delivery_id}/cancel", responses=responses(errors.DeliveryNotFound))
def cancel_delivery(delivery_id: Name, caller: AnyCaller, parts: Parts) -> DeliveryStatus:
    """End what has not ended of a delivery; what is published stays."""
    label = label_of(caller, Scope.DELIVER)
    for job in _jobs(parts.shipments.get(DeliveryId(delivery_id), label=label)):
        if not job.state.final or job.state is JobState.HELD:
            # It may have ended in the meantime.
            with suppress(JobStateWrong):
                parts.desk.cancel(job.id, now=parts.now())
    return _describe(parts, parts.shipments.get(DeliveryId(delivery_id), label=label))


@router.post("/{delivery_id}/retry", responses=responses(errors.DeliveryNotFound))
def retry_delivery(delivery_id: Name, caller: AnyCaller, parts: Parts) -> DeliveryStatus:
    """Have done again what failed or was cancelled of a delivery."""
    label = label_of(caller, Scope.DELIVER)
    for job in _jobs(parts.shipments.get(DeliveryId(delivery_id), label=label)):
        if job.state in RETRIED:
            with suppress(JobStateWrong):
                retry(parts, job)
    return _describe(parts, parts.shipments.get(DeliveryId(delivery_id), label=label))


async def _read_document(request: Request) -> bytes:
    text = bytearray()
    async for piece in request.stream():
        text += piece
        if len(text) > _DOCUMENT_MAX_BYTES:
            raise RequestInvalid("The document is too long.", max_bytes=_DOCUMENT_MAX_BYTES)
    return bytes(text)


def _accept_form(parts: Services, label: str, received: Received) -> Shipment:
    draft, queue = read_metadata(received.metadata)
    item = Item(metadata=draft.metadata, master=received.master)
    return parts.intake.ship([item], label=label, queue=queue)


def _accept_document(parts: Services, label: str, text: bytes) -> Shipment:
    drafts, queue, findings = read_document(text)
    _require_known(parts, label, drafts, findings)
    masters = [_find_master(parts, label, draft, findings) for draft in drafts]
    findings.require_none()
    items = [
        Item(metadata=draft.metadata, master=master)
        for draft, master in zip(drafts, masters, strict=True)
    ]
    return parts.intake.ship(items, label=label, queue=queue, warnings=findings.warnings)


def _require_known(
    parts: Services, label: str, drafts: Sequence[Draft], findings: Findings
) -> None:
    """Note tracks that come without a master and never had one."""
    alone = {draft.metadata.isrc: draft for draft in drafts if draft.upload is None}
    known = parts.tracks.named(label, [isrc for isrc in alone if isrc is not None])
    for isrc, draft in alone.items():
        if isrc not in known:
            missing = TrackNotFound("It has no upload, and none was delivered before.")
            findings.note(f"{draft.pointer}/upload", missing)


def _find_master(parts: Services, label: str, draft: Draft, findings: Findings) -> Incoming | None:
    if draft.upload is None:
        return None
    try:
        return parts.receiver.take(require_upload_id(draft.upload), label)
    except (errors.NotFound, errors.Conflict) as fault:
        findings.note(f"{draft.pointer}/upload", fault)
        return None


def _jobs(shipment: Shipment) -> list[Job]:
    return [track.job for track in shipment.tracks if track.job is not None]


async def _follow(parts: Services, shipment_id: DeliveryId) -> AsyncIterator[bytes]:
    told, told_at = "", parts.now()
    while True:
        try:
            status = await to_thread.run_sync(_look, parts, shipment_id)
        except errors.Unavailable:
            # What is away for a moment ends nobody's watching.
            yield b": away\n\n"
            await asyncio.sleep(_LOOKED_AT_EVERY_S)
            continue
        known = _essence(status)
        if known != told or parts.now() - told_at >= _TOLD_AT_LEAST_EVERY:
            told, told_at = known, parts.now()
            yield f"event: status\ndata: {status.model_dump_json()}\n\n".encode()
        if status.finished_at is not None:
            return
        await asyncio.sleep(_LOOKED_AT_EVERY_S)


def _look(parts: Services, shipment_id: DeliveryId) -> DeliveryStatus:
    return _describe(parts, parts.shipments.get(shipment_id, label=None))


def _essence(status: DeliveryStatus) -> str:
    """Return what of a status is worth telling at once."""
    return repr(
        [
            (track.job.state, track.job.stage, track.job.percent, track.job.attempts)
            for track in status.tracks
            if track.job is not None
        ]
    )


def _describe(parts: Services, shipment: Shipment) -> DeliveryStatus:
    jobs, now = _jobs(shipment), parts.now()
    outlooks = parts.desk.outlook(jobs, now=now)
    percents = [100 if job.state.final else job.percent for job in jobs]
    return DeliveryStatus(
        id=shipment.id,
        state=_state(jobs),
        percent=sum(percents) // len(percents) if percents else 100,
        created_at=shipment.created_at,
        ends_at=_last([outlook.ends_at for outlook in outlooks.values()]),
        finished_at=_last([shipment.created_at, *(job.finished_at for job in jobs)]),
        warnings=[Oddity(pointer=pointer, said=said) for pointer, said in shipment.warnings],
        tracks=[_describe_track(track, outlooks, now) for track in shipment.tracks],
    )


def _describe_track(
    track: ShippedTrack, outlooks: Mapping[JobId, Outlook], now: datetime
) -> DeliveredTrack:
    job = track.job
    return DeliveredTrack(
        track_id=track.track_id,
        isrc=track.isrc,
        title=track.title,
        filename=track.filename,
        job=None if job is None else describe_job(job, outlooks.get(job.id), now),
    )


def _last(moments: Sequence[datetime | None]) -> datetime | None:
    """Return the last of some moments; None where one is not known yet, or there is none."""
    known = [moment for moment in moments if moment is not None]
    return max(known) if known and len(known) == len(moments) else None


_STANDINGS: Mapping[JobState, DeliveryState] = {
    JobState.RUNNING: DeliveryState.RUNNING,
    JobState.QUEUED: DeliveryState.QUEUED,
    JobState.FAILED: DeliveryState.FAILED,
    JobState.QUARANTINED: DeliveryState.FAILED,
    JobState.HELD: DeliveryState.HELD,
    JobState.CANCELLED: DeliveryState.CANCELLED,
    JobState.DONE: DeliveryState.DONE,
}
"""What tracks make of a delivery, what goes before first."""


def _state(jobs: Sequence[Job]) -> DeliveryState:
    states = {job.state for job in jobs}
    if JobState.QUEUED in states and states & {JobState.DONE, JobState.FAILED}:
        return DeliveryState.RUNNING
    return next((_STANDINGS[state] for state in _STANDINGS if state in states), DeliveryState.DONE)
