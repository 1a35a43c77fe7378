"""A bucket on any S3 endpoint: where it is, how it is spoken with, and what its answers mean.

Source: Amazon S3 API reference (error responses).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from catalogue.breaker import Breaker
from catalogue.errors import ObjectNotFound, SettingsInvalid, StoreRefused, StoreUnavailable

_CONNECT_TIMEOUT_S = 3
_MISSING = ("404", "NoSuchKey", "NoSuchUpload", "NotFound")
_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict")


@dataclass(frozen=True, kw_only=True, slots=True)
class S3Place:
    """Where objects are kept: a bucket, and at whose endpoint (none: Amazon's own)."""

    bucket: str
    endpoint: str | None
    region: str
    path_style: bool


def parse_s3_url(url: str) -> S3Place:
    """Return the place that ``s3://BUCKET?endpoint=URL&region=NAME&style=path|virtual`` names.

    Raises SettingsInvalid.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    style = options.get("style", "path" if "endpoint" in options else "virtual")
    known = set(options) <= {"endpoint", "region", "style"} and style in ("path", "virtual")
    if parts.scheme != "s3" or not parts.hostname or parts.path.strip("/") or not known:
        raise SettingsInvalid(
            "The store is s3://BUCKET?endpoint=URL&region=NAME&style=path.", setting="LATHE_STORE"
        )
    return S3Place(
        bucket=parts.hostname,
        endpoint=options.get("endpoint"),
        region=options.get("region", "us-east-1"),
        path_style=style == "path",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """For how long a store may say nothing, and how often it is asked before it is away."""

    silence_s: float
    attempts: int


WORK = Patience(silence_s=30, attempts=3)
"""For work that may take its time."""

LISTENERS = Patience(silence_s=2.5, attempts=2)
"""For somebody who waits for music."""


class AlreadyThere(Exception):
    """Something stands under the key."""


class OutOfRange(Exception):
    """The range begins at the object's end or after it."""


class S3Bucket:
    """A bucket, its client, and the breaker before it, which may be another one's, too.

    Credentials come from the environment as boto3 finds them.
    """

    def __init__(
        self, place: S3Place, patience: Patience = WORK, breaker: Breaker | None = None
    ) -> None:
        self.name = place.bucket
        self.breaker = breaker or Breaker(StoreUnavailable, "store")
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=place.endpoint,
            region_name=place.region,
            config=Config(
                connect_timeout=_CONNECT_TIMEOUT_S,
                read_timeout=patience.silence_s,
                retries={"total_max_attempts": patience.attempts, "mode": "standard"},
                max_pool_connections=64,
                s3={"addressing_style": "path" if place.path_style else "virtual"},
                # Other stores than Amazon's do not know the checksums boto3 would add by itself.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def make(self) -> None:
        """Make the bucket unless it is there."""
        try:
            with self.talking(self.name):
                self.client.head_bucket(Bucket=self.name)
        except ObjectNotFound:
            with self.talking(self.name):
                self.client.create_bucket(Bucket=self.name)

    @contextmanager
    def talking(self, key: str) -> Iterator[None]:
        """Turn what the store or the line to it says into errors of the tree.

        AlreadyThere and OutOfRange are for the caller to answer.
        """
        with self.breaker.guarding(), _translated(key):
            yield


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as fault:
        code = str(fault.response.get("Error", {}).get("Code", ""))
        status = int(fault.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code in _MISSING:
            raise ObjectNotFound(f"{key} does not exist.", key=key) from fault
        if code in _TAKEN or status == 412:
            raise AlreadyThere from fault
        if code == "InvalidRange":
            raise OutOfRange from fault
        if status >= 500 or code in ("SlowDown", "RequestTimeout"):
            raise StoreUnavailable(f"The store answers {code or status}.", key=key) from fault
        raise StoreRefused(f"The store answers {code or status}.", key=key) from fault
    except BotoCoreError as fault:
        raise StoreUnavailable(f"{type(fault).__name__}.", key=key) from fault
