"""Songs in a real catalogue, and what is recognised of them, damaged and undamaged."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import numpy as np
import pytest
from sqlalchemy import Engine, insert

from catalogue.database.engine import open_engine, upgrade, writing
from catalogue.database.prints import SqlPrints, keep_fingerprint
from catalogue.database.schema import masters
from pipeline.hearing.fingerprint import HOP_S, build_fingerprint, decode_items
from pipeline.hearing.recognise import CERTAIN, Ear, Recogniser, find_candidates
from pipeline.hearing.spectra import RATE_HZ
from tests.contract.examples import sha256_of
from tests.unit.test_matching import Sound, fingerprint, song

SONGS = 6
SONG = song(1, 60)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A catalogue that knows six songs."""
    engine = open_engine(f"sqlite:///{tmp_path_factory.mktemp('prints') / 'catalogue.sqlite3'}")
    upgrade(engine)
    now = datetime(2026, 3, 1, tzinfo=UTC)
    with writing(engine) as connection:
        for seed in range(1, SONGS + 1):
            name = sha256_of(f"song {seed}")
            row = {"sha256": name, "facts": {}, "samples": 1, "pcm_sha256": name}
            connection.execute(insert(masters).values(**row, created_at=now))
            printed = build_fingerprint(fingerprint(song(seed, 60)))
            keep_fingerprint(connection, name, printed, now)
    yield engine
    engine.dispose()


@pytest.fixture
def recogniser(engine: Engine) -> Recogniser:
    return Recogniser(SqlPrints(engine))


def hear(sound: Sound, *, piece: int = 1 << 18) -> Ear:
    ear = Ear()
    data = sound.astype("<f4").tobytes()
    for start in range(0, len(data), piece):
        ear.feed(data[start : start + piece])
    ear.finish()
    return ear


def faster(sound: Sound, ratio: float) -> Sound:
    places = np.arange(0, len(sound), ratio)
    return np.asarray(np.interp(places, np.arange(len(sound)), sound), np.float32)


def less_bass(sound: Sound) -> Sound:
    spectrum = np.fft.rfft(sound)
    hz = np.fft.rfftfreq(len(sound), 1 / RATE_HZ)
    gain = 1 / (1 + (150 / np.maximum(hz, 1)) ** 2)
    return np.asarray(np.fft.irfft(spectrum * gain, len(sound)), np.float32)


HALF_AN_ITEM = round(HOP_S * RATE_HZ / 2)

DAMAGES: dict[str, tuple[Callable[[Sound], Sound], float, float]] = {
    "nothing": (lambda sound: sound, 0.0, 1.0),
    "half an item late": (lambda sound: sound[HALF_AN_ITEM:], HOP_S / 2, 1.0),
    "fifteen seconds": (lambda sound: sound[22 * RATE_HZ : 37 * RATE_HZ], 22.0, 1.0),
    "silence first": (
        lambda sound: np.concatenate([np.zeros(4 * RATE_HZ, np.float32), sound]),
        -4.0,
        1.0,
    ),
    "half a per cent slow": (lambda sound: faster(sound, 0.995), 0.0, 0.995),
    "three per cent fast": (lambda sound: faster(sound, 1.03), 0.0, 1.03),
    "a semitone down": (lambda sound: faster(sound, 2 ** (-1 / 12)), 0.0, 2 ** (-1 / 12)),
    "less bass": (less_bass, 0.0, 1.0),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_known_song_is_recognised_and_where_and_how_fast_is_told(
    recogniser: Recogniser, name: str
) -> None:
    damage, offset_s, speed = DAMAGES[name]
    found = recogniser.recognise(hear(damage(SONG)))
    assert found is not None and found.confidence >= CERTAIN
    assert found.master_sha256 == sha256_of("song 1")
    assert found.offset_s == pytest.approx(offset_s, abs=0.3)
    assert found.speed == pytest.approx(speed, abs=0.006)


@pytest.mark.parametrize("seed", range(SONGS + 1, SONGS + 5))
def test_an_unknown_song_is_nobody_s(recogniser: Recogniser, seed: int) -> None:
    assert recogniser.recognise(hear(song(seed, 60))) is None


def test_what_tells_nothing_is_not_even_looked_for(recogniser: Recogniser) -> None:
    for sound in (SONG[: 2 * RATE_HZ], np.zeros(30 * RATE_HZ, np.float32), SONG[:0]):
        assert recogniser.nearest(hear(sound)) is None


def test_a_long_sound_is_known_by_all_of_it_and_kept_in_part() -> None:
    ear = hear(song(2, 170))
    excerpt, start = ear.excerpt()
    assert (len(excerpt), start) == (120 * RATE_HZ * 4, 30 * RATE_HZ)
    assert len(ear.items) * HOP_S == pytest.approx(170, abs=3)


def test_a_whole_fingerprint_resembles_the_masters_it_is_of(recogniser: Recogniser) -> None:
    (found,) = recogniser.resembling(build_fingerprint(fingerprint(SONG * np.float32(0.5))))
    assert found.master_sha256 == sha256_of("song 1")
    assert recogniser.resembling(build_fingerprint(fingerprint(song(SONGS + 1, 60)))) == []
    assert recogniser.resembling(build_fingerprint(fingerprint(SONG[:0]))) == []


def test_candidates_are_told_apart_by_query_and_offset(engine: Engine) -> None:
    prints = SqlPrints(engine)
    items = [fingerprint(song(seed, 60)) for seed in (3, 5)]
    found = find_candidates(prints, [items[0][100:], items[1]])
    numbers = {each.number: each.master_sha256 for each in prints.read(range(1, SONGS + 1))}
    told = {numbers[each.number]: (each.query, each.offset_items) for each in found[:2]}
    assert told == {sha256_of("song 3"): (0, 100), sha256_of("song 5"): (1, 0)}
    assert find_candidates(prints, [items[0][:0]]) == []


def test_a_term_with_a_bit_turned_is_found_when_bits_are_turned(engine: Engine) -> None:
    prints = SqlPrints(engine)
    items = fingerprint(song(4, 60))
    spoilt = items ^ np.uint32(1 << 3)
    assert not any(each.offset_items == 0 for each in find_candidates(prints, [spoilt]))
    found = find_candidates(prints, [spoilt], flips=True)[0]
    (known,) = prints.read([found.number])
    assert (known.master_sha256, found.offset_items) == (sha256_of("song 4"), 0)


def test_a_fingerprint_is_encoded_as_acoustid_takes_it() -> None:
    items = fingerprint(SONG)
    printed = build_fingerprint(items)
    np.testing.assert_array_equal(decode_items(printed.encoded), items)
    assert printed.encoded.startswith("AQ"), "the algorithm's number comes first"
    assert all(-(1 << 31) <= term < 1 << 31 for term, _ in printed.terms)
    assert len(printed.terms) > 20
    assert build_fingerprint(items[:30]).terms == ()
