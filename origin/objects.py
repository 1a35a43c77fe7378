"""What is answered to a request for an object: all of it, one range, or that it is the same.

Source: RFC 9110, 13 and 14. Objects never change.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from catalogue.errors import RangeUnsatisfiable
from catalogue.nouns import StoredObject

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_TYPES = {
    "mp4": "audio/mp4",
    "m4s": "audio/mp4",
    "m4a": "audio/mp4",
    "ogg": "audio/ogg",
    "lso": "application/octet-stream",
    "dat": "application/octet-stream",
    "json": "application/json",
    "jpg": "image/jpeg",
    "png": "image/png",
    "svg": "image/svg+xml",
}

CONTENT_TYPES = sorted(set(_TYPES.values()))
"""Every media type that objects have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectAnswer:
    """A status, headers, and which bytes of the object follow: from, and up to; None without."""

    status: int
    headers: dict[str, str]
    span: tuple[int, int] | None


def plan_answer(stored: StoredObject, asked: Mapping[str, str]) -> ObjectAnswer:
    """Return the answer to a request with the headers ``asked``, by lower-case names.

    Raises RangeUnsatisfiable.
    """
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "public, max-age=31536000, immutable",
        "ETag": f'"{stored.sha256}"',
        "Content-Type": _TYPES[stored.name.rpartition(".")[2]],
    }
    if _matches(asked.get("if-none-match"), headers["ETag"]):
        return ObjectAnswer(status=304, headers=headers, span=None)
    span = _parse_range(asked, headers["ETag"], stored.size_bytes)
    start, end = span or (0, stored.size_bytes)
    if span is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{stored.size_bytes}"
    headers["Content-Length"] = str(end - start)
    return ObjectAnswer(status=200 if span is None else 206, headers=headers, span=(start, end))


def _parse_range(asked: Mapping[str, str], etag: str, size_bytes: int) -> tuple[int, int] | None:
    """Return (first byte, the one after the last) of a single range; None to send it all.

    RFC 9110, 14.2: what is no single byte range is ignored, as is one whose If-Range names
    another object. Raises RangeUnsatisfiable.
    """
    parts = _RANGE.fullmatch(asked.get("range", "").strip())
    if parts is None or asked.get("if-range", etag) != etag:
        return None
    first, last = parts.groups()
    if not first and not last:
        return None
    if not first:
        start, end = max(0, size_bytes - int(last)), size_bytes
    else:
        start, end = int(first), min(int(last) + 1 if last else size_bytes, size_bytes)
        if last and int(last) < start:
            return None
    if start >= size_bytes or start >= end:
        raise RangeUnsatisfiable("The range lies outside the object.", size_bytes=size_bytes)
    return start, end


def _matches(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag in tags
