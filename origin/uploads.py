"""Masters that arrive piece by piece, over lines that break: tus 1.0.0 (https://tus.io).

The extensions creation, creation-with-upload, creation-defer-length, checksum, expiration,
termination and concatenation, and X-HTTP-Method-Override. Whatever came before a connection broke
counts, and a process that dies loses nothing that it acknowledged.
"""

import asyncio
import base64
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import datetime
from email.utils import format_datetime
from functools import partial
from typing import IO, Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from catalogue import errors
from catalogue.errors import (
    LatheError,
    MediaTypeUnsupported,
    RequestInvalid,
    UploadChecksumDiffers,
)
from catalogue.port import Scope
from catalogue.uploads import Upload, UploadId, UploadKind, require_upload_id
from origin.access import (
    LABEL_REFUSALS,
    SESSION_REFUSALS,
    AnyCaller,
    Label,
    Parts,
    counted,
    label_of,
)
from origin.problems import responses
from origin.services import Services
from origin.throttle import Category
from origin.tus import (
    ALGORITHMS,
    CONTENT_TYPE,
    EXTENSIONS,
    VERSION,
    read_checksum,
    read_filename,
    read_length,
    read_number,
    read_parts,
    sends_bytes,
    speak,
)
from storage.faults import not_writable
from workers.uploads import CLAIM, Reception

_BUFFER_BYTES = 1 << 20
_HELD_S = 2.0
# A sender that is still for as long may as well have gone: what it sent counts, others may go on.
_PATIENCE_S = CLAIM.total_seconds() * 0.8

UPLOAD_REFUSALS = (
    *LABEL_REFUSALS,
    errors.UploadNotFound,
    errors.TusVersionUnsupported,
    errors.RequestInvalid,
    errors.Unavailable,
)
_WRITE_REFUSALS = (
    errors.MediaTypeUnsupported,
    errors.MasterTooLarge,
    errors.UploadBusy,
    errors.UploadChecksumDiffers,
    errors.UploadOffsetWrong,
    errors.UploadSizeWrong,
    errors.UploadsFull,
    errors.DiskFull,
)


router = APIRouter(
    prefix="/v1/uploads",
    tags=["uploads"],
    dependencies=[counted(Category.UPLOADS), Depends(speak)],
    responses=responses(errors.TooManyRequests),
)

Name = Annotated[str, Path(max_length=60)]


class UploadStatus(BaseModel):
    """How much of a file has come."""

    id: str
    filename: str
    size_bytes: int | None = Field(description="null: its sender has not said yet")
    received_bytes: int
    complete: bool
    receiving: bool = Field(description="whether somebody is writing to it")
    partial: bool = Field(description="whether it is a part, to be joined with others")
    sha256: str | None = Field(description="of all of it; null until that is known")
    created_at: datetime
    expires_at: datetime = Field(description="when it goes by itself, unless more comes")


class UploadList(BaseModel):
    """A label's uploads, by id."""

    uploads: list[UploadStatus]
    after: str | None = Field(description="what to ask for next; null: there are no more")


@router.options("", status_code=204, responses=responses(*SESSION_REFUSALS))
def tell_what_is_spoken(parts: Parts) -> Response:
    """Tell the version, the extensions and the bounds of tus here."""
    headers = {
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(parts.receiver.max_bytes),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }
    return Response(status_code=204, headers=headers)


@router.post("", status_code=201, responses=responses(*UPLOAD_REFUSALS, *_WRITE_REFUSALS))
async def begin_upload(request: Request, label: Label, parts: Parts) -> Response:
    """Begin an upload, of a length said now or later, with its first bytes or without any.

    ``Upload-Concat`` makes it a part, or joins parts that are complete.
    """
    said, concat = request.headers.get("upload-metadata", ""), request.headers.get("upload-concat")
    filename = read_filename(said)
    if concat is not None and concat != "partial":
        upload = await parts.senders.run(
            lambda: parts.receiver.join(
                read_parts(concat), label, joined=concat, said=said, filename=filename
            )
        )
        return _answer(201, upload, upload.size_bytes, location=True)
    size_bytes = read_length(request, needed=True)
    kind = UploadKind.WHOLE if concat is None else UploadKind.PARTIAL
    upload = await parts.senders.run(
        lambda: parts.receiver.begin(
            label, size_bytes=size_bytes, said=said, filename=filename, kind=kind
        )
    )
    if not sends_bytes(request):
        return _answer(201, upload, None, location=True)
    try:
        upload, received_bytes = await _receive(request, parts, upload.id, label, at=0)
    except BaseException:
        # Its sender never learns the name.
        await parts.senders.run(lambda: parts.receiver.remove(upload.id, label))
        raise
    return _answer(201, upload, received_bytes, location=True)


@router.get("", responses=responses(*LABEL_REFUSALS, errors.RequestInvalid, errors.Unavailable))
async def list_uploads(
    caller: AnyCaller,
    parts: Parts,
    after: Annotated[str, Query(max_length=60)] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> UploadList:
    """Return the label's uploads, by id."""
    label = label_of(caller, Scope.SEE)

    def find() -> UploadList:
        found = parts.receiver.page(label, after=after, limit=limit + 1)
        shown = found[:limit]
        return UploadList(
            uploads=[_show(*parts.receiver.find(each.id, label), parts.now()) for each in shown],
            after=shown[-1].id if len(found) > limit else None,
        )

    return await parts.senders.run(find)


@router.get("/{upload_id}", responses=responses(*UPLOAD_REFUSALS))
async def get_upload(upload_id: Name, caller: AnyCaller, parts: Parts) -> UploadStatus:
    """Return how much of an upload has come, as JSON."""
    name, label = require_upload_id(upload_id), label_of(caller, Scope.SEE)
    found = await parts.senders.run(lambda: parts.receiver.find(name, label))
    return _show(*found, parts.now())


@router.head("/{upload_id}", responses=responses(*UPLOAD_REFUSALS))
async def measure_upload(upload_id: Name, label: Label, parts: Parts) -> Response:
    """Tell how much of an upload has come."""
    name = require_upload_id(upload_id)
    upload, received_bytes = await parts.senders.run(lambda: parts.receiver.find(name, label))
    answer = _answer(200, upload, received_bytes)
    answer.headers["Cache-Control"] = "no-store"
    if upload.size_bytes is None:
        answer.headers["Upload-Defer-Length"] = "1"
    else:
        answer.headers["Upload-Length"] = str(upload.size_bytes)
    if upload.said:
        answer.headers["Upload-Metadata"] = upload.said
    if upload.kind is UploadKind.PARTIAL:
        answer.headers["Upload-Concat"] = "partial"
    elif upload.kind is UploadKind.FINAL:
        answer.headers["Upload-Concat"] = upload.joined
    return answer


@router.patch(
    "/{upload_id}",
    status_code=204,
    responses=responses(*UPLOAD_REFUSALS, *_WRITE_REFUSALS, errors.UploadJoined),
)
async def append_to_upload(
    request: Request, upload_id: Name, label: Label, parts: Parts
) -> Response:
    """Add bytes at the end of an upload."""
    at = read_number(request, "upload-offset")
    if at is None:
        raise RequestInvalid("Upload-Offset is missing.", header="Upload-Offset")
    if not sends_bytes(request):
        said = request.headers.get("content-type", "")[:60]
        raise MediaTypeUnsupported(f"It is {said!r}.", content_type=CONTENT_TYPE)
    name = require_upload_id(upload_id)
    upload, received_bytes = await _receive(request, parts, name, label, at=at)
    return _answer(204, upload, received_bytes)


@router.delete(
    "/{upload_id}", status_code=204, responses=responses(*UPLOAD_REFUSALS, errors.UploadBusy)
)
async def end_upload(upload_id: Name, label: Label, parts: Parts) -> Response:
    """End an upload, and remove what came of it."""
    name = require_upload_id(upload_id)
    await parts.senders.run(lambda: parts.receiver.remove(name, label))
    return Response(status_code=204)


@router.post(
    "/{upload_id}",
    responses=responses(
        *UPLOAD_REFUSALS, *_WRITE_REFUSALS, errors.UploadJoined, errors.MethodNotSupported
    )
    | {204: {"description": "what the method that is meant answers"}},
)
async def override_method(
    request: Request, upload_id: Name, label: Label, parts: Parts
) -> Response:
    """Do what ``X-HTTP-Method-Override`` says, for clients that only POST."""
    meant = request.headers.get("x-http-method-override", "")
    if meant == "PATCH":
        return await append_to_upload(request, upload_id, label, parts)
    if meant == "DELETE":
        return await end_upload(upload_id, label, parts)
    if meant == "HEAD":
        return await measure_upload(upload_id, label, parts)
    raise errors.MethodNotSupported(f"{meant[:20]!r} is not answered.", method=meant[:20])


async def _receive(
    request: Request, parts: Services, upload_id: UploadId, label: str, *, at: int
) -> tuple[Upload, int]:
    """Return an upload with what the request holds added to it, and how much of it there is."""
    size_bytes, checksum = read_length(request, needed=False), read_checksum(request)
    reception = await parts.senders.run(
        lambda: parts.receiver.open(upload_id, label, at=at, size_bytes=size_bytes)
    )
    try:
        if checksum is None:
            await _pass_on(request, parts, reception.write)
        else:
            await _check_and_pass_on(request, parts, reception, *checksum)
    except BaseException:
        # What came before counts, as far as that can be had.
        with suppress(LatheError):
            await parts.senders.run(reception.close)
        raise
    upload = await parts.senders.run(reception.close)
    return upload, reception.size_bytes


async def _pass_on(request: Request, parts: Services, write: Callable[[bytes], object]) -> None:
    """Write what a request holds; what came before it breaks off is written, too.

    However slowly it comes, it is written soon, which also tells that its writer lives.
    """
    pending, now = bytearray(), asyncio.get_running_loop().time
    written_at = now()
    try:
        async for piece in _stream(request):
            pending += piece
            if len(pending) >= _BUFFER_BYTES or now() - written_at >= _HELD_S:
                data, written_at = bytes(pending), now()
                pending.clear()
                await parts.senders.run(partial(write, data))
    finally:
        if pending:
            await parts.senders.run(partial(write, bytes(pending)))


async def _check_and_pass_on(
    request: Request, parts: Services, reception: Reception, algorithm: str, expected: bytes
) -> None:
    """Write what a request holds if it is what it is said to be; else nothing of it counts."""
    digest = ALGORITHMS[algorithm](usedforsecurity=False)
    most_bytes = parts.receiver.max_bytes
    folder = await parts.senders.run(parts.store.staging)
    with _open_draft(str(folder)) as draft:

        def keep(data: bytes) -> None:
            digest.update(data)
            if draft.tell() + len(data) > most_bytes:
                raise errors.MasterTooLarge("More came than is accepted.", max_bytes=most_bytes)
            try:
                draft.write(data)
            except OSError as fault:
                raise not_writable("The upload cannot be received", fault) from fault

        def take_over() -> None:
            draft.seek(0)
            while data := draft.read(_BUFFER_BYTES):
                reception.write(data)

        await _pass_on(request, parts, keep)
        if digest.digest() != expected:
            raise UploadChecksumDiffers(
                "They hash to something else.",
                algorithm=algorithm,
                measured=base64.b64encode(digest.digest()).decode("ascii"),
            )
        await parts.senders.run(take_over)


def _open_draft(folder: str) -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(dir=folder, buffering=0)
    except OSError as fault:
        raise not_writable("The upload cannot be received", fault) from fault


async def _stream(request: Request) -> AsyncIterator[bytes]:
    """Yield what a request holds. Raises RequestInvalid where it breaks off, or stands still."""
    pieces = request.stream()
    while True:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except (ClientDisconnect, TimeoutError) as fault:
            raise RequestInvalid("The sender stopped before the end; what came counts.") from fault
        yield piece


def _answer(
    status: int, upload: Upload, received_bytes: int | None, *, location: bool = False
) -> Response:
    headers = {"Upload-Expires": format_datetime(upload.expires_at, usegmt=True)}
    if received_bytes is not None:
        headers["Upload-Offset"] = str(received_bytes)
    if location:
        headers["Location"] = f"/v1/uploads/{upload.id}"
    return Response(status_code=status, headers=headers)


def _show(upload: Upload, received_bytes: int, now: datetime) -> UploadStatus:
    return UploadStatus(
        id=upload.id,
        filename=upload.filename,
        size_bytes=upload.size_bytes,
        received_bytes=received_bytes,
        complete=upload.finished_at is not None,
        receiving=upload.claimed_until is not None and upload.claimed_until > now,
        partial=upload.kind is UploadKind.PARTIAL,
        sha256=upload.sha256,
        created_at=upload.created_at,
        expires_at=upload.expires_at,
    )
