"""Engines that are away: what is known plays on, what is new waits, and all comes back."""

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.audio_tools import FIXTURES
from tests.e2e.servers import (
    PASSWORD,
    Listener,
    Plant,
    QuickPlant,
    accepted,
    children_of,
    deliver,
    free_port,
    pairs,
    wait_for_job,
    wait_until,
)
from tests.e2e.test_seen import measured
from tests.e2e.test_tus import begin, send
from tests.engines import S3_CREDENTIALS, PostgresServer, RedisServer, SwiftServer, stopped

EMAIL = "ada@example.org"
WELL = {"catalogue": "ok", "sessions": "ok", "store": "ok"}
FILES = ("canon-1.flac", "ZZTST2600001", "tiny.wav", "ZZTST2600002")


class Away:
    """A plant, its engines, and a listener who is known to it."""

    def __init__(
        self, plant: Plant, postgres: PostgresServer, redis: RedisServer, metrics_port: int
    ) -> None:
        self.plant, self.postgres, self.redis = plant, postgres, redis
        self.metrics_port = metrics_port
        key = plant.make_key("the-label")
        with plant.client(key) as label:
            self.known, self.other = (
                wait_for_job(label, accepted(deliver(label, FIXTURES / name, isrc=isrc)))[
                    "track_id"
                ]
                for name, isrc in pairs(FILES)
            )
        plant.make_account(EMAIL, "--plan", "premium")

    def breaker(self, part: str) -> float:
        return measured(self.metrics_port)[f'lathe_breaker_open{{part="{part}"}}']


@pytest.fixture(scope="module")
def away() -> Iterator[Away]:
    port = free_port()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        postgres = stack.enter_context(PostgresServer(folder))
        redis = stack.enter_context(RedisServer(folder))
        settings = {
            "CATALOGUE": postgres.make_database("plant"),
            "SESSIONS": redis.url,
            "GUESTS": "",
            "METRICS_PORT": str(port),
        }
        with QuickPlant(folder / "state", **settings) as plant:
            yield Away(plant, postgres, redis, port)


def sign_in(guest: httpx.Client) -> httpx.Response:
    return guest.post("/v1/sessions", json={"email": EMAIL, "password": PASSWORD})


def require_unavailable(answer: httpx.Response, code: str) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.json()["code"] == code
    assert int(answer.headers["Retry-After"]) > 0


def require_known_plays(ada: httpx.Client, player: Listener, url: str) -> None:
    assert ada.get(player.manifest_url).status_code == 200
    assert ada.get(url).status_code == 200


def require_told(plant: Plant, status: int, told: dict[str, str]) -> None:
    """Wait until the plant tells so of its parts: what it saw last it remembers for a moment."""
    wait_until(lambda: components(plant) == (status, told), f"{status}, {told}")


def components(plant: Plant) -> tuple[int, dict[str, str]]:
    answer = httpx.get(f"{plant.url}/health/ready", timeout=30)
    told = answer.json()["components"]
    return answer.status_code, {name: part["status"] for name, part in told.items()}


def test_without_redis_those_who_are_known_play_on(away: Away) -> None:
    plant = away.plant
    with plant.signed_in(EMAIL) as ada, plant.client(key="") as guest:
        player = Listener(ada, away.known)
        url = player.url(player.renditions[0], player.renditions[0]["chunks"][0]["name"])
        require_known_plays(ada, player, url)
        with stopped([away.redis.pid]):
            for _ in range(3):
                require_known_plays(ada, player, url)
                require_unavailable(sign_in(guest), "sessions-unavailable")
            wait_until(lambda: away.breaker("Redis of sessions") == 1, "an open breaker")
            require_told(plant, 200, {**WELL, "sessions": "away"})
            require_known_plays(ada, player, url)
            # A track that nobody has asked for yet is in the catalogue, and its listener known.
            assert ada.get(f"/v1/tracks/{away.other}/manifest").status_code == 200
        wait_until(lambda: sign_in(guest).status_code == 201, "a sign-in")
        wait_until(lambda: away.breaker("Redis of sessions") == 0, "a closed breaker")
        require_told(plant, 200, WELL)


def test_without_the_catalogue_what_is_known_plays_on_and_nothing_new(away: Away) -> None:
    plant = away.plant
    with plant.signed_in(EMAIL) as ada, plant.client(key="") as guest:
        player = Listener(ada, away.known)
        url = player.url(player.renditions[0], player.renditions[0]["chunks"][0]["name"])
        require_known_plays(ada, player, url)
        away.postgres.kill()
        try:
            require_known_plays(ada, player, url)
            for _ in range(4):
                answer = ada.get("/v1/tracks/trk_01m7xr1t6zb8nnjmj4egqn9p18/manifest")
                require_unavailable(answer, "catalogue-unavailable")
            require_unavailable(sign_in(guest), "catalogue-unavailable")
            assert away.breaker("catalogue") == 1
            require_told(plant, 503, {**WELL, "catalogue": "away"})
            assert httpx.get(f"{plant.url}/health/live").status_code == 200
            require_known_plays(ada, player, url)
        finally:
            away.postgres.start()
        wait_until(lambda: sign_in(guest).status_code == 201, "a sign-in")
        assert away.breaker("catalogue") == 0
        assert ada.get(f"/v1/tracks/{away.other}/manifest").status_code == 200
        require_told(plant, 200, WELL)


MANY = 60
"""More requests than an origin has threads for, or connections to its database."""


def ask_at_once(ask: Callable[[int], httpx.Response]) -> list[httpx.Response]:
    """Return the answers to many requests that come at once; each has its number."""
    with ThreadPoolExecutor(MANY) as pool:
        return list(pool.map(ask, range(MANY)))


def test_a_catalogue_that_says_nothing_is_away(away: Away) -> None:
    plant = away.plant
    with plant.signed_in(EMAIL) as ada, plant.client(key="") as guest:
        player = Listener(ada, away.known)
        url = player.url(player.renditions[0], player.renditions[0]["chunks"][0]["name"])
        require_known_plays(ada, player, url)

        def ask(number: int) -> httpx.Response:
            path = "/v1/tracks" if number % 2 else f"/v1/tracks/trk_{number:026d}/manifest"
            return ada.get(path)

        with stopped([away.postgres.pid, *children_of(away.postgres.pid)]):
            for answer in ask_at_once(ask):
                require_unavailable(answer, "catalogue-unavailable")
            assert away.breaker("catalogue") == 1
            require_unavailable(sign_in(guest), "catalogue-unavailable")
            require_known_plays(ada, player, url)
            require_told(plant, 503, {**WELL, "catalogue": "away"})
        wait_until(lambda: sign_in(guest).status_code == 201, "a sign-in")
        assert away.breaker("catalogue") == 0
        assert ada.get(f"/v1/tracks/{away.other}/manifest").status_code == 200
        require_told(plant, 200, WELL)


def test_a_store_that_says_nothing_is_away_and_takes_nothing_else_with_it(
    tmp_path: Path, s3_server: SwiftServer
) -> None:
    port = free_port()
    settings = {"STORE": s3_server.url("silent"), "METRICS_PORT": str(port)}
    with QuickPlant(tmp_path / "state", S3_CREDENTIALS, **settings) as plant:
        with plant.client() as label:
            track = wait_for_job(label, accepted(deliver(label, FIXTURES / "canon-1.flac")))
        plant.make_account(EMAIL, "--plan", "premium")
        with plant.signed_in(EMAIL) as ada:
            player = Listener(ada, track["track_id"])
            first, second, *_ = player.renditions
            warm = player.url(first, first["chunks"][0]["name"])
            cold = player.url(second, second["chunks"][0]["name"])
            require_known_plays(ada, player, warm)

            def ask(number: int) -> httpx.Response:
                # Each is a read of its own, and none waits for another's.
                return ada.get(cold, headers={"Range": f"bytes={number}-{number + 9}"})

            def is_away() -> bool:
                return measured(port)['lathe_breaker_open{part="store"}'] == 1

            with stopped(s3_server.pids):
                with ThreadPoolExecutor(1) as pool:
                    cold_ones = pool.submit(ask_at_once, ask)
                    while not cold_ones.done():
                        require_known_plays(ada, player, warm)
                        with plant.signed_in(EMAIL) as again:
                            require_known_plays(again, player, warm)
                for answer in cold_ones.result():
                    require_unavailable(answer, "store-unavailable")
                wait_until(is_away, "an open breaker")
                require_unavailable(ada.get(cold), "store-unavailable")
                require_known_plays(ada, player, warm)
            wait_until(lambda: ada.get(cold).status_code == 200, "a cold chunk")
            assert not is_away()


def test_uploads_that_wait_for_the_store_keep_nobody_else_waiting(
    tmp_path: Path, s3_server: SwiftServer
) -> None:
    settings = {"STORE": s3_server.url("waiting")}
    with (
        QuickPlant(tmp_path / "state", S3_CREDENTIALS, **settings) as plant,
        plant.client() as label,
        ThreadPoolExecutor(MANY) as pool,
    ):
        plant.make_account(EMAIL, "--plan", "premium")
        uploads = [begin(label, 4) for _ in range(MANY)]
        with stopped(s3_server.pids):
            sent = [pool.submit(send, label, url, 0, b"RIFF") for url in uploads]
            for _ in range(3):
                with plant.signed_in(EMAIL) as ada:
                    assert ada.get("/v1/sessions").status_code == 200
            assert not any(each.done() for each in sent)
        assert {each.result().status_code for each in sent} == {204}


def test_without_the_store_what_is_in_memory_plays_on(
    tmp_path: Path,
) -> None:
    with QuickPlant(tmp_path / "state") as plant:
        with plant.client() as label:
            track = wait_for_job(label, accepted(deliver(label, FIXTURES / "canon-1.flac")))
        with plant.client(key="") as guest:
            player = Listener(guest, track["track_id"])
            first, second, *_ = player.renditions
            warm = player.url(first, first["chunks"][0]["name"])
            cold = player.url(second, second["chunks"][0]["name"])
            assert guest.get(warm).status_code == 200
            store = plant.state / "store"
            store.rename(plant.state / "moved")
            store.symlink_to(store)
            assert guest.get(warm).status_code == 200
            assert guest.get(player.manifest_url).status_code == 200
            require_unavailable(guest.get(cold), "store-unavailable")
            require_told(plant, 200, {**WELL, "store": "away"})
            store.unlink()
            (plant.state / "moved").rename(store)
            assert guest.get(cold).status_code == 200
