"""What every store of uploads promises: see storage.port.UploadStore."""

import inspect
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from catalogue.errors import ObjectDiffers, ObjectNotFound, Unavailable, UploadNotFound
from catalogue.nouns import Sha256
from catalogue.uploads import UploadId
from storage.keys import ObjectKey, master_key
from storage.port import UploadStore
from storage.s3_uploads import PART_BYTES
from tests.contract.conftest import StoreAdapter

METHODS = [name for name in vars(UploadStore) if not name.startswith("_")]
ONE, OTHER = UploadId("upl_" + "0" * 26), UploadId("upl_" + "1" * 26)
OUTSIDE = ["", "upl_", "../masters", "upl_" + "0" * 25 + "/", "upl_" + "0" * 26 + "\n"]


def some_bytes(count: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(count)


def append(store: UploadStore, handle: str, *pieces: bytes, upload_id: UploadId = ONE) -> int:
    """Write pieces in one go; return where they begin."""
    end = store.append(upload_id, handle)
    began = end.size_bytes
    for piece in pieces:
        end.write(piece)
    end.close()
    return began


def key_of(data: bytes) -> ObjectKey:
    return master_key(Sha256(sha256(data).hexdigest()))


@pytest.fixture
def uploads(store_adapter: StoreAdapter) -> UploadStore:
    return store_adapter.open_uploads()


def test_the_adapter_takes_the_arguments_that_the_port_names(uploads: UploadStore) -> None:
    for name in METHODS:
        promised = list(inspect.signature(getattr(UploadStore, name)).parameters)[1:]
        assert list(inspect.signature(getattr(uploads, name)).parameters) == promised


def test_what_comes_in_pieces_is_one_file(store_adapter: StoreAdapter) -> None:
    """Each piece comes to another process than the one before."""
    sizes = [1, 0, 70_000, PART_BYTES - 70_001, 5, 2 * PART_BYTES, 3, PART_BYTES - 8, 17]
    whole, handle = b"", store_adapter.open_uploads().begin(ONE)
    for number, size in enumerate(sizes):
        uploads = store_adapter.open_uploads()
        piece = some_bytes(size, number)
        assert append(uploads, handle, piece[: size // 3], piece[size // 3 :]) == len(whole)
        whole += piece
        assert store_adapter.open_uploads().size_bytes(ONE, handle) == len(whole)
    uploads = store_adapter.open_uploads()
    uploads.finish(ONE, handle)
    uploads.finish(ONE, handle)
    assert uploads.size_bytes(ONE, handle) == len(whole)
    assert b"".join(uploads.pieces(ONE)) == whole
    assert uploads.adopt(ONE, key_of(whole)) is True
    store = store_adapter.open()
    with store.as_file(key_of(whole)) as path:
        assert path.read_bytes() == whole
    assert list(store.list("")) == [key_of(whole)]


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, PART_BYTES + 1])
def test_a_file_may_have_any_size(store_adapter: StoreAdapter, size: int) -> None:
    uploads, data = store_adapter.open_uploads(), some_bytes(size)
    handle = uploads.begin(ONE)
    assert uploads.size_bytes(ONE, handle) == 0
    append(uploads, handle, data)
    uploads.finish(ONE, handle)
    assert uploads.size_bytes(ONE, handle) == size
    assert uploads.adopt(ONE, key_of(data)) is True
    assert store_adapter.open().read(key_of(data)) == data


def test_what_no_writer_closed_may_be_lost_and_what_one_closed_never_is(
    store_adapter: StoreAdapter,
) -> None:
    uploads, data = store_adapter.open_uploads(), some_bytes(3 * PART_BYTES)
    handle = uploads.begin(ONE)
    append(uploads, handle, data[:1000])
    dying = uploads.append(ONE, handle)
    dying.write(data[1000 : PART_BYTES + 5])
    again = store_adapter.open_uploads()
    there = again.size_bytes(ONE, handle)
    assert 1000 <= there <= PART_BYTES + 5
    assert append(again, handle, data[there:]) == there
    again.finish(ONE, handle)
    assert b"".join(again.pieces(ONE)) == data


def test_a_file_that_there_is_already_is_taken_for_equal(store_adapter: StoreAdapter) -> None:
    uploads, data = store_adapter.open_uploads(), some_bytes(1000)
    store = store_adapter.open()
    store.put(key_of(data), data)
    handle = uploads.begin(ONE)
    append(uploads, handle, data)
    uploads.finish(ONE, handle)
    assert uploads.adopt(ONE, key_of(data)) is False
    assert uploads.adopt(ONE, key_of(data)) is False
    with pytest.raises(UploadNotFound):
        uploads.size_bytes(ONE, handle)
    assert store.read(key_of(data)) == data


def test_one_of_another_size_than_what_stands_there_is_refused(
    store_adapter: StoreAdapter,
) -> None:
    uploads, data = store_adapter.open_uploads(), some_bytes(1000)
    store_adapter.open().put(key_of(data), data[1:])
    handle = uploads.begin(ONE)
    append(uploads, handle, data)
    uploads.finish(ONE, handle)
    with pytest.raises(ObjectDiffers):
        uploads.adopt(ONE, key_of(data))
    assert store_adapter.open().read(key_of(data)) == data[1:]


def test_what_is_neither_here_nor_there_is_not_found(uploads: UploadStore) -> None:
    with pytest.raises(ObjectNotFound):
        uploads.adopt(ONE, key_of(b"never"))


@pytest.mark.parametrize("size", [0, 10, PART_BYTES + 10])
@pytest.mark.parametrize("finished", [True, False])
def test_what_is_dropped_is_gone_and_nothing_else(
    store_adapter: StoreAdapter, size: int, finished: bool
) -> None:
    uploads, data = store_adapter.open_uploads(), some_bytes(size)
    handles = {upload_id: uploads.begin(upload_id) for upload_id in (ONE, OTHER)}
    for upload_id, handle in handles.items():
        append(uploads, handle, data, upload_id=upload_id)
        if finished:
            uploads.finish(upload_id, handle)
    uploads.drop(ONE)
    uploads.drop(ONE)
    with pytest.raises(UploadNotFound):
        uploads.size_bytes(ONE, handles[ONE])
    with pytest.raises(UploadNotFound):
        append(uploads, handles[ONE], b"x")
    assert uploads.size_bytes(OTHER, handles[OTHER]) == size


def test_an_upload_is_dropped_with_drafts_only_when_nobody_can_know_it(
    store_adapter: StoreAdapter,
) -> None:
    uploads, store, now = store_adapter.open_uploads(), store_adapter.open(), datetime.now(UTC)
    handle = uploads.begin(ONE)
    append(uploads, handle, b"x" * 10)
    assert store.drop_drafts(before=now + timedelta(days=29)) == 0
    assert uploads.size_bytes(ONE, handle) == 10
    assert store.drop_drafts(before=now + timedelta(days=31)) == 1
    with pytest.raises(UploadNotFound):
        uploads.size_bytes(ONE, handle)


@pytest.mark.parametrize("text", OUTSIDE)
def test_an_id_outside_the_grammar_reaches_nothing(uploads: UploadStore, text: str) -> None:
    outside = UploadId(text)
    calls: list[Callable[[], object]] = [
        lambda: uploads.begin(outside),
        lambda: uploads.size_bytes(outside, "file"),
        lambda: uploads.append(outside, "file"),
        lambda: next(uploads.pieces(outside)),
        lambda: uploads.drop(outside),
    ]
    for call in calls:
        with pytest.raises(UploadNotFound):
            call()


@pytest.mark.parametrize("method", METHODS)
def test_a_store_that_is_away_says_so(store_adapter: StoreAdapter, method: str) -> None:
    away = store_adapter.open_uploads_away()
    calls: dict[str, Callable[[], object]] = {
        "begin": lambda: away.begin(ONE),
        "size_bytes": lambda: away.size_bytes(ONE, "x"),
        "append": lambda: away.append(ONE, "x"),
        "pieces": lambda: next(iter(away.pieces(ONE))),
        "drop": lambda: away.drop(ONE),
        "adopt": lambda: away.adopt(ONE, key_of(b"x")),
        "finish": lambda: away.finish(ONE, "x"),
    }
    if method == "finish" and type(away).__name__ == "LocalUploads":
        calls["finish"] = lambda: away.size_bytes(ONE, "x")
    with pytest.raises(Unavailable):
        calls[method]()
