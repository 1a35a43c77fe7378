"""The object store on any S3 endpoint.

An object is put whole and only where none stands (``If-None-Match: *``), with the checksum of its
bytes, which the store verifies; large files go up in parts and appear when the last one is there.
The SHA-256 of every object is kept in its metadata, so that a second put is compared without
reading it. Sources: Amazon S3 API reference (PutObject, CompleteMultipartUpload), RFC 9110.
"""

import base64
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from catalogue.breaker import Breaker
from catalogue.errors import ObjectDiffers, ObjectNotFound
from storage.faults import not_writable
from storage.keys import ObjectKey, is_key, require_key
from storage.port import LOST_UPLOAD, ObjectInfo
from storage.s3_bucket import AlreadyThere, OutOfRange, S3Bucket
from storage.s3_uploads import UPLOADS

_PART_BYTES = 16 << 20
_PIECE_BYTES = 1 << 20
_HASH = "sha256"
_SCRATCH = "The scratch folder"


class S3Store:
    """Objects in a bucket; ``scratch`` is a local folder for masters on their way up or down."""

    def __init__(self, bucket: S3Bucket, scratch: Path) -> None:
        self.breaker: Breaker | None = bucket.breaker
        self._talking, self._client, self._bucket = bucket.talking, bucket.client, bucket.name
        self._scratch = scratch

    def put(self, key: ObjectKey, data: bytes | bytearray) -> bool:
        """Store ``data`` where nothing stands: see ObjectStore.put."""
        digest = hashlib.sha256(data)
        try:
            with self._talking(key):
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=require_key(key),
                    Body=data,
                    IfNoneMatch="*",
                    ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
                    Metadata={_HASH: digest.hexdigest()},
                )
        except AlreadyThere:
            self._require_equal(key, digest.hexdigest())
            return False
        return True

    def adopt(self, key: ObjectKey, path: Path) -> bool:
        """Store a received file, in parts: see ObjectStore.adopt."""
        try:
            with _on_disk("The received file"), open(path, "rb") as file:
                digest = hashlib.file_digest(file, _HASH).hexdigest()
            with suppress(ObjectNotFound):
                self._require_equal(key, digest)
                return False
            try:
                self._upload(key, path, digest)
            except AlreadyThere:
                self._require_equal(key, digest)
                return False
            return True
        finally:
            path.unlink(missing_ok=True)

    def info(self, key: ObjectKey) -> ObjectInfo:
        """Return the object's size: see ObjectStore.info."""
        return ObjectInfo(size_bytes=self._head(key)["ContentLength"])

    def read(self, key: ObjectKey, *, start: int = 0, size_bytes: int | None = None) -> bytes:
        """Return a range of the object: see ObjectStore.read."""
        if size_bytes == 0:
            self._head(key)
            return b""
        end = "" if size_bytes is None else str(start + size_bytes - 1)
        try:
            with self._talking(key):
                answer = self._client.get_object(
                    Bucket=self._bucket, Key=require_key(key), Range=f"bytes={start}-{end}"
                )
                data: bytes = answer["Body"].read()
        except OutOfRange:
            return b""
        return data

    @contextmanager
    def as_file(self, key: ObjectKey) -> Iterator[Path]:
        """Give a verified copy that lasts as long as the context: see ObjectStore.as_file."""
        expected = self._head(key)["Metadata"].get(_HASH)
        with (
            _on_disk(_SCRATCH),
            tempfile.TemporaryDirectory(dir=self.staging()) as folder,
        ):
            path = Path(folder) / "object"
            measured = self._download(key, path)
            if expected not in (None, measured):
                raise ObjectDiffers(f"{key} does not hold the bytes that were put.", key=key)
            yield path

    def list(self, prefix: str) -> Iterator[ObjectKey]:
        """Yield keys in order, a page at a time: see ObjectStore.list."""
        token: dict[str, str] = {}
        while True:
            with self._talking(prefix):
                page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, **token)
            for found in page.get("Contents", []):
                if is_key(found["Key"]):
                    yield require_key(found["Key"])
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def remove(self, key: ObjectKey) -> None:
        """Remove the object: see ObjectStore.remove."""
        with suppress(ObjectNotFound), self._talking(key):
            self._client.delete_object(Bucket=self._bucket, Key=require_key(key))

    def drop_drafts(self, *, before: datetime) -> int:
        """Give up what was left behind half put: see ObjectStore.drop_drafts."""
        dropped = 0
        with self._talking(self._bucket):
            pages = self._client.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self._bucket):
                for upload in page.get("Uploads", []):
                    is_upload = upload["Key"].startswith(UPLOADS)
                    if upload["Initiated"] < (before - LOST_UPLOAD if is_upload else before):
                        named = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
                        self._client.abort_multipart_upload(Bucket=self._bucket, **named)
                        dropped += 1
        with _on_disk(_SCRATCH):
            for path in self.staging().iterdir():
                if path.is_file() and path.stat().st_mtime < before.timestamp():
                    path.unlink(missing_ok=True)
                    dropped += 1
        return dropped

    def staging(self) -> Path:
        """Return the local scratch folder: see ObjectStore.staging."""
        with _on_disk(_SCRATCH):
            self._scratch.mkdir(parents=True, exist_ok=True)
        return self._scratch

    def _upload(self, key: ObjectKey, path: Path, digest: str) -> None:
        named = {"Bucket": self._bucket, "Key": require_key(key)}
        with self._talking(key):
            upload = self._client.create_multipart_upload(**named, Metadata={_HASH: digest})
        whole = named | {"UploadId": upload["UploadId"]}
        try:
            with open(path, "rb") as file, self._talking(key):
                parts: list[dict[str, Any]] = []
                while data := file.read(_PART_BYTES):
                    number = len(parts) + 1
                    sent = self._client.upload_part(**whole, PartNumber=number, Body=data)
                    parts.append({"PartNumber": number, "ETag": sent["ETag"]})
                self._client.complete_multipart_upload(
                    **whole, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
                )
        except BaseException:
            with suppress(BotoCoreError, ClientError):
                self._client.abort_multipart_upload(**whole)
            raise

    def _download(self, key: ObjectKey, path: Path) -> str:
        digest = hashlib.sha256()
        with self._talking(key), open(path, "xb") as file:
            answer = self._client.get_object(Bucket=self._bucket, Key=require_key(key))
            for piece in answer["Body"].iter_chunks(_PIECE_BYTES):
                digest.update(piece)
                file.write(piece)
        return digest.hexdigest()

    def _head(self, key: ObjectKey) -> Any:
        with self._talking(key):
            return self._client.head_object(Bucket=self._bucket, Key=require_key(key))

    def _require_equal(self, key: ObjectKey, digest: str) -> None:
        stored = self._head(key)["Metadata"].get(_HASH)
        if stored is None:
            stored = hashlib.sha256(self.read(key)).hexdigest()
        if stored != digest:
            raise ObjectDiffers(f"{key} holds other bytes.", key=key)


@contextmanager
def _on_disk(place: str) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise not_writable(place, fault) from fault
