"""Edges as tests run them, and what they are asked: the URLs of the vectors."""

import json
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SHUT_RDWR, socket
from typing import Any

from catalogue.errors import OriginUnavailable
from catalogue.nouns import RenditionId
from origin.problems import describe
from protection.keyring import parse_ring
from protection.signing import UrlSigner
from tests.contract.examples import make_grant
from tests.engines import DEPLOY

FILE = Path(__file__).parents[1] / "vectors" / "url-signatures.json"
VECTORS: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
RING = " ".join(VECTORS["ring"])
SIGNER = UrlSigner(parse_ring(RING, "LATHE_URL_KEYS"))
CASES = [case for case in VECTORS["cases"] if case["expires"] > datetime.now(UTC).timestamp()]
NAME = "00001.m4s"
OTHERS = [
    *("init.mp4", "00002.ogg", "init.lso", "preview.m4a", "cover-300.jpg", "spectrogram.png"),
    *("loudness.svg", "waveform.json", "waveform.dat"),
]
# Whom an edge believes that is told to, and how many bad URLs it takes at once of one address.
PROXY, BURST = "127.0.0.1", 200
# What an edge says in place of its origin, where that is away.
UNREACHED = describe(OriginUnavailable("It does not answer the edge.")).model_dump()
AWAY = UNREACHED["status"]


class Upstream:
    """An origin that counts who gets through to it, and answers slowly."""

    def __init__(self, takes_s: float = 0.2) -> None:
        self.paths: list[str] = []
        self._connections: list[socket] = []
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                upstream._connections.append(self.connection)

            def do_GET(self) -> None:
                upstream.paths.append(self.path)
                threading.Event().wait(takes_s)
                body = b"from the origin"
                self.send_response(200)
                self.send_header("Cache-Control", "public, max-age=31536000, immutable")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def end(self) -> None:
        """Take no connection any more, and end those that are kept."""
        self.server.shutdown()
        self.server.server_close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(SHUT_RDWR)


def configuration(port: int, origin: str, chunks: str) -> str:
    text = (DEPLOY / "nginx" / "nginx.conf").read_text("utf-8")
    for name, value in {
        "server origin:8600;": f"server {origin};",
        "listen 8080;": f"listen 127.0.0.1:{port};",
        "cached.conf;": f"{chunks};",
    }.items():
        assert text.count(name) == 1
        text = text.replace(name, value)
    return text


def in_query(prefix: str) -> str:
    """Return the URL of the object of a signed prefix whose token is the query."""
    _, _, token, track, rendition, _ = prefix.split("/")
    return f"/s/{track}/{rendition}/{NAME}?t={token}"


def in_path(prefix: str) -> str:
    return f"{prefix}{NAME}"


FORGED = in_path(CASES[0]["prefix"]).replace(CASES[0]["signature"], "A" * 43)


def sign_with(ring: str, life: timedelta = timedelta(minutes=1)) -> str:
    """Return the path of the object of the first vector, signed with the first key of a ring."""
    rendition = RenditionId(CASES[0]["rendition"])
    grant = make_grant(rendition, track=CASES[0]["track"], expires_at=datetime.now(UTC) + life)
    return f"{UrlSigner(parse_ring(ring, 'LATHE_URL_KEYS')).sign(grant, rendition)}{NAME}"


def ask_raw(connection: HTTPConnection, path: str, address: str = PROXY) -> tuple[int, bytes]:
    """Return the answer to a request whose path is sent as it stands, on behalf of an address."""
    connection.putrequest("GET", path)
    connection.putheader("X-Forwarded-For", address)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read()
