"""Lengths on and beside every border there is: frames, packets, the grid, and none at all."""

import hashlib
import wave
from pathlib import Path

import numpy as np
import pytest

from catalogue.errors import MasterHasNoSamples
from catalogue.nouns import Codec, Rendition
from pipeline.cutting.grid import chunk_samples, samples_at
from tests.audio.pressings import Pressed, make_wav, padding_heard, pcm_of, press_file

SHORT = [1, 2, 1023, 1024, 1025, 2047, 2048, 2049, 4095, 4096, 4097]
GRID = {rate_hz: chunk_samples(rate_hz) for rate_hz in (44_100, 48_000, 88_200, 96_000)}


@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("samples", SHORT)
def test_short_tracks_are_exact(tmp_path: Path, samples: int, channels: int, bits: int) -> None:
    path = make_wav(tmp_path / "short.wav", samples=samples, bits=bits, channels=channels)
    require_exact(press_file(path, tmp_path / "store"))


@pytest.mark.parametrize("beside", [-1, 0, 1])
@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_tracks_that_end_beside_the_grid_are_exact(
    tmp_path: Path, rate_hz: int, beside: int
) -> None:
    samples = GRID[rate_hz] + beside
    path = make_wav(tmp_path / "grid.wav", samples=samples, rate_hz=rate_hz, channels=1)
    pressed = press_file(path, tmp_path / "store")
    require_exact(pressed)
    for rendition in pressed.pressing.renditions:
        if rendition.tier.codec is not Codec.VORBIS:
            assert len(rendition.chunks) == 1 + (beside > 0)


@pytest.mark.parametrize("beside", [-1, 0, 1, 2])
@pytest.mark.parametrize("rate_hz", [88_200, 96_000])
def test_hires_tracks_that_end_beside_the_grid_are_exact(
    tmp_path: Path, rate_hz: int, beside: int
) -> None:
    path = make_wav(
        tmp_path / "grid.wav", samples=GRID[rate_hz] + beside, rate_hz=rate_hz, bits=24, channels=1
    )
    tiers = ["aac-128", "alac", "alac-hires", "flac-hires"]
    require_exact(press_file(path, tmp_path / "store", tiers=tiers))


@pytest.mark.parametrize("rate_hz", [176_400, 192_000])
@pytest.mark.parametrize("samples", [5, 4096, 16_385])
def test_the_highest_rates_are_exact(tmp_path: Path, rate_hz: int, samples: int) -> None:
    path = make_wav(tmp_path / "high.wav", samples=samples, rate_hz=rate_hz, bits=24)
    require_exact(press_file(path, tmp_path / "store"))


def test_a_track_of_no_samples_is_refused(tmp_path: Path) -> None:
    path = make_wav(tmp_path / "none.wav", samples=0)
    with pytest.raises(MasterHasNoSamples):
        press_file(path, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def require_exact(pressed: Pressed) -> None:
    """Require all that is promised of every rendition of a generated master."""
    with wave.open(str(pressed.path)) as file:
        samples, rate_hz = file.getnframes(), file.getframerate()
        pcm_sha256 = hashlib.sha256(file.readframes(samples)).hexdigest()
    assert pressed.pressing.decoded.samples == samples
    assert pressed.pressing.decoded.pcm_sha256 == pcm_sha256
    for rendition in pressed.pressing.renditions:
        tier = rendition.tier.name
        assert rendition.samples == expected_samples(rendition, samples, rate_hz), tier
        assert sum(chunk.valid_samples for chunk in rendition.chunks) == rendition.samples, tier
        joined = pressed.joined_pcm(rendition)
        assert len(joined) == rendition.samples + padding_heard(rendition), tier
        if (rendition.rate_hz, rendition.bits) == (rate_hz, pressed.pressing.master.bits):
            assert packed_sha256(joined, rendition.bits) == pcm_sha256, tier
        for chunk in rendition.chunks:
            last = chunk is rendition.chunks[-1]
            end = chunk.start_samples + chunk.valid_samples + last * padding_heard(rendition)
            alone = pcm_of(rendition, pressed.alone(rendition, chunk))
            assert np.array_equal(alone, joined[chunk.start_samples : end]), (tier, chunk.index)


def expected_samples(rendition: Rendition, samples: int, rate_hz: int) -> int:
    base = 48_000 if rate_hz % 48_000 == 0 else 44_100
    if rendition.tier.hires:
        return samples
    at_base = samples_at(samples, from_hz=rate_hz, to_hz=base)
    return samples_at(at_base, from_hz=base, to_hz=rendition.rate_hz)


def packed_sha256(pcm: np.ndarray[tuple[int, ...], np.dtype[np.generic]], bits: int | None) -> str:
    """Return the hash of PCM as a WAV of its depth has it."""
    if bits == 24:
        return hashlib.sha256(pcm.view("u1").reshape(-1, 4)[:, 1:].tobytes()).hexdigest()
    return hashlib.sha256(pcm.tobytes()).hexdigest()
