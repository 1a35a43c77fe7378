import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request

from catalogue.errors import LatheError, MasterTooLarge, OutputNotWritable, RequestInvalid
from catalogue.nouns import Sha256
from origin.receiving import METADATA_MAX_BYTES, receive
from storage.keys import master_key
from storage.local import LocalStore

BOUNDARY = "a-boundary-7f"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
METADATA = b'{"title": "Ode"}'
MASTER = bytes(range(256)) * 30 + f"\r\n--{BOUNDARY[:-1]}\r\n\r\n--".encode() * 5


@dataclass(frozen=True)
class Kept:
    """What a form held, read while its file was still there."""

    filename: str
    size_bytes: int
    sha256: str
    metadata: bytes
    file: bytes


def part(name: str, data: bytes, filename: str | None = None) -> bytes:
    named = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
    head = f"--{BOUNDARY}\r\nContent-Disposition: {named}\r\nContent-Type: x/y\r\n\r\n"
    return head.encode() + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


GOOD = form(part("metadata", METADATA), part("master", MASTER, "ode.wav"))


def pieces_of(body: bytes, size_bytes: int) -> Iterator[dict[str, Any]]:
    """Yield a body as a server hands it over, in pieces."""
    for start in range(0, len(body), size_bytes):
        piece = body[start : start + size_bytes]
        yield {"type": "http.request", "body": piece, "more_body": True}
    yield {"type": "http.request", "body": b"", "more_body": False}


def post(
    root: Path,
    body: bytes,
    *,
    content_type: str = FORM,
    max_bytes: int = 1 << 30,
    piece_bytes: int = 1 << 16,
    disconnect: bool = False,
) -> Kept:
    """Receive a request, and make sure that nothing of it stays behind."""
    messages = list(pieces_of(body, piece_bytes))
    if disconnect:
        messages[-1] = {"type": "http.disconnect"}
    waiting = iter(messages)

    async def next_message() -> dict[str, Any]:
        return next(waiting)

    async def run() -> Kept:
        headers = [(b"content-type", content_type.encode())] if content_type else []
        request = Request({"type": "http", "method": "POST", "headers": headers}, next_message)
        async with receive(request, LocalStore(root), max_bytes) as received:
            [draft] = (root / ".drafts").iterdir()
            file = draft.read_bytes()
            return Kept(
                filename=received.master.filename,
                size_bytes=received.master.size_bytes,
                sha256=received.master.sha256,
                metadata=received.metadata,
                file=file,
            )

    try:
        return asyncio.run(run())
    finally:
        assert [path for path in root.rglob("*") if path.is_file()] == []


def refused(staging: Path, body: bytes, kind: type[LatheError], **options: Any) -> LatheError:
    with pytest.raises(kind) as caught:
        post(staging, body, **options)
    return caught.value


@pytest.mark.parametrize("piece_bytes", [1, 2, 7, 61, 1000, 1 << 20])
def test_a_form_is_received_however_it_is_cut(tmp_path: Path, piece_bytes: int) -> None:
    kept = post(tmp_path, GOOD, piece_bytes=piece_bytes)
    assert kept == Kept(
        filename="ode.wav",
        size_bytes=len(MASTER),
        sha256=hashlib.sha256(MASTER).hexdigest(),
        metadata=METADATA,
        file=MASTER,
    )


def test_the_parts_come_in_either_order(tmp_path: Path) -> None:
    turned = form(part("master", MASTER, "ode.wav"), part("metadata", METADATA))
    assert post(tmp_path, turned) == post(tmp_path, GOOD)


def test_a_master_larger_than_any_buffer_is_received_whole(tmp_path: Path) -> None:
    master = hashlib.shake_128(b"noise").digest(3_500_001)
    kept = post(tmp_path, form(part("metadata", METADATA), part("master", master, "big.wav")))
    assert kept.file == master
    assert kept.sha256 == hashlib.sha256(master).hexdigest()


def test_a_master_may_be_empty(tmp_path: Path) -> None:
    kept = post(tmp_path, form(part("master", b"", "ode.wav"), part("metadata", METADATA)))
    assert (kept.size_bytes, kept.file) == (0, b"")
    assert kept.sha256 == hashlib.sha256(b"").hexdigest()


def test_a_file_that_was_adopted_stays(tmp_path: Path) -> None:
    store, key = LocalStore(tmp_path), master_key(Sha256(hashlib.sha256(MASTER).hexdigest()))

    async def run() -> None:
        waiting = pieces_of(GOOD, 1000)

        async def next_message() -> dict[str, Any]:
            return next(waiting)

        headers = [(b"content-type", FORM.encode())]
        request = Request({"type": "http", "method": "POST", "headers": headers}, next_message)
        async with receive(request, store, 1 << 20) as received:
            received.master.adopt(key)

    asyncio.run(run())
    assert store.read(key) == MASTER
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [store.path(key)]


# --------------------------------------------------------------------------- limits


def test_a_master_of_the_largest_size_is_accepted(tmp_path: Path) -> None:
    assert post(tmp_path, GOOD, max_bytes=len(MASTER)).size_bytes == len(MASTER)


@pytest.mark.parametrize("piece_bytes", [100, 1 << 20])
def test_a_master_of_one_byte_more_is_refused(tmp_path: Path, piece_bytes: int) -> None:
    limit = len(MASTER) - 1
    fault = refused(tmp_path, GOOD, MasterTooLarge, max_bytes=limit, piece_bytes=piece_bytes)
    assert fault.measured == {"max_bytes": limit}


def test_metadata_has_a_limit_of_its_own(tmp_path: Path) -> None:
    longest = b" " * METADATA_MAX_BYTES
    kept = post(tmp_path, form(part("metadata", longest), part("master", MASTER, "ode.wav")))
    assert kept.metadata == longest
    longer = form(part("metadata", longest + b" "), part("master", MASTER, "ode.wav"))
    fault = refused(tmp_path, longer, RequestInvalid)
    assert fault.measured == {"max_bytes": METADATA_MAX_BYTES}


def test_a_part_with_an_endless_header_is_refused(tmp_path: Path) -> None:
    head = f"--{BOUNDARY}\r\nX-Long: {'x' * 20_000}\r\n\r\n".encode()
    refused(tmp_path, head + GOOD, RequestInvalid)


def test_a_part_with_endless_headers_is_refused(tmp_path: Path) -> None:
    head = f"--{BOUNDARY}\r\n".encode() + b"X-Short: x\r\n" * 10_000 + b"\r\n"
    refused(tmp_path, head + GOOD, RequestInvalid)


# --------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("sent", "cleaned"),
    [
        ("ode.wav", "ode.wav"),
        ("Ode an die Freude – 1.wav", "Ode an die Freude – 1.wav"),
        ("../../etc/passwd", "passwd"),
        ("/srv/music/ode.wav", "ode.wav"),
        ("folder/..\\..\\ode.wav", "ode.wav"),
        ("..", "master"),
        (".", "master"),
        ("/", "master"),
        ("", "master"),
        ("x" * 300, "x" * 255),
    ],
)
def test_a_filename_is_a_plain_name(tmp_path: Path, sent: str, cleaned: str) -> None:
    body = form(part("metadata", METADATA), part("master", MASTER, sent))
    assert post(tmp_path, body).filename == cleaned


@pytest.mark.parametrize("control", ["\0", "\t", "\x1b[2J", "\x7f", "\x9b"])
def test_a_filename_controls_no_terminal(tmp_path: Path, control: str) -> None:
    sent = f"o{control}de.wav"
    body = form(part("metadata", METADATA), part("master", MASTER, sent))
    cleaned = post(tmp_path, body).filename
    assert cleaned.isprintable()
    assert cleaned.endswith("de.wav")


def test_a_path_of_windows_leaves_its_last_part(tmp_path: Path) -> None:
    body = form(part("metadata", METADATA), part("master", MASTER, "C:\\Music\\ode.wav"))
    assert post(tmp_path, body).filename == "ode.wav"


def test_a_filename_that_is_no_utf_8_is_received(tmp_path: Path) -> None:
    body = GOOD.replace(b"ode.wav", b"\xe9t\xe9.wav")
    assert post(tmp_path, body).filename == "\ufffdt\ufffd.wav"


# --------------------------------------------------------------------------- what is no form


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=a-boundary-7f",
        f"multipart/form-data; boundary={'x' * 201}",
    ],
)
def test_any_other_content_type_is_refused(tmp_path: Path, content_type: str) -> None:
    refused(tmp_path, GOOD, RequestInvalid, content_type=content_type)


@pytest.mark.parametrize(
    "body",
    [
        form(part("master", MASTER, "ode.wav")),
        form(part("metadata", METADATA)),
        form(),
        form(part("metadata", METADATA), part("metadata", METADATA), part("master", MASTER)),
        form(part("metadata", METADATA), part("master", MASTER), part("master", MASTER)),
        form(part("metadata", METADATA), part("master", MASTER), part("cover", b"x")),
        form(part("Metadata", METADATA), part("master", MASTER)),
        GOOD.replace(b"Content-Disposition", b"Content-Description"),
        GOOD.replace(BOUNDARY.encode(), b"another"),
        b"",
        b"no form at all",
    ],
)
def test_what_is_not_the_two_parts_once_each_is_refused(tmp_path: Path, body: bytes) -> None:
    refused(tmp_path, body, RequestInvalid)


@pytest.mark.parametrize("kept_bytes", range(0, len(GOOD) - 4, 397))
def test_a_truncated_form_is_refused(tmp_path: Path, kept_bytes: int) -> None:
    refused(tmp_path, GOOD[:kept_bytes], RequestInvalid)


@pytest.mark.parametrize("missing_bytes", [4, 5, 6, 10, 20])
def test_a_form_without_its_last_boundary_is_refused(tmp_path: Path, missing_bytes: int) -> None:
    refused(tmp_path, GOOD[:-missing_bytes], RequestInvalid)


def test_a_sender_that_goes_away_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RequestInvalid, match="hung up"):
        post(tmp_path, GOOD[:5000], disconnect=True)


def test_a_folder_that_is_away_says_so(tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.symlink_to(away)
    fault = refused(away, GOOD, OutputNotWritable)
    assert fault.measured == {"errno": "EEXIST"}
