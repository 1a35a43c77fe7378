"""API keys of labels: what each is good for, who sees what, and how they end."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.audio_tools import FIXTURES
from tests.e2e.servers import QuickPlant, accepted, deliver, wait_for_job

LABEL = "A Label"


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickPlant]:
    with QuickPlant(tmp_path_factory.mktemp("keys") / "state") as plant:
        yield plant


class Keys:
    """Clients with keys, each with scopes of its own."""

    def __init__(self, plant: QuickPlant, clients: ExitStack) -> None:
        self.plant, self._clients = plant, clients

    def make(self, *scopes: str, label: str = LABEL, name: str = "") -> httpx.Client:
        """Return a client with a new key."""
        said = [word for scope in scopes for word in ("--scope", scope)]
        key = self.plant.run("keys", "create", label, "--name", name, *said).strip()
        client = self._clients.enter_context(self.plant.client(key))
        return client

    def list(self, *words: str) -> list[dict[str, Any]]:
        """Return what is told of keys."""
        return [
            json.loads(line)
            for line in self.plant.run("keys", "list", "--json", *words).splitlines()
        ]


@pytest.fixture
def keys(plant: QuickPlant) -> Iterator[Keys]:
    with ExitStack() as clients:
        yield Keys(plant, clients)


def id_of(client: httpx.Client) -> str:
    return client.headers["Authorization"].split("_")[1]


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_each_scope_opens_its_own_door_and_no_other(keys: Keys) -> None:
    whole = keys.make()
    job_id = accepted(deliver(whole, FIXTURES / "tiny.wav"))
    track_id = wait_for_job(whole, job_id)["track_id"]
    doors: dict[str, Callable[[httpx.Client], httpx.Response]] = {
        "deliver": lambda client: deliver(client, FIXTURES / "tiny.wav"),
        "see": lambda client: client.get(f"/v1/jobs/{job_id}"),
        "stream": lambda client: client.get(f"/v1/tracks/{track_id}/manifest"),
    }
    for scope in doors:
        client = keys.make(scope)
        for door, ask in doors.items():
            answer = ask(client)
            if door == scope:
                assert answer.status_code in (200, 202), answer.text
                continue
            refused(answer, 403, "key-lacks-scope")
            assert answer.json()["measured"] == {"scope": door, "has": scope}
    both = keys.make("deliver", "see")
    assert wait_for_job(both, accepted(doors["deliver"](both)))["state"] == "done"


def test_a_label_sees_its_own_and_an_operator_sees_all(keys: Keys) -> None:
    one, two = keys.make(), keys.make(label="Another Label")
    jobs = {client: accepted(deliver(client, FIXTURES / "tiny.wav")) for client in (one, two)}
    for client, job_id in jobs.items():
        wait_for_job(client, job_id)
    refused(one.get(f"/v1/jobs/{jobs[two]}"), 404, "job-not-found")
    refused(two.get(f"/v1/jobs/{jobs[one]}"), 404, "job-not-found")
    keys.plant.make_account("olga@example.org", "--role", "operator")
    with keys.plant.signed_in("olga@example.org") as olga:
        for job_id in jobs.values():
            assert olga.get(f"/v1/jobs/{job_id}").json()["id"] == job_id


def test_a_revoked_key_opens_nothing_from_now_on(keys: Keys) -> None:
    client, other = keys.make(), keys.make()
    job_id = accepted(deliver(client, FIXTURES / "tiny.wav"))
    wait_for_job(client, job_id)
    keys.plant.run("keys", "revoke", id_of(client))
    refused(client.get(f"/v1/jobs/{job_id}"), 401, "key-revoked")
    refused(deliver(client, FIXTURES / "tiny.wav"), 401, "key-revoked")
    assert other.get(f"/v1/jobs/{job_id}").status_code == 200
    # It is not told to whoever has the id alone.
    forged = client.headers["Authorization"][:-1] + "?"
    with httpx.Client(base_url=client.base_url, headers={"Authorization": forged}) as thief:
        refused(thief.get(f"/v1/jobs/{job_id}"), 401, "key-unknown")
    # Doing so again changes nothing.
    keys.plant.run("keys", "revoke", id_of(client))
    with pytest.raises(subprocess.CalledProcessError):
        keys.plant.run("keys", "revoke", "0123456789abcdef")


def test_keys_are_listed_without_their_secrets(keys: Keys, tmp_path: Path) -> None:
    label = f"Label {tmp_path.name}"
    used = keys.make("see", label=label, name="the uploader")
    idle = keys.make(label=label)
    used.get("/v1/jobs/none")
    keys.plant.run("keys", "revoke", id_of(idle))
    told = {each["id"]: each for each in keys.list("--label", label)}
    assert set(told) == {id_of(used), id_of(idle)}
    one, two = told[id_of(used)], told[id_of(idle)]
    assert (one["name"], one["scopes"], one["revoked_at"]) == ("the uploader", ["see"], None)
    assert one["used_at"] is not None
    assert (two["scopes"], two["used_at"]) == (["deliver", "see", "stream"], None)
    assert two["revoked_at"] is not None
    assert set(told) < {each["id"] for each in keys.list()}
    lines = keys.plant.run("keys", "list", "--label", label)
    for client in (used, idle):
        assert client.headers["Authorization"].rpartition("_")[2] not in lines
    assert "the uploader" in lines
    assert "revoked" in lines
