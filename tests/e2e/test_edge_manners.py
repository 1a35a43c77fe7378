"""What an edge says by itself and to whom, and what it leaves to its origin."""

import base64
import json
import resource
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from http.client import HTTPConnection, parse_headers
from pathlib import Path
from socket import socket
from subprocess import CalledProcessError

import httpx
import pytest

from catalogue.errors import (
    BodyTooLarge,
    LatheError,
    PathNotFound,
    RangeUnsatisfiable,
    TooManyRequests,
)
from origin.bodies import BODY_MAX_BYTES
from origin.problems import MEDIA_TYPE, describe
from tests.e2e.edges import (
    AWAY,
    BURST,
    CASES,
    FORGED,
    NAME,
    PROXY,
    RING,
    UNREACHED,
    Upstream,
    ask_raw,
    configuration,
    in_path,
    in_query,
)
from tests.e2e.recorder import Recorder
from tests.e2e.servers import HANG_S, QuickPlant, free_port, wait_until
from tests.e2e.test_tus import begin, half_sent, offset, send
from tests.engines import EdgeServer


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


@pytest.mark.parametrize("method", ["OPTIONS", "POST", "PUT", "DELETE"])
def test_whatever_is_not_asked_of_a_file_is_the_origin_s(folder_edge: str, method: str) -> None:
    """A browser asks with OPTIONS, before it sends what a page of another origin wants."""
    url = f"{folder_edge}{in_path(CASES[0]['prefix'])}"
    assert httpx.request(method, url).status_code == AWAY
    assert httpx.head(url).status_code == 200


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
        assert ask_raw(connection, path)[0] == 404
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
