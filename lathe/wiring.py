"""Building a plant from settings: the only place that knows every adapter."""

import os
import socket
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dramatiq import Broker
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from sqlalchemy import Engine

from catalogue.auditing import Audits
from catalogue.breaker import Breaker
from catalogue.changes import Together
from catalogue.database.accounts import SqlAccounts, SqlSessions
from catalogue.database.audits import SqlAudits
from catalogue.database.cards import SqlCards
from catalogue.database.changes import SqliteChanges, follow_postgresql
from catalogue.database.content_keys import SqlContentKeys
from catalogue.database.desk import SqlDesk
from catalogue.database.devices import SqlDevices, SqlPolicies
from catalogue.database.downloads import SqlDownloads
from catalogue.database.engine import breaker_of, open_engine, upgrade
from catalogue.database.holds import SqlHolds
from catalogue.database.jobs import SqlJobs
from catalogue.database.keys import SqlKeys
from catalogue.database.messages import SqlMessages
from catalogue.database.playbacks import SqlPlaybacks
from catalogue.database.prints import SqlPrints
from catalogue.database.quality import SqlQualityReports
from catalogue.database.replies import SqlReplies
from catalogue.database.shipments import SqlShipments
from catalogue.database.sleeves import SqlSleeves
from catalogue.database.tracks import SqlTracks
from catalogue.database.uploads import SqlUploads
from catalogue.database.webhooks import SqlWebhooks
from catalogue.fleeting.changes import follow_redis
from catalogue.fleeting.client import open_redis
from catalogue.fleeting.limits import MemoryLimits, RedisLimits
from catalogue.fleeting.playbacks import RedisPlaybacks
from catalogue.fleeting.sessions import RedisSessions
from catalogue.identifiers import make_id
from catalogue.messages import Messages
from catalogue.nouns import WorkQueue
from catalogue.offline import ContentKeys, Devices, Downloads, Policies
from catalogue.people_port import Accounts, Changes, Limits, Playbacks, Sessions
from catalogue.port import (
    Cards,
    Desk,
    Holds,
    Jobs,
    Keys,
    Prints,
    Scope,
    Shipments,
    StoredKey,
    Tracks,
    WorkerName,
)
from catalogue.quality import QualityReports
from catalogue.replies import Replies
from catalogue.sleeves import Sleeves
from catalogue.uploads import Uploads
from catalogue.webhooks import Webhooks
from lathe.machine import count_cores
from lathe.metrics import PlantCollector, export
from lathe.settings import Settings
from protection.content_keys import KeyWrapper
from protection.cpix import Partner, read_partners
from protection.keyring import KeyRing, load_or_make_ring, parse_ring
from protection.tokens import make_api_key, random_bytes
from storage.faults import not_writable
from storage.local import LocalStore
from storage.local_uploads import LocalUploads
from storage.port import ObjectStore, UploadStore
from workers.broker import INLINE, build_broker
from workers.collecting import remove_leftovers
from workers.intake import Intake
from workers.ledger import Ledger, Patience
from workers.measures import Measures
from workers.plant import Plant
from workers.queue import Queue
from workers.recovery import Round, Sweeper
from workers.uploads import Receiver

_OVER_LOOKED_AT = timedelta(minutes=1)
# A request asks more than once, and shall have its answer within a few seconds.
_PATIENCE_S = 3.0
_FOLDER = "file:///"


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def new_id(prefix: str) -> str:
    """Return a fresh id."""
    return make_id(prefix, now=now(), random=random_bytes(10))


@dataclass(frozen=True, kw_only=True, slots=True)
class Records:
    """What is remembered, in the catalogue that settings chose.

    ``breakers`` stand before every part that has a server.
    """

    settings: Settings
    engine: Engine
    keys: Keys
    tracks: Tracks
    cards: Cards
    jobs: Jobs
    desk: Desk
    holds: Holds
    prints: Prints
    accounts: Accounts
    sessions: Sessions
    limits: Limits
    audits: Audits
    devices: Devices
    content_keys: ContentKeys
    downloads: Downloads
    policies: Policies
    shipments: Shipments
    uploads: Uploads
    replies: Replies
    reports: QualityReports
    messages: Messages
    webhooks: Webhooks
    sleeves: Sleeves
    playbacks: Playbacks
    breakers: tuple[Breaker, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class House(Records):
    """Every adapter that settings chose."""

    store: ObjectStore
    upload_store: UploadStore
    broker: Broker
    queue: Queue


def open_records(settings: Settings) -> Records:
    """Open the catalogue alone and bring its tables up to date.

    Raises SettingsInvalid, OutputNotWritable, DiskFull and CatalogueUnavailable.
    """
    return Records(**_open_records(settings))


def open_house(settings: Settings) -> House:
    """Open every adapter and bring the catalogue's tables up to date.

    Raises what open_records raises, and StoreUnavailable.
    """
    broker = build_broker(settings.queue)
    records, (store, upload_store) = _open_records(settings), open_stores(settings)
    if store.breaker is not None:
        records["breakers"] += (store.breaker,)
    return House(
        **records,
        store=store,
        upload_store=upload_store,
        broker=broker,
        queue=Queue(broker),
    )


def hasten(house: House) -> House:
    """Return a house as requests need it: a database that is silent is told to be away soon.

    All else is that of ``house``, and so is a database that is but a file.
    """
    if house.engine.dialect.name == "sqlite":
        return house
    engine = open_engine(house.settings.catalogue_url, patience_s=_PATIENCE_S)
    records = _build_records(house.settings, engine)
    if house.store.breaker is not None:
        records["breakers"] += (house.store.breaker,)
    return House(
        **records,
        store=house.store,
        upload_store=house.upload_store,
        broker=house.broker,
        queue=house.queue,
    )


def open_shelf(house: House) -> ObjectStore:
    """Return the store as listeners read it: one that is silent is told to be away soon."""
    settings = house.settings
    if settings.store_url.startswith(_FOLDER):
        return house.store
    from storage.s3 import S3Store
    from storage.s3_bucket import LISTENERS, S3Bucket, parse_s3_url

    place = parse_s3_url(settings.store_url)
    return S3Store(S3Bucket(place, LISTENERS, house.store.breaker), _scratch(settings))


def _open_records(settings: Settings) -> dict[str, Any]:
    make_state(settings.state)
    engine = open_engine(settings.catalogue_url)
    upgrade(engine)
    return _build_records(settings, engine)


def _build_records(settings: Settings, engine: Engine) -> dict[str, Any]:
    redis = open_redis(settings.sessions) if settings.sessions else None
    breakers = (breaker_of(engine), None if redis is None else redis.breaker)
    return {
        "breakers": tuple(each for each in breakers if each is not None),
        "settings": settings,
        "engine": engine,
        "keys": SqlKeys(engine),
        "tracks": SqlTracks(engine),
        "cards": SqlCards(engine),
        "jobs": SqlJobs(engine),
        "desk": SqlDesk(engine),
        "holds": SqlHolds(engine),
        "prints": SqlPrints(engine),
        "accounts": SqlAccounts(engine),
        "sessions": SqlSessions(engine) if redis is None else RedisSessions(redis),
        "playbacks": SqlPlaybacks(engine) if redis is None else RedisPlaybacks(redis),
        "audits": SqlAudits(engine),
        "devices": SqlDevices(engine),
        "content_keys": SqlContentKeys(engine),
        "downloads": SqlDownloads(engine),
        "policies": SqlPolicies(engine),
        "shipments": SqlShipments(engine),
        "uploads": SqlUploads(engine),
        "replies": SqlReplies(engine),
        "reports": SqlQualityReports(engine),
        "messages": SqlMessages(engine),
        "webhooks": SqlWebhooks(engine),
        "sleeves": SqlSleeves(engine),
        "limits": MemoryLimits() if redis is None else RedisLimits(redis),
    }


def open_stores(settings: Settings) -> tuple[ObjectStore, UploadStore]:
    """Return the store that settings name, of objects and of uploads. Raises SettingsInvalid."""
    url = settings.store_url
    if url.startswith(_FOLDER):
        root = Path(url.removeprefix("file://"))
        return LocalStore(root), LocalUploads(root)
    # An embedded plant never loads boto3.
    from storage.s3 import S3Store
    from storage.s3_bucket import S3Bucket, parse_s3_url
    from storage.s3_uploads import S3Uploads

    bucket = S3Bucket(parse_s3_url(url))
    bucket.make()
    return S3Store(bucket, _scratch(settings)), S3Uploads(bucket)


def _scratch(settings: Settings) -> Path:
    return settings.state.absolute() / "scratch"


def open_changes(records: Records) -> Changes:
    """Return the feed of what others change in the catalogue and among the sessions."""
    if records.engine.dialect.name == "sqlite":
        catalogue: Changes = SqliteChanges(records.engine)
    else:
        catalogue = follow_postgresql(records.engine)
    if not records.settings.sessions:
        return catalogue
    return Together([catalogue, follow_redis(open_redis(records.settings.sessions))])


def make_state(state: Path) -> None:
    """Make the state folder, closed to other users. Raises OutputNotWritable."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as fault:
        raise not_writable(str(state), fault) from fault


def open_url_keys(settings: Settings) -> KeyRing:
    """Return the keys that sign URLs. Raises SettingsInvalid."""
    return _open_ring(settings.state / "url-keys", settings.url_keys, "LATHE_URL_KEYS")


def open_content_keys(settings: Settings) -> KeyRing:
    """Return the keys that wrap content keys. Raises SettingsInvalid."""
    path = settings.state / "content-keys"
    text = settings.content_keys.get_secret_value()
    if ":kms:" not in text:
        return _open_ring(path, settings.content_keys, "LATHE_CONTENT_KEYS", exact=True)
    # Who has no key service never loads boto3.
    from storage.kms import open_kms

    return parse_ring(text, "LATHE_CONTENT_KEYS", exact=True, unseal=open_kms().open)


def open_licence_keys(settings: Settings) -> KeyRing:
    """Return the keys that sign licences. Raises SettingsInvalid."""
    path = settings.state / "licence-keys"
    return _open_ring(path, settings.licence_keys, "LATHE_LICENCE_KEYS", exact=True)


def open_partners(settings: Settings) -> Mapping[str, Partner]:
    """Return the partners that keys may be exported to. Raises SettingsInvalid."""
    folder = settings.cpix_partners
    return {} if folder is None else read_partners(folder, "LATHE_CPIX_PARTNERS")


def _open_ring(path: Path, said: SecretStr, setting: str, *, exact: bool = False) -> KeyRing:
    """Return a ring from the environment, else from the state folder."""
    text = said.get_secret_value()
    if text:
        return parse_ring(text, setting, exact=exact)
    return load_or_make_ring(path, setting, exact=exact)


def make_key(
    records: Records, label: str, *, name: str = "", scopes: Collection[Scope] = tuple(Scope)
) -> str:
    """Make an API key for a label and return its text, which is stored nowhere."""
    key = make_api_key()
    stored = StoredKey(
        id=key.id,
        label=label,
        secret_sha256=key.secret_sha256,
        created_at=now(),
        name=name,
        scopes=frozenset(scopes),
    )
    records.keys.add(stored)
    return key.text


def open_measures(
    records: Records,
    registry: CollectorRegistry,
    *,
    of_the_plant: bool = False,
    port_offset: int = 0,
) -> Measures:
    """Return what workers measure, in the registry of this process.

    It is served over HTTP when the settings name a port. Those ``of_the_plant`` are asked of the
    ledger whenever the metrics are read.
    """
    settings = records.settings
    measures = Measures(registry)
    if settings.metrics_port is not None:
        if of_the_plant:
            silence = timedelta(seconds=settings.silence_s)
            registry.register(PlantCollector(records.desk, now=now, silence=silence))
        export(registry, host=settings.host, port=settings.metrics_port + port_offset)
    return measures


def worker_name() -> WorkerName:
    """Return how the ledger knows this process."""
    return WorkerName(name=f"{socket.gethostname()}:{os.getpid()}", version=version("lathe"))


def build_intake(house: House, *, beside_workers: bool) -> Intake:
    """Return what takes masters in.

    ``beside_workers`` is whether this process has workers of its own when the queue is inline.
    """
    reaches = beside_workers or house.settings.queue != INLINE
    return Intake(
        tracks=house.tracks,
        shipments=house.shipments,
        jobs=house.jobs,
        holds=house.holds,
        store=house.store,
        queue=house.queue if reaches else None,
        now=now,
        new_id=new_id,
    )


def build_receiver(house: House) -> Receiver:
    """Return what takes uploads."""
    return Receiver(
        house.uploads,
        house.upload_store,
        house.policies,
        max_bytes=house.settings.max_master_bytes,
        now=now,
        new_id=new_id,
    )


def build_plant(
    house: House, measures: Measures, queues: Collection[WorkQueue] = tuple(WorkQueue)
) -> Plant:
    """Return the workers of this process on ``queues``, not started yet."""
    # The workers' room loads the pipeline; an origin without workers never does.
    from pipeline.tiers import read_ladder
    from workers.actors import Presser, declare_press
    from workers.courier import Courier
    from workers.sealing import SealingSweeper, SealingWork, declare_seal

    settings = house.settings
    patience = Patience(
        heartbeat=timedelta(seconds=settings.heartbeat_s),
        silence=timedelta(seconds=settings.silence_s),
    )
    shutting_down = threading.Event()
    ledger = Ledger(
        house.jobs,
        now=now,
        new_claim=lambda: new_id("clm"),
        worker=worker_name(),
        patience=patience,
        shutting_down=shutting_down,
        measures=measures,
    )
    presser = Presser(
        ledger=ledger,
        jobs=house.jobs,
        tracks=house.tracks,
        prints=house.prints,
        reports=house.reports,
        sleeves=house.sleeves,
        policies=house.policies,
        holds=house.holds,
        store=house.store,
        ladder=read_ladder(settings.ladder),
        lanes=max(1, count_cores() // settings.threads),
        now=now,
        measures=measures,
    )
    declare_press(house.broker, presser)
    sweeper = Sweeper(house.jobs, house.queue, now=now, patience=patience)
    wrapper = KeyWrapper(open_content_keys(settings))
    courier = Courier(
        webhooks=house.webhooks,
        wrapper=wrapper,
        own_networks=settings.webhook_networks,
        now=now,
        shutting_down=shutting_down,
    )
    sealing = SealingWork(
        keys=house.content_keys,
        tracks=house.tracks,
        store=house.store,
        wrapper=wrapper,
        now=now,
        shutting_down=shutting_down,
    )
    declare_seal(house.broker, sealing)
    to_be_sealed = SealingSweeper(keys=house.content_keys, queue=house.queue, now=now)
    tidy = partial(remove_leftovers, house.store, house.holds, now=now)
    return Plant(
        house.broker,
        [
            Round("sweeper", patience.heartbeat, sweeper.sweep_again),
            Round("sweeper of sealing", patience.heartbeat, to_be_sealed.sweep),
            Round("removal of leftovers", patience.heartbeat, tidy),
            Round("removal of uploads", _OVER_LOOKED_AT, build_receiver(house).expire),
            Round("webhooks", patience.heartbeat, courier.send_due),
            Round("removal of notices", _OVER_LOOKED_AT, courier.expire),
            Round("removal of replies", _OVER_LOOKED_AT, lambda: house.replies.expire(now=now())),
        ],
        queues=queues,
        threads=settings.threads,
        shutting_down=shutting_down,
    )
