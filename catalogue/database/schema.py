"""The tables. Alembic's migrations build the same; a test holds the two together."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class Instant(TypeDecorator[datetime]):
    """An aware datetime, stored as whole microseconds since 1970 in UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Store microseconds."""
        return None if value is None else round(value.timestamp() * 1_000_000)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Give back an aware datetime."""
        return None if value is None else datetime.fromtimestamp(value / 1_000_000, UTC)


_NUMBER = BigInteger().with_variant(Integer, "sqlite")

tables = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

api_keys = Table(
    "api_keys",
    tables,
    Column("id", String(16), primary_key=True),
    Column("label", String(200), nullable=False),
    Column("secret_sha256", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("name", String(200), nullable=False, server_default=text("''")),
    # Words apart.
    Column("scopes", String(60), nullable=False, server_default="deliver see stream"),
    Column("used_at", Instant),
    Column("revoked_at", Instant),
)

albums = Table(
    "albums",
    tables,
    Column("id", String(40), primary_key=True),
    Column("label", String(200), nullable=False),
    Column("upc", String(14), nullable=False),
    Column("title", Text, nullable=False),
    # Raised with every change to what stands on it, and in which order.
    Column("edition", Integer, nullable=False, server_default="0"),
    Column("details", JSON(none_as_null=True)),
    UniqueConstraint("label", "upc"),
)

tracks = Table(
    "tracks",
    tables,
    Column("id", String(40), primary_key=True),
    Column("label", String(200), nullable=False),
    Column("isrc", String(12), nullable=False),
    Column("title", Text, nullable=False),
    Column("artist", Text, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("taken_down_at", Instant),
    Column("owner", String(40), index=True),
    Column("album_id", String(40), index=True),
    Column("disc", Integer),
    Column("number", Integer),
    # Raised with every change to the track.
    Column("edition", Integer, nullable=False, server_default="0"),
    Column("details", JSON(none_as_null=True)),
    UniqueConstraint("label", "isrc"),
)

rights = Table(
    "rights",
    tables,
    Column("track_id", ForeignKey("tracks.id"), primary_key=True),
    Column("territory", String(12), primary_key=True),
    # Null: one window that is open for everything.
    Column("windows", JSON(none_as_null=True)),
)

masters = Table(
    "masters",
    tables,
    Column("sha256", String(64), primary_key=True),
    Column("facts", JSON, nullable=False),
    Column("samples", BigInteger, nullable=False),
    Column("pcm_sha256", String(64), nullable=False, index=True),
    Column("created_at", Instant, nullable=False),
    # Whether a track of the catalogue is, or was, heard from it; else it is nobody's to find.
    Column("public", Boolean, nullable=False, server_default=true()),
)

features = Table(
    "features",
    tables,
    Column("master_sha256", ForeignKey("masters.sha256"), primary_key=True),
    Column("recipe", String(20), nullable=False),
    Column("heard", JSON, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index(None, "recipe", "created_at"),
)

renditions = Table(
    "renditions",
    tables,
    Column("id", String(80), primary_key=True),
    Column("master_sha256", ForeignKey("masters.sha256"), nullable=False, index=True),
    Column("declaration", Text, nullable=False),
    Column("published_at", Instant, nullable=False),
)

# What manifests say of a rendition: derived, and written again when there is none of a version.
faces = Table(
    "faces",
    tables,
    Column("rendition_id", ForeignKey("renditions.id"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("brief", Text, nullable=False),
    Column("face", Text, nullable=False),
)

# What manifests need of a track: derived, and written again when there is none of these editions.
cards = Table(
    "cards",
    tables,
    Column("track_id", ForeignKey("tracks.id"), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("edition", Integer, nullable=False),
    Column("album_edition", Integer, nullable=False),
    Column("card", Text, nullable=False),
    # Most of it, and not needed to judge who may keep a track.
    Column("renditions", Text, nullable=False),
)

audits = Table(
    "audits",
    tables,
    Column("number", _NUMBER, primary_key=True),
    Column("at", Instant, nullable=False, index=True),
    Column("deed", String(24), nullable=False),
    Column("subject", String(320), nullable=False, index=True),
    Column("actor", String(80), nullable=False),
    Column("address", String(64)),
    Column("request_id", String(64)),
    Column("details", JSON, nullable=False),
)

track_renditions = Table(
    "track_renditions",
    tables,
    Column("track_id", ForeignKey("tracks.id"), primary_key=True),
    Column("rendition_id", ForeignKey("renditions.id"), primary_key=True),
    Column("place", Integer, nullable=False),
)

deliveries = Table(
    "deliveries",
    tables,
    Column("id", String(40), primary_key=True),
    Column("label", String(200), nullable=False),
    Column("track_id", ForeignKey("tracks.id"), nullable=False, index=True),
    Column("master_sha256", String(64), nullable=False, index=True),
    Column("filename", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("queue", String(12), nullable=False, server_default="urgent"),
    Column("owner", String(40), index=True),
    # Whether the master is needed: not when it was sent to be matched, and was.
    Column("kept", Boolean, nullable=False, server_default=true()),
)

jobs = Table(
    "jobs",
    tables,
    Column("id", String(40), primary_key=True),
    Column("delivery_id", ForeignKey("deliveries.id"), nullable=False, index=True),
    Column("track_id", ForeignKey("tracks.id"), nullable=False),
    Column("state", String(12), nullable=False),
    Column("stage", String(20), nullable=False),
    Column("percent", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("silences", Integer, nullable=False),
    Column("claim", String(40)),
    Column("heartbeat_at", Instant),
    Column("due_at", Instant, nullable=False),
    Column("sent_at", Instant),
    Column("reason", JSON(none_as_null=True)),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("queue", String(12), nullable=False, server_default="urgent"),
    Column("worker", String(120)),
    Column("resembles", JSON(none_as_null=True)),
    Column("approved", Boolean, nullable=False, server_default=false()),
    Index(None, "state", "due_at"),
    Index(None, "state", "queue", "due_at"),
)

attempts = Table(
    "attempts",
    tables,
    Column("number", _NUMBER, primary_key=True),
    Column("claim", String(40), nullable=False, index=True),
    Column("job_id", ForeignKey("jobs.id"), nullable=False, index=True),
    Column("worker", String(120), nullable=False),
    Column("version", String(40), nullable=False),
    Column("stage", String(20), nullable=False),
    Column("percent", Integer, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("ending", String(12)),
    Column("code", String(60)),
)

# What a label sent in one call; the deliveries of masters in it have its id, and their place.
shipments = Table(
    "shipments",
    tables,
    Column("id", String(40), primary_key=True),
    Column("label", String(200), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("warnings", JSON, nullable=False),
    Index(None, "label", "id"),
)

shipment_tracks = Table(
    "shipment_tracks",
    tables,
    Column("shipment_id", ForeignKey("shipments.id"), primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("track_id", ForeignKey("tracks.id"), nullable=False, index=True),
    Column("isrc", String(12), nullable=False),
    Column("title", Text, nullable=False),
    Column("job_id", ForeignKey("jobs.id"), index=True),
)

drained_queues = Table(
    "drained_queues",
    tables,
    Column("queue", String(12), primary_key=True),
    Column("since", Instant, nullable=False),
)

holds = Table(
    "holds",
    tables,
    Column("place", String(120), primary_key=True),
    Column("holder", String(40), primary_key=True),
    Column("until", Instant, nullable=False),
)

condemned = Table(
    "condemned",
    tables,
    Column("place", String(120), primary_key=True),
    Column("since", Instant, nullable=False),
)

fingerprints = Table(
    "fingerprints",
    tables,
    Column("number", _NUMBER, primary_key=True),
    Column("master_sha256", ForeignKey("masters.sha256"), nullable=False, unique=True),
    Column("recipe", String(20), nullable=False),
    Column("encoded", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)

# ``place`` is the number of a fingerprint, shifted by 20 bits, and the position in it.
terms = Table(
    "terms",
    tables,
    Column("term", Integer, primary_key=True, autoincrement=False),
    Column("place", _NUMBER, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

accounts = Table(
    "accounts",
    tables,
    Column("id", String(40), primary_key=True),
    Column("email", String(320), nullable=False),
    # As it is compared.
    Column("address", String(320), nullable=False, unique=True),
    Column("password", String(200), nullable=False),
    Column("role", String(12), nullable=False),
    Column("plan", String(12), nullable=False),
    Column("territory", String(12)),
    Column("label", String(200)),
    Column("created_at", Instant, nullable=False),
)

playbacks = Table(
    "playbacks",
    tables,
    Column("account_id", ForeignKey("accounts.id"), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("session_id", String(40), nullable=False),
    Column("device", String(200), nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("state", JSON(none_as_null=True)),
)

sessions = Table(
    "sessions",
    tables,
    Column("id", String(40), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("token_sha256", String(64), nullable=False, unique=True),
    Column("device", String(200), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
)

devices = Table(
    "devices",
    tables,
    Column("id", String(40), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("name", String(200), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("public_key", String(90), nullable=False),
    Column("agreement_key", String(90), nullable=False),
    Column("thumbprint", String(43), nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    Column("generation", Integer, nullable=False),
    Column("serial", Integer, nullable=False),
    Column("mark", String(24), nullable=False),
    Column("basis", String(24), nullable=False),
    Column("repeats", Integer, nullable=False),
    Column("clones", Integer, nullable=False),
)

challenges = Table(
    "challenges",
    tables,
    Column("challenge", String(60), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    # Nothing for one that a new device answers.
    Column("device_id", String(40), nullable=False),
    Column("until", Instant, nullable=False, index=True),
)

content_keys = Table(
    "content_keys",
    tables,
    Column("id", String(32), primary_key=True),
    Column("track_id", ForeignKey("tracks.id"), nullable=False),
    Column("rendition_id", ForeignKey("renditions.id"), nullable=False, index=True),
    Column("tier", String(40), nullable=False),
    Column("quality", Integer, nullable=False),
    # A device's id, or nothing for a key that seals for all; after its form, unless that is sealed.
    Column("owner", String(40), nullable=False),
    Column("kek", String(16), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("count", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sealed_bytes", BigInteger, nullable=False),
    Column("sealed_at", Instant),
    Column("due_at", Instant),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("track_id", "rendition_id", "owner"),
    Index(None, "due_at", "id"),
    Index(None, "kek", "id"),
)

downloads = Table(
    "downloads",
    tables,
    Column("id", String(40), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("device_id", ForeignKey("devices.id"), nullable=False, index=True),
    Column("kind", String(12), nullable=False),
    Column("subject", String(60), nullable=False),
    Column("title", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("removed_at", Instant),
)

download_tracks = Table(
    "download_tracks",
    tables,
    Column("download_id", ForeignKey("downloads.id"), primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("track_id", ForeignKey("tracks.id"), nullable=False),
    Column("device_id", ForeignKey("devices.id"), nullable=False),
    Column("content_key_id", ForeignKey("content_keys.id"), nullable=False),
    Column("standing", String(12), nullable=False),
    Column("code", String(60)),
    Column("licensed_until", Instant),
    Column("generation", Integer, nullable=False),
    Index(None, "device_id", "generation"),
)

label_policies = Table(
    "label_policies",
    tables,
    Column("label", String(200), primary_key=True),
    Column("policy", JSON, nullable=False),
)

uploads = Table(
    "uploads",
    tables,
    Column("id", String(40), primary_key=True),
    Column("label", String(200), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("size_bytes", BigInteger),
    # What the sender says of it, as it came.
    Column("said", Text, nullable=False),
    Column("filename", Text, nullable=False),
    # The parts of what was joined, as its sender named them.
    Column("joined", Text, nullable=False),
    Column("handle", Text),
    Column("sha256", String(64)),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False, index=True),
    Column("finished_at", Instant),
    Column("adopted_at", Instant),
    Column("claim", String(40)),
    Column("claimed_until", Instant),
    Index(None, "label", "id"),
)

# What creating requests were answered with, to be answered again.
replies = Table(
    "replies",
    tables,
    # A hash of who asks, and of the key that they gave the request.
    Column("key_sha256", String(64), primary_key=True),
    Column("claim", String(40), nullable=False),
    # Null until the request is answered.
    Column("reply", LargeBinary),
    Column("until", Instant, nullable=False, index=True),
)

# Of masters that were published, and of those that were not.
quality_reports = Table(
    "quality_reports",
    tables,
    Column("master_sha256", String(64), primary_key=True),
    Column("recipe", String(20), nullable=False),
    Column("report", JSON, nullable=False),
    Column("created_at", Instant, nullable=False),
)

messages = Table(
    "messages",
    tables,
    Column("label", String(200), primary_key=True),
    Column("id", String(200), primary_key=True),
    Column("release", String(60), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("applied", Boolean, nullable=False),
    Column("acknowledgement", LargeBinary, nullable=False),
    Index(None, "label", "release"),
)

webhooks = Table(
    "webhooks",
    tables,
    Column("id", String(40), primary_key=True),
    Column("label", String(200), nullable=False, index=True),
    Column("url", Text, nullable=False),
    # By commas; empty: all of them.
    Column("states", String(120), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("kek", String(16), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("failing_since", Instant),
)

notices = Table(
    "notices",
    tables,
    Column("number", _NUMBER, primary_key=True),
    # Of a webhook that may be removed in the same moment.
    Column("webhook_id", String(40), nullable=False),
    Column("job_id", ForeignKey("jobs.id"), nullable=False),
    Column("state", String(12), nullable=False),
    Column("reason", JSON(none_as_null=True)),
    Column("at", Instant, nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    # Null when it is not sent again.
    Column("due_at", Instant, index=True),
    Column("delivered_at", Instant),
    Column("answer", String(120), nullable=False),
    Index(None, "webhook_id", "number"),
)

sleeves = Table(
    "sleeves",
    tables,
    Column("id", String(80), primary_key=True),
    Column("master_sha256", String(64), nullable=False, index=True),
    Column("sleeve", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)
