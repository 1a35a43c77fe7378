"""The edge checks signed URLs as the origin does, before it looks into its cache or its folder."""

import base64
import json
import random
import resource
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, parse_headers
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SHUT_RDWR, socket
from subprocess import CalledProcessError
from typing import Any

import httpx
import pytest

from catalogue.errors import (
    BodyTooLarge,
    LatheError,
    OriginUnavailable,
    PathNotFound,
    RangeUnsatisfiable,
    TooManyRequests,
)
from catalogue.nouns import RenditionId, Sha256, StoredObject, TrackId
from origin.bodies import BODY_MAX_BYTES
from origin.objects import plan_answer
from origin.problems import MEDIA_TYPE, describe
from protection.keyring import parse_ring
from protection.signing import UrlSigner
from tests.contract.examples import make_grant
from tests.e2e.recorder import Recorder
from tests.e2e.servers import HANG_S, QuickPlant, free_port, wait_until
from tests.e2e.test_tus import begin, half_sent, offset, send
from tests.engines import DEPLOY, EdgeServer

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
MUTATIONS = 10_000
# Whom an edge believes that is told to, and how many bad URLs it takes at once of one address.
PROXY, BURST = "127.0.0.1", 200
# What an edge says in place of its origin, where that is away.
UNREACHED = describe(OriginUnavailable("It does not answer the edge.")).model_dump()
AWAY = UNREACHED["status"]
LETTERS = "aA0_-.%/:?#"


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


@pytest.fixture(scope="module")
def folder_edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An edge that reads a folder with every rendition of the vectors; its origin is away."""
    folder = tmp_path_factory.mktemp("edge")
    for case in CASES:
        rendition = folder / "store" / "renditions" / case["rendition"]
        rendition.mkdir(parents=True, exist_ok=True)
        for name in (NAME, *OTHERS):
            (rendition / name).write_bytes(case["rendition"].encode())
    port, away = free_port(), f"127.0.0.1:{free_port()}"
    text = configuration(port, away, "folder.conf")
    with EdgeServer(
        text,
        folder,
        port,
        ring=RING.replace(" ", "\r\n\t"),
        store=folder / "store",
        proxies=PROXY,
    ) as edge:
        yield edge.url


@pytest.fixture
def make_edge(tmp_path: Path) -> Callable[[str], EdgeServer]:
    """Make an edge with a ring of its own, and a folder that holds one object of the vectors."""

    def make(ring: str) -> EdgeServer:
        rendition = tmp_path / "store" / "renditions" / CASES[0]["rendition"]
        rendition.mkdir(parents=True)
        (rendition / NAME).write_bytes(b"chunk")
        port, away = free_port(), f"127.0.0.1:{free_port()}"
        text = configuration(port, away, "folder.conf")
        return EdgeServer(text, tmp_path, port, ring=ring, store=tmp_path / "store")

    return make


@pytest.fixture
def cached(tmp_path: Path) -> Iterator[tuple[str, Upstream]]:
    """An edge with a cache, and its origin."""
    upstream, port = Upstream(), free_port()
    text = configuration(port, upstream.address, "cached.conf")
    with EdgeServer(text, tmp_path, port, ring=RING) as edge:
        yield edge.url, upstream
    upstream.end()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder() as recorder:
        yield recorder


@pytest.fixture
def before(recorder: Recorder, tmp_path: Path) -> Callable[..., EdgeServer]:
    """Make an edge with a cache, before what records, that believes some proxies."""

    def make(proxies: str = "") -> EdgeServer:
        port = free_port()
        text = configuration(port, recorder.address, "cached.conf")
        return EdgeServer(text, tmp_path, port, ring=RING, proxies=proxies)

    return make


def in_query(prefix: str) -> str:
    """Return the URL of the object of a signed prefix whose token is the query."""
    _, _, token, track, rendition, _ = prefix.split("/")
    return f"/s/{track}/{rendition}/{NAME}?t={token}"


def in_path(prefix: str) -> str:
    return f"{prefix}{NAME}"


@pytest.mark.parametrize("form", [in_path, in_query])
@pytest.mark.parametrize("case", CASES)
def test_a_vector_opens(folder_edge: str, case: dict[str, Any], form: Callable[[str], str]) -> None:
    answer = httpx.get(f"{folder_edge}{form(case['prefix'])}")
    assert (answer.status_code, answer.text) == (200, case["rendition"])
    assert answer.headers["content-type"] == "audio/mp4"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["access-control-allow-origin"] == "*"
    part = httpx.get(f"{folder_edge}{form(case['prefix'])}", headers={"Range": "bytes=1-3"})
    assert (part.status_code, part.text) == (206, case["rendition"][1:4])


@pytest.mark.parametrize("name", OTHERS)
def test_an_object_has_the_media_type_that_the_origin_says(folder_edge: str, name: str) -> None:
    prefix = CASES[0]["prefix"]
    answer = httpx.get(f"{folder_edge}{prefix}{name}")
    assert answer.status_code == 200
    stored = StoredObject(name=name, size_bytes=1, sha256=Sha256(""))
    assert answer.headers["content-type"] == plan_answer(stored, {}).headers["Content-Type"]
    forged = httpx.get(f"{folder_edge}{prefix[:-2]}x/{name}")
    assert forged.status_code == AWAY, "asked of the origin, which is away"


@pytest.mark.parametrize("method", ["OPTIONS", "POST", "PUT", "DELETE"])
def test_whatever_is_not_asked_of_a_file_is_the_origin_s(folder_edge: str, method: str) -> None:
    """A browser asks with OPTIONS, before it sends what a page of another origin wants."""
    url = f"{folder_edge}{in_path(CASES[0]['prefix'])}"
    assert httpx.request(method, url).status_code == AWAY
    assert httpx.head(url).status_code == 200


def require_unreached(answer: httpx.Response) -> None:
    """Fail unless an edge says by itself, to scripts of any site, that its origin is away."""
    assert answer.status_code == AWAY
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["access-control-allow-origin"] == "*"
    instance = f"urn:lathe:request:{answer.headers['x-request-id']}"
    assert answer.json() == UNREACHED | {"instance": instance}


def test_an_edge_says_that_its_origin_is_away(folder_edge: str) -> None:
    case = CASES[0]
    for answer in (
        httpx.get(f"{folder_edge}/v1/tracks/{case['track']}/manifest"),
        httpx.post(f"{folder_edge}/v1/uploads", content=b"x" * 70_000),
        httpx.get(f"{folder_edge}{case['prefix'][:-2]}x/{NAME}"),
        httpx.get(f"{folder_edge}{case['prefix']}00009.m4s"),
    ):
        require_unreached(answer)


def test_a_cached_chunk_plays_on_while_the_origin_is_away(cached: tuple[str, Upstream]) -> None:
    url, upstream = cached
    path = in_path(CASES[0]["prefix"])
    assert httpx.get(url + path).text == "from the origin"
    upstream.end()
    assert httpx.get(url + path).text == "from the origin"
    require_unreached(httpx.get(url + path.replace(NAME, "00002.m4s")))
    require_unreached(httpx.get(url + path.replace(CASES[0]["signature"], "A" * 43)))


def require_beyond(answer: httpx.Response, size_bytes: int) -> None:
    """Fail unless an edge says that a range is beyond an object of this size."""
    assert answer.status_code == 416
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.headers.get_list("content-range") == [f"bytes */{size_bytes}"]
    fault = RangeUnsatisfiable("The range lies outside the object.")
    (request_id,) = answer.headers.get_list("x-request-id")
    instance = {"instance": f"urn:lathe:request:{request_id}"}
    assert answer.json() == describe(fault).model_dump() | instance
    # What is true of the chunk for ever is not true of this.
    assert answer.headers.get_list("cache-control") == ["no-store"]


def test_an_edge_says_that_a_range_is_beyond_a_chunk(
    folder_edge: str, cached: tuple[str, Upstream]
) -> None:
    case, beyond = CASES[0], {"Range": "bytes=1000-"}
    answer = httpx.get(f"{folder_edge}{case['prefix']}{NAME}", headers=beyond)
    require_beyond(answer, len(case["rendition"]))
    assert answer.headers.get_list("access-control-allow-origin") == ["*"]
    url, upstream = cached
    assert httpx.get(f"{url}{case['prefix']}{NAME}").status_code == 200
    require_beyond(httpx.get(f"{url}{case['prefix']}{NAME}", headers=beyond), 15)
    assert len(upstream.paths) == 1


def mutate(dice: random.Random, path: str) -> str:
    """Return a URL that differs from one somewhere, but not in the object's name."""
    before, after = path.split(NAME)
    letters = [*before, NAME, *after]
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        place = dice.choice([i for i, each in enumerate(letters) if each != NAME])
        match dice.randrange(4):
            case 0:
                letters[place] = dice.choice(LETTERS)
            case 1:
                letters.insert(place, dice.choice(LETTERS))
            case 2 if len(letters) > 4:
                del letters[place]
            case _:
                letters[place] = f"%{ord(letters[place][-1]):02X}"
    return "".join(letters)


def mutations() -> list[str]:
    dice = random.Random(86)
    true = {form(case["prefix"]) for case in CASES for form in (in_path, in_query)}
    sent: set[str] = set()
    while len(sent) < MUTATIONS:
        sent |= {mutate(dice, dice.choice(sorted(true)))} - true
    return sorted(sent)


def of_many(turn: int) -> str:
    """Return the address of somebody who has not asked more often than others."""
    return f"203.0.{turn // BURST // 256}.{turn // BURST % 256}"


def test_ten_thousand_mutations_open_nothing(folder_edge: str) -> None:
    connection = HTTPConnection(folder_edge.removeprefix("http://"), timeout=HANG_S)
    answers = {
        path: _ask_raw(connection, path, of_many(turn))[0] for turn, path in enumerate(mutations())
    }
    connection.close()
    assert 200 not in answers.values(), [path for path in answers if answers[path] == 200]
    assert set(answers.values()) == {400, AWAY}


def test_ten_thousand_mutations_get_nothing_out_of_a_cache(
    before: Callable[[str], EdgeServer], recorder: Recorder
) -> None:
    """Each goes on as it came, to whoever answers it; here by its own URL, and for ever."""
    kept = {f"{case['rendition']}/{NAME}": in_path(case["prefix"]) for case in CASES}
    with before(PROXY) as edge:
        for path in kept.values():
            assert httpx.get(f"{edge.url}{path}").text == path
        assert recorder.targets == [path.encode() for path in kept.values()]
        for case in CASES:
            opened = httpx.get(f"{edge.url}{in_query(case['prefix'])}")
            assert opened.text == kept[f"{case['rendition']}/{NAME}"]
        connection = HTTPConnection(edge.url.removeprefix("http://"), timeout=HANG_S)
        passed = []
        for turn, path in enumerate(mutations()):
            status, body = _ask_raw(connection, path, of_many(turn))
            if status != 400:
                assert (status, body) == (200, path.encode())
                passed.append(path.encode())
        connection.close()
    assert recorder.targets[len(kept) :] == passed
    assert len(passed) > MUTATIONS // 2
    assert recorder.faults == []


def _ask_raw(connection: HTTPConnection, path: str, address: str = PROXY) -> tuple[int, bytes]:
    """Return the answer to a request whose path is sent as it stands, on behalf of an address."""
    connection.putrequest("GET", path)
    connection.putheader("X-Forwarded-For", address)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_what_expired_or_is_another_ring_s_does_not_open(folder_edge: str) -> None:
    case = CASES[0]
    now = datetime.now(UTC)
    track, rendition = case["track"], RenditionId(case["rendition"])
    stranger = UrlSigner(parse_ring("k1:" + "Z" * 43, "LATHE_URL_KEYS"))
    for signer, life, status in (
        (SIGNER, timedelta(minutes=1), 200),
        (SIGNER, timedelta(minutes=-1), AWAY),
        (stranger, timedelta(minutes=1), AWAY),
    ):
        grant = make_grant(rendition, track=track, expires_at=now + life)
        signed = signer.sign(grant, rendition)
        assert httpx.get(f"{folder_edge}{signed}{NAME}").status_code == status
        token = signed.split("/")[2]
        if status == AWAY:
            with pytest.raises(LatheError):
                SIGNER.verify(token, TrackId(track), rendition, now)


def sign_with(ring: str, life: timedelta = timedelta(minutes=1)) -> str:
    """Return the path of the object of the first vector, signed with the first key of a ring."""
    rendition = RenditionId(CASES[0]["rendition"])
    grant = make_grant(rendition, track=CASES[0]["track"], expires_at=datetime.now(UTC) + life)
    return f"{UrlSigner(parse_ring(ring, 'LATHE_URL_KEYS')).sign(grant, rendition)}{NAME}"


def test_a_key_is_a_key_whatever_its_id_means_to_nginx(
    make_edge: Callable[[str], EdgeServer],
) -> None:
    kids = ("default", "include", "hostnames", "volatile", "n1", "k1")
    words = [f"{kid}:{letter * 42}A" for kid, letter in zip(kids, "ABCDEF", strict=True)]
    with make_edge(" ".join(words)) as edge:
        for word in words:
            assert httpx.get(f"{edge.url}{sign_with(word)}").status_code == 200
            # The same secret is no other key's, nor that of an id which nobody has.
            for kid in ("k2", *kids):
                stranger = f"{kid}:{word.partition(':')[2]}"
                if stranger != word:
                    assert httpx.get(f"{edge.url}{sign_with(stranger)}").status_code == AWAY


def test_a_ring_is_rotated_while_an_edge_answers(make_edge: Callable[[str], EdgeServer]) -> None:
    first, second = (f"{kid}:{letter * 42}A" for kid, letter in (("k1", "A"), ("k2", "B")))
    statuses: list[int] = []
    with make_edge(first) as edge:
        old, new = sign_with(first), sign_with(second)

        def opens(path: str) -> bool:
            statuses.append(httpx.get(f"{edge.url}{old}").status_code)
            return httpx.get(f"{edge.url}{path}").status_code == 200

        assert not opens(new)
        edge.write_ring(f"{second} {first}")
        edge.reload()
        wait_until(lambda: opens(new), "the new key")
        assert set(statuses) == {200}
        edge.write_ring(second)
        edge.reload()
        wait_until(lambda: not opens(old), "the end of the old key")
        assert opens(new)


def test_a_url_opens_until_the_second_it_ends_in(make_edge: Callable[[str], EdgeServer]) -> None:
    ring = f"k1:{'A' * 43}"
    with make_edge(ring) as edge:
        path = sign_with(ring, timedelta(seconds=3))
        expires = int(path.split("/")[2].split(".")[0])
        seen: list[tuple[int, float, float]] = []
        while not seen or seen[-1][1] < expires + 1:
            asked_at = datetime.now(UTC).timestamp()
            status = httpx.get(f"{edge.url}{path}").status_code
            seen.append((status, asked_at, datetime.now(UTC).timestamp()))
        assert {status for status, _, answered in seen if answered < expires} == {200}
        assert {status for status, asked, _ in seen if asked >= expires} == {AWAY}


@pytest.mark.parametrize(
    "name",
    [
        *("", "x", "00001", "00001.m4s.bak", ".m4s", "00001.m4s/", "init.m4v", "a/00001.m4s"),
        *("00001.M4S", "cover-.jpg", "cover-300.jpg.gz", "../00001.m4s", "%30%30001.m4s"),
        *("00001.m4s%00", "1.m4s?t"),
    ],
)
def test_what_is_no_name_of_an_object_is_the_origin_s(folder_edge: str, name: str) -> None:
    connection = HTTPConnection(folder_edge.removeprefix("http://"), timeout=HANG_S)
    assert _ask_raw(connection, f"{CASES[0]['prefix']}{name}")[0] in (400, AWAY)
    connection.close()


@pytest.mark.parametrize(
    "ring",
    [
        *("", " ", "k1", "k1:", "k1:AAAA", f"K1:{'A' * 43}", f"k1:{'+' * 43}", f"{RING} k2:"),
        *(f"k1:{'A' * 42}", f"k1:{'A' * 45}", f"k1:{'A' * 43}==", f"k1:{'A' * 44}="),
        f"k1:{'A' * 43} k2:{'A' * 43} k1:{'B' * 42}A",
    ],
)
def test_a_ring_is_read_by_its_owner_only_and_replaced_whole_or_not_at_all(
    make_edge: Callable[[str], EdgeServer], tmp_path: Path, ring: str
) -> None:
    edge, file = make_edge(RING), tmp_path / "url-keys.conf"
    written = file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(CalledProcessError):
        edge.write_ring(ring)
    assert {path.name for path in tmp_path.glob("url-keys*")} == {file.name}
    assert file.read_bytes() == written


def test_a_cold_chunk_is_fetched_once_and_then_from_the_cache(
    cached: tuple[str, Upstream],
) -> None:
    url, upstream = cached
    paths = [
        f"{case['prefix']}{NAME}" for case in CASES if case["rendition"] == CASES[0]["rendition"]
    ]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda turn: httpx.get(url + paths[turn % len(paths)]), range(32)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, "from the origin")}
    assert len(upstream.paths) == 1
    part = httpx.get(url + paths[0], headers={"Range": "bytes=5-7"})
    assert (part.status_code, part.text) == (206, "the")
    assert len(upstream.paths) == 1


def test_the_check_comes_before_the_cache(cached: tuple[str, Upstream]) -> None:
    url, upstream = cached
    path = f"{CASES[0]['prefix']}{NAME}"
    assert httpx.get(url + path).status_code == 200
    spoilt = path.replace(CASES[0]["signature"], "A" * 43)
    for turn in range(3):
        # It is the origin that refuses, whatever is cached.
        httpx.get(url + spoilt)
        assert len(upstream.paths) == 2 + turn
        assert upstream.paths[-1] == spoilt


FORGED = in_path(CASES[0]["prefix"]).replace(CASES[0]["signature"], "A" * 43)


def ask_at_once(url: str, asked: Sequence[tuple[str, str]]) -> list[httpx.Response]:
    """Return the answers to paths that addresses ask for, sent without a wait in between."""
    host, port = url.removeprefix("http://").split(":")
    with socket() as line, line.makefile("rb") as file:
        line.settimeout(HANG_S)
        line.connect((host, int(port)))
        said = "".join(
            f"GET {path} HTTP/1.1\r\nHost: origin\r\nX-Forwarded-For: {address}\r\n\r\n"
            for path, address in asked
        )
        sender = threading.Thread(target=line.sendall, args=(said.encode(),))
        sender.start()
        answers = []
        for _ in asked:
            status = int(file.readline().split()[1])
            headers = parse_headers(file)
            body = file.read(int(headers["content-length"]))
            answers.append(httpx.Response(status, headers=headers.items(), content=body))
        sender.join()
    return answers


def test_one_address_does_not_ask_an_origin_for_what_is_refused_all_the_time(
    before: Callable[[str], EdgeServer], recorder: Recorder
) -> None:
    one, other, case = "203.0.113.7", "203.0.113.8", CASES[0]
    forged = [(FORGED, one)] * 2 * BURST
    # Whatever else is asked for, also what no cache has, and whatever is by others.
    free = [
        *((in_path(case["prefix"]), one), (in_query(case["prefix"]), one), ("/v1/tracks", one)),
        *((in_path(case["prefix"]).replace(NAME, "00002.m4s"), one), (FORGED, other)),
    ]
    with before(PROXY) as edge:
        answers = ask_at_once(edge.url, forged + free * 20)
        statuses = [answer.status_code for answer in answers[: len(forged)]]
        assert set(statuses) == {200, 429}
        assert statuses[: BURST + 1] == [200] * (BURST + 1)
        assert {answer.status_code for answer in answers[len(forged) :]} == {200}
        assert recorder.targets.count(FORGED.encode()) == statuses.count(200) + 20
        refused = answers[statuses.index(429)]
        assert refused.headers["retry-after"] == "5"
        detail = "The edge takes no more from this address for a while."
        require_own_words(refused, TooManyRequests(detail, retry_after_s=5))

        def opens_again() -> bool:
            sent = {"X-Forwarded-For": one}
            return httpx.get(f"{edge.url}{FORGED}", headers=sent).status_code == 200

        wait_until(opens_again, "an answer of the origin")
        assert "/s/" not in edge.log


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:203.0.113.7", "::ffff:203.0.113.8", False),
    ],
)
def test_a_client_has_64_bits_of_an_address(
    before: Callable[[str], EdgeServer], one: str, other: str, alike: bool
) -> None:
    with before(PROXY) as edge:
        answers = ask_at_once(edge.url, [(FORGED, one), (FORGED, other)] * BURST)
    assert (429 in {answer.status_code for answer in answers}) == alike


def require_own_words(answer: httpx.Response, fault: LatheError) -> None:
    """Fail unless an edge tells scripts of any site of a fault as its origin would."""
    assert answer.headers.get_list("cache-control") == ["no-store"]
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "X-Request-Id" in answer.headers["access-control-expose-headers"]
    instance = f"urn:lathe:request:{answer.headers['x-request-id']}"
    assert answer.json() == describe(fault).model_dump() | {"instance": instance}


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/health/ready",
            "/health/",
            "/health/%72eady",
            "//health//ready",
            "/health/live/../ready",
        ),
        *(
            "/metrics",
            "/metrics/",
            "/%6detrics",
            "/x/../metrics",
            "/health/ready?x",
            "/health/ready#x",
        ),
    ],
)
def test_what_an_origin_is_made_of_is_not_told(
    before: Callable[[], EdgeServer], recorder: Recorder, path: str
) -> None:
    with before() as edge:
        connection = HTTPConnection(edge.url.removeprefix("http://"), timeout=HANG_S)
        assert _ask_raw(connection, path)[0] == 404
        connection.close()
        assert recorder.targets == []
        assert httpx.get(f"{edge.url}/health/live").text == "/health/live"
        assert httpx.get(f"{edge.url}/health").text == "/health"


def test_an_edge_says_that_nothing_is_there(folder_edge: str) -> None:
    for path in ("/health/ready", "/metrics"):
        answer = httpx.get(f"{folder_edge}{path}")
        assert answer.status_code == 404
        require_own_words(answer, PathNotFound("No route leads there."))
    # This one its origin answers, which is away.
    assert httpx.get(f"{folder_edge}/health/live").status_code == AWAY


@pytest.mark.parametrize(
    ("proxies", "said", "believed"),
    [
        # Nobody is believed unless it was said who is.
        ("", "203.0.113.7", PROXY),
        ("192.0.2.1 2001:db8::/32", "203.0.113.7", PROXY),
        (PROXY, "203.0.113.7", "203.0.113.7"),
        ("127.0.0.0/8", "2001:db8::7", "2001:db8::7"),
        # Whoever a proxy speaks for may have said anything before.
        (PROXY, "198.51.100.9, 203.0.113.7", "203.0.113.7"),
        (f"192.0.2.0/24\n{PROXY}", "198.51.100.9, 203.0.113.7, 192.0.2.1", "203.0.113.7"),
        (PROXY, "nobody", PROXY),
    ],
)
def test_a_proxy_is_believed_that_is_known(
    before: Callable[[str], EdgeServer],
    recorder: Recorder,
    proxies: str,
    said: str,
    believed: str,
) -> None:
    with before(proxies) as edge:
        httpx.get(f"{edge.url}/v1/tracks", headers={"X-Forwarded-For": said})
    assert recorder.heard[-1].said(b"x-forwarded-for") == [believed.encode()]


@pytest.mark.parametrize(
    "proxies",
    [
        *(
            "0.0.0.0/0",
            "::/0",
            "proxy",
            "unix:",
            "10.0.0.1;",
            "10.0.0.1 proxy",
            "10.0.0.1/",
            "10.0.0",
        ),
        *('10.0.0.1"', "$remote_addr", "10.0.0.1/24/8", "all"),
    ],
)
def test_who_is_no_proxy_is_not_written_down(
    before: Callable[[str], EdgeServer], tmp_path: Path, proxies: str
) -> None:
    edge, file = before(PROXY), tmp_path / "edge-proxies.conf"
    written = file.read_text("utf-8")
    assert written == f"set_real_ip_from {PROXY};\n"
    with pytest.raises(CalledProcessError):
        edge.write_proxies(proxies)
    assert file.read_text("utf-8") == written
    edge.write_proxies(" \n ")
    assert file.read_text("utf-8") == ""


@pytest.mark.parametrize("secret", ["A" * length for length in (43, 44, 46, 47, 48, 86)])
def test_an_edge_takes_what_an_origin_takes(
    make_edge: Callable[[str], EdgeServer], secret: str
) -> None:
    for padding in {"", "=" * (-len(secret) % 4)}:
        word = f"k1:{secret}{padding}"
        assert parse_ring(word, "LATHE_URL_KEYS").keys
    with make_edge(word) as edge:
        assert httpx.get(f"{edge.url}{sign_with(word)}").status_code == 200


def test_a_signed_url_is_in_no_log(before: Callable[[], EdgeServer], tmp_path: Path) -> None:
    """Also where the origin cannot be reached, of which nginx has much to say."""
    case = CASES[0]
    with before() as edge:
        assert httpx.get(f"{edge.url}{in_path(case['prefix'])}").status_code == 200
    for chunks in ("cached.conf", "folder.conf"):
        folder, port = tmp_path / chunks, free_port()
        folder.mkdir()
        text = configuration(port, f"127.0.0.1:{free_port()}", chunks)
        with EdgeServer(text, folder, port, ring=RING, store=folder / "store") as edge:
            for path in (in_path(case["prefix"]), in_query(case["prefix"]), FORGED):
                assert httpx.get(f"{edge.url}{path}").status_code == AWAY
        logs = edge.log + (folder / "access.log").read_text("utf-8")
        assert logs.count(str(AWAY)) >= 3
        for secret in (case["signature"], f".{case['kid']}.", "/s/"):
            assert secret not in logs


@pytest.mark.parametrize("name", ["If-Match", "If-Unmodified-Since"])
def test_a_condition_that_the_origin_does_not_regard_is_the_origin_s(
    folder_edge: str, before: Callable[[], EdgeServer], recorder: Recorder, name: str
) -> None:
    said = {name: {"If-Match": '"another"'}.get(name, "Sat, 01 Jan 2000 00:00:00 GMT")}
    path = in_path(CASES[0]["prefix"])
    assert httpx.get(f"{folder_edge}{path}", headers=said).status_code == AWAY
    with before() as edge:
        for _ in range(2):
            assert httpx.get(f"{edge.url}{path}").status_code == 200
        heard = len(recorder.heard)
        assert httpx.get(f"{edge.url}{path}", headers=said).status_code == 200
        assert len(recorder.heard) == heard + 1


def test_an_edge_takes_no_more_than_an_origin_reads(
    before: Callable[[], EdgeServer], recorder: Recorder
) -> None:
    with before() as edge:
        answer = httpx.post(f"{edge.url}/v1/sessions", content=b"x" * ((2 << 20) + 1))
        assert answer.status_code == 413
        assert answer.headers["content-type"] == MEDIA_TYPE
        said = answer.json()
        assert said.pop("instance") == f"urn:lathe:request:{answer.headers['x-request-id']}"
        fault = BodyTooLarge("No more is read at once.", max_bytes=BODY_MAX_BYTES)
        assert said == describe(fault).model_dump()
        assert recorder.heard == []
        large = b"x" * ((2 << 20) + 1)
        for path in ("/v1/uploads/upl_x", "/v1/deliveries", "/v1/matches"):
            assert httpx.post(f"{edge.url}{path}", content=large).status_code == 200
            assert len(recorder.heard[-1].body) == len(large)


def test_an_upload_tells_as_much_in_headers_as_it_was_told(tmp_path: Path) -> None:
    port = free_port()
    with QuickPlant(tmp_path / "state") as plant:
        text = configuration(port, plant.url.removeprefix("http://"), "cached.conf")
        (tmp_path / "edge").mkdir()
        edge = EdgeServer(text, tmp_path / "edge", port, ring=RING)
        with edge, httpx.Client(base_url=edge.url, timeout=HANG_S) as label:
            label.headers["Authorization"] = f"Bearer {plant.key}"
            told = f"filename {base64.b64encode(b'n' * 3000).decode()}"
            head = {"Tus-Resumable": "1.0.0", "Upload-Length": "9", "Upload-Metadata": told}
            made = label.post("/v1/uploads", headers=head)
            assert made.status_code == 201, made.text
            found = label.head(made.headers["Location"], headers={"Tus-Resumable": "1.0.0"})
            assert found.status_code == 200
            assert found.headers["Upload-Metadata"] == told


def told_ids(tmp_path: Path, number: int) -> list[str]:
    """Return the ids of requests in the log of an edge, once it has so many lines."""

    def find() -> list[str] | None:
        lines = (tmp_path / "access.log").read_text("utf-8").splitlines()
        return [json.loads(line)["request_id"] for line in lines] if len(lines) >= number else None

    return wait_until(find, "the lines of the log")


def test_a_request_keeps_the_id_that_it_came_with(
    before: Callable[[], EdgeServer], recorder: Recorder, tmp_path: Path
) -> None:
    chunk = in_path(CASES[0]["prefix"])
    fit = ["from-a-player", "a.b_c-d0", "x" * 64]
    unfit = ["short", "x" * 65, "new line", 'quoted"one', "", "ünfit-one"]
    ids: list[str] = []
    with before() as edge:
        assert httpx.get(f"{edge.url}{chunk}").status_code == 200
        ids += told_ids(tmp_path, 1)
        for path in ("/v1/tracks", chunk, FORGED, "/metrics"):
            for said in (*fit, *unfit):
                sent = [(b"X-Request-Id", said.encode())]
                answer = httpx.get(f"{edge.url}{path}", headers=sent)
                told = answer.headers.get("x-request-id", "")
                if said in fit:
                    assert told == said
                else:
                    # None is made for what is in the cache.
                    assert len(told) == (0 if path == chunk else 32)
                ids.append(told)
                if path in ("/v1/tracks", FORGED):
                    assert recorder.heard[-1].said(b"x-request-id") == [told.encode()]
        assert told_ids(tmp_path, len(ids)) == ids
    assert len(set(ids) - {""}) == 1 + len(fit) + 3 * len(unfit)


def test_what_is_not_there_is_told_by_its_id(
    before: Callable[[], EdgeServer], recorder: Recorder
) -> None:
    recorder.status = b"404 Not Found"
    with before() as edge:
        said = {"X-Request-Id": "from-a-player"}
        answer = httpx.get(f"{edge.url}{in_path(CASES[0]['prefix'])}", headers=said)
    assert answer.status_code == 404
    assert answer.headers.get_list("x-request-id") == ["from-a-player"]


def test_one_address_does_not_take_every_connection(
    make_edge: Callable[[str], EdgeServer],
) -> None:
    path = in_path(CASES[0]["prefix"])
    half = b"POST /v1/sessions HTTP/1.1\r\nHost: origin\r\nContent-Length: 2\r\n\r\n{"
    own, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with make_edge(RING) as edge:
        host, port = edge.url.removeprefix("http://").split(":")

        def is_refused() -> bool:
            return httpx.get(f"{edge.url}/v1/tracks").status_code == 429

        with ExitStack() as stack:
            stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (own, most))
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            for _ in range(1000):
                line = stack.enter_context(socket())
                line.connect((host, int(port)))
                line.sendall(half)
            wait_until(is_refused, "a refusal")
            assert httpx.get(f"{edge.url}{path}").status_code == 200
        wait_until(lambda: not is_refused(), "the end of it")


def test_bytes_of_an_upload_count_as_they_come(tmp_path: Path) -> None:
    """What the edge holds back would be lost when the line breaks."""
    port = free_port()
    with QuickPlant(tmp_path / "state") as plant:
        text = configuration(port, plant.url.removeprefix("http://"), "cached.conf")
        edge = EdgeServer(text, tmp_path / "edge", port, ring=RING)
        with edge, httpx.Client(base_url=edge.url, timeout=HANG_S) as label:
            label.headers["Authorization"] = f"Bearer {plant.key}"
            url = begin(label, 1000)
            with half_sent(plant, url, b"x" * 700, 1000, through=edge.url):
                wait_until(lambda: offset(label, url) == 700, "what was sent")

            def resumed() -> bool:
                return send(label, url, 700, b"x" * 300).status_code == 204

            wait_until(resumed, "the end of the broken request")
