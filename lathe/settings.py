"""Settings: read once from the environment, frozen, unknown names refused."""

import json
import os
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from catalogue.errors import SettingsInvalid, TerritoryUnknown
from catalogue.identifiers import parse_home
from catalogue.people import Plan

PREFIX = "LATHE_"


class Settings(BaseModel):
    """Everything that can be set; each field is ``LATHE_`` and its name in capitals.

    With none set, a plant runs whole in one process below ``state``: SQLite, a local folder, and
    workers inside the process.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: Path = Field(default=Path("var"), description="folder of everything that lathe keeps")
    catalogue: str = Field(
        default="",
        description="sqlite:///PATH or postgresql://USER@HOST/NAME; empty: in the state folder",
    )
    store: str = Field(
        default="",
        description="file:///PATH or s3://BUCKET?endpoint=URL; empty: in the state folder",
    )
    queue: str = Field(default="inline:", description="inline: or redis://HOST:PORT/DB")
    url_keys: SecretStr = Field(
        default=SecretStr(""), description="ring of signing keys; empty: made in the state folder"
    )
    content_keys: SecretStr = Field(
        default=SecretStr(""),
        description="ring of keys that wrap content keys; empty: made in the state folder",
    )
    licence_keys: SecretStr = Field(
        default=SecretStr(""),
        description="ring of keys that sign licences; empty: made in the state folder",
    )
    cpix_partners: Path | None = Field(
        default=None, description="folder of certificates of partners, NAME.pem; empty: none"
    )
    host: str = Field(default="127.0.0.1", description="address the origin listens on")
    port: int = Field(
        default=8600, ge=0, le=65535, description="port it listens on; 0: any free one"
    )
    sessions: str = Field(
        default="",
        description="redis://HOST:PORT/DB of sessions and limits; empty: in the catalogue, and "
        "limits in the process",
    )
    session_days: int = Field(
        default=30, ge=1, le=400, description="days after its last use that a session ends"
    )
    guests: Plan | None = Field(
        default=None,
        description="plan of listeners who are not signed in: free, voice, individual or premium; "
        "empty: they sign in",
    )
    territory: str = Field(
        default="", description="where listeners are, when no trusted edge says it"
    )
    trusted_edges: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(),
        description="JSON list of networks whose X-Lathe-Territory and X-Forwarded-For are "
        "believed",
    )
    webhook_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(),
        description="JSON list of networks that webhooks may be in though they are not public, "
        "and reached by http as well",
    )
    limits: str = Field(
        default="",
        description="how often may be asked, where it is not as usual: `stream=300/min "
        "login=5/15min`; of stream, search, library, recommendations, admin, login, plays, "
        "uploads, global",
    )
    chunk_cache_bytes: int = Field(
        default=128 << 20, ge=0, description="bytes of chunks that an origin keeps in memory"
    )
    max_master_bytes: int = Field(default=8 << 30, ge=1, description="largest master accepted")
    ladder: Path | None = Field(
        default=None, description="ladder of tiers in TOML; lathe's own when empty"
    )
    threads: int = Field(default=2, ge=1, le=64, description="masters pressed at once by a process")
    logs: Literal["text", "json"] = Field(
        default="text", description="how lines on stderr are written"
    )
    log_requests: Literal["refused", "all"] = Field(
        default="refused", description="which requests the origin logs a line of"
    )
    metrics_port: int | None = Field(
        default=None, ge=1, le=65535, description="port of Prometheus metrics; empty: none"
    )
    patience_s: float = Field(
        default=20.0, gt=0, le=3600, description="how long slow clients are waited for"
    )
    traces: str = Field(
        default="", description="http://HOST:4318 that takes traces over OTLP; empty: none"
    )
    heartbeat_s: float = Field(
        default=1.0, gt=0, le=3600, description="how often a worker says that it lives"
    )
    silence_s: float = Field(
        default=10.0, gt=0, le=86_400, description="after how long without it a job is taken over"
    )

    @field_validator("trusted_edges", "webhook_networks", mode="before")
    @classmethod
    def _parse_list(cls, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) else value

    @field_validator("territory")
    @classmethod
    def _parse_territory(cls, value: str) -> str:
        if not value.strip():
            return ""
        try:
            return parse_home(value)
        except TerritoryUnknown:
            raise ValueError("an ISO 3166-1 alpha-2 code is needed") from None

    @property
    def catalogue_url(self) -> str:
        """The database's URL."""
        return self.catalogue or f"sqlite:///{self.state.absolute() / 'catalogue.sqlite3'}"

    @property
    def store_url(self) -> str:
        """The store's URL."""
        return self.store or f"file://{self.state.absolute() / 'store'}"


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings in force. Raises SettingsInvalid, never quoting a value."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name in environment:
        if name.startswith(PREFIX) and name not in known:
            raise SettingsInvalid(f"{name} is no setting.", setting=name)
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name in known and value
    }
    try:
        settings = Settings.model_validate(given)
    except ValidationError as fault:
        first = fault.errors(include_input=False)[0]
        name = PREFIX + str(first["loc"][0]).upper()
        raise SettingsInvalid(f"{name}: {first['msg']}.", setting=name) from None
    if settings.silence_s < 3 * settings.heartbeat_s:
        raise SettingsInvalid(
            "LATHE_SILENCE_S must be at least three times LATHE_HEARTBEAT_S.",
            setting="LATHE_SILENCE_S",
        )
    return settings
