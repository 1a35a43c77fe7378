"""The adapters that every contract holds for. A further one is one more parameter here."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from catalogue.database.engine import open_engine, upgrade
from catalogue.database.jobs import SqlJobs
from catalogue.database.keys import SqlKeys
from catalogue.database.tracks import SqlTracks
from catalogue.port import Jobs, Keys, Tracks
from storage.local import LocalStore
from storage.port import ObjectStore
from tests.e2e.servers import RedisServer


@dataclass(frozen=True)
class StoreAdapter:
    """A kind of object store: how to open the one of this test, and one that is away.

    ``expression`` opens the same store in another process that has imported ``module``.
    """

    open: Callable[[], ObjectStore]
    open_away: Callable[[], ObjectStore]
    module: str
    expression: str


@dataclass(frozen=True)
class Catalogue:
    """What is remembered, through its three ports."""

    keys: Keys
    tracks: Tracks
    jobs: Jobs


@pytest.fixture(params=["local"])
def store_adapter(request: pytest.FixtureRequest, tmp_path: Path) -> StoreAdapter:
    assert request.param == "local"
    root, away = tmp_path / "store", tmp_path / "away"
    away.symlink_to(away)
    return StoreAdapter(
        open=lambda: LocalStore(root),
        open_away=lambda: LocalStore(away),
        module="pathlib, storage.local",
        expression=f"storage.local.LocalStore(pathlib.Path({str(root)!r}))",
    )


@pytest.fixture
def store(store_adapter: StoreAdapter) -> ObjectStore:
    return store_adapter.open()


@pytest.fixture(params=["sqlite"])
def catalogue_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    assert request.param == "sqlite"
    return f"sqlite:///{tmp_path / 'catalogue.sqlite3'}"


@pytest.fixture(params=["sqlite"])
def away_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that does not answer."""
    assert request.param == "sqlite"
    return f"sqlite:///{tmp_path / 'no-such-folder' / 'catalogue.sqlite3'}"


@pytest.fixture
def catalogue(catalogue_url: str) -> Iterator[Catalogue]:
    engine = open_engine(catalogue_url)
    upgrade(engine)
    yield Catalogue(SqlKeys(engine), SqlTracks(engine), SqlJobs(engine))
    engine.dispose()


@pytest.fixture
def away_catalogue(away_url: str) -> Iterator[Catalogue]:
    engine = open_engine(away_url)
    yield Catalogue(SqlKeys(engine), SqlTracks(engine), SqlJobs(engine))
    engine.dispose()


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["inline", "redis"])
def queue_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty queue."""
    if request.param == "inline":
        return "inline:"
    server = request.getfixturevalue("redis_server")
    assert isinstance(server, RedisServer)
    return server.url
