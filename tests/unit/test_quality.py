"""What is measured of a master, against sound that is made to have it."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogue.nouns import Master, Sha256, Tags
from catalogue.quality import (
    Places,
    QualityPolicy,
    QualityReport,
    Rule,
    RuleSetting,
    Span,
    Suspicion,
    TierPeak,
    Verdict,
    judge_quality,
    worst_of,
)
from pipeline.loudness import Loudness
from pipeline.pcm import PcmRows
from pipeline.quality.inspector import Inspector
from pipeline.quality.true_peak import TruePeakMeter, to_db
from tests.unit.test_loudness import to_pcm

RATE_HZ = 48_000
QUIET = Loudness(
    integrated_lufs=None, momentary_max_lufs=None, short_term_max_lufs=None, range_lu=None
)
Sound = npt.NDArray[np.float64]


def master(channels: int, bits: int, rate_hz: int = RATE_HZ) -> Master:
    return Master(
        sha256=Sha256("0" * 64),
        size_bytes=1,
        container="wav",
        codec="pcm_s16le",
        lossy=False,
        rate_hz=rate_hz,
        channels=channels,
        bits=bits,
        declared_samples=None,
        audio_md5=None,
        tags=Tags(),
    )


def inspect(
    *channels: Sound, bits: int = 16, rate_hz: int = RATE_HZ, pieces: int = 1 << 16
) -> QualityReport:
    inspector = Inspector(master(len(channels), bits, rate_hz), bits=bits)
    rows = PcmRows(channels=len(channels), bits=bits)
    data = to_pcm(np.stack(channels, axis=1), bits)
    for start in range(0, len(data), pieces):
        inspector.feed(rows.feed(data[start : start + pieces]))
    return inspector.finish(QUIET)


def sine(length_s: float, hz: float = 997, level: float = 0.5, phase: float = 0.0) -> Sound:
    moments = np.arange(round(length_s * RATE_HZ)) / RATE_HZ
    return np.asarray(level * np.sin(2 * np.pi * hz * moments + np.radians(phase)))


def noise(length_s: float, seed: int = 0, level: float = 0.1, rate_hz: int = RATE_HZ) -> Sound:
    samples = np.random.default_rng(seed).standard_normal(round(length_s * rate_hz))
    return np.asarray(np.clip(samples * level, -0.9, 0.9))


# --------------------------------------------------------------------------- true peak


def true_peak(sound: Sound, rate_hz: int = RATE_HZ) -> float:
    meter = TruePeakMeter(rate_hz=rate_hz, channels=1)
    for start in range(0, len(sound), 1000):
        meter.feed(sound[None, start : start + 1000].astype(np.float32))
    found = to_db(meter.finish())
    assert found is not None
    return found


@pytest.mark.parametrize("rate_hz", [44_100, 88_200, 176_400])
def test_a_true_peak_is_never_below_the_samples_own(rate_hz: int) -> None:
    sound = noise(0.5, rate_hz=rate_hz)
    highest = to_db(float(np.abs(sound.astype(np.float32)).max()))
    assert highest is not None
    assert true_peak(sound, rate_hz) >= highest


def test_where_a_true_peak_is() -> None:
    sound = noise(1, level=0.001)
    sound[20_000:20_002] = 0.8
    found = inspect(sound)
    assert found.true_peak_at_samples == 20_000
    assert found.sample_peak_dbfs == pytest.approx(-1.94, abs=0.01)
    assert found.true_peak_dbtp is not None and found.true_peak_dbtp > -1


# --------------------------------------------------------------------------- samples


@pytest.mark.parametrize("bits", [16, 24])
def test_runs_at_full_scale_are_counted_by_channel(bits: int) -> None:
    left, right = noise(3), noise(3, seed=1)
    for start, count in [(100, 2), (1000, 3), (65_535, 4)]:
        left[start : start + count] = 1.0
    right[70_000:70_005] = -1.0
    right[len(right) - 3 :] = 1.0
    found = inspect(left, right, bits=bits)
    assert found.clips == Places(
        count=4,
        samples=15,
        longest_samples=5,
        first=(
            Span(start_samples=1000, samples=3, channel=0),
            Span(start_samples=65_535, samples=4, channel=0),
            Span(start_samples=70_000, samples=5, channel=1),
            Span(start_samples=len(right) - 3, samples=3, channel=1),
        ),
    )


def test_an_offset_is_measured_by_channel() -> None:
    found = inspect(noise(5) + 0.01, noise(5, seed=1))
    assert found.dc_offset[0] == pytest.approx(0.01, abs=1e-3)
    assert found.dc_offset[1] == pytest.approx(0, abs=1e-3)


def test_silence_is_measured_where_it_is() -> None:
    sound = np.concatenate([np.zeros(12_345), noise(2), np.zeros(3 * RATE_HZ), noise(1), [0.0] * 7])
    sound[12_345] = sound[-8] = 0.1
    found = inspect(sound)
    assert (found.head_silence_samples, found.tail_silence_samples) == (12_345, 7)
    assert found.silences.count == 1
    [span] = found.silences.first
    assert abs(span.start_samples - (12_345 + 2 * RATE_HZ)) <= 256
    assert abs(span.samples - 3 * RATE_HZ) <= 512


def test_nothing_but_silence() -> None:
    found = inspect(np.zeros(RATE_HZ), np.zeros(RATE_HZ))
    assert (found.head_silence_samples, found.tail_silence_samples) == (RATE_HZ, RATE_HZ)
    assert found.sample_peak_dbfs is found.true_peak_dbtp is None
    assert (found.dual_mono, found.correlation, found.effective_bits) == (False, None, None)


def test_gaps_of_zeros_inside_sound_are_dropouts() -> None:
    left, right = noise(4), noise(4, seed=1)
    for start, count in [(50_000, 40), (65_500, 100), (120_000, 480)]:
        left[start : start + count] = right[start : start + count] = 0
    left[150_000:150_400] = 0
    found = inspect(left, right).dropouts
    assert [(span.start_samples, span.samples) for span in found.first] == [
        (65_500, 100),
        (120_000, 480),
    ]
    assert (found.count, found.samples, found.longest_samples) == (2, 580, 480)


def test_a_pause_is_no_dropout() -> None:
    faded_out = noise(2) * np.linspace(1, 0, 2 * RATE_HZ) ** 4
    sound = np.concatenate([faded_out, np.zeros(RATE_HZ // 2), faded_out[::-1]])
    assert inspect(sound).dropouts.count == 0


@pytest.mark.parametrize(("share", "expected"), [(1.0, 1.0), (-1.0, -1.0), (0.0, 0.0)])
def test_channels_correlate(share: float, expected: float) -> None:
    left = noise(4)
    found = inspect(left, share * left + (1 - abs(share)) * noise(4, seed=1))
    assert found.correlation == pytest.approx(expected, abs=0.02)
    assert found.correlation_min == pytest.approx(expected, abs=0.05)
    assert found.dual_mono is (share == 1.0)


def test_the_worst_passage_is_found() -> None:
    left, right = noise(12), noise(12)
    right[4 * RATE_HZ : 8 * RATE_HZ] *= -1
    found = inspect(left, right)
    assert found.correlation == pytest.approx(1 / 3, abs=0.02)
    assert found.correlation_min == pytest.approx(-1, abs=0.01)


@pytest.mark.parametrize("used", [8, 16, 20, 23])
def test_bits_that_are_never_used_are_not_counted(used: int) -> None:
    sound = noise(1)
    steps = 2 ** (used - 1)
    coarse = np.rint(sound * steps).astype("<i4") << (24 - used)
    data = np.ascontiguousarray(coarse.view(np.uint8).reshape(-1, 4)[:, :3]).tobytes()
    inspector = Inspector(master(1, 24), bits=24)
    inspector.feed(PcmRows(channels=1, bits=24).feed(data))
    assert inspector.finish(QUIET).effective_bits == used


# --------------------------------------------------------------------------- spectra


def limited(sound: Sound, edge_hz: float, rate_hz: int) -> Sound:
    """Return sound without anything above a frequency."""
    spectrum = np.fft.rfft(sound)
    spectrum[int(edge_hz / rate_hz * len(sound)) :] = 0
    return np.asarray(np.fft.irfft(spectrum, len(sound)))


@pytest.mark.parametrize(
    ("rate_hz", "edge_hz", "of"),
    [
        (44_100, 16_000, Suspicion.LOSSY_PAST),
        (48_000, 19_500, Suspicion.LOSSY_PAST),
        (96_000, 22_000, Suspicion.UPSAMPLED),
        (96_000, 23_900, Suspicion.UPSAMPLED),
        (192_000, 46_000, Suspicion.UPSAMPLED),
        (192_000, 22_050, Suspicion.UPSAMPLED),
    ],
)
def test_a_wall_in_the_spectrum_is_evidence(rate_hz: int, edge_hz: int, of: Suspicion) -> None:
    sound = limited(noise(6, rate_hz=rate_hz), edge_hz, rate_hz)
    [found] = inspect(sound, bits=24, rate_hz=rate_hz).evidence
    assert (found.of, found.score) == (of, 1.0)
    assert abs(found.edge_hz - edge_hz) < 800


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 96_000])
def test_sound_that_fades_is_no_evidence(rate_hz: int) -> None:
    sound = noise(6, rate_hz=rate_hz)
    hz = np.fft.rfftfreq(len(sound), 1 / rate_hz)
    pink = np.fft.irfft(np.fft.rfft(sound) / np.maximum(20, hz), len(sound))
    for each in (sound, 0.3 * pink / np.abs(pink).max()):
        assert inspect(each, bits=24, rate_hz=rate_hz).evidence == ()


def test_the_anti_aliasing_of_a_converter_is_no_evidence() -> None:
    assert inspect(limited(noise(6, rate_hz=44_100), 21_000, 44_100), rate_hz=44_100).evidence == ()


# --------------------------------------------------------------------------- all of it


@given(st.integers(1, 400_000), st.sampled_from([16, 24]), st.integers(0, 9))
@settings(max_examples=12)
def test_nothing_depends_on_how_the_bytes_come(pieces: int, bits: int, seed: int) -> None:
    left, right = noise(2, seed=seed), noise(2, seed=seed + 1)
    left[60_000:66_000] = right[60_000:66_000] = 0
    left[30_000:30_010] = 1.0
    whole = inspect(left, right, bits=bits, pieces=1 << 30)
    assert inspect(left, right, bits=bits, pieces=max(pieces, 4001)) == whole


def test_every_sample_is_told_of() -> None:
    for count in (1, 255, 256, 65_536, 65_537):
        found = inspect(noise(float(Fraction(count, RATE_HZ))))
        assert found.samples == count


# --------------------------------------------------------------------------- rules

GOOD = inspect(noise(2), noise(2, seed=1) * 0.5 + noise(2) * 0.5)


def rules_of(report: QualityReport, **settings: RuleSetting) -> dict[Rule, Verdict]:
    policy = QualityPolicy(settings={Rule(name): each for name, each in settings.items()})
    return {each.rule: each.verdict for each in judge_quality(report, policy)}


def test_a_good_master_passes() -> None:
    assert judge_quality(GOOD, QualityPolicy()) == []
    assert worst_of([]) is Verdict.PASSED


CLIPPED = Places(count=2, samples=9, longest_samples=5, first=(Span(start_samples=7, samples=5),))
BEYOND: dict[Rule, dict[str, Any]] = {
    Rule.LOSSY: {"lossy": True},
    Rule.CLIPS: {"clips": CLIPPED},
    Rule.TRUE_PEAK: {"true_peak_dbtp": 0.01},
    Rule.TIER_TRUE_PEAK: {"tiers": (TierPeak(tier="ogg-96", true_peak_dbtp=1.2),)},
    Rule.DC_OFFSET: {"dc_offset": (0.0, -0.003)},
    Rule.SILENT: {"true_peak_dbtp": None},
    Rule.HEAD_SILENCE: {"head_silence_samples": 3 * RATE_HZ},
    Rule.TAIL_SILENCE: {"tail_silence_samples": 6 * RATE_HZ},
    Rule.SILENCE_INSIDE: {
        "silences": Places(
            count=1,
            samples=11 * RATE_HZ,
            longest_samples=11 * RATE_HZ,
            first=(Span(start_samples=9, samples=11 * RATE_HZ),),
        )
    },
    Rule.DROPOUTS: {"dropouts": CLIPPED},
    Rule.CORRELATION: {"correlation": -0.31},
    Rule.DUAL_MONO: {"dual_mono": True},
    Rule.EFFECTIVE_BITS: {"effective_bits": 15},
}


@pytest.mark.parametrize("rule", BEYOND)
def test_what_goes_beyond_a_limit_is_told(rule: Rule) -> None:
    report = replace(GOOD, **BEYOND[rule])
    [found] = judge_quality(report, QualityPolicy())
    assert (found.rule, found.verdict) == (rule, Verdict.WARN)
    assert found.detail.endswith(".") and found.advice.endswith(".")
    refusing = RuleSetting(verdict=Verdict.REFUSE, limit=found.limit)
    assert rules_of(report, **{rule: refusing}) == {rule: Verdict.REFUSE}
    passing = RuleSetting(verdict=Verdict.PASSED, limit=found.limit)
    assert rules_of(report, **{rule: passing}) == {}


def test_a_limit_is_the_labels_own() -> None:
    report = replace(GOOD, true_peak_dbtp=-0.5, integrated_lufs=-7.0)
    assert rules_of(report) == {}
    strict = {
        "true-peak": RuleSetting(verdict=Verdict.REFUSE, limit=-1.0),
        "too-loud": RuleSetting(verdict=Verdict.WARN, limit=-9.0),
    }
    assert list(rules_of(report, **strict).items()) == [
        (Rule.TRUE_PEAK, Verdict.REFUSE),
        (Rule.TOO_LOUD, Verdict.WARN),
    ]
