"""Accounts sign in and out, and what they are changes what they may at once."""

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from catalogue.errors import (
    AccountExists,
    AccountNotFound,
    CredentialsWrong,
    KeyMissing,
    KeyUnknown,
    LatheError,
    PasswordUnfit,
    PlaybackTakenOver,
    RequestInvalid,
    RoleMayNot,
    SessionMissing,
    SessionsUnavailable,
    SessionUnknown,
    TerritoryUnknown,
    TooManyAttempts,
)
from catalogue.people_port import SESSIONS_MAX
from tests.audio_tools import FIXTURES
from tests.e2e.servers import (
    PASSWORD,
    Plant,
    QuickPlant,
    accepted,
    deliver,
    free_port,
    wait_for_job,
)
from tests.e2e.test_problems import require_problem
from tests.engines import RedisServer

EDGE = '["127.0.0.1/32"]'


@pytest.fixture(scope="module", params=["catalogue", "redis"])
def plant(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plant]:
    """A plant where listeners sign in, its sessions in the catalogue or in Redis."""
    folder = tmp_path_factory.mktemp("sessions")
    settings = {"GUESTS": "", "TRUSTED_EDGES": EDGE}
    if request.param == "catalogue":
        with QuickPlant(folder / "state", **settings) as plant:
            yield plant
        return
    with (
        RedisServer(folder) as redis,
        QuickPlant(folder / "state", SESSIONS=redis.url, **settings) as plant,
    ):
        yield plant


@pytest.fixture(scope="module")
def track(plant: Plant) -> str:
    """The id of a published track."""
    with plant.client() as label:
        return str(
            wait_for_job(label, accepted(deliver(label, FIXTURES / "speech.flac")))["track_id"]
        )


@pytest.fixture(scope="module")
def admin(plant: Plant) -> Iterator[httpx.Client]:
    plant.make_account("admin@example.org", "--role", "admin")
    with plant.signed_in("admin@example.org") as client:
        yield client


@pytest.fixture
def guest(plant: Plant) -> Iterator[httpx.Client]:
    with plant.client(key="") as client:
        yield client


def sign_in(client: httpx.Client, email: str, password: str = PASSWORD, **more: Any) -> Any:
    said = {"email": email, "password": password, **more}
    return client.post("/v1/sessions", json=said)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def tiers(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [each["tier"] for each in answer.json()["renditions"]]


# --------------------------------------------------------------------------- signing in and out


@pytest.mark.parametrize(
    ("email", "status"),
    [("\u00df" * 319 + "@", 401), ("ada\x00@example.org", 422), ("ada@example.org\n", 422)],
    ids=["longer when folded", "nul", "line feed"],
)
def test_an_address_that_nobody_has_is_refused_however_odd(
    guest: httpx.Client, email: str, status: int
) -> None:
    assert sign_in(guest, email).status_code == status


def test_an_account_signs_in_and_listens(plant: Plant, guest: httpx.Client, track: str) -> None:
    plant.make_account("ada@example.org", "--plan", "premium", "--territory", "us")
    answer = sign_in(guest, "ADA@example.org", device="the kitchen")
    assert answer.status_code == 201
    told = answer.json()
    assert answer.headers["Cache-Control"] == "no-store"
    assert told["account"]["role"] == "premium"
    assert told["account"]["territory"] == "US"
    assert (told["session"]["device"], told["session"]["current"]) == ("the kitchen", True)
    url = f"/v1/tracks/{track}/manifest"
    require_problem(guest.get(url), SessionMissing)
    manifest = guest.get(url, headers=bearer(told["token"]))
    assert tiers(manifest) == ["ogg-24", "flac"]
    assert manifest.json()["quality"] == "hires"
    signed = manifest.json()["renditions"][0]["base_url"]
    assert signed.split("/s/")[1].split(".")[2] == told["session"]["id"]


def test_devices_are_listed_and_signed_out(plant: Plant, guest: httpx.Client) -> None:
    plant.make_account("bob@example.org")
    tokens = [
        sign_in(guest, "bob@example.org", device=name).json()["token"] for name in ("a", "b", "c")
    ]
    listed = guest.get("/v1/sessions", headers=bearer(tokens[0])).json()["sessions"]
    assert sorted(each["device"] for each in listed) == ["a", "b", "c"]
    assert [each["device"] for each in listed if each["current"]] == ["a"]
    second = next(each["id"] for each in listed if each["device"] == "b")
    assert guest.delete(f"/v1/sessions/{second}", headers=bearer(tokens[0])).status_code == 204
    assert guest.delete("/v1/sessions/current", headers=bearer(tokens[2])).status_code == 204
    for token in tokens[1:]:
        require_problem(guest.get("/v1/account", headers=bearer(token)), SessionUnknown)
    assert guest.get("/v1/account", headers=bearer(tokens[0])).json()["email"] == "bob@example.org"


def test_nobody_signs_out_another_account_s_device(plant: Plant, guest: httpx.Client) -> None:
    for name in ("one", "two"):
        plant.make_account(f"{name}@example.org")
    with plant.signed_in("one@example.org") as one, plant.signed_in("two@example.org") as two:
        (own,) = one.get("/v1/sessions").json()["sessions"]
        assert two.delete(f"/v1/sessions/{own['id']}").status_code == 204
        assert one.get("/v1/account").status_code == 200
        assert two.delete("/v1/sessions").status_code == 204
        assert one.get("/v1/account").status_code == 200
        require_problem(two.get("/v1/account"), SessionUnknown)


def test_a_new_password_signs_out_everywhere(plant: Plant, guest: httpx.Client) -> None:
    plant.make_account("cyd@example.org")
    with plant.signed_in("cyd@example.org") as cyd, plant.signed_in("cyd@example.org") as other:
        change = {"current": "wrong horse battery", "new": "another horse"}
        require_problem(cyd.put("/v1/account/password", json=change), CredentialsWrong)
        require_problem(
            cyd.put("/v1/account/password", json={"current": PASSWORD, "new": "short"}),
            PasswordUnfit,
        )
        change["current"] = PASSWORD
        assert cyd.put("/v1/account/password", json=change).status_code == 204
        for client in (cyd, other):
            require_problem(client.get("/v1/account"), SessionUnknown)
    require_problem(sign_in(guest, "cyd@example.org"), CredentialsWrong)
    assert sign_in(guest, "cyd@example.org", "another horse").status_code == 201


def test_an_operator_signs_an_account_out(plant: Plant) -> None:
    plant.make_account("dan@example.org")
    with plant.signed_in("dan@example.org", "the car") as dan:
        assert "the car" in plant.run("accounts", "show", "dan@example.org")
        plant.run("accounts", "sign-out", "dan@example.org")
        require_problem(dan.get("/v1/account"), SessionUnknown)


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        ("lathe_session_" + "A" * 43, SessionUnknown),
        ("lathe_session_" + "A" * 42, KeyUnknown),
        ("nonsense", KeyUnknown),
    ],
)
def test_what_was_never_given_opens_nothing(
    guest: httpx.Client, track: str, token: str, kind: type[LatheError]
) -> None:
    for url in (f"/v1/tracks/{track}/manifest", "/v1/account", "/v1/sessions"):
        answer = guest.get(url, headers=bearer(token))
        assert answer.status_code == 401
        assert answer.json()["code"] == kind.code


# --------------------------------------------------------------------------- limits


def test_failures_are_limited_by_account_wherever_they_come_from(
    plant: Plant, guest: httpx.Client
) -> None:
    plant.make_account("eve@example.org")
    for number in range(5):
        headers = {"X-Forwarded-For": f"198.51.100.{number}"}
        answer = guest.post(
            "/v1/sessions",
            json={"email": " EVE@example.org", "password": "guess"},
            headers=headers,
        )
        require_problem(answer, CredentialsWrong)
    answer = sign_in(guest, "eve@example.org")
    problem = require_problem(answer, TooManyAttempts)
    assert answer.headers["Retry-After"] == str(problem["measured"]["retry_after_s"])
    assert 0 < problem["measured"]["retry_after_s"] <= 1800
    assert sign_in(guest, "ada@example.org").status_code in (201, 401)


def test_failures_are_limited_by_address_whatever_the_account(guest: httpx.Client) -> None:
    headers = {"X-Forwarded-For": "203.0.113.9, 192.0.2.7"}
    answers = [
        guest.post(
            "/v1/sessions",
            json={"email": f"nobody-{number}@example.org", "password": "guess"},
            headers=headers,
        )
        for number in range(6)
    ]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    # What stands before the address that the edge speaks with is the client's own word.
    again = guest.post(
        "/v1/sessions",
        json={"email": "somebody@example.org", "password": "guess"},
        headers={"X-Forwarded-For": "198.18.0.1, 192.0.2.7"},
    )
    assert again.status_code == 429
    assert sign_in(guest, "somebody@example.org", "guess").status_code == 401


def test_the_trail_tells_once_of_attempts_beyond_the_limit(
    plant: Plant, guest: httpx.Client
) -> None:
    account = plant.make_account("gus@example.org")

    def attempt(email: str, address: str) -> int:
        said = {"email": email, "password": "guess"}
        headers = {"X-Forwarded-For": address}
        return guest.post("/v1/sessions", json=said, headers=headers).status_code

    def told() -> list[tuple[str, str, bool]]:
        lines = plant.run("audit", "--json", "--deed", "sign-in-refused").splitlines()
        found = [json.loads(line) for line in lines]
        return [
            (each["subject"], each["address"], each["details"].get("tried", True))
            for each in found
            if each["address"].startswith("198.18.7.")
        ]

    # Of one account, wherever from.
    statuses = [attempt("gus@example.org", f"198.18.7.{number}") for number in range(20)]
    assert statuses == [401] * 5 + [429] * 15
    expected = [(account, f"198.18.7.{number}", number < 5) for number in range(6)]
    assert told() == expected
    # From one address, whatever account.
    statuses = [attempt(f"no-{number}@example.org", "198.18.7.99") for number in range(20)]
    assert statuses == [401] * 5 + [429] * 15
    expected += [(f"no-{number}@example.org", "198.18.7.99", number < 5) for number in range(6)]
    assert told() == expected


def test_an_account_is_signed_in_so_often_and_the_longest_unused_session_ends(
    plant: Plant, guest: httpx.Client
) -> None:
    plant.make_account("hob@example.org")
    first = sign_in(guest, "hob@example.org").json()["token"]
    for _ in range(SESSIONS_MAX):
        token = sign_in(guest, "hob@example.org").json()["token"]
    require_problem(guest.get("/v1/account", headers=bearer(first)), SessionUnknown)
    listed = guest.get("/v1/sessions", headers=bearer(token)).json()["sessions"]
    assert len(listed) == SESSIONS_MAX


def test_all_addresses_of_an_ipv6_network_are_one(guest: httpx.Client) -> None:
    def attempt(number: int, network: str = "2001:db8:0:7") -> int:
        said = {"email": f"v6-{number}@example.org", "password": "guess"}
        headers = {"X-Forwarded-For": f"{network}::{number}"}
        return guest.post("/v1/sessions", json=said, headers=headers).status_code

    assert [attempt(number) for number in range(6)] == [401] * 5 + [429]
    assert attempt(6, "2001:db8:0:8") == 401


def test_many_at_once_have_no_more_attempts(plant: Plant) -> None:
    plant.make_account("fay@example.org")

    def attempt(number: int) -> int:
        with plant.client(key="") as client:
            headers = {"X-Forwarded-For": f"198.51.100.{100 + number}"}
            said = {"email": "fay@example.org", "password": "guess"}
            return client.post("/v1/sessions", json=said, headers=headers).status_code

    with ThreadPoolExecutor(12) as pool:
        found = sorted(pool.map(attempt, range(24)))
    assert found == [401] * 5 + [429] * 19


# --------------------------------------------------------------------------- what accounts are


def test_the_next_manifest_obeys_a_changed_plan(
    plant: Plant, admin: httpx.Client, track: str
) -> None:
    account = plant.make_account("gil@example.org", "--plan", "premium")
    url = f"/v1/tracks/{track}/manifest"
    with plant.signed_in("gil@example.org") as gil:
        assert tiers(gil.get(url)) == ["ogg-24", "flac"]
        plant.run("accounts", "change", account, "--plan", "free")
        assert tiers(gil.get(url)) == ["ogg-24"]
        answer = gil.get(url, params={"codecs": "flac"})
        assert (answer.status_code, answer.json()["code"]) == (403, "subscription-too-low")
        changed = admin.patch(f"/v1/accounts/{account}", json={"plan": "individual"})
        assert (changed.json()["plan"], changed.json()["role"]) == ("individual", "user")
        assert tiers(gil.get(url)) == ["ogg-24", "flac"]


def test_administrators_manage_accounts_and_nobody_else(
    plant: Plant, admin: httpx.Client, guest: httpx.Client
) -> None:
    new = {"email": "hal@example.org", "password": PASSWORD, "plan": "voice", "territory": "fr"}
    answer = admin.post("/v1/accounts", json=new)
    assert answer.status_code == 201
    hal = answer.json()
    assert (hal["role"], hal["territory"]) == ("user", "FR")
    assert admin.get(answer.headers["Location"]).json() == hal
    assert hal in admin.get("/v1/accounts", params={"limit": 200}).json()["accounts"]
    require_problem(admin.post("/v1/accounts", json=new), AccountExists)
    bad = {"password": "short"}, {"territory": "Atlantis"}, {"email": "hal"}, {"role": "king"}
    kinds = PasswordUnfit, TerritoryUnknown, RequestInvalid, RequestInvalid
    for change, kind in zip(bad, kinds, strict=True):
        require_problem(admin.post("/v1/accounts", json=new | change), kind)
    require_problem(admin.get("/v1/accounts/acc_none"), AccountNotFound)
    require_problem(guest.get("/v1/accounts"), SessionMissing)
    with plant.signed_in("hal@example.org") as client, plant.client() as label:
        for other in (client, label):
            for method, url in (("GET", ""), ("POST", ""), ("GET", "/x"), ("PATCH", "/x")):
                answer = other.request(method, f"/v1/accounts{url}", json=new)
                require_problem(answer, RoleMayNot)
        answer = admin.patch(f"/v1/accounts/{hal['id']}", json={"password": "brand new horse"})
        assert answer.status_code == 200
        require_problem(client.get("/v1/account"), SessionUnknown)


def test_an_account_works_for_its_label(plant: Plant, guest: httpx.Client) -> None:
    account = plant.make_account("ivy@example.org", "--role", "label")
    with plant.signed_in("ivy@example.org") as ivy:
        require_problem(deliver(ivy, FIXTURES / "tiny.wav"), RoleMayNot)
        plant.run("accounts", "change", account, "--label", "ivy-records")
        job = accepted(deliver(ivy, FIXTURES / "prelude.flac", isrc="ZZTST2600077"))
        track = wait_for_job(ivy, job)["track_id"]
        assert tiers(ivy.get(f"/v1/tracks/{track}/manifest")) == ["ogg-24", "flac"]
        with plant.client() as other:
            assert other.get(f"/v1/jobs/{job}").status_code == 404
            require_problem(other.get(f"/v1/tracks/{track}/manifest"), RoleMayNot)
    require_problem(guest.get(f"/v1/jobs/{job}"), KeyMissing)
    plant.make_account("ops@example.org", "--role", "operator")
    with plant.signed_in("ops@example.org") as operator:
        assert operator.get(f"/v1/jobs/{job}").json()["state"] == "done"
        require_problem(deliver(operator, FIXTURES / "tiny.wav"), RoleMayNot)


# --------------------------------------------------------------------------- one device at a time


def test_playing_moves_from_device_to_device(plant: Plant, track: str) -> None:
    plant.make_account("kit@example.org")
    said = {"queue": [track, "trk_next"], "place": 0, "position_s": 3.5, "playing": True}
    said |= {"shuffle": True, "repeat": "all", "volume": 0.25}
    with (
        plant.signed_in("kit@example.org", "phone") as phone,
        plant.signed_in("kit@example.org", "radio") as radio,
    ):
        assert phone.get("/v1/playback").json()["lease"] is None
        taken = phone.post("/v1/playback/lease", json={}).json()
        assert (taken["lease"]["number"], taken["lease"]["own"], taken["state"]) == (1, True, None)
        renewed = phone.put("/v1/playback/lease/1", json=said)
        assert renewed.status_code == 200
        seen = radio.get("/v1/playback").json()
        assert (seen["lease"]["device"], seen["lease"]["own"]) == ("phone", False)
        moved = radio.post("/v1/playback/lease", json={}).json()
        assert moved["state"] | {"position_s": 3.5} == said
        assert 3.5 <= moved["state"]["position_s"] < 20
        require_problem(phone.put("/v1/playback/lease/1", json=said), PlaybackTakenOver)
        # The radio hands it back without the phone's asking.
        own = phone.get("/v1/sessions").json()["sessions"]
        ours = next(each["id"] for each in own if each["current"])
        given = radio.post("/v1/playback/lease", json={"session_id": ours}).json()
        assert (given["lease"]["number"], given["lease"]["device"]) == (3, "phone")
        assert phone.get("/v1/playback").json()["lease"]["own"]
        assert phone.put("/v1/playback/lease/3", json=said | {"playing": False}).status_code == 200
        answer = radio.post("/v1/playback/lease", json={"session_id": "ses_none"})
        require_problem(answer, RequestInvalid)
        for bad in ({"place": 2}, {"volume": 2}, {"position_s": -1}, {"repeat": "some"}):
            require_problem(phone.put("/v1/playback/lease/3", json=said | bad), RequestInvalid)


def test_no_password_and_no_token_is_kept_or_logged(plant: Plant, guest: httpx.Client) -> None:
    plant.make_account("jan@example.org")
    token = sign_in(guest, "jan@example.org").json()["token"]
    with sqlite3.connect(plant.state / "catalogue.sqlite3") as connection:
        kept = "\n".join(connection.iterdump())
    for secret in (token, PASSWORD):
        assert secret not in kept
        assert secret not in plant.log


def test_without_redis_nobody_is_signed_in_and_all_is_told(tmp_path: Path) -> None:
    closed = f"redis://127.0.0.1:{free_port()}/0"
    with QuickPlant(tmp_path / "state", SESSIONS=closed) as plant, plant.client(key="") as client:
        require_problem(sign_in(client, "ada@example.org"), SessionsUnavailable)
        answer = client.get("/v1/account", headers=bearer("lathe_session_" + "A" * 43))
        require_problem(answer, SessionsUnavailable)
        assert answer.headers["Retry-After"] == "5"
        ready = client.get("/health/ready")
        told = ready.json()
        assert (ready.status_code, told["status"]) == (200, "degraded")
        states = {name: each["status"] for name, each in told["components"].items()}
        assert states == {"catalogue": "ok", "sessions": "away", "store": "ok"}
        assert told["components"]["sessions"]["code"] == "sessions-unavailable"
        assert all(each["latency_ms"] > 0 for each in told["components"].values())
