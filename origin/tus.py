"""What tus 1.0.0 says in headers: versions, lengths, checksums, names, and parts.

Source: https://tus.io/protocols/resumable-upload.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from fastapi import Request

from catalogue.errors import RequestInvalid, TusVersionUnsupported
from catalogue.uploads import UploadId, require_upload_id
from origin.receiving import clean_filename
from origin.visit import visit_of

VERSION = "1.0.0"
EXTENSIONS = (
    "creation,creation-with-upload,creation-defer-length,checksum,expiration,termination,"
    "concatenation"
)
CONTENT_TYPE = "application/offset+octet-stream"
ALGORITHMS = {"sha1": hashlib.sha1, "sha256": hashlib.sha256, "md5": hashlib.md5}
_SAID_MAX = 4 << 10
_NUMBER = re.compile(r"[0-9]{1,18}")
_PART_URL = re.compile(r"(?:https?://[^/\s]+)?(?:/\S*)?/v1/uploads/([^/\s?#]+)")
_FORMS: Mapping[str, Mapping[str, Any]] = {
    "Tus-Resumable": {"enum": [VERSION]},
    "Upload-Length": {"pattern": "^[0-9]{1,18}$"},
    "Upload-Offset": {"pattern": "^[0-9]{1,18}$"},
    "Upload-Defer-Length": {"enum": ["1"]},
    "X-HTTP-Method-Override": {"enum": ["PATCH", "HEAD", "DELETE"]},
}
"""How the headers of tus look."""


async def speak(request: Request) -> None:
    """Say what is spoken here, in every answer. Raises TusVersionUnsupported."""
    visit_of(request.scope).headers += [(b"tus-resumable", VERSION.encode("ascii"))]
    said = request.headers.get("tus-resumable")
    if request.method not in ("GET", "OPTIONS") and said != VERSION:
        visit_of(request.scope).headers += [(b"tus-version", VERSION.encode("ascii"))]
        raise TusVersionUnsupported(
            f"{(said or 'Nothing')[:20]!r} is not spoken here.", tus_version=VERSION
        )


def describe_tus(document: dict[str, Any]) -> None:
    """Tell in an OpenAPI document of the headers that tus goes by."""
    whole = {"schema": {"type": "string", "format": "binary"}}
    said: dict[str, list[str]] = {
        "/v1/uploads post": [
            "Tus-Resumable",
            "Upload-Length",
            "Upload-Defer-Length",
            "Upload-Metadata",
            "Upload-Concat",
            "Upload-Checksum",
        ],
        "/v1/uploads/{upload_id} post": ["X-HTTP-Method-Override"],
        "/v1/uploads/{upload_id} patch": [
            "Tus-Resumable",
            "Upload-Offset",
            "Upload-Length",
            "Upload-Checksum",
        ],
        "/v1/uploads/{upload_id} head": ["Tus-Resumable"],
        "/v1/uploads/{upload_id} delete": ["Tus-Resumable"],
    }
    for place, names in said.items():
        path, _, method = place.partition(" ")
        operation = document["paths"][path][method]
        operation.setdefault("parameters", []).extend(
            {
                "in": "header",
                "name": name,
                "required": False,
                "schema": {"type": "string", **_FORMS.get(name, {})},
            }
            for name in names
        )
        if method in ("post", "patch"):
            operation["requestBody"] = {"required": False, "content": {CONTENT_TYPE: whole}}


def sends_bytes(request: Request) -> bool:
    """Return whether a request holds bytes of a file."""
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return said == CONTENT_TYPE


def read_number(request: Request, header: str) -> int | None:
    """Return the number in a header, if there is one. Raises RequestInvalid."""
    said = request.headers.get(header)
    if said is None:
        return None
    if not _NUMBER.fullmatch(said):
        raise RequestInvalid(f"{header} is no number.", header=header)
    return int(said)


def read_length(request: Request, *, needed: bool) -> int | None:
    """Return how long the upload is going to be; None where that is said later, or was before.

    Raises RequestInvalid.
    """
    size_bytes = read_number(request, "upload-length")
    deferred = request.headers.get("upload-defer-length")
    if deferred not in (None, "1") or (deferred is not None and size_bytes is not None):
        raise RequestInvalid("Upload-Defer-Length is 1, or absent.", header="Upload-Defer-Length")
    if needed and size_bytes is None and deferred is None:
        raise RequestInvalid(
            "Say Upload-Length, or Upload-Defer-Length: 1.", header="Upload-Length"
        )
    return size_bytes


def read_checksum(request: Request) -> tuple[str, bytes] | None:
    """Return by what algorithm the bytes hash to what, if that is said. Raises RequestInvalid."""
    said = request.headers.get("upload-checksum")
    if said is None:
        return None
    algorithm, _, encoded = said.partition(" ")
    try:
        expected = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        expected = b""
    if algorithm not in ALGORITHMS or not expected:
        known = ",".join(ALGORITHMS)
        raise RequestInvalid(
            "Upload-Checksum is an algorithm and what is hashed to, in Base64.",
            header="Upload-Checksum",
            algorithms=known,
        )
    return algorithm, expected


def read_filename(said: str) -> str:
    """Return what the sender calls the file in its Upload-Metadata. Raises RequestInvalid."""
    if len(said) > _SAID_MAX:
        raise RequestInvalid("Upload-Metadata is too long.", max_bytes=_SAID_MAX)
    names: dict[str, str] = {}
    for pair in filter(None, (each.strip() for each in said.split(","))):
        name, _, encoded = pair.partition(" ")
        try:
            names[name] = base64.b64decode(encoded, validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError) as fault:
            raise RequestInvalid(
                "Upload-Metadata is names, each with a value in Base64.", header="Upload-Metadata"
            ) from fault
    return clean_filename(names.get("filename") or names.get("name") or "")


def read_parts(concat: str) -> list[UploadId]:
    """Return the parts that ``Upload-Concat`` joins, in their order.

    Raises RequestInvalid, and UploadNotFound for what cannot be the name of one.
    """
    form, _, urls = concat.partition(";")
    named = [_PART_URL.fullmatch(url) for url in urls.split()]
    if form != "final" or not named:
        raise RequestInvalid(
            "Upload-Concat is `partial`, or `final;` and the URLs of the parts.",
            header="Upload-Concat",
        )
    found = []
    for url in named:
        if url is None:
            raise RequestInvalid("A URL is none of a part.", header="Upload-Concat")
        found.append(require_upload_id(url[1]))
    return found
