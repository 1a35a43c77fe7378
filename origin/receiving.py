"""Receiving a master in one request: multipart/form-data, streamed to disk and hashed as it comes.

Source: RFC 7578. Memory stays at one buffer whatever the size of the master, and nothing is kept
of a request that fails.
"""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from uuid import uuid4

from anyio import to_thread
from fastapi import Request
from pydantic import BaseModel
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from catalogue.errors import MasterTooLarge, RequestInvalid
from catalogue.nouns import Sha256
from storage.faults import not_writable
from storage.keys import ObjectKey
from storage.port import ObjectStore
from workers.intake import Incoming

METADATA_MAX_BYTES = 64 << 10
_BUFFER_BYTES = 1 << 20
_HEADER_MAX_BYTES = 8 << 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """What a form held: a master, on disk by now, and what is said of it."""

    master: Incoming
    metadata: bytes


def describe_form(said: type[BaseModel]) -> dict[str, Any]:
    """Return the OpenAPI account of a form that ``receive`` takes; ``said`` is its metadata."""
    master = {
        "type": "string",
        "format": "binary",
        "description": "WAV, FLAC, AIFF or ALAC, 16 or 24 bit, 44.1 to 192 kHz, mono or stereo; "
        "or a lossy file",
    }
    metadata = {"$ref": f"#/components/schemas/{said.__name__}"}
    form = {
        "schema": {
            "type": "object",
            "required": ["metadata", "master"],
            "properties": {"metadata": metadata, "master": master},
        },
        "encoding": {"metadata": {"contentType": "application/json"}},
    }
    return {"requestBody": {"required": True, "content": {"multipart/form-data": form}}}


@asynccontextmanager
async def receive(request: Request, store: ObjectStore, max_bytes: int) -> AsyncIterator[Received]:
    """Give what the request's parts ``master`` and ``metadata`` hold.

    The file is gone afterwards unless somebody moved it.
    Raises RequestInvalid, MasterTooLarge and OutputNotWritable.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary or len(boundary) > 200:
        raise RequestInvalid("Send multipart/form-data with the parts master and metadata.")
    path = await to_thread.run_sync(store.staging) / uuid4().hex
    form = _Form(max_bytes)
    try:
        parser = form.build_parser(boundary)
        with _open_draft(path) as draft:
            try:
                async for piece in request.stream():
                    parser.write(piece)
                    if len(form.pending) >= _BUFFER_BYTES:
                        await to_thread.run_sync(_write, draft, form)
                parser.finalize()
            except MultipartParseError as fault:
                raise RequestInvalid(f"The form cannot be read: {fault}.") from fault
            except ClientDisconnect as fault:
                raise RequestInvalid("The sender hung up before the form's end.") from fault
            await to_thread.run_sync(_write, draft, form)
        yield form.received(lambda key: store.adopt(key, path))
    finally:
        path.unlink(missing_ok=True)


class _Form:
    """Sorts the bytes of a form into its two parts."""

    def __init__(self, max_bytes: int) -> None:
        self.pending = bytearray()
        self.size_bytes = 0
        self.sha256 = hashlib.sha256()
        self._max_bytes = max_bytes
        self._seen: set[str] = set()
        self._part = ""
        self._filename = ""
        self._metadata = bytearray()
        self._header = bytearray(), bytearray()
        self._complete = False

    def build_parser(self, boundary: bytes) -> MultipartParser:
        return MultipartParser(
            boundary,
            {
                "on_header_field": lambda data, start, end: self._on_header(0, data[start:end]),
                "on_header_value": lambda data, start, end: self._on_header(1, data[start:end]),
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_part,
                "on_part_data": lambda data, start, end: self._on_data(data[start:end]),
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )

    def received(self, adopt: Callable[[ObjectKey], object]) -> Received:
        missing = {"master", "metadata"} - self._seen
        if missing or not self._complete:
            what = f"the part {sorted(missing)[0]}" if missing else "its end"
            raise RequestInvalid(f"The form lacks {what}.")
        master = Incoming(
            filename=clean_filename(self._filename),
            size_bytes=self.size_bytes,
            sha256=Sha256(self.sha256.hexdigest()),
            adopt=adopt,
        )
        return Received(master=master, metadata=bytes(self._metadata))

    def _on_header(self, which: int, data: bytes) -> None:
        self._header[which].extend(data)
        if sum(map(len, self._header)) > _HEADER_MAX_BYTES:
            raise RequestInvalid("A part's header is too long.")

    def _on_header_end(self) -> None:
        name, value = (bytes(half) for half in self._header)
        if name.lower() == b"content-disposition":
            _, options = parse_options_header(value)
            self._part = options.get(b"name", b"").decode("utf-8", "replace")
            if self._part == "master":
                self._filename = options.get(b"filename", b"").decode("utf-8", "replace")
        for half in self._header:
            half.clear()

    def _on_part(self) -> None:
        if self._part not in ("master", "metadata") or self._part in self._seen:
            raise RequestInvalid(
                "The form has the parts master and metadata, once each.", part=self._part[:40]
            )
        self._seen.add(self._part)

    def _on_part_end(self) -> None:
        self._part = ""

    def _on_end(self) -> None:
        self._complete = True

    def _on_data(self, data: bytes) -> None:
        if self._part == "metadata":
            self._metadata += data
            if len(self._metadata) > METADATA_MAX_BYTES:
                raise RequestInvalid("The metadata is too long.", max_bytes=METADATA_MAX_BYTES)
            return
        self.pending += data
        self.size_bytes += len(data)
        if self.size_bytes > self._max_bytes:
            raise MasterTooLarge("It has more bytes than accepted.", max_bytes=self._max_bytes)


def clean_filename(said: str) -> str:
    """Return the last part of what a client calls its file, as one line of plain text."""
    name = PurePosixPath(said.replace("\\", "/")).name
    printable = "".join(letter for letter in name if letter.isprintable())[:255].strip()
    return printable if printable.strip(".") else "master"


def _open_draft(path: Path) -> BinaryIO:
    try:
        return open(path, "xb")
    except OSError as fault:
        raise not_writable("The master cannot be received", fault) from fault


def _write(draft: BinaryIO, form: _Form) -> None:
    data = bytes(form.pending)
    form.pending.clear()
    form.sha256.update(data)
    try:
        draft.write(data)
        draft.flush()
    except OSError as fault:
        raise not_writable("The master cannot be received", fault) from fault
