"""Clients that mean harm to whoever is behind the edge, or only hold on to it."""

import resource
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.audio_tools import FIXTURES
from tests.e2e.edges import configuration
from tests.e2e.recorder import Recorder
from tests.e2e.servers import (
    Listener,
    Plant,
    QuickPlant,
    accepted,
    deliver,
    free_port,
    wait_for_job,
    wait_until,
)
from tests.e2e.test_hostile import chunk_url, connect, is_closed, talk
from tests.engines import EdgeServer

MANY = 2000


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with QuickPlant(tmp_path_factory.mktemp("hostile") / "state", PATIENCE_S="1") as plant:
        yield plant


@pytest.fixture(scope="module")
def player(plant: Plant) -> Iterator[Listener]:
    with plant.client() as label:
        track = wait_for_job(label, accepted(deliver(label, FIXTURES / "canon-1.flac")))
    with plant.client(key="") as guest:
        yield Listener(guest, track["track_id"])


def make_edge(plant: Plant, folder: Path, patience: str = "20s") -> EdgeServer:
    """Return an edge before a plant, which waits so long for heads; it is not started yet."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    text = configuration(port, plant.url.removeprefix("http://"), "cached.conf")
    assert text.count("client_header_timeout 20s;") == 1
    text = text.replace("client_header_timeout 20s;", f"client_header_timeout {patience};")
    return EdgeServer(text, folder, port, ring=(plant.state / "url-keys").read_text("utf-8"))


@pytest.fixture(scope="module")
def edge(plant: Plant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with make_edge(plant, tmp_path_factory.mktemp("edge")) as edge:
        yield edge.url


def test_thousands_of_idle_connections_keep_nobody_out(
    plant: Plant, player: Listener, tmp_path: Path
) -> None:
    """However few files may be open to whatever the machine starts."""
    own, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    edge = make_edge(plant, tmp_path / "edge")
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (own, most))
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, most))
        stack.enter_context(edge)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        for number in range(MANY):
            line = stack.enter_context(connect(edge.url))
            # One half of them has begun to ask for something.
            if number % 2:
                line.sendall(b"GET / HTTP/1.1\r\nHost: origin\r\nX-A: ")
        for url in (player.manifest_url, chunk_url(player)):
            path = url.removeprefix(plant.url)
            assert player.client.get(f"{edge.url}{path}").status_code == 200
    assert "open files" not in edge.log


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: origin\r\nX-A: "])
def test_a_head_that_never_ends_is_not_waited_for(
    plant: Plant, tmp_path: Path, said: bytes
) -> None:
    with make_edge(plant, tmp_path / "edge", "1s") as edge, connect(edge.url) as line:
        line.sendall(said)
        wait_until(lambda: is_closed(line), "the end of a connection without a head")


HIDDEN = b"GET /v1/smuggled HTTP/1.1\r\nHost: origin\r\nX-Request-Id: smuggled-1\r\n\r\n"
FOLLOWING = b"GET %s HTTP/1.1\r\nHost: origin\r\nX-Request-Id: %s\r\nConnection: close\r\n\r\n"
ENDED = b"0\r\n\r\n" + HIDDEN
INSIDE = b"%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)
CHUNKED = b"Transfer-Encoding: chunked"


def post(*lines: bytes, body: bytes, ends: bytes = b"\r\n") -> bytes:
    """Return a request whose path is still to be said."""
    return ends.join((b"POST %s HTTP/1.1", b"Host: origin", *lines, b"", body))


def long(length: bytes = b"%d" % len(HIDDEN), *others: bytes, body: bytes = HIDDEN) -> bytes:
    """Return a request that says how long its body is, in some way."""
    return post(b"Content-Length: " + length, *others, body=body)


def coded(line: bytes) -> bytes:
    """Return a request whose body has a length, but for who reads ``line`` as a coding."""
    return long(b"%d" % len(ENDED), line, body=ENDED)


SMUGGLED = {
    # One reads the length, another one the chunks.
    "CL.TE": coded(CHUNKED),
    "TE.CL": post(CHUNKED, b"Content-Length: 4", body=INSIDE),
    "TE.CL, the length first": post(b"Content-Length: 4", CHUNKED, body=INSIDE),
    # A coding that not everybody knows again.
    "TE.TE, another": coded(b"Transfer-Encoding: xchunked"),
    "TE.TE, another, alone": post(b"Transfer-Encoding: xchunked", body=ENDED),
    "TE.TE, a list": coded(b"Transfer-Encoding: chunked, identity"),
    "TE.TE, a list, alone": post(b"Transfer-Encoding: chunked, identity", body=ENDED),
    "TE.TE, a list that ends well": post(b"Transfer-Encoding: identity, chunked", body=INSIDE),
    "TE.TE, first another": coded(b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked"),
    "TE.TE, then another": coded(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x"),
    "TE.TE, twice": post(CHUNKED, CHUNKED, body=INSIDE),
    "TE.TE, in quotes": coded(b'Transfer-Encoding: "chunked"'),
    "TE.TE, a vertical tab": coded(b"Transfer-Encoding: \x0bchunked"),
    "TE.TE, a tab": coded(b"Transfer-Encoding:\tchunked"),
    "TE.TE, a tab before the name": coded(b"\tTransfer-Encoding: chunked"),
    "TE.TE, a space before the name": coded(b" Transfer-Encoding: chunked"),
    "TE.TE, a space before the colon": coded(b"Transfer-Encoding : chunked"),
    "TE.TE, a line before the colon": coded(b"Transfer-Encoding\r\n : chunked"),
    "TE.TE, behind a line feed": coded(b"X-A: b\nTransfer-Encoding: chunked"),
    "TE.TE, behind a carriage return": coded(b"X-A: b\rTransfer-Encoding: chunked"),
    "TE.TE, behind a NUL": coded(b"X-A: b\0\r\nTransfer-Encoding: chunked"),
    "TE.TE, an underscore": coded(b"Transfer_Encoding: chunked"),
    "TE.TE, folded": post(b"Transfer-Encoding:\n chunked", body=ENDED),
    "TE in HTTP/1.0": coded(CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    # A length that is read in two ways.
    "two lengths": long(b"0", b"Content-Length: %d" % len(HIDDEN)),
    "two lengths, the other way round": long(b"%d" % len(HIDDEN), b"Content-Length: 0"),
    "one length twice": long(b"%d" % len(HIDDEN), b"Content-Length: %d" % len(HIDDEN)),
    "a list of lengths": long(b"%d, %d" % (len(HIDDEN), len(HIDDEN))),
    "a length with a plus sign": long(b"+%d" % len(HIDDEN)),
    "a length with a minus sign": long(b"-1"),
    "a length with a space inside": long(b"0 %d" % len(HIDDEN)),
    "a length with spaces around": long(b"  %d  " % len(HIDDEN)),
    "a length in hexadecimal": long(b"0x%x" % len(HIDDEN)),
    "a length with a fraction": long(b"%d.0" % len(HIDDEN)),
    "a length that is too long": long(b"%d" % (len(HIDDEN) + (1 << 64))),
    "no length": long(b""),
    "a length and a NUL": long(b"0\0%d" % len(HIDDEN)),
    "a length, folded": post(b"X-A: b\r\n Content-Length: %d" % len(HIDDEN), body=HIDDEN),
    "a length, a space before the colon": post(b"Content-Length : %d" % len(HIDDEN), body=HIDDEN),
    "a length for this hop": long(b"%d" % len(HIDDEN), b"Connection: Content-Length"),
    # Chunks that are read in two ways.
    "an extension of a chunk": post(CHUNKED, body=INSIDE.replace(b"\r\n", b";a=b\r\n", 1)),
    "an extension with a line feed": post(CHUNKED, body=b"2;\nxx\r\n" + INSIDE),
    "an extension with a carriage return": post(CHUNKED, body=b"2;\rxx\r\n" + INSIDE),
    "an extension in quotes": post(CHUNKED, body=b'2;a="\r\nxx\r\n' + INSIDE),
    "a last chunk with an extension": post(CHUNKED, body=INSIDE.replace(b"\r\n0", b"\r\n0;a")),
    "a chunk with a sign": post(CHUNKED, body=b"+" + INSIDE),
    "a chunk with a prefix": post(CHUNKED, body=b"0x" + INSIDE),
    "a chunk that is too long": post(CHUNKED, body=b"1" + b"0" * 16 + INSIDE),
    "a chunk with line feeds": post(CHUNKED, body=b"2\nxx\n" + INSIDE),
    "a chunk that does not end": post(CHUNKED, body=b"2\r\nxxxx" + INSIDE),
    "a length behind the chunks": post(
        CHUNKED, body=INSIDE[:-2] + b"Content-Length: %d\r\n\r\n" % len(HIDDEN)
    ),
    # Lines that not everybody ends at the same place.
    "line feeds alone": post(b"Content-Length: %d" % len(HIDDEN), body=HIDDEN, ends=b"\n"),
    "carriage returns alone": post(b"Content-Length: 0", body=HIDDEN, ends=b"\r"),
    "a NUL in a name": long(b"%d" % len(HIDDEN), b"X-\0A: b"),
    "a NUL in the first line": long().replace(b" HTTP", b"\0 HTTP", 1),
    "a space in the first line": long().replace(b" HTTP", b" HTTP/1.1 HTTP", 1),
    "a protocol to go on with": long(b"%d" % len(HIDDEN), b"Connection: Upgrade\r\nUpgrade: h2c"),
    "an absolute target": long().replace(b"%s", b"http://origin%s", 1),
    "another host's absolute target": long().replace(b"%s", b"http://example.org%s", 1),
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_a_recorder_knows_what_is_read_in_two_ways(name: str) -> None:
    with Recorder() as recorder:
        told = talk(f"http://{recorder.address}", SMUGGLED[name] % b"/v1/sessions")
        assert len(recorder.faults) == 1, (told, recorder.heard)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Recorder]]:
    """An edge in front of what keeps all that it is sent."""
    folder, port = tmp_path_factory.mktemp("recorded"), free_port()
    with Recorder() as recorder:
        text = configuration(port, recorder.address, "cached.conf")
        with EdgeServer(text, folder, port, ring=f"k1:{'A' * 43}") as edge:
            yield edge.url, recorder


@pytest.mark.parametrize("path", [b"/v1/sessions", b"/v1/deliveries"])
@pytest.mark.parametrize("name", SMUGGLED)
def test_what_the_edge_passes_on_is_read_in_one_way_only(
    recorded: tuple[str, Recorder], name: str, path: bytes
) -> None:
    """What it takes for one request nobody behind it takes for two."""
    url, recorder = recorded
    before, following = len(recorder.heard), b"/v1/following"
    told = talk(url, SMUGGLED[name] % path + FOLLOWING % (following, b"following-1"))
    heard = recorder.targets[before:]
    assert recorder.faults == []
    if told.startswith(b"HTTP/1.1 200 "):
        assert heard == [path, following]
        assert told.count(b"HTTP/1.1 200 ") == 2
        assert told.endswith(following)
    else:
        assert told.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 "))
        assert told.count(b"HTTP/1.1 ") == 1
        assert heard == []
    # Nothing was left in a connection for whoever comes next.
    for number in range(3):
        mine = b"/v1/mine/%d" % number
        assert talk(url, FOLLOWING % (mine, b"following-2")).endswith(mine)
    assert recorder.faults == []
    sent = b"".join(recorder.sent)
    assert sent.count(b"X-Request-Id: following-2\r\n") == sent.count(b"GET /v1/mine/")


def test_bodies_pass_the_edge_as_they_were_sent(recorded: tuple[str, Recorder]) -> None:
    url, recorder = recorded
    for path in (b"/v1/sessions", b"/v1/deliveries"):
        for said in (
            long(),
            post(CHUNKED, body=INSIDE),
            post(CHUNKED, body=b"2\r\nxx\r\n" + INSIDE),
        ):
            told = talk(url, said % path + FOLLOWING % (b"/", b"following-1"))
            assert told.startswith(b"HTTP/1.1 200 ")
            assert recorder.targets[-2:] == [path, b"/"]
            assert recorder.heard[-2].body.removeprefix(b"xx") == HIDDEN


@pytest.mark.parametrize("through", ["origin", "edge"])
@pytest.mark.parametrize("name", SMUGGLED)
def test_who_follows_gets_an_answer_of_his_own(
    plant: Plant, edge: str, name: str, through: str
) -> None:
    url = plant.url if through == "origin" else edge
    said = SMUGGLED[name] % b"/v1/sessions"
    told = [talk(url, said + FOLLOWING % (b"/health/live", b"following-1"))]
    told += [talk(url, FOLLOWING % (b"/health/live", b"following-2")) for _ in range(3)]
    assert not told[0].startswith(b"HTTP/1.1 2")
    if told[0].count(b"HTTP/1.1 ") == 2:
        assert told[0].count(b"following-1") == 1
        assert told[0].endswith(b'{"status":"ok"}')
    else:
        assert told[0].count(b"HTTP/1.1 ") == 1
        assert b"following-1" not in told[0]
    for answer in told[1:]:
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.lower().count(b"x-request-id: following-2\r\n") == 1
    assert b"smuggled-1" not in b"".join(told)


def test_a_request_that_is_no_secret_is_answered_by_its_id(plant: Plant, edge: str) -> None:
    for url in (plant.url, edge):
        assert b"smuggled-1" in talk(url, HIDDEN + FOLLOWING % (b"/health/live", b"following-1"))
