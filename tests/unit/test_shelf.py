"""Reading the store for listeners: within a time, and never more at once than there are turns."""

import asyncio
import os
from pathlib import Path

import pytest

from catalogue.errors import ObjectNotFound, StoreUnavailable
from catalogue.nouns import RenditionId
from origin import shelf as reading
from origin.shelf import Shelf
from storage.keys import ObjectKey, rendition_key
from storage.local import LocalStore
from tests.contract.examples import AAC, make_pressing
from tests.e2e.servers import wait_until

RENDITION = RenditionId(make_pressing(AAC).renditions[0].id)
GOOD, HANGS = (rendition_key(RENDITION, name) for name in ("00000.m4s", "00001.m4s"))
TURNS = 2


class Counting(LocalStore):
    """A store whose reads are counted, and of which one object is a pipe that nobody writes to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.put(GOOD, b"0123456789")
        self.pipe = self.path(HANGS)
        os.mkfifo(self.pipe)
        self.reads = self.ended = 0

    def read(self, key: ObjectKey, *, start: int = 0, size_bytes: int | None = None) -> bytes:
        self.reads += 1
        try:
            return super().read(key, start=start, size_bytes=size_bytes)
        finally:
            self.ended += 1

    def end(self) -> None:
        """Let those who read the pipe find its end."""
        while self.ended < self.reads:
            writer = os.open(self.pipe, os.O_RDWR)
            os.close(writer)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counting:
    monkeypatch.setattr(reading, "READS", TURNS)
    monkeypatch.setattr(reading, "READ_S", 0.2)
    return Counting(tmp_path)


def test_what_is_there_is_read_in_its_turn(store: Counting) -> None:
    shelf = Shelf(store)

    async def run() -> list[bytes]:
        return await asyncio.gather(*(shelf.read(GOOD, n, n + 2) for n in range(9)))

    assert asyncio.run(run()) == [b"0123456789"[n : n + 2] for n in range(9)]


def test_what_is_at_fault_is_told(store: Counting) -> None:
    with pytest.raises(ObjectNotFound):
        asyncio.run(Shelf(store).read(rendition_key(RENDITION, "00002.m4s"), 0, 1))


def test_a_store_that_hangs_is_away_and_is_asked_no_more_than_it_has_turns(
    store: Counting,
) -> None:
    shelf = Shelf(store)

    async def run() -> None:
        try:
            for _ in range(2):
                hung = [shelf.read(HANGS, 0, 1) for _ in range(5)]
                found = await asyncio.gather(*hung, return_exceptions=True)
                assert [type(each) for each in found] == [StoreUnavailable] * 5
                with pytest.raises(StoreUnavailable):
                    await shelf.read(GOOD, 0, 3)
            assert store.reads == TURNS
        finally:
            await asyncio.to_thread(wait_until, ends, "an end")
        assert await shelf.read(GOOD, 0, 3) == b"012"

    def ends() -> bool:
        store.end()
        return True

    asyncio.run(run())
