"""Documents that are made for one listener, packed where the player takes that."""

import gzip

from fastapi import Request, Response

WORTH_ZIPPING_BYTES = 2048
"""Documents that are shorter are sent as they are."""

_GZIP_LEVEL = 5


def answer_packed(request: Request, body: bytes, media_type: str) -> Response:
    """Return the answer with a document that no cache may keep, as gzip where that is taken."""
    headers = {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
    wanted = "gzip" in request.headers.get("accept-encoding", "")
    if wanted and len(body) >= WORTH_ZIPPING_BYTES:
        body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(body, headers=headers, media_type=media_type)
