"""An upstream that keeps all it is sent, and takes nothing that may be read in two ways."""

import re
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from io import BufferedIOBase
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

_LINE = re.compile(rb"([A-Z]+) (/[\x21-\x7e]*) HTTP/1\.1\r\n")
_FIELD = re.compile(rb"([A-Za-z0-9-]+): ((?:[\x21-\xff](?:[\x20-\xff]*[\x21-\xff])?)?)\r\n")
_CHUNK = re.compile(rb"([0-9a-f]{1,8})\r\n")
_HOPS_OWN = {b"connection", b"upgrade", b"te", b"trailer", b"keep-alive", b"proxy-connection"}


class AmbiguousError(Exception):
    """What was sent is not in the one form that everybody reads alike."""


@dataclass(frozen=True)
class Heard:
    """A request that came whole."""

    target: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes

    def said(self, name: bytes) -> list[bytes]:
        """Return all that is said in fields of a name, which is in small letters."""
        return [value for each, value in self.fields if each.lower() == name]


@dataclass
class Recorder:
    """Every request it hears is answered with its own target, which may be kept for ever."""

    sent: list[bytearray] = field(default_factory=list)
    """All bytes, of each connection."""

    heard: list[Heard] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    status: bytes = b"200 OK"

    def __post_init__(self) -> None:
        recorder = self

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                kept = bytearray()
                recorder.sent.append(kept)
                try:
                    while (found := _hear(_Kept(self.rfile, kept))) is not None:
                        recorder.heard.append(found)
                        self.wfile.write(_answer(found, recorder.status))
                except AmbiguousError as fault:
                    recorder.faults.append(str(fault))
                    with suppress(OSError):
                        self.connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

        class Server(ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def targets(self) -> list[bytes]:
        """What was asked for, in order."""
        return [each.target for each in self.heard]

    def close(self) -> None:
        """Take no connection any more."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class _Kept:
    """What is read of a connection, and kept."""

    def __init__(self, file: BufferedIOBase, kept: bytearray) -> None:
        self._file, self._kept = file, kept

    def line(self) -> bytes:
        found = self._file.readline(1 << 16)
        self._kept += found
        return found

    def take(self, size: int) -> bytes:
        found = self._file.read(size)
        self._kept += found
        if len(found) < size:
            raise ConnectionResetError
        return found


def _hear(line: _Kept) -> Heard | None:
    """Return the next request; None where nothing comes, or not all of it."""
    begun = line.line()
    if not begun:
        return None
    first = _match(_LINE, begun)
    fields: list[tuple[bytes, bytes]] = []
    while (read := line.line()) != b"\r\n":
        found = _match(_FIELD, read)
        fields.append((found[1], found[2]))
    names = [name.lower() for name, _ in fields]
    if bad := _HOPS_OWN & set(names):
        raise AmbiguousError(f"of another hop: {bad!r}")
    framing = [name for name in names if name in (b"content-length", b"transfer-encoding")]
    if len(framing) > 1:
        raise AmbiguousError(f"framed twice: {fields!r}")
    request = Heard(first[2], fields, b"")
    if length := request.said(b"content-length"):
        if not re.fullmatch(rb"0|[1-9][0-9]{0,9}", length[0]):
            raise AmbiguousError(f"a length of {length[0]!r}")
        return Heard(first[2], fields, line.take(int(length[0])))
    if coding := request.said(b"transfer-encoding"):
        if coding != [b"chunked"]:
            raise AmbiguousError(f"coded as {coding!r}")
        return Heard(first[2], fields, _take_chunks(line))
    return request


def _match(pattern: re.Pattern[bytes], read: bytes) -> re.Match[bytes]:
    if not read.endswith(b"\n"):
        raise ConnectionResetError
    found = pattern.fullmatch(read)
    if found is None:
        raise AmbiguousError(repr(read))
    return found


def _take_chunks(line: _Kept) -> bytes:
    body = b""
    while size := int(_match(_CHUNK, line.line())[1], 16):
        body += line.take(size)
        if (end := line.take(2)) != b"\r\n":
            raise AmbiguousError(f"a chunk ends with {end!r}")
    if (end := line.take(2)) != b"\r\n":
        raise AmbiguousError(f"chunks end with {end!r}")
    return body


def _answer(found: Heard, status: bytes) -> bytes:
    ids = b"".join(b"X-Request-Id: %s\r\n" % each for each in found.said(b"x-request-id"))
    return (
        b"HTTP/1.1 %s\r\nCache-Control: public, max-age=31536000, immutable\r\n"
        b"Content-Length: %d\r\n%s\r\n%s" % (status, len(found.target), ids, found.target)
    )
