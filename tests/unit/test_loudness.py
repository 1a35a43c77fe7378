"""The meter against EBU Tech 3341 and 3342: signals generated as those documents say."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.loudness import Loudness, LoudnessMeter
from pipeline.pcm import FULL_SCALES, PcmRows
from tests.ebu import RATE_HZ, Sound, cases, render, tones

DOCUMENT = Path(__file__).parents[2] / "docs" / "quality.md"


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


def test_a_steady_tone_is_as_loud_by_every_time_scale() -> None:
    heard = stereo((-23, 20))
    assert heard.momentary_max_lufs == pytest.approx(-23, abs=0.1)
    assert heard.short_term_max_lufs == pytest.approx(-23, abs=0.1)
    assert heard.range_lu == 0


CASES = {case.name: case for case in cases()}


@pytest.mark.parametrize("name", CASES)
def test_what_the_ebu_asks_of_a_meter(name: str) -> None:
    case = CASES[name]
    found = case.measure()
    assert len(found) == len(case.expected)
    for value, expected in zip(found, case.expected, strict=True):
        assert value is not None
        assert expected - case.below <= value <= expected + case.above
    assert render(case, found) in DOCUMENT.read_text("utf-8").splitlines()


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
