"""The meter against EBU Tech 3341 and 3342: signals generated as those documents say."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.loudness import Loudness, LoudnessMeter
from pipeline.pcm import FULL_SCALES, PcmRows

RATE_HZ = 48_000
Sound = npt.NDArray[np.float64]


def tones(*parts: tuple[float | None, float], rate_hz: int = RATE_HZ) -> Sound:
    """Return 1 kHz at levels in dBFS (None: silence), each for some seconds."""
    levels = np.concatenate(
        [
            np.full(round(length_s * rate_hz), 0.0 if level is None else 10 ** (level / 20))
            for level, length_s in parts
        ]
    )
    return np.asarray(levels * np.sin(2 * np.pi * 1000 * np.arange(len(levels)) / rate_hz))


def measure(
    *channels: Sound, rate_hz: int = RATE_HZ, bits: int = 24, pieces: int = 1 << 16
) -> Loudness:
    meter = LoudnessMeter(rate_hz=rate_hz, channels=len(channels), full_scale=FULL_SCALES[bits])
    rows = PcmRows(channels=len(channels), bits=bits)
    data = to_pcm(np.stack(channels, axis=1), bits)
    for start in range(0, len(data), pieces):
        meter.feed(rows.feed(data[start : start + pieces]).astype(np.float32))
    return meter.finish()


def to_pcm(sound: Sound, bits: int) -> bytes:
    whole = np.rint(sound * (2 ** (bits - 1) - 1)).astype("<i4")
    if bits == 16:
        return bytes(whole.astype("<i2").tobytes())
    low_three = whole.view(np.uint8).reshape(*whole.shape, 4)[..., :3]
    return bytes(np.ascontiguousarray(low_three).tobytes())


def stereo(*parts: tuple[float | None, float], **options: int) -> Loudness:
    sound = tones(*parts)
    return measure(sound, sound, **options)


INTEGRATED: dict[str, tuple[Sequence[tuple[float | None, float]], float]] = {
    "3341 case 1": ([(-23, 20)], -23.0),
    "3341 case 2": ([(-33, 20)], -33.0),
    "3341 case 3": ([(-36, 10), (-23, 60), (-36, 10)], -23.0),
    "3341 case 4": ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23.0),
    "3341 case 5": ([(-26, 20), (-20, 20.1), (-26, 20)], -23.0),
}


@pytest.mark.parametrize("case", INTEGRATED)
@pytest.mark.parametrize("bits", [16, 24])
def test_integrated_loudness(case: str, bits: int) -> None:
    parts, expected = INTEGRATED[case]
    assert stereo(*parts, bits=bits).integrated_lufs == pytest.approx(expected, abs=0.1)


def test_a_steady_tone_is_as_loud_by_every_time_scale() -> None:
    heard = stereo((-23, 20))
    assert heard.momentary_max_lufs == pytest.approx(-23, abs=0.1)
    assert heard.short_term_max_lufs == pytest.approx(-23, abs=0.1)
    assert heard.range_lu == 0


def test_short_term_loudness_of_a_pattern_of_three_seconds() -> None:
    """3341 case 9."""
    heard = stereo(*[(-20, 1.34), (-30, 1.66)] * 5)
    assert heard.short_term_max_lufs == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize("turn", range(20))
def test_short_term_loudness_wherever_three_seconds_begin(turn: int) -> None:
    """3341 case 10."""
    heard = stereo((None, turn * 0.15), (-23, 3), (None, 1))
    assert heard.short_term_max_lufs == pytest.approx(-23, abs=0.1)


def test_momentary_loudness_of_a_pattern_of_four_hundred_milliseconds() -> None:
    """3341 case 12."""
    heard = stereo(*[(-20, 0.18), (-30, 0.22)] * 25)
    assert heard.momentary_max_lufs == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize("turn", range(20))
def test_momentary_loudness_wherever_four_hundred_milliseconds_begin(turn: int) -> None:
    """3341 case 13, which a hop of 100 ms fails."""
    heard = stereo((None, turn * 0.02), (-23, 0.4), (None, 1))
    assert heard.momentary_max_lufs == pytest.approx(-23, abs=0.1)


RANGES: dict[str, tuple[Sequence[tuple[float | None, float]], float]] = {
    "3342 case 1": ([(-20, 20), (-30, 20)], 10),
    "3342 case 2": ([(-20, 20), (-15, 20)], 5),
    "3342 case 3": ([(-40, 20), (-20, 20)], 20),
    "3342 case 4": ([(-50, 20), (-35, 20), (-20, 20), (-35, 20), (-50, 20)], 15),
}


@pytest.mark.parametrize("case", RANGES)
def test_loudness_range(case: str) -> None:
    parts, expected = RANGES[case]
    assert stereo(*parts).range_lu == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 88_200, 96_000, 176_400, 192_000])
def test_every_rate_measures_the_same(rate_hz: int) -> None:
    sound = tones((-23, 5), rate_hz=rate_hz)
    heard = measure(sound, sound, rate_hz=rate_hz)
    assert heard.integrated_lufs == pytest.approx(-23, abs=0.1)


def test_one_channel_is_half_the_power_of_two() -> None:
    sound = tones((-20, 5))
    alone, beside = measure(sound), measure(sound, np.zeros(len(sound)))
    assert alone.integrated_lufs == beside.integrated_lufs == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize("length_s", [0.0, 0.005, 0.3, 30.0])
def test_silence_and_what_is_too_short_have_no_loudness(length_s: float) -> None:
    heard = stereo((None, length_s))
    assert heard == Loudness(
        integrated_lufs=None, momentary_max_lufs=None, short_term_max_lufs=None, range_lu=None
    )


@given(st.integers(1, 50_000), st.sampled_from([16, 24]))
def test_it_does_not_depend_on_how_the_bytes_come(pieces: int, bits: int) -> None:
    sound = tones((-30, 0.5), (-12, 0.7), (-40, 0.3))
    assert stereo_of(sound, bits, pieces) == stereo_of(sound, bits, 1 << 30)


def stereo_of(sound: Sound, bits: int, pieces: int) -> Loudness:
    return measure(sound, -sound / 2, bits=bits, pieces=max(pieces, 997))
