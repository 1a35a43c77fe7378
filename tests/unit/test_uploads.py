"""Receiving files when a process dies at the worst moment."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest

from catalogue.database.devices import SqlPolicies
from catalogue.database.engine import open_engine, upgrade
from catalogue.database.uploads import SqlUploads
from catalogue.errors import UploadBusy, UploadIncomplete, UploadSpent
from catalogue.nouns import Sha256
from catalogue.uploads import UploadId, UploadKind
from storage.keys import master_key
from storage.local import LocalStore
from storage.local_uploads import LocalUploads
from workers.uploads import CLAIM, LIFE, Receiver

LABEL, DATA = "the-label", bytes(range(256)) * 40


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def uploads(tmp_path: Path) -> Iterator[SqlUploads]:
    engine = open_engine(f"sqlite:///{tmp_path / 'catalogue.sqlite3'}")
    upgrade(engine)
    yield SqlUploads(engine)
    engine.dispose()


@pytest.fixture
def receiver(uploads: SqlUploads, tmp_path: Path, clock: Clock) -> Receiver:
    return make_receiver(uploads, tmp_path, clock)


def make_receiver(uploads: SqlUploads, folder: Path, clock: Clock) -> Receiver:
    """Return what another process of the same plant has."""
    numbers = count()
    return Receiver(
        uploads,
        LocalUploads(folder / "store"),
        SqlPolicies(uploads._engine),
        max_bytes=1 << 30,
        now=clock,
        new_id=lambda prefix: f"{prefix}_{next(numbers):026d}",
    )


def write(receiver: Receiver, upload_id: UploadId, at: int, data: bytes) -> None:
    reception = receiver.open(upload_id, LABEL, at=at)
    reception.write(data)
    reception.close()


def test_what_comes_to_several_processes_hashes_to_the_same(
    uploads: SqlUploads, receiver: Receiver, tmp_path: Path, clock: Clock
) -> None:
    upload = receiver.begin(LABEL, size_bytes=len(DATA))
    write(receiver, upload.id, 0, DATA[:1000])
    other = make_receiver(uploads, tmp_path, clock)
    write(other, upload.id, 1000, DATA[1000:])
    assert uploads.get(upload.id, label=LABEL).sha256 is None
    assert receiver.require_whole(upload.id, LABEL)[1] == sha256(DATA).hexdigest()
    assert uploads.get(upload.id, label=LABEL).sha256 == sha256(DATA).hexdigest()


@pytest.mark.parametrize("kind", [UploadKind.WHOLE, UploadKind.PARTIAL])
def test_a_process_that_dies_after_the_last_byte_leaves_a_whole_file(
    receiver: Receiver, clock: Clock, kind: UploadKind
) -> None:
    upload = receiver.begin(LABEL, size_bytes=len(DATA), kind=kind)
    dying = receiver.open(upload.id, LABEL, at=0)
    dying.write(DATA)
    with pytest.raises(UploadBusy):
        receiver.open(upload.id, LABEL, at=len(DATA))
    clock.now += CLAIM
    if kind is UploadKind.WHOLE:
        assert receiver.require_whole(upload.id, LABEL)[1] == sha256(DATA).hexdigest()
        return
    whole = receiver.join([upload.id] * 2, LABEL, joined="final;x x", said="", filename="x")
    assert whole.sha256 == sha256(DATA * 2).hexdigest()


def test_what_has_not_all_come_is_not_whole(receiver: Receiver) -> None:
    upload = receiver.begin(LABEL, size_bytes=len(DATA))
    write(receiver, upload.id, 0, DATA[:-1])
    with pytest.raises(UploadIncomplete) as caught:
        receiver.require_whole(upload.id, LABEL)
    assert caught.value.measured["received_bytes"] == len(DATA) - 1


def test_an_upload_is_taken_more_than_once_while_its_master_is_there(
    receiver: Receiver, tmp_path: Path
) -> None:
    store, key = LocalStore(tmp_path / "store"), master_key(Sha256(sha256(DATA).hexdigest()))
    upload = receiver.begin(LABEL, size_bytes=len(DATA), filename="a.wav")
    write(receiver, upload.id, 0, DATA)
    for _ in range(2):
        incoming = receiver.take(upload.id, LABEL)
        assert (incoming.filename, incoming.size_bytes) == ("a.wav", len(DATA))
        incoming.adopt(key)
        assert store.read(key) == DATA
    store.remove(key)
    with pytest.raises(UploadSpent):
        receiver.take(upload.id, LABEL).adopt(key)


def test_an_upload_that_nothing_was_added_to_goes(
    receiver: Receiver, uploads: SqlUploads, clock: Clock, tmp_path: Path
) -> None:
    upload = receiver.begin(LABEL, size_bytes=len(DATA))
    clock.now += LIFE - timedelta(seconds=1)
    write(receiver, upload.id, 0, DATA[:10])
    clock.now += LIFE - timedelta(seconds=1)
    assert receiver.expire() == 0
    clock.now += timedelta(seconds=1)
    assert receiver.expire() == 1
    assert uploads.page(label=LABEL, after="", limit=9) == []
    assert list((tmp_path / "store" / ".uploads").iterdir()) == []
