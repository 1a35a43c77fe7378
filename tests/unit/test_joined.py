"""Joined objects are decoded to their end, and what ends them early is told as what it was."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from catalogue.errors import EncoderInexact, MasterCorrupt, Stopped, Unavailable
from catalogue.nouns import Rendition
from pipeline.master import hash_file
from pipeline.playback import decode_joined, stream_joined
from pipeline.press import plan_press, press
from pipeline.quality.tiers import measure_tiers
from pipeline.tiers import choose_tiers, read_ladder
from storage.keys import ObjectKey, rendition_key
from storage.local import LocalStore
from tests.audio_tools import FIXTURES

MASTER = FIXTURES / "ode.wav"
TIERS = choose_tiers(read_ladder(), ["aac-128", "ogg-160", "alac"])


class Fading(LocalStore):
    """A store that goes away after it has been read so often."""

    reads = 1 << 30

    def read(self, key: ObjectKey, *, start: int = 0, size_bytes: int | None = None) -> bytes:
        self.reads -= 1
        if self.reads < 0:
            raise Unavailable("The store is away.")
        return super().read(key, start=start, size_bytes=size_bytes)


class Damaged(LocalStore):
    """A store whose every object but the first of a rendition lost its middle."""

    def read(self, key: ObjectKey, *, start: int = 0, size_bytes: int | None = None) -> bytes:
        data = super().read(key, start=start, size_bytes=size_bytes)
        middle = len(data) // 2
        return data[: middle - 200] + bytes(400) + data[middle + 200 :]


@pytest.fixture(scope="module")
def renditions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Rendition, ...]]:
    folder = tmp_path_factory.mktemp("pressed")
    plan = plan_press(MASTER, hash_file(MASTER), TIERS)
    return folder, press(MASTER, plan, LocalStore(folder)).renditions


def pieces_of(store: LocalStore, rendition: Rendition) -> Iterator[bytes]:
    names = [rendition.init.name, *(chunk.body.name for chunk in rendition.chunks)]
    return (store.read(rendition_key(rendition.id, name)) for name in names)


def test_all_that_is_joined_is_decoded(
    renditions: tuple[Path, tuple[Rendition, ...]],
) -> None:
    folder, made = renditions
    for rendition in made:
        decoded = decode_joined(rendition, pieces_of(LocalStore(folder), rendition))
        framed = rendition.frame_samples is not None
        assert decoded.samples == rendition.samples + rendition.padding_samples * framed


def test_a_store_that_goes_away_is_no_damaged_sound(
    renditions: tuple[Path, tuple[Rendition, ...]],
) -> None:
    folder, made = renditions
    for rendition in made:
        for reads in range(1 + len(rendition.chunks)):
            store = Fading(folder)
            store.reads = reads
            with pytest.raises(Unavailable):
                decode_joined(rendition, pieces_of(store, rendition))
            store.reads = reads
            if not rendition.tier.codec.lossless:
                with pytest.raises(Unavailable):
                    measure_tiers([rendition], store, lanes=1, should_stop=lambda: False)


def test_what_was_made_and_cannot_be_decoded_is_no_fault_of_the_master(
    renditions: tuple[Path, tuple[Rendition, ...]],
) -> None:
    folder, made = renditions
    [aac] = (rendition for rendition in made if rendition.tier.name == "aac-128")
    with pytest.raises(EncoderInexact, match=r"aac-128 cannot be decoded"):
        measure_tiers([aac], Damaged(folder), lanes=1, should_stop=lambda: False)
    with pytest.raises(MasterCorrupt):
        decode_joined(aac, pieces_of(Damaged(folder), aac))


def test_a_measurement_stops_when_asked(
    renditions: tuple[Path, tuple[Rendition, ...]],
) -> None:
    folder, made = renditions
    with pytest.raises(Stopped):
        measure_tiers(made, LocalStore(folder), lanes=2, should_stop=lambda: True)
    with pytest.raises(Stopped):
        stream_joined(
            pieces_of(LocalStore(folder), made[0]),
            bytearray().extend,
            pcm_format="f32le",
            should_stop=lambda: True,
        )
