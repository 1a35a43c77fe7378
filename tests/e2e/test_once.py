"""Requests that create something, sent twice: Idempotency-Key."""

import json
import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from catalogue import errors
from tests.audio_tools import FIXTURES
from tests.e2e.servers import PASSWORD, Plant, QuickPlant, metadata_of
from tests.e2e.test_problems import require_problem
from tests.e2e.test_tus import TUS

MASTER = (FIXTURES / "tiny.wav").read_bytes()


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with QuickPlant(tmp_path_factory.mktemp("once") / "state") as plant:
        yield plant


@pytest.fixture
def label(plant: Plant) -> Iterator[httpx.Client]:
    with plant.client() as client:
        yield client


def send(client: httpx.Client, key: str, **said: Any) -> httpx.Response:
    """Deliver a master in a form, whose boundary is another one each time."""
    return client.post(
        "/v1/deliveries",
        files={
            "metadata": (None, json.dumps(metadata_of(**said)), "application/json"),
            "master": ("tiny.wav", MASTER, "application/octet-stream"),
        },
        headers={"Idempotency-Key": key},
    )


def test_the_same_delivery_is_taken_once(plant: Plant, label: httpx.Client) -> None:
    key = uuid4().hex
    first, second = send(label, key), send(label, key)
    assert first.status_code == 202
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert (second.status_code, second.json()) == (first.status_code, first.json())
    assert second.headers["Location"] == first.headers["Location"]
    assert second.headers["Content-Type"] == first.headers["Content-Type"]
    assert second.headers["X-Request-Id"] != first.headers["X-Request-Id"]
    third = send(label, uuid4().hex)
    assert third.json()["id"] != first.json()["id"]


def test_the_same_key_is_good_for_one_request(plant: Plant, label: httpx.Client) -> None:
    key = uuid4().hex
    assert send(label, key).status_code == 202
    require_problem(send(label, key, title="Another"), errors.IdempotencyKeyReused)
    begun = label.post("/v1/uploads", headers={**TUS, "Upload-Length": "1", "Idempotency-Key": key})
    require_problem(begun, errors.IdempotencyKeyReused)


def test_keys_of_others_are_others(plant: Plant, label: httpx.Client) -> None:
    key = uuid4().hex
    with plant.client(plant.make_key("another")) as other:
        first, second = send(label, key), send(other, key)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["tracks"][0]["track_id"] != second.json()["tracks"][0]["track_id"]


def test_what_was_refused_may_be_sent_again(plant: Plant, label: httpx.Client) -> None:
    key = uuid4().hex
    require_problem(send(label, key, isrc="?"), errors.MetadataInvalid)
    assert send(label, key).status_code == 202


def test_a_key_that_was_revoked_replays_nothing(plant: Plant) -> None:
    text, key = plant.make_key("leaver"), uuid4().hex
    with plant.client(text) as leaver:
        assert send(leaver, key).status_code == 202
        plant.run("keys", "revoke", text.split("_")[1])
        require_problem(send(leaver, key), errors.KeyRevoked)


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_a_key_has_a_length(label: httpx.Client, key: str) -> None:
    require_problem(send(label, key), errors.RequestInvalid)


def test_of_many_at_once_one_creates(plant: Plant, label: httpx.Client) -> None:
    key, answers = uuid4().hex, []

    def begin() -> None:
        headers = {**TUS, "Upload-Length": "7", "Idempotency-Key": key}
        answers.append(label.post("/v1/uploads", headers=headers))

    before = len(label.get("/v1/uploads").json()["uploads"])
    threads = [threading.Thread(target=begin) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.headers["Location"] for answer in answers if answer.is_success}) == 1
    for answer in answers:
        if answer.is_error:
            require_problem(answer, errors.IdempotencyKeyBusy)
    assert len(label.get("/v1/uploads").json()["uploads"]) == before + 1


def test_an_upload_of_another_length_is_another_request(label: httpx.Client) -> None:
    key = uuid4().hex
    headers = {**TUS, "Idempotency-Key": key}
    first = label.post("/v1/uploads", headers={**headers, "Upload-Length": "7"})
    assert first.status_code == 201
    again = label.post("/v1/uploads", headers={**headers, "Upload-Length": "7"})
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Tus-Resumable"] == "1.0.0"
    other = label.post("/v1/uploads", headers={**headers, "Upload-Length": "8"})
    require_problem(other, errors.IdempotencyKeyReused)


def test_an_account_is_made_once(plant: Plant) -> None:
    plant.make_account("first@example.org", "--role", "admin")
    said = {"email": "second@example.org", "password": PASSWORD}
    with plant.signed_in("first@example.org") as administrator:
        answers = [
            administrator.post("/v1/accounts", json=said, headers={"Idempotency-Key": "one"})
            for _ in range(2)
        ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert PASSWORD.encode() not in b"".join(
        path.read_bytes() for path in plant.state.glob("catalogue*")
    )
