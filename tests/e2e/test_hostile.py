"""Clients that mean harm, or are merely slow: none of them keeps others from their music."""

import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.audio_tools import FIXTURES
from tests.e2e.edges import configuration
from tests.e2e.servers import (
    HANG_S,
    Listener,
    Plant,
    QuickPlant,
    accepted,
    deliver,
    free_port,
    wait_for_job,
    wait_until,
)
from tests.engines import EdgeServer

PATIENCE_S = 1.0
MANY = 2000


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    folder = tmp_path_factory.mktemp("hostile")
    with QuickPlant(folder / "state", PATIENCE_S=str(PATIENCE_S)) as plant:
        yield plant


@pytest.fixture(scope="module")
def player(plant: Plant) -> Iterator[Listener]:
    with plant.client() as label:
        track = wait_for_job(label, accepted(deliver(label, FIXTURES / "canon-1.flac")))
    with plant.client(key="") as guest:
        yield Listener(guest, track["track_id"])


@pytest.fixture(scope="module")
def edge(plant: Plant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An edge in front of the plant."""
    folder, port = tmp_path_factory.mktemp("edge"), free_port()
    text = configuration(port, plant.url.removeprefix("http://"), "cached.conf")
    ring = (plant.state / "url-keys").read_text("utf-8")
    with EdgeServer(text, folder, port, ring=ring) as edge:
        yield edge.url


def connect(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=HANG_S)


def talk(url: str, said: bytes) -> bytes:
    """Return all that is answered to some bytes until the other end closes."""
    with connect(url) as line:
        line.sendall(said)
        answer = b""
        while piece := _receive(line):
            answer += piece
    return answer


def _receive(line: socket.socket) -> bytes:
    try:
        return line.recv(1 << 16)
    except ConnectionResetError:
        return b""


def chunk_url(player: Listener) -> str:
    rendition = player.rendition("flac")
    return player.url(rendition, rendition["chunks"][0]["name"])


def require_served(player: Listener) -> None:
    assert player.client.get(player.manifest_url).status_code == 200
    assert player.client.get(chunk_url(player)).status_code == 200


def test_thousands_of_idle_connections_keep_nobody_out(plant: Plant, player: Listener) -> None:
    own, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (own, most))
        for _ in range(MANY):
            stack.enter_context(connect(plant.url))
        require_served(player)
    require_served(player)


def is_closed(line: socket.socket) -> bool:
    line.setblocking(False)
    try:
        return line.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    finally:
        line.settimeout(HANG_S)


@pytest.mark.parametrize(
    "said", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: origin\r\nX-A: "]
)
def test_a_head_that_never_ends_is_not_waited_for(
    plant: Plant, player: Listener, said: bytes
) -> None:
    with connect(plant.url) as line:
        line.sendall(said)
        for _ in range(3):
            require_served(player)
        wait_until(lambda: is_closed(line), "the end of a connection without a head")


@pytest.mark.parametrize(
    "said", ["Content-Length: 20\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"]
)
def test_a_body_that_never_ends_is_not_waited_for(
    plant: Plant, player: Listener, said: str
) -> None:
    head = "POST /v1/sessions HTTP/1.1\r\nHost: origin\r\nContent-Type: application/json\r\n"
    with connect(plant.url) as line:
        line.sendall(f"{head}{said}".encode())
        for _ in range(3):
            require_served(player)
        wait_until(lambda: is_closed(line), "the end of a connection without a body")


def test_an_answer_that_nobody_takes_is_given_up(plant: Plant, player: Listener) -> None:
    path = chunk_url(player).removeprefix(plant.url)
    require_served(player)
    with connect(plant.url) as line:
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: origin\r\n\r\n".encode() * 100)
        require_served(player)
        assert is_held(line)
        wait_until(lambda: not is_held(line), "the end of the connection")


def is_held(line: socket.socket) -> bool:
    """Return whether a process holds the other end of a connection; what it sent may wait on."""
    own, other = line.getsockname()[1], line.getpeername()[1]
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, *rest = row.split()
        ports = int(local.rpartition(":")[2], 16), int(remote.rpartition(":")[2], 16)
        if ports == (other, own):
            return rest[6] != "0"
    return False


def test_who_takes_an_answer_slowly_gets_all_of_it(plant: Plant, player: Listener) -> None:
    path = chunk_url(player).removeprefix(plant.url)
    expected = player.client.get(chunk_url(player)).content
    with connect(plant.url) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        for _ in range(int(3 * PATIENCE_S / 0.05)):
            answer += line.recv(len(expected) // 100)
            time.sleep(0.05)
        while piece := _receive(line):
            answer += piece
    assert answer.partition(b"\r\n\r\n")[2] == expected


def test_who_takes_many_answers_slowly_gets_all_of_them(plant: Plant, player: Listener) -> None:
    path = chunk_url(player).removeprefix(plant.url)
    expected = player.client.get(chunk_url(player)).content
    asked = f"GET {path} HTTP/1.1\r\nHost: origin\r\n\r\n".encode()
    part = f"GET {path} HTTP/1.1\r\nHost: origin\r\nRange: bytes=5-99999\r\n\r\n".encode()
    with connect(plant.url) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        for request, body in ((asked, expected), (part, expected[5:100_000])) * 3:
            line.sendall(request)
            answer = b""
            while not answer.endswith(body):
                time.sleep(0.01)
                answer += line.recv(64 << 10)
            assert answer.partition(b"\r\n\r\n")[2] == body
        # Two at once, of which the second waits for the first.
        line.sendall(asked * 2)
        answer = b""
        while answer.count(expected) < 2:
            answer += line.recv(64 << 10)


def memory_mib(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) // 1024


@pytest.mark.parametrize("piece", [b"X-A: " + b"a" * 4000 + b"\r\n", b"a" * 4000])
def test_an_endless_head_takes_no_memory(plant: Plant, player: Listener, piece: bytes) -> None:
    before = memory_mib(plant.pid)
    with connect(plant.url) as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost: origin\r\nX-B: ")
        sent = 0
        try:
            while sent < 64 << 20:
                sent += line.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert sent < 16 << 20
    assert memory_mib(plant.pid) - before < 32
    require_served(player)


def test_a_long_head_is_refused(plant: Plant) -> None:
    with plant.client(key="") as guest:
        assert guest.get("/health/live", headers={"X-Long": "a" * 30_000}).status_code == 200
        many = {f"X-Long-{number}": "a" * 7000 for number in range(10)}
        assert guest.get("/health/live", headers=many).status_code == 431


HUGE_BYTES = 149 << 20


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", ["/v1/sessions", "/v1/prefetch"])
def test_a_huge_body_takes_no_memory(
    plant: Plant, player: Listener, path: str, chunked: bool
) -> None:
    before = memory_mib(plant.pid)
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {HUGE_BYTES}"
    head = f"POST {path} HTTP/1.1\r\nHost: origin\r\nContent-Type: application/json\r\n{framing}"
    piece = b" " * (64 << 10)
    if chunked:
        piece = b"%x\r\n%s\r\n" % (len(piece), piece)
    with connect(plant.url) as line:
        line.sendall(f"{head}\r\n\r\n".encode())
        sent = 0
        try:
            while sent < HUGE_BYTES:
                sent += line.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = b""
        while taken := _receive(line):
            answer += taken
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"body-too-large"' in answer
    assert sent < 16 << 20
    assert memory_mib(plant.pid) - before < 32
    require_served(player)


def test_a_body_within_the_bound_is_read(plant: Plant) -> None:
    text = b'{"tracks": ["trk_none"]}'
    with plant.client(key="") as guest:
        for length, status in ((1 << 20, 200), ((1 << 20) + 1, 413)):
            body = text.ljust(length)
            for content in (body, iter([body])):
                answer = guest.post(
                    "/v1/prefetch", content=content, headers={"Content-Type": "application/json"}
                )
                assert answer.status_code == status
        assert answer.json()["measured"] == {"max_bytes": 1 << 20}
        document = guest.get("/openapi.json").json()
    told = document["paths"]["/v1/sessions"]["post"]["responses"]["413"]
    assert told["description"] == "body-too-large"


TRAVERSALS = [
    "/../../etc/passwd",
    "/s/../../../etc/passwd",
    "/s/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/s/..%2f..%2f..%2fetc%2fpasswd/a/b/c",
    "/v1/tracks/..%2f..%2fetc/manifest",
    "/v1/tracks/%00/manifest",
    "/s/a/b/c/%c0%ae%c0%ae",
    "//etc/passwd",
    "/static/../lathe/settings.py",
]


@pytest.mark.parametrize("path", TRAVERSALS)
@pytest.mark.parametrize("through", ["origin", "edge"])
def test_no_path_leads_out(plant: Plant, edge: str, path: str, through: str) -> None:
    url = plant.url if through == "origin" else edge
    said = f"GET {path} HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n\r\n".encode()
    status = talk(url, said).split(b" ", 2)[1]
    assert status in (b"400", b"403", b"404", b"422")


def test_requests_that_come_at_once_are_answered_in_order(plant: Plant, player: Listener) -> None:
    """Those that are answered from memory do not overtake those that wait."""
    paths = [
        "/health/live",
        player.manifest_url.removeprefix(plant.url),
        "/v1/tracks/none/manifest",
        chunk_url(player).removeprefix(plant.url),
    ]
    require_served(player)
    said = "".join(
        f"GET {path} HTTP/1.1\r\nHost: origin\r\nX-Request-Id: number-{number:05}\r\n\r\n"
        for number, path in enumerate(paths * 300)
    )
    answers: list[bytes] = []
    with connect(plant.url) as line:
        sender = threading.Thread(target=line.sendall, args=(said.encode(),))
        sender.start()
        file = line.makefile("rb")
        for _ in range(len(paths) * 300):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += file.readline()
            named = dict(each.split(b": ", 1) for each in head.split(b"\r\n") if b": " in each)
            file.read(int(named[b"content-length"]))
            answers.append(named[b"x-request-id"])
        sender.join()
    assert answers == [b"number-%05d" % number for number in range(len(paths) * 300)]


def test_a_request_for_everything_is_none(player: Listener) -> None:
    wide = "bytes=" + ",".join(f"{number}-" for number in range(2000))
    answer = player.client.get(chunk_url(player), headers={"Range": wide})
    assert answer.status_code == 200
    assert len(answer.content) == player.rendition("flac")["chunks"][0]["size_bytes"]


def test_an_origin_still_answers_after_all_of_that(plant: Plant, player: Listener) -> None:
    require_served(player)
    assert httpx.get(f"{plant.url}/health/ready").json()["status"] == "ok"
    assert "Traceback" not in plant.log
