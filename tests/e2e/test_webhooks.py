"""Webhooks from a plant that runs: what labels' own servers get, and what they never get."""

import base64
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from catalogue.webhooks import HOOKS_MAX
from tests.audio_tools import BROKEN, FIXTURES
from tests.e2e.servers import (
    QuickPlant,
    accepted,
    deliver,
    free_port,
    wait_for_job,
    wait_until,
)

LOOPBACK = '["127.0.0.0/8"]'


@dataclass
class Receiver:
    """A label's server: it keeps what comes, and answers what it is told to, else 204."""

    url: str
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    location: str = ""

    def states(self) -> list[str]:
        return [json.loads(body)["data"]["state"] for _, body in self.got]

    def verified(self, secret: str) -> list[dict[str, Any]]:
        """Return what came, if all of it was signed with ``secret``."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        for headers, body in self.got:
            said = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
            made = base64.b64encode(hmac.digest(key, said, hashlib.sha256)).decode()
            assert headers["webhook-signature"] == f"v1,{made}"
        return [json.loads(body) for _, body in self.got]


@contextmanager
def receiving(port: int | None = None) -> Iterator[Receiver]:
    receiver = Receiver("")

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receiver.answers.pop(0) if receiver.answers else 204
            receiver.got.append((headers, body))
            self.send_response(status)
            if receiver.location:
                self.send_header("location", receiver.location)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    for method in ("GET", "POST"):
        setattr(Handler, f"do_{method}", Handler.handle_any)

    server = ThreadingHTTPServer(("127.0.0.1", port or 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook?of=lathe"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickPlant]:
    state = tmp_path_factory.mktemp("webhooks") / "state"
    with QuickPlant(state, WEBHOOK_NETWORKS=LOOPBACK, HEARTBEAT_S="0.2") as plant:
        yield plant


@pytest.fixture
def label(plant: QuickPlant) -> Iterator[httpx.Client]:
    """A client of a label, which has no webhooks but those of the test."""
    with plant.client() as client:
        yield client
        for hook in client.get("/v1/webhooks").json()["webhooks"]:
            assert client.delete(f"/v1/webhooks/{hook['id']}").status_code == 204


def make(label: httpx.Client, url: str, *states: str) -> dict[str, Any]:
    answer = label.post("/v1/webhooks", json={"url": url, "states": list(states)})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/webhooks/{made['id']}"
    return made


def notices(label: httpx.Client, hook: dict[str, Any]) -> list[dict[str, Any]]:
    answer = label.get(f"/v1/webhooks/{hook['id']}/notices")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["notices"]
    return found


def wait_for_answer(label: httpx.Client, hook: dict[str, Any], answer: str) -> None:
    """Wait until the last notice of a webhook was answered so."""
    wait_until(lambda: notices(label, hook)[0]["answer"] == answer, answer)


def test_every_change_is_told_and_signed(plant: QuickPlant, label: httpx.Client) -> None:
    with receiving() as receiver:
        hook = make(label, receiver.url)
        job_id = accepted(deliver(label, FIXTURES / "tiny.wav", isrc="ZZTST2610001"))
        job = wait_for_job(label, job_id)
        wait_until(lambda: len(receiver.got) >= 3, "three notices")
        found = receiver.verified(hook["secret"])
        assert sorted(receiver.states()) == ["done", "queued", "running"]
        done = next(each for each in found if each["data"]["state"] == "done")
        assert done == {
            "type": "track.done",
            "timestamp": job["finished_at"].replace("Z", "+00:00"),
            "data": {
                "delivery_id": job["delivery_id"],
                "job_id": job_id,
                "track_id": job["track_id"],
                "isrc": "ZZTST2610001",
                "filename": "tiny.wav",
                "state": "done",
                "reason": None,
            },
        }
        ids = [headers["webhook-id"] for headers, _ in receiver.got]
        assert len(set(ids)) == 3
        assert sorted(ids) == sorted(each["id"] for each in notices(label, hook))
        for headers, _ in receiver.got:
            assert headers["content-type"] == "application/json"
            assert headers["host"] == receiver.url.split("/")[2]
    shown = label.get(f"/v1/webhooks/{hook['id']}").json()
    assert "secret" not in shown and hook["secret"] not in plant.log
    assert shown["failing_since"] is None


def test_a_failure_says_all_that_the_job_says(label: httpx.Client) -> None:
    with receiving() as receiver:
        hook = make(label, receiver.url, "failed", "quarantined")
        job_id = accepted(deliver(label, BROKEN / "truncated.wav", isrc="ZZTST2610002"))
        job = wait_for_job(label, job_id)
        wait_until(lambda: receiver.got, "a notice")
        [told] = receiver.verified(hook["secret"])
        reason = told["data"]["reason"]
        assert told["type"] == "track.failed"
        assert reason["code"] == job["reason"]["code"] == "master-truncated"
        assert reason["measured"]["file"] == "truncated.wav"
        assert reason["detail"] == job["reason"]["detail"] and reason["advice"]


def test_what_is_not_taken_is_sent_again_and_is_the_same(label: httpx.Client) -> None:
    with receiving() as receiver:
        receiver.answers = [500]
        hook = make(label, receiver.url, "done")
        wait_for_job(label, accepted(deliver(label, FIXTURES / "tiny.wav", isrc="ZZTST2610003")))
        wait_until(lambda: receiver.got, "the first try")
        failing = wait_until(
            lambda: label.get(f"/v1/webhooks/{hook['id']}").json()["failing_since"], "a failure"
        )
        assert failing
        [notice] = notices(label, hook)
        assert (notice["attempts"], notice["answer"], notice["delivered_at"]) == (1, "500", None)
        wait_until(lambda: len(receiver.got) == 2, "the second try")
        receiver.verified(hook["secret"])
        (first, body), (second, again) = receiver.got
        assert body == again
        assert first["webhook-id"] == second["webhook-id"]
        assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) in range(4, 60)
        wait_until(lambda: notices(label, hook)[0]["delivered_at"], "that it was taken")
        assert label.get(f"/v1/webhooks/{hook['id']}").json()["failing_since"] is None


def test_one_that_is_gone_is_not_called_again_until_it_is_asked_for(label: httpx.Client) -> None:
    with receiving() as receiver:
        receiver.answers = [410]
        hook = make(label, receiver.url, "done")
        wait_for_job(label, accepted(deliver(label, FIXTURES / "tiny.wav", isrc="ZZTST2610004")))
        wait_for_answer(label, hook, "410")
        assert notices(label, hook)[0]["due_at"] is None
        answer = label.post(f"/v1/webhooks/{hook['id']}/repeat")
        assert (answer.status_code, answer.json()) == (200, {"count": 1})
        wait_until(lambda: notices(label, hook)[0]["delivered_at"], "that it was taken")
        assert label.post(f"/v1/webhooks/{hook['id']}/repeat").json() == {"count": 0}


def test_no_redirection_is_followed(label: httpx.Client) -> None:
    with receiving() as elsewhere, receiving() as receiver:
        receiver.answers, receiver.location = [307], elsewhere.url
        hook = make(label, receiver.url, "done")
        wait_for_job(label, accepted(deliver(label, FIXTURES / "tiny.wav", isrc="ZZTST2610005")))
        wait_for_answer(label, hook, "307")
        assert elsewhere.got == []


def test_nobody_there_and_nothing_but_a_name(label: httpx.Client) -> None:
    nameless = "its host has no address"
    hooks = [
        ("no connection", make(label, f"http://127.0.0.1:{free_port()}/", "done")),
        (nameless, make(label, "https://nobody.invalid/", "done")),
        (nameless, make(label, f"https://{'x' * 80}.example/", "done")),
    ]
    wait_for_job(label, accepted(deliver(label, FIXTURES / "tiny.wav", isrc="ZZTST2610006")))
    for answer, hook in hooks:
        wait_for_answer(label, hook, answer)


def test_a_receiver_that_hangs_keeps_no_plant_from_ending(tmp_path: Path) -> None:
    """What it has not answered by then is left to whoever comes next."""
    settings = {"WEBHOOK_NETWORKS": LOOPBACK, "HEARTBEAT_S": "0.2"}
    plant = QuickPlant(tmp_path / "state", **settings)
    with socket.create_server(("127.0.0.1", 0)) as silent, plant:
        with plant.client() as label:
            hook = make(label, f"http://127.0.0.1:{silent.getsockname()[1]}/", "done")
            said = deliver(label, FIXTURES / "tiny.wav", isrc="ZZTST2610008")
            wait_for_job(label, accepted(said))
            connection, _ = silent.accept()
        with connection:
            assert connection.recv(4) == b"POST"
            assert plant.stop() == 0
        plant.start()
        with plant.client() as label:
            [notice] = notices(label, hook)
            assert (notice["attempts"], notice["answer"]) == (0, "")
            assert notice["due_at"] is not None


def test_labels_know_nothing_of_each_others(plant: QuickPlant, label: httpx.Client) -> None:
    hook = make(label, "https://label.example/")
    with plant.client(plant.make_key("Another Label")) as other:
        assert other.get("/v1/webhooks").json() == {"webhooks": []}
        path = f"/v1/webhooks/{hook['id']}"
        for answer in (
            other.get(path),
            other.get(f"{path}/notices"),
            other.delete(path),
            other.post(f"{path}/repeat"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "webhook-not-found")
    assert label.delete(f"/v1/webhooks/{hook['id']}").status_code == 204
    assert label.get("/v1/webhooks").json() == {"webhooks": []}


def test_bad_urls_and_too_many(label: httpx.Client) -> None:
    for url in ("http://", "ftp://label.example/", "https://a:b@label.example/"):
        answer = label.post("/v1/webhooks", json={"url": url})
        assert (answer.status_code, answer.json()["code"]) == (422, "webhook-url-unfit")
    for _ in range(HOOKS_MAX):
        make(label, "https://label.example/")
    answer = label.post("/v1/webhooks", json={"url": "https://label.example/"})
    assert (answer.status_code, answer.json()["code"]) == (409, "webhooks-full")


def test_the_inside_is_never_called_and_keys_rotate(tmp_path: Path) -> None:
    """Without leave nothing inside is reached; with it, what was due before comes after all."""
    state = tmp_path / "state"
    ring = ["one:" + "A" * 43, "two:" + "B" * 43]
    with receiving() as receiver:
        quick = {"HEARTBEAT_S": "0.2"}
        with QuickPlant(state, CONTENT_KEYS=ring[0], **quick) as plant, plant.client() as label:
            hook, key = make(label, receiver.url, "done"), plant.key
            secure = make(label, receiver.url.replace("http:", "https:"), "done")
            job = accepted(deliver(label, FIXTURES / "tiny.wav", isrc="ZZTST2610007"))
            wait_for_job(label, job)
            for each in (hook, secure):
                wait_for_answer(label, each, "its host's address is not public, or it is not https")
            assert receiver.got == []
        rotated = " ".join(reversed(ring))
        moved = QuickPlant(state, CONTENT_KEYS=rotated, WEBHOOK_NETWORKS=LOOPBACK, **quick)
        assert "2 secrets of webhooks are wrapped with two now" in moved.run("keys", "rotate")
        moved.environment["LATHE_CONTENT_KEYS"] = ring[1]
        with (
            QuickPlant(state, CONTENT_KEYS=ring[1], WEBHOOK_NETWORKS=LOOPBACK, **quick) as plant,
            plant.client(key) as label,
        ):
            wait_until(lambda: notices(label, hook)[0]["delivered_at"], "the notice after all")
            receiver.verified(hook["secret"])
            wait_until(
                lambda: (
                    notices(label, secure)[0]["answer"] == "its certificate is not to be trusted"
                ),
                "that the certificate was looked at",
            )
