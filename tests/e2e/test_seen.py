"""What operators see of an origin: metrics, lines of the log, the audit trail; and its limits."""

import gzip
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.audio_tools import FIXTURES
from tests.e2e.servers import (
    LATHE,
    PASSWORD,
    PLENTY,
    Listener,
    Plant,
    Program,
    QuickPlant,
    accepted,
    deliver,
    free_port,
    releases,
    wait_for_job,
    wait_until,
)
from tests.engines import RedisServer

EMAIL = "ada@example.org"
FILES = ("tiny.wav", "ZZTST2600001", "canon-1.flac", "ZZTST2600002")


@pytest.fixture(scope="module")
def metrics_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory, metrics_port: int) -> Iterator[Plant]:
    state = tmp_path_factory.mktemp("seen") / "state"
    settings = {"METRICS_PORT": str(metrics_port), "LOGS": "json", "LOG_REQUESTS": "all"}
    with QuickPlant(state, **settings) as plant:
        plant.make_account(EMAIL, "--plan", "individual")
        yield plant


@pytest.fixture(scope="module")
def track_id(plant: Plant) -> str:
    with plant.client() as label:
        job = accepted(deliver(label, FIXTURES / "canon-1.flac"))
        return str(wait_for_job(label, job)["track_id"])


def measured(port: int) -> dict[str, float]:
    """Return every sample that the process tells of, by name and labels."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    return {
        name: float(value)
        for name, value in re.findall(r"^(lathe_\S+(?:\{.*\})?) (\S+)$", text, re.MULTILINE)
    }


def lines(plant: Plant) -> list[dict[str, object]]:
    """Return the lines of the log that are about requests."""
    found = [json.loads(line) for line in plant.log.splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] == "answered"]


def test_metrics_tell_what_was_asked_and_how_it_was_answered(
    plant: Plant, track_id: str, metrics_port: int
) -> None:
    before = measured(metrics_port)
    with plant.signed_in(EMAIL) as ada:
        player = Listener(ada, track_id)
        rendition = player.renditions[0]
        url = player.url(rendition, rendition["chunks"][0]["name"])
        assert [ada.get(url).status_code for _ in range(3)] == [200] * 3
        assert ada.get(player.manifest_url).status_code == 200
        assert ada.get("/v1/tracks/none/manifest").status_code == 404
        assert ada.get("/nowhere").status_code == 404
        assert ada.get(url.replace("/s/1", "/s/2")).status_code == 403
    after = measured(metrics_port)

    def more(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    chunks, manifests = "/s/{token}/{track_id}/{rendition_id}/{name}", "/v1/tracks/{track_id}"
    requests = "lathe_http_requests_total"
    for route, status, number in [
        (chunks, 200, 3),
        (chunks, 403, 1),
        (f"{manifests}/manifest", 200, 2),
        (f"{manifests}/manifest", 404, 1),
        ("none", 404, 1),
    ]:
        labels = f'{{method="GET",route="{route}",status="{status}"}}'
        assert more(requests + labels) == number, (route, status)
    assert more(f'lathe_http_first_byte_seconds_count{{route="{chunks}"}}') == 4
    assert more('lathe_streams_total{plan="individual",quality="lossless"}') == 1
    assert more("lathe_stream_start_seconds_count") == 1
    assert 'lathe_playing{plan="individual",quality="lossless"}' in after
    assert after[f'lathe_active_streams{{tier="{rendition["tier"]}"}}'] == 1
    for code in ("track-not-found", "path-not-found", "url-untrusted"):
        assert more(f'lathe_refusals_total{{code="{code}"}}') == 1
    for result, number in [("miss", 1), ("hit", 2)]:
        assert more(f'lathe_cache_asked_total{{cache="chunks",result="{result}"}}') == number
    asked = 'lathe_cache_asked_total{cache="manifests",result="%s"}'
    assert more(asked % "miss") >= 1
    with plant.signed_in(EMAIL) as ada:

        def is_known() -> bool:
            assert ada.get(player.manifest_url).status_code == 200
            return measured(metrics_port).get(asked % "hit", 0) > before.get(asked % "hit", 0)

        wait_until(is_known, "a manifest that was known")


def test_a_request_has_an_id_wherever_it_is_told_of(plant: Plant, track_id: str) -> None:
    with plant.client(key="") as guest:
        for path in (f"/v1/tracks/{track_id}/manifest", "/v1/tracks/none/manifest", "/nowhere"):
            made = guest.get(path).headers["X-Request-Id"]
            assert made != guest.get(path).headers["X-Request-Id"]
            own = guest.get(path, headers={"X-Request-Id": "from-the-edge.1"})
            assert own.headers.get_list("X-Request-Id") == ["from-the-edge.1"]
            if own.status_code >= 400:
                assert own.json()["instance"] == "urn:lathe:request:from-the-edge.1"
            for unfit in ("short", "x" * 65, "new\tline and more"):
                answer = guest.get(path, headers={"X-Request-Id": unfit})
                assert unfit not in answer.headers["X-Request-Id"]
    told = {line["request_id"]: line for line in lines(plant)}
    assert told[made]["route"] == ""
    assert told[made]["status"] == 404
    assert told[made]["code"] == "path-not-found"
    assert made in told


def test_no_line_tells_a_secret(plant: Plant, track_id: str) -> None:
    with plant.signed_in(EMAIL) as ada:
        token = ada.headers["Authorization"].removeprefix("Bearer ")
        player = Listener(ada, track_id)
        url = player.url(player.renditions[0], player.renditions[0]["chunks"][0]["name"])
        assert ada.get(url).status_code == 200
        signature = url.split("/s/")[1].split("/")[0].rpartition(".")[2]
    answered = lines(plant)
    assert {line["route"] for line in answered} >= {"/v1/sessions"}
    for secret in (token, PASSWORD, signature, plant.key):
        assert secret not in plant.log.replace(f"(shown once, stored as a hash): {plant.key}", "")


def test_the_audit_trail_tells_who_did_what(plant: Plant, track_id: str) -> None:
    with plant.client(key="") as guest:
        wrong = {"email": EMAIL, "password": "wrong horse battery"}
        assert guest.post("/v1/sessions", json=wrong).status_code == 401
    with plant.signed_in(EMAIL) as ada:
        account = ada.get("/v1/account").json()["id"]
        answer = ada.delete("/v1/sessions/current", headers={"X-Request-Id": "the-last-one"})
        assert answer.status_code == 204
    plant.run("tracks", "take-down", track_id)
    plant.run("tracks", "restore", track_id)
    plant.run("accounts", "change", EMAIL, "--plan", "voice")
    plant.run("accounts", "change", EMAIL, "--plan", "individual")

    def trail(*words: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in plant.run("audit", "--json", *words).splitlines()]

    own = trail("--subject", account)
    deeds = [entry["deed"] for entry in own]
    assert deeds[0] == "account-made"
    assert deeds[-5:] == [
        "sign-in-refused",
        "signed-in",
        "signed-out",
        "account-changed",
        "account-changed",
    ]
    refused, signed_in, signed_out, *_ = own[-5:]
    assert (refused["actor"], refused["address"]) == ("guest", "127.0.0.1")
    assert signed_in["actor"] == signed_out["actor"] == account
    assert signed_out["request_id"] == "the-last-one"
    changed = own[-1]["details"]
    assert isinstance(changed, dict)
    assert changed["plan"] == ["voice", "individual"]
    assert str(own[-1]["actor"]).startswith("operator:")
    rights = trail("--deed", "rights-set")
    assert rights[0]["subject"] == track_id
    assert [entry["deed"] for entry in trail("--subject", track_id)] == [
        "rights-set",
        "taken-down",
        "restored",
    ]
    assert PASSWORD not in json.dumps(trail())
    assert plant.run("audit", "--since", "2999-01-01") == ""
    assert "signed-out" in plant.run("audit", "--actor", account)


class Collector(BaseHTTPRequestHandler):
    """Takes traces over OTLP."""

    def do_POST(self) -> None:
        """Keep what is sent."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        assert self.path == "/v1/traces"
        assert isinstance(self.server, Collecting)
        self.server.bodies.append(body)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing."""


class Collecting(ThreadingHTTPServer):
    """A collector, and what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Collector)
        self.bodies: list[bytes] = []

    def spans(self) -> list[Span]:
        return [
            span
            for body in self.bodies
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


def test_a_trace_leads_from_a_request_to_the_store(tmp_path: Path) -> None:
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    caller = {"traceparent": f"00-{trace}-{parent}-01"}
    with Collecting() as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{collector.server_address[1]}"
        with QuickPlant(tmp_path / "state", TRACES=url) as plant:
            with plant.client() as label:
                job = accepted(deliver(label, FIXTURES / "tiny.wav"))
                track_id = wait_for_job(label, job)["track_id"]
            with plant.client(key="") as guest:
                guest.headers.update(caller)
                player = Listener(guest, track_id)
                rendition = player.renditions[0]
                chunk = player.url(rendition, rendition["chunks"][0]["name"])
                assert guest.get(chunk).status_code == 200
            assert plant.stop() == 0
        collector.shutdown()
    own = [span for span in collector.spans() if span.trace_id.hex() == trace]
    requests = {span.name: span for span in own if span.parent_span_id.hex() == parent}
    assert set(requests) == {
        "GET /v1/tracks/{track_id}/manifest",
        "GET /s/{token}/{track_id}/{rendition_id}/{name}",
    }
    manifest, answer = (requests[name] for name in sorted(requests, reverse=True))
    below = {span.name for span in own if span.parent_span_id == manifest.span_id}
    assert {"SELECT", "cards.tracks", "cards.faces"} <= below
    (read,) = [span for span in own if span.name == "store.read"]
    assert read.parent_span_id == answer.span_id
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano > 0 for span in own)
    told = str(collector.spans())
    assert chunk.split("/s/")[1].split("/")[0] not in told
    assert plant.key not in told


def test_whoever_asks_too_often_is_told_when_to_come_back(tmp_path: Path) -> None:
    few = f"{PLENTY} stream=4/min search=3/min plays=1/day"
    with (
        RedisServer(tmp_path) as redis,
        QuickPlant(tmp_path / "state", LIMITS=few, SESSIONS=redis.url) as plant,
    ):
        with plant.client() as label:
            one, other = (
                wait_for_job(label, accepted(deliver(label, FIXTURES / name, isrc=isrc)))
                for name, isrc in (
                    ("tiny.wav", "ZZTST2600001"),
                    ("canon-1.flac", "ZZTST2600002"),
                )
            )
        plant.make_account(EMAIL, "--plan", "premium")
        with plant.signed_in(EMAIL) as ada, plant.client(key="") as guest:
            require_limited(ada, f"/v1/tracks/{one['track_id']}/manifest", "stream", 4)
            require_limited(guest, "/v1/tracks", "search", 3)
            assert ada.get("/v1/tracks").status_code == 200
            assert guest.get(f"/v1/tracks/{one['track_id']}/manifest").status_code == 200
            played = guest.get(f"/v1/tracks/{other['track_id']}/manifest")
            assert (played.status_code, played.json()["measured"]["category"]) == (429, "plays")
            redis.stop()
            # Those who are known go on, and are counted by the process.
            assert ada.get("/v1/tracks").status_code == 503
            answers = [guest.get("/v1/tracks/none/manifest").status_code for _ in range(5)]
            assert answers[-1] == 429


def require_limited(client: httpx.Client, path: str, category: str, count: int) -> None:
    for left in range(count - 1, -1, -1):
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        assert answer.headers["RateLimit"] == f'"{category}";r={left}'
        assert answer.headers["RateLimit-Policy"] == f'"{category}";q={count};w=60'
    refused = client.get(path)
    assert refused.status_code == 429
    problem = refused.json()
    assert problem["code"] == "too-many-requests"
    assert problem["measured"]["limit"] == count
    wait_s = int(refused.headers["Retry-After"])
    assert 0 < wait_s <= 120
    assert refused.headers["RateLimit"] == f'"{category}";r=0;t={wait_s}'


def test_the_music_of_make_run_is_delivered_within_the_usual_limits(tmp_path: Path) -> None:
    plant = QuickPlant(tmp_path / "state", LIMITS="")
    command = [LATHE, "serve", "--deliver", str(FIXTURES)]
    with Program(command, plant.environment, tmp_path / "log") as program:
        number = len(releases())
        assert program.wait_for(r"([0-9]+ of [0-9]+) published in") == f"{number} of {number}"
        assert "too-many" not in program.log
