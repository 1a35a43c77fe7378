"""Documents for one listener: packed where that is taken and worth it, and kept by no cache."""

import gzip

import pytest
from fastapi import Request

from origin.packing import WORTH_ZIPPING_BYTES, answer_packed

LONG, SHORT = b"#EXTM3U\n" * WORTH_ZIPPING_BYTES, b"#EXTM3U\n"


def ask(takes: str | None) -> Request:
    headers = [] if takes is None else [(b"accept-encoding", takes.encode())]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": headers})


@pytest.mark.parametrize(
    ("body", "takes", "packed"),
    [
        (LONG, "br, gzip", True),
        (LONG, "br", False),
        (LONG, None, False),
        (SHORT, "gzip", False),
    ],
)
def test_what_is_long_is_packed_for_who_takes_it(
    body: bytes, takes: str | None, packed: bool
) -> None:
    answer = answer_packed(ask(takes), body, "text/plain")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.headers.get("content-encoding") == ("gzip" if packed else None)
    sent = bytes(answer.body)
    assert int(answer.headers["content-length"]) == len(sent)
    assert (gzip.decompress(sent) if packed else sent) == body
    assert (len(sent) < len(body)) == packed
