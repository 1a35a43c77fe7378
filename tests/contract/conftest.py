"""The adapters that every contract holds for. A further one is one more parameter here."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine

from catalogue.auditing import Audits
from catalogue.database.accounts import SqlAccounts
from catalogue.database.audits import SqlAudits
from catalogue.database.cards import SqlCards
from catalogue.database.content_keys import SqlContentKeys
from catalogue.database.desk import SqlDesk
from catalogue.database.devices import SqlDevices, SqlPolicies
from catalogue.database.downloads import SqlDownloads
from catalogue.database.engine import open_engine, upgrade
from catalogue.database.holds import SqlHolds
from catalogue.database.jobs import SqlJobs
from catalogue.database.keys import SqlKeys
from catalogue.database.messages import SqlMessages
from catalogue.database.prints import SqlPrints
from catalogue.database.quality import SqlQualityReports
from catalogue.database.replies import SqlReplies
from catalogue.database.shipments import SqlShipments
from catalogue.database.sleeves import SqlSleeves
from catalogue.database.tracks import SqlTracks
from catalogue.database.uploads import SqlUploads
from catalogue.database.webhooks import SqlWebhooks
from catalogue.fleeting.client import GuardedRedis, open_redis
from catalogue.messages import Messages
from catalogue.offline import ContentKeys, Devices, Downloads, Policies
from catalogue.people_port import Accounts, StoredAccount
from catalogue.port import Cards, Desk, Holds, Jobs, Keys, Prints, Shipments, Tracks
from catalogue.quality import QualityReports
from catalogue.replies import Replies
from catalogue.sleeves import Sleeves
from catalogue.uploads import Uploads
from catalogue.webhooks import Webhooks
from storage.local import LocalStore
from storage.local_uploads import LocalUploads
from storage.port import ObjectStore, UploadStore
from storage.s3 import S3Store
from storage.s3_bucket import S3Bucket, parse_s3_url
from storage.s3_uploads import S3Uploads
from tests.contract.examples import ADA, BOB, make_account
from tests.engines import S3_CREDENTIALS, PostgresServer, RedisServer, SwiftServer

_numbers = itertools.count()


@dataclass(frozen=True)
class StoreAdapter:
    """A kind of object store: how to open the one of this test, and one that is away.

    ``expression`` opens the same store in another process that has imported ``module``.
    """

    open: Callable[[], ObjectStore]
    open_away: Callable[[], ObjectStore]
    open_uploads: Callable[[], UploadStore]
    open_uploads_away: Callable[[], UploadStore]
    module: str
    expression: str


@dataclass(frozen=True)
class Catalogue:
    """What is remembered, through its ports."""

    keys: Keys
    tracks: Tracks
    cards: Cards
    jobs: Jobs
    desk: Desk
    holds: Holds
    prints: Prints
    accounts: Accounts
    audits: Audits
    devices: Devices
    content_keys: ContentKeys
    downloads: Downloads
    policies: Policies
    uploads: Uploads
    webhooks: Webhooks
    sleeves: Sleeves
    replies: Replies
    shipments: Shipments
    reports: QualityReports
    messages: Messages


@pytest.fixture(params=["local", "s3"])
def store_adapter(request: pytest.FixtureRequest, tmp_path: Path) -> StoreAdapter:
    if request.param == "s3":
        adapter = request.getfixturevalue("s3_adapter")
        assert isinstance(adapter, StoreAdapter)
        return adapter
    root, away = tmp_path / "store", unreachable(tmp_path)
    return StoreAdapter(
        open=lambda: LocalStore(root),
        open_away=lambda: LocalStore(away),
        open_uploads=lambda: LocalUploads(root),
        open_uploads_away=lambda: LocalUploads(away),
        module="pathlib, storage.local",
        expression=f"storage.local.LocalStore(pathlib.Path({str(root)!r}))",
    )


@pytest.fixture
def s3_adapter(
    s3_server: SwiftServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> StoreAdapter:
    """A bucket of its own on the S3 server."""
    for name, value in S3_CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    url, scratch = s3_server.url(f"test-{next(_numbers)}"), tmp_path / "scratch"
    away, closed = "s3://test?endpoint=http%3A%2F%2F127.0.0.1%3A1", unreachable(tmp_path)
    bucket = S3Bucket(parse_s3_url(url))
    bucket.make()
    return StoreAdapter(
        open=lambda: S3Store(bucket, scratch),
        open_away=lambda: S3Store(S3Bucket(parse_s3_url(away)), closed),
        open_uploads=lambda: S3Uploads(bucket),
        open_uploads_away=lambda: S3Uploads(S3Bucket(parse_s3_url(away))),
        module="pathlib, storage.s3, storage.s3_bucket as bucket",
        expression=(
            f"storage.s3.S3Store(bucket.S3Bucket(bucket.parse_s3_url({url!r})),"
            f" pathlib.Path({str(scratch)!r}))"
        ),
    )


def unreachable(folder: Path) -> Path:
    """Return a path that nothing can be read from or written to, not even by root."""
    path = folder / "away"
    path.symlink_to(path)
    return path


@pytest.fixture
def store(store_adapter: StoreAdapter) -> ObjectStore:
    return store_adapter.open()


@pytest.fixture
def make_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Gives the URL of an empty database of a kind."""

    def make(kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{tmp_path / 'catalogue.sqlite3'}"
        server = request.getfixturevalue("postgres_server")
        assert isinstance(server, PostgresServer)
        return server.make_database(f"test_{next(_numbers)}")

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def catalogue_url(request: pytest.FixtureRequest, make_database: Callable[[str], str]) -> str:
    """The URL of an empty database."""
    return make_database(request.param)


@pytest.fixture(params=["sqlite", "postgresql"])
def away_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that does not answer."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'no-such-folder' / 'catalogue.sqlite3'}"
    return "postgresql://lathe@127.0.0.1:1/test"


def open_catalogue(engine: Engine) -> Catalogue:
    return Catalogue(
        keys=SqlKeys(engine),
        tracks=SqlTracks(engine),
        cards=SqlCards(engine),
        jobs=SqlJobs(engine),
        desk=SqlDesk(engine),
        holds=SqlHolds(engine),
        prints=SqlPrints(engine),
        accounts=SqlAccounts(engine),
        audits=SqlAudits(engine),
        devices=SqlDevices(engine),
        content_keys=SqlContentKeys(engine),
        downloads=SqlDownloads(engine),
        policies=SqlPolicies(engine),
        uploads=SqlUploads(engine),
        webhooks=SqlWebhooks(engine),
        sleeves=SqlSleeves(engine),
        replies=SqlReplies(engine),
        shipments=SqlShipments(engine),
        reports=SqlQualityReports(engine),
        messages=SqlMessages(engine),
    )


@pytest.fixture
def catalogue(catalogue_url: str) -> Iterator[Catalogue]:
    engine = open_engine(catalogue_url)
    upgrade(engine)
    yield open_catalogue(engine)
    engine.dispose()


@pytest.fixture
def away_catalogue(away_url: str) -> Iterator[Catalogue]:
    engine = open_engine(away_url)
    yield open_catalogue(engine)
    engine.dispose()


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
def fleeting(
    request: pytest.FixtureRequest, make_database: Callable[[str], str]
) -> Iterator[GuardedRedis | Engine]:
    """What keeps what is kept for a while: empty, but for the accounts that a database needs."""
    if request.param == "redis":
        client = open_redis(request.getfixturevalue("redis_server").url)
        client.flushdb()
        yield client
        client.close()
        return
    engine = open_engine(make_database(request.param))
    upgrade(engine)
    for own in (ADA, BOB):
        SqlAccounts(engine).add(StoredAccount(account=make_account(own), password="x"))
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
def fleeting_away(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[GuardedRedis | Engine]:
    """One that does not answer."""
    if request.param == "redis":
        yield open_redis("redis://127.0.0.1:1/0")
        return
    urls = {
        "sqlite": f"sqlite:///{tmp_path / 'no-such-folder' / 'catalogue.sqlite3'}",
        "postgresql": "postgresql://lathe@127.0.0.1:1/test",
    }
    engine = open_engine(urls[request.param])
    yield engine
    engine.dispose()


@pytest.fixture(params=["inline", "redis"])
def queue_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty queue."""
    if request.param == "inline":
        return "inline:"
    server = request.getfixturevalue("redis_server")
    assert isinstance(server, RedisServer)
    return server.url
