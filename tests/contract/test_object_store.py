"""What every object store promises: see storage.port.ObjectStore."""

import inspect
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from catalogue.errors import ObjectDiffers, ObjectNotFound, Unavailable
from catalogue.nouns import RenditionId, Sha256
from storage.keys import ObjectKey, master_key, rendition_key
from storage.port import ObjectStore
from tests.contract.conftest import StoreAdapter

METHODS = [name for name in vars(ObjectStore) if not name.startswith("_")]
KEY = rendition_key(RenditionId("aac-256-00ff"), "00000.m4s")
DATA = bytes(range(256)) * 40
OUTSIDE = [
    "",
    "masters/../masters/x",
    "/etc/passwd",
    f"masters/{'0' * 63}",
    f"masters/{'0' * 64}/",
    f"masters/{'0' * 64}\n",
    "renditions/aac-256-00ff/.draft",
    "renditions/../aac/00000.m4s",
    "renditions/aac-256-00ff/media.m3u8",
]


def received(store: ObjectStore, data: bytes) -> Path:
    """Return a file of the staging folder that holds ``data``."""
    path = store.staging() / sha256(data).hexdigest()[:8]
    path.write_bytes(data)
    return path


def test_the_adapter_takes_the_arguments_that_the_port_names(store: ObjectStore) -> None:
    for name in METHODS:
        promised = list(inspect.signature(getattr(ObjectStore, name)).parameters)[1:]
        assert list(inspect.signature(getattr(store, name)).parameters) == promised


def test_what_was_put_is_read_back(store_adapter: StoreAdapter) -> None:
    assert store_adapter.open().put(KEY, DATA) is True
    again = store_adapter.open()
    assert again.read(KEY) == DATA
    assert again.info(KEY).size_bytes == len(DATA)


def test_an_object_may_be_empty(store: ObjectStore) -> None:
    assert store.put(KEY, b"") is True
    assert store.read(KEY) == b""
    assert store.info(KEY).size_bytes == 0


def test_equal_bytes_may_be_put_again(store: ObjectStore) -> None:
    assert store.put(KEY, DATA) is True
    assert store.put(KEY, DATA) is False
    assert store.read(KEY) == DATA


@pytest.mark.parametrize("other", [b"", DATA[:-1], DATA + b"x", DATA[::-1]])
def test_other_bytes_are_refused_and_change_nothing(store: ObjectStore, other: bytes) -> None:
    store.put(KEY, DATA)
    with pytest.raises(ObjectDiffers):
        store.put(KEY, other)
    assert store.read(KEY) == DATA
    assert list(store.list("")) == [KEY]


@pytest.mark.parametrize(
    ("start", "size_bytes"),
    [(0, 1), (0, 10_240), (255, 2), (10_239, 1), (10_239, 100), (0, 0), (10_240, 1), (99_999, 5)],
)
def test_a_range_is_what_a_slice_is(store: ObjectStore, start: int, size_bytes: int) -> None:
    store.put(KEY, DATA)
    expected = DATA[start : start + size_bytes]
    assert store.read(KEY, start=start, size_bytes=size_bytes) == expected


def test_a_range_without_a_size_goes_to_the_end(store: ObjectStore) -> None:
    store.put(KEY, DATA)
    assert store.read(KEY, start=10_000) == DATA[10_000:]


def test_as_file_gives_the_bytes(store: ObjectStore) -> None:
    store.put(KEY, DATA)
    with store.as_file(KEY) as path:
        assert path.read_bytes() == DATA


def test_what_was_never_put_is_not_found(store: ObjectStore) -> None:
    def as_file() -> None:
        with store.as_file(KEY):
            raise AssertionError("there is no such object")

    reads: list[Callable[[], object]] = [lambda: store.info(KEY), lambda: store.read(KEY), as_file]
    for read in reads:
        with pytest.raises(ObjectNotFound):
            read()


@pytest.mark.parametrize("text", OUTSIDE)
def test_a_key_outside_the_grammar_reaches_nothing(store: ObjectStore, text: str) -> None:
    key = ObjectKey(text)
    draft = received(store, DATA)
    calls: list[Callable[[], object]] = [
        lambda: store.put(key, DATA),
        lambda: store.adopt(key, draft),
        lambda: store.info(key),
        lambda: store.read(key),
        lambda: store.as_file(key).__enter__(),
    ]
    for call in calls:
        with pytest.raises(ObjectNotFound):
            call()
    assert list(store.list("")) == []


def test_a_file_is_adopted_whole_and_consumed(store: ObjectStore) -> None:
    path, key = received(store, DATA), master_key(Sha256(sha256(DATA).hexdigest()))
    assert store.adopt(key, path) is True
    assert store.read(key) == DATA
    assert not path.exists()


def test_an_equal_file_is_consumed_when_adopted_again(store: ObjectStore) -> None:
    key = master_key(Sha256(sha256(DATA).hexdigest()))
    store.adopt(key, received(store, DATA))
    path = received(store, DATA)
    assert store.adopt(key, path) is False
    assert not path.exists()
    assert store.read(key) == DATA


def test_a_file_of_another_size_is_refused_and_consumed(store: ObjectStore) -> None:
    key = master_key(Sha256(sha256(DATA).hexdigest()))
    store.adopt(key, received(store, DATA))
    path = received(store, DATA[:-1])
    with pytest.raises(ObjectDiffers):
        store.adopt(key, path)
    assert not path.exists()
    assert store.read(key) == DATA


def test_a_removed_object_is_gone_and_may_be_put_again(store: ObjectStore) -> None:
    other = rendition_key(RenditionId("aac-256-00ff"), "00001.m4s")
    for key in (KEY, other):
        store.put(key, DATA)
    store.remove(KEY)
    store.remove(KEY)
    assert list(store.list("")) == [other]
    with pytest.raises(ObjectNotFound):
        store.read(KEY)
    assert store.put(KEY, DATA[:7]) is True


def test_a_draft_left_behind_is_dropped_and_no_object_with_it(store: ObjectStore) -> None:
    draft = received(store, DATA)
    store.put(KEY, DATA)
    assert store.drop_drafts(before=datetime.now(UTC) - timedelta(days=1)) == 0
    assert draft.is_file()
    assert store.drop_drafts(before=datetime.now(UTC) + timedelta(days=1)) == 1
    assert not draft.exists()
    assert list(store.list("")) == [KEY]


def test_keys_are_listed_in_order(store: ObjectStore) -> None:
    keys = [
        master_key(Sha256("1" * 64)),
        master_key(Sha256("0" * 64)),
        *(rendition_key(RenditionId("alac"), name) for name in ("init.mp4", "00000.m4s")),
        *(rendition_key(RenditionId("alac-hires"), name) for name in ("00001.m4s", "00000.m4s")),
        rendition_key(RenditionId("alac0"), "00000.m4s"),
    ]
    for key in keys:
        store.put(key, key.encode())
    assert list(store.list("")) == sorted(keys)


@pytest.mark.parametrize("prefix", ["m", "masters/1", "renditions/a-b/0", "renditions/a/", "x"])
def test_a_list_is_limited_to_its_prefix(store: ObjectStore, prefix: str) -> None:
    keys = [master_key(Sha256(digit * 64)) for digit in "012"]
    keys += [rendition_key(RenditionId(name), "00000.m4s") for name in ("a", "a-b", "b")]
    for key in keys:
        store.put(key, DATA)
    assert set(store.list(prefix)) == {key for key in keys if key.startswith(prefix)}


def test_nothing_is_listed_of_a_store_that_is_empty(store: ObjectStore) -> None:
    assert list(store.list("")) == []


def test_files_being_received_are_never_listed(store: ObjectStore) -> None:
    draft = received(store, DATA)
    store.put(KEY, DATA)
    assert draft.is_file()
    assert list(store.list("")) == [KEY]


def test_a_reader_sees_an_object_whole_or_not_at_all(store: ObjectStore) -> None:
    data, seen = random.Random(7).randbytes(8 << 20), set[int]()
    started, written = threading.Event(), threading.Event()

    def look() -> None:
        started.set()
        while not written.is_set():
            seen.update(store.info(key).size_bytes for key in store.list(""))

    with ThreadPoolExecutor() as threads:
        reader = threads.submit(look)
        started.wait()
        try:
            for number in range(10):
                store.put(rendition_key(RenditionId("aac"), f"{number:05d}.m4s"), data)
        finally:
            written.set()
        reader.result()
    assert seen <= {len(data)}
    assert len(list(store.list(""))) == 10


def test_threads_may_put_equal_bytes_at_once(store: ObjectStore) -> None:
    barrier = threading.Barrier(8)

    def put(_: int) -> bool:
        barrier.wait()
        return store.put(KEY, DATA)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(put, range(8)))
    assert any(answers)
    assert store.read(KEY) == DATA


def test_of_threads_that_put_other_bytes_a_winner_stands_whole(store: ObjectStore) -> None:
    taken = put_at_once(store)
    assert store.read(KEY) in taken


def put_at_once(store: ObjectStore) -> list[bytes]:
    """Put other bytes from each of eight threads, and return what was taken."""
    barrier = threading.Barrier(8)

    def put(number: int) -> bytes:
        barrier.wait()
        data = bytes([number]) * 100_000
        try:
            return data if store.put(KEY, data) else b""
        except ObjectDiffers:
            return b""

    with ThreadPoolExecutor(8) as threads:
        return [data for data in threads.map(put, range(1, 9)) if data]


def test_a_killed_writer_leaves_whole_objects_only(store_adapter: StoreAdapter) -> None:
    program = f"""
import {store_adapter.module}
store = {store_adapter.expression}
for number in range(10_000):
    store.put(f"renditions/aac/{{number:05d}}.m4s", bytes([number % 256]) * 3_000_000)
    print(number, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert [writer.stdout.readline() for _ in range(5)] == [
            b"0\n",
            b"1\n",
            b"2\n",
            b"3\n",
            b"4\n",
        ]
        writer.kill()
    store = store_adapter.open()
    keys = list(store.list(""))
    assert len(keys) >= 5
    for number, key in enumerate(keys):
        assert key == f"renditions/aac/{number:05d}.m4s"
        assert store.read(key) == bytes([number % 256]) * 3_000_000
        assert store.put(key, bytes([number % 256]) * 3_000_000) is False
    assert store.put(rendition_key(RenditionId("aac"), f"{len(keys):05d}.m4s"), DATA) is True


@pytest.mark.parametrize("method", METHODS)
def test_a_store_that_is_away_says_so(
    store_adapter: StoreAdapter, tmp_path: Path, method: str
) -> None:
    away, path = store_adapter.open_away(), tmp_path / "file"
    path.write_bytes(DATA)
    calls: dict[str, Callable[[], object]] = {
        "put": lambda: away.put(KEY, DATA),
        "adopt": lambda: away.adopt(KEY, path),
        "info": lambda: away.info(KEY),
        "read": lambda: away.read(KEY),
        "as_file": lambda: away.as_file(KEY).__enter__(),
        "list": lambda: list(away.list("")),
        "staging": away.staging,
        "remove": lambda: away.remove(KEY),
        "drop_drafts": lambda: away.drop_drafts(before=datetime.now(UTC)),
    }
    with pytest.raises(Unavailable):
        calls[method]()
