"""Fingerprints of the same recording, damaged in known ways, and of other recordings."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.hearing.fingerprint import (
    HOP_S,
    SILENCE,
    Fingerprinter,
    Items,
    find_terms,
    is_informative,
    sample_terms,
)
from pipeline.hearing.matching import compare
from pipeline.hearing.spectra import RATE_HZ

Sound = npt.NDArray[np.float32]


def song(seed: int, seconds: float = 40) -> Sound:
    """Return a melody of three voices that no other seed gives."""
    dice = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    sound = np.zeros(len(time))
    for voice in range(3):
        beats = int(seconds * (2 + voice))
        pitches = dice.integers(40 + 12 * voice, 64 + 12 * voice, beats)
        hz = 440 * 2 ** ((pitches - 69) / 12)
        note = np.minimum((time * (2 + voice)).astype(int), beats - 1)
        phase = 2 * np.pi * np.cumsum(hz[note]) / RATE_HZ
        sound += (np.sin(phase) + 0.5 * np.sin(2 * phase) + 0.3 * np.sin(3 * phase)) / 10
    return sound.astype(np.float32)


def fingerprint(sound: Sound, *, speed: float = 1.0, piece: int = 1 << 16) -> Items:
    printer = Fingerprinter(speed=speed)
    data = sound.astype("<f4").tobytes()
    for start in range(0, len(data), piece):
        printer.feed(data[start : start + piece])
    return printer.finish()


SONG = song(1)
ITEMS = fingerprint(SONG)


def test_an_item_every_eighth_of_a_second_wherever_the_bytes_are_cut() -> None:
    assert len(ITEMS) == pytest.approx(40 / HOP_S, abs=25)
    np.testing.assert_array_equal(fingerprint(SONG, piece=4097), ITEMS)


def test_terms_leave_out_silence_and_what_stands_still() -> None:
    items = np.array([SILENCE, 5 << 20, 5 << 20, 9 << 20, SILENCE, 9 << 20], np.uint32)
    _, positions = find_terms(items)
    assert list(positions) == [1, 3, 5]
    sampled, places = sample_terms(*find_terms(ITEMS))
    assert 0.04 < len(sampled) / len(find_terms(ITEMS)[0]) < 0.25
    assert set(zip(sampled, places, strict=True)) <= set(zip(*find_terms(ITEMS), strict=True))


@pytest.mark.parametrize(
    "sound",
    [np.zeros(20 * RATE_HZ, np.float32), SONG[: 3 * RATE_HZ],
     np.sin(np.arange(20 * RATE_HZ) * 0.1).astype(np.float32)],
    ids=["silence", "three seconds", "a tone"],
)  # fmt: skip
def test_what_tells_nothing_is_not_informative(sound: Sound) -> None:
    assert not is_informative(fingerprint(sound))
    assert is_informative(ITEMS)


DAMAGES: dict[str, Callable[[Sound], Sound]] = {
    "quieter": lambda sound: sound * np.float32(0.25),
    "started later": lambda sound: sound[round(5.01 * RATE_HZ) :],
    "silence first": lambda sound: np.concatenate([np.zeros(3 * RATE_HZ, np.float32), sound]),
    "noisy": lambda sound: (
        sound + np.random.default_rng(2).normal(0, 0.02, len(sound)).astype(np.float32)
    ),
    "clipped": lambda sound: np.clip(sound * 4, -0.5, 0.5),
    "thirty seconds": lambda sound: sound[4 * RATE_HZ : 34 * RATE_HZ],
}


@pytest.mark.parametrize("name", DAMAGES)
def test_ordinary_damage_is_seen_through(name: str) -> None:
    match = compare(fingerprint(DAMAGES[name](SONG)), ITEMS)
    assert match.confidence > 0.95
    assert match.speed == pytest.approx(1, abs=0.005)


def test_where_a_part_lies_is_told() -> None:
    match = compare(fingerprint(SONG[10 * RATE_HZ : 30 * RATE_HZ]), ITEMS)
    assert match.offset_items * HOP_S == pytest.approx(10, abs=0.25)


def test_another_speed_is_seen_through_when_it_is_probed() -> None:
    faster = np.interp(np.arange(0, len(SONG), 1.02), np.arange(len(SONG)), SONG)
    probed = compare(fingerprint(faster.astype(np.float32), speed=1 / 1.02), ITEMS)
    assert probed.confidence > 0.95


def test_other_songs_are_no_match() -> None:
    others = [fingerprint(song(seed)) for seed in range(2, 8)]
    assert max(compare(other, ITEMS).confidence for other in others) < 0.6


def test_a_quotation_is_no_match() -> None:
    quoting = song(9)
    quoting[15 * RATE_HZ : 25 * RATE_HZ] = SONG[15 * RATE_HZ : 25 * RATE_HZ]
    assert compare(fingerprint(quoting), ITEMS).confidence == 0


def test_nothing_matches_nothing() -> None:
    none = np.zeros(0, np.uint32)
    silence = np.full(200, SILENCE, np.uint32)
    assert compare(none, ITEMS).confidence == compare(ITEMS, none).confidence == 0
    assert compare(silence, silence).confidence == 0
