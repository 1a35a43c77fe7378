"""Hundreds of players at real origins: no wrong answer, whatever becomes of one of them."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.audio_tools import FIXTURES
from tests.e2e.servers import Plant, QuickPlant, accepted, deliver, wait_for_job
from tests.engines import PostgresServer, RedisServer
from tests.simulator import Seen, simulate

EMAIL = "ada@example.org"
FILES = ("canon-1.flac", "canon-2.flac", "speech.flac")
RING = f"k1:{'A' * 43}"


@pytest.fixture(scope="module")
def origins(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> Iterator[tuple[Plant, Plant]]:
    """Two origins of one plant, on PostgreSQL and Redis, with one store."""
    folder = tmp_path_factory.mktemp("players")
    settings = {
        "CATALOGUE": postgres_server.make_database("players"),
        "STORE": f"file://{folder}/store",
        "URL_KEYS": RING,
        "GUESTS": "",
    }
    with RedisServer(folder) as redis:
        settings["SESSIONS"] = redis.url
        one = QuickPlant(folder / "one", **settings)
        two = QuickPlant(folder / "two", **settings)
        with one, two:
            one.make_account(EMAIL, "--plan", "premium")
            yield one, two


@pytest.fixture(scope="module")
def tracks(origins: tuple[Plant, Plant]) -> list[str]:
    one, _ = origins
    with one.client(one.make_key("the-label")) as label:
        jobs = [
            accepted(deliver(label, FIXTURES / name, isrc=f"ZZTST26{number:05}"))
            for number, name in enumerate(FILES)
        ]
        return [str(wait_for_job(label, job)["track_id"]) for job in jobs]


def tokens(plant: Plant) -> list[str]:
    with plant.signed_in(EMAIL) as ada:
        return [ada.headers["Authorization"].removeprefix("Bearer ")]


def test_five_hundred_players_hear_every_byte_as_it_was_declared(
    origins: tuple[Plant, Plant], tracks: list[str]
) -> None:
    urls = [plant.url for plant in origins]
    seen = asyncio.run(simulate(urls, tokens(origins[0]), tracks, players=500, seconds=8, speed=10))
    assert seen.wrong == []
    assert len(seen.starts_s) == 500
    assert min(seen.gapless, seen.switches, len(seen.seeks_s)) > 0
    assert seen.tried_again == 0


def test_an_origin_that_is_killed_costs_nothing_but_another_try(
    origins: tuple[Plant, Plant], tracks: list[str]
) -> None:
    one, two = origins
    urls, own = [one.url, two.url], tokens(one)

    async def run() -> Seen:
        listening = asyncio.create_task(
            simulate(urls, own, tracks, players=100, seconds=8, speed=10)
        )
        await asyncio.sleep(4)
        await asyncio.to_thread(two.kill)
        return await listening

    seen = asyncio.run(run())
    two.start()
    assert seen.wrong == []
    assert seen.tried_again > 0
    assert len(seen.starts_s) == 100
