"""What the local folder does besides the contract: writes that break off, or race."""

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from catalogue.errors import ObjectNotFound
from catalogue.nouns import RenditionId
from storage.keys import rendition_key
from storage.local import LocalStore
from tests.contract.test_object_store import put_at_once

KEY = rendition_key(RenditionId("aac-256-00ff"), "00000.m4s")
DATA = b"\x5a" * 1_000_000
LIMIT_BYTES = 65_536

WRITER = f"""
import pathlib, resource, signal, sys
from catalogue.errors import OutputNotWritable
from storage.local import LocalStore
signal.signal(signal.SIGXFSZ, getattr(signal, sys.argv[2]))
resource.setrlimit(resource.RLIMIT_FSIZE, ({LIMIT_BYTES}, {LIMIT_BYTES}))
try:
    LocalStore(pathlib.Path(sys.argv[1])).put({KEY!r}, b"\\x5a" * 1_000_000)
except OutputNotWritable as fault:
    sys.exit(fault.measured["errno"])
"""


def write_past_the_limit(root: Path, action: str) -> subprocess.CompletedProcess[str]:
    """Put an object in a process that the kernel lets write ``LIMIT_BYTES`` of it only."""
    command = [sys.executable, "-c", WRITER, str(root), action]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60, check=False)


def sizes(root: Path) -> list[int]:
    return [path.stat().st_size for path in root.rglob("*") if path.is_file()]


def test_a_put_killed_in_the_middle_shows_nothing(tmp_path: Path) -> None:
    assert write_past_the_limit(tmp_path, "SIG_DFL").returncode == -signal.SIGXFSZ
    assert sizes(tmp_path) == [LIMIT_BYTES], "the writer was to be killed in the middle"
    store = LocalStore(tmp_path)
    assert list(store.list("")) == []
    with pytest.raises(ObjectNotFound):
        store.info(KEY)
    assert store.put(KEY, DATA) is True
    assert store.read(KEY) == DATA


def test_a_put_that_fails_in_the_middle_leaves_no_file(tmp_path: Path) -> None:
    failed = write_past_the_limit(tmp_path, "SIG_IGN")
    assert (failed.returncode, failed.stderr) == (1, "EFBIG\n")
    assert sizes(tmp_path) == []


def test_files_that_are_no_objects_are_not_listed(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put(KEY, DATA)
    store.path(KEY).with_name("media.m3u8").write_text("#EXTM3U\n")
    (tmp_path / "manifest.json").write_text("{}")
    assert list(store.list("")) == [KEY]


def test_of_threads_that_put_other_bytes_one_wins(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    taken = put_at_once(store)
    assert taken == [store.read(KEY)]


def test_of_threads_that_put_equal_bytes_one_creates(tmp_path: Path) -> None:
    store, barrier = LocalStore(tmp_path), threading.Barrier(8)

    def put(_: int) -> bool:
        barrier.wait()
        return store.put(KEY, DATA)

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(put, range(8))) == [False] * 7 + [True]
