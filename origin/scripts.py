"""Openness to scripts of any site, which act by what they show and never by a browser's cookies.

What is allowed is the same for every site and said in every answer, so that caches between need not
tell sites apart. Source: the Fetch standard, CORS protocol.
"""

from starlette.types import Scope

HEADERS = [
    (b"access-control-allow-origin", b"*"),
    (
        b"access-control-expose-headers",
        b"Content-Length, Content-Range, Date, ETag, Location, RateLimit, RateLimit-Policy, "
        b"Retry-After, Tus-Resumable, Upload-Expires, Upload-Length, Upload-Metadata, "
        b"Upload-Offset, X-Request-Id",
    ),
]
"""What stands in every answer."""

PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Type, Idempotency-Key, If-None-Match, If-Range, Range, "
        b"Tus-Resumable, Upload-Checksum, Upload-Concat, Upload-Defer-Length, Upload-Length, "
        b"Upload-Metadata, Upload-Offset, X-HTTP-Method-Override, X-Network-Type, "
        b"X-Preferred-Quality, X-Request-Id",
    ),
    (b"access-control-max-age", b"86400"),
    (b"content-length", b"0"),
]
"""What is answered beside that to the question whether a request may be made."""


def asks_for_leave(scope: Scope) -> bool:
    """Return whether a request only asks whether another may be made."""
    if scope["method"] != "OPTIONS":
        return False
    asked = {name for name, _ in scope["headers"]}
    return {b"origin", b"access-control-request-method"} <= asked
