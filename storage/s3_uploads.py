"""Uploads on any S3 endpoint: a multipart upload each, whose parts all have the same size.

What does not fill a part yet is an object beside it, its tail, named after the place where it
begins: a tail that a part has taken in since is never counted again, whenever a process dies.
Source: Amazon S3 API reference (CreateMultipartUpload, ListParts, UploadPartCopy).
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from boto3.s3.transfer import TransferConfig

from catalogue.errors import ObjectDiffers, ObjectNotFound, UploadNotFound
from catalogue.uploads import UploadId, require_upload_id
from storage.keys import ObjectKey, require_key
from storage.s3_bucket import S3Bucket

UPLOADS = "uploads/"
PART_BYTES = 8 << 20
_PIECE_BYTES = 1 << 20
_HASH = "sha256"
# What is copied in one go takes the store as long as it takes to read it.
_COPIED_BYTES = 128 << 20
_COPYING = TransferConfig(
    multipart_threshold=_COPIED_BYTES, multipart_chunksize=_COPIED_BYTES, max_concurrency=4
)


class S3Uploads:
    """See storage.port.UploadStore."""

    def __init__(self, bucket: S3Bucket) -> None:
        self._bucket = bucket

    def begin(self, upload_id: UploadId) -> str:
        """See UploadStore.begin."""
        named = self._named(upload_id)
        with self._bucket.talking(named["Key"]):
            handle: str = self._bucket.client.create_multipart_upload(**named)["UploadId"]
        return handle

    def size_bytes(self, upload_id: UploadId, handle: str) -> int:
        """See UploadStore.size_bytes."""
        parts = self._parts(upload_id, handle)
        if parts is None:
            return self._size_of_whole(upload_id)
        received: int = sum(part["Size"] for part in parts)
        with suppress(ObjectNotFound):
            received += int(self._head(_tail(upload_id, received))["ContentLength"])
        return received

    def append(self, upload_id: UploadId, handle: str) -> "_S3Appender":
        """See UploadStore.append."""
        parts = self._parts(upload_id, handle)
        if parts is None:
            raise UploadNotFound("Nothing more can be added to the upload.")
        return _S3Appender(self._bucket, upload_id, handle, parts)

    def finish(self, upload_id: UploadId, handle: str) -> None:
        """See UploadStore.finish."""
        parts = self._parts(upload_id, handle)
        if parts is None:
            self._size_of_whole(upload_id)
            return
        received = sum(part["Size"] for part in parts)
        rest = _read(self._bucket, _tail(upload_id, received))
        named = self._named(upload_id)
        whole = named | {"UploadId": handle}
        numbered = [{"PartNumber": each["PartNumber"], "ETag": each["ETag"]} for each in parts]
        client = self._bucket.client
        with self._bucket.talking(named["Key"]):
            if rest:
                number = len(parts) + 1
                sent = client.upload_part(**whole, PartNumber=number, Body=rest)
                numbered.append({"PartNumber": number, "ETag": sent["ETag"]})
            if numbered:
                client.complete_multipart_upload(**whole, MultipartUpload={"Parts": numbered})
            else:
                client.put_object(**named, Body=b"")
                client.abort_multipart_upload(**whole)
        self._remove(_tail(upload_id, received))

    def pieces(self, upload_id: UploadId) -> Iterator[bytes]:
        """See UploadStore.pieces."""
        named = self._named(upload_id)
        with self._bucket.talking(named["Key"]):
            answer = self._bucket.client.get_object(**named)
            yield from answer["Body"].iter_chunks(_PIECE_BYTES)

    def adopt(self, upload_id: UploadId, key: ObjectKey) -> bool:
        """See UploadStore.adopt. The store copies by itself."""
        named, digest = self._named(upload_id), key.rpartition("/")[2]
        try:
            stored = self._head(require_key(key))
        except ObjectNotFound:
            with self._bucket.talking(key):
                self._bucket.client.copy(
                    named,
                    self._bucket.name,
                    key,
                    ExtraArgs={"Metadata": {_HASH: digest}, "MetadataDirective": "REPLACE"},
                    Config=_COPYING,
                )
            self.drop(upload_id)
            return True
        with suppress(ObjectNotFound):
            if stored["ContentLength"] != self._head(named["Key"])["ContentLength"]:
                raise ObjectDiffers(f"{key} holds other bytes.", key=key)
        self.drop(upload_id)
        return False

    def drop(self, upload_id: UploadId) -> None:
        """See UploadStore.drop."""
        key, client = self._named(upload_id)["Key"], self._bucket.client
        listed = {"Bucket": self._bucket.name, "Prefix": key}
        with self._bucket.talking(key):
            for page in client.get_paginator("list_multipart_uploads").paginate(**listed):
                for begun in page.get("Uploads", []):
                    named = {"Key": begun["Key"], "UploadId": begun["UploadId"]}
                    with suppress(client.exceptions.NoSuchUpload):
                        client.abort_multipart_upload(Bucket=self._bucket.name, **named)
            for page in client.get_paginator("list_objects_v2").paginate(**listed):
                for found in page.get("Contents", []):
                    client.delete_object(Bucket=self._bucket.name, Key=found["Key"])
        # What was put a moment ago may not be listed yet.
        self._remove(key)

    def _parts(self, upload_id: UploadId, handle: str) -> list[dict[str, Any]] | None:
        """Return the parts of an upload; None when it is finished, or was dropped."""
        whole = self._named(upload_id) | {"UploadId": handle}
        found: list[dict[str, Any]] = []
        try:
            with self._bucket.talking(whole["Key"]):
                for page in self._bucket.client.get_paginator("list_parts").paginate(**whole):
                    found += page.get("Parts", [])
        except ObjectNotFound:
            return None
        return found

    def _size_of_whole(self, upload_id: UploadId) -> int:
        try:
            return int(self._head(self._named(upload_id)["Key"])["ContentLength"])
        except ObjectNotFound as fault:
            raise UploadNotFound("Nothing of the upload is there any more.") from fault

    def _head(self, key: str) -> Any:
        with self._bucket.talking(key):
            return self._bucket.client.head_object(Bucket=self._bucket.name, Key=key)

    def _remove(self, key: str) -> None:
        with suppress(ObjectNotFound), self._bucket.talking(key):
            self._bucket.client.delete_object(Bucket=self._bucket.name, Key=key)

    def _named(self, upload_id: UploadId) -> dict[str, str]:
        return {"Bucket": self._bucket.name, "Key": _key(upload_id)}


class _S3Appender:
    """See storage.port.Appender. It holds less than one part in memory."""

    def __init__(
        self, bucket: S3Bucket, upload_id: UploadId, handle: str, parts: list[dict[str, Any]]
    ) -> None:
        self._bucket, self._upload_id, self._handle = bucket, upload_id, handle
        self._count = len(parts)
        self._sent_bytes: int = sum(part["Size"] for part in parts)
        self._rest = bytearray(_read(bucket, _tail(upload_id, self._sent_bytes)))
        self._kept_bytes = len(self._rest)

    @property
    def size_bytes(self) -> int:
        """See Appender.size_bytes."""
        return self._sent_bytes + len(self._rest)

    def write(self, data: bytes) -> None:
        """See Appender.write."""
        self._rest += data
        while len(self._rest) >= PART_BYTES:
            part = bytes(memoryview(self._rest)[:PART_BYTES])
            key, client = _key(self._upload_id), self._bucket.client
            with self._bucket.talking(key):
                client.upload_part(
                    Bucket=self._bucket.name,
                    Key=key,
                    UploadId=self._handle,
                    PartNumber=self._count + 1,
                    Body=part,
                )
            tail, had = _tail(self._upload_id, self._sent_bytes), self._kept_bytes
            self._count, self._sent_bytes = self._count + 1, self._sent_bytes + len(part)
            self._kept_bytes = 0
            del self._rest[:PART_BYTES]
            if had:
                with self._bucket.talking(tail):
                    client.delete_object(Bucket=self._bucket.name, Key=tail)

    def close(self) -> None:
        """See Appender.close."""
        if len(self._rest) > self._kept_bytes:
            tail = _tail(self._upload_id, self._sent_bytes)
            with self._bucket.talking(tail):
                self._bucket.client.put_object(
                    Bucket=self._bucket.name, Key=tail, Body=bytes(self._rest)
                )
            self._kept_bytes = len(self._rest)


def _key(upload_id: UploadId) -> str:
    return f"{UPLOADS}{require_upload_id(upload_id)}"


def _tail(upload_id: UploadId, begins_at: int) -> str:
    return f"{_key(upload_id)}.{begins_at}"


def _read(bucket: S3Bucket, key: str) -> bytes:
    """Return what an object holds, nothing when there is none."""
    try:
        with bucket.talking(key):
            data: bytes = bucket.client.get_object(Bucket=bucket.name, Key=key)["Body"].read()
    except ObjectNotFound:
        return b""
    return data
