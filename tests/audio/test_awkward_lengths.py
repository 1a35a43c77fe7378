"""Lengths on and beside every border there is: frames, packets, the grid, and none at all."""

import hashlib
import wave
from collections.abc import Sequence
from pathlib import Path

import pytest

from catalogue.errors import MasterHasNoSamples
from catalogue.nouns import Codec
from tests.audio.pressings import Pressed, make_wav, padding_heard, press_file
from tests.audio.tools import (
    decode_everything_joined,
    packed_sha256,
    require_chunks_alone,
    require_joined_as_uncut,
    require_tiling,
)
from tests.audio_tools import Fact
from tests.e2e.test_players import earned, grid_samples, tier_samples

SHORT = [1, 2, 1023, 1024, 1025, 2047, 2048, 2049, 4095, 4096, 4097]


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
    samples = grid_samples(rate_hz) + beside
    path = make_wav(tmp_path / "grid.wav", samples=samples, rate_hz=rate_hz, channels=1)
    pressed = press_file(path, tmp_path / "store")
    require_exact(pressed)
    require_joined_as_uncut(pressed, pressed.uncut())
    for rendition in pressed.pressing.renditions:
        if rendition.tier.codec is not Codec.VORBIS:
            assert len(rendition.chunks) == 1 + (beside > 0)


@pytest.mark.parametrize("beside", [-1, 0, 1, 2])
@pytest.mark.parametrize("rate_hz", [88_200, 96_000])
def test_hires_tracks_that_end_beside_the_grid_are_exact(
    tmp_path: Path, rate_hz: int, beside: int
) -> None:
    path = make_wav(
        tmp_path / "grid.wav",
        samples=grid_samples(rate_hz) + beside,
        rate_hz=rate_hz,
        bits=24,
        channels=1,
    )
    tiers = ["aac-128", "alac", "alac-hires", "flac-hires"]
    pressed = press_file(path, tmp_path / "store", tiers=tiers)
    require_exact(pressed, tiers=tiers)
    require_joined_as_uncut(pressed, pressed.uncut())


@pytest.mark.parametrize("rate_hz", [176_400, 192_000])
@pytest.mark.parametrize("samples", [5, 4096, 16_385])
def test_the_highest_rates_are_exact(tmp_path: Path, rate_hz: int, samples: int) -> None:
    path = make_wav(tmp_path / "high.wav", samples=samples, rate_hz=rate_hz, bits=24)
    require_exact(press_file(path, tmp_path / "store"))


def test_a_track_of_no_samples_is_refused(tmp_path: Path) -> None:
    path = make_wav(tmp_path / "none.wav", samples=0)
    with pytest.raises(MasterHasNoSamples) as refused:
        press_file(path, tmp_path / "store")
    assert refused.value.code == "master-has-no-samples"
    assert not (tmp_path / "store").exists()


def truth_of(path: Path) -> Fact:
    """Return the facts of a generated master, from its own header and samples."""
    with wave.open(str(path)) as file:
        pcm = file.readframes(file.getnframes())
        return Fact(
            file=path.name,
            format="wav",
            rate_hz=file.getframerate(),
            bits=file.getsampwidth() * 8,
            channels=file.getnchannels(),
            samples=file.getnframes(),
            pcm_sha256=hashlib.sha256(pcm).hexdigest(),
        )


def require_exact(pressed: Pressed, *, tiers: Sequence[str] = ()) -> None:
    """Require all that is promised of every rendition of a generated master."""
    truth, decoded = truth_of(pressed.path), pressed.pressing.decoded
    assert (decoded.samples, decoded.pcm_sha256) == (truth.samples, truth.pcm_sha256)
    filled = [tier for tier in tiers or earned(truth) if tier_samples(truth, tier) > 0]
    assert list(pressed.tiers) == filled
    decode_everything_joined(pressed)
    for tier, rendition in pressed.tiers.items():
        assert rendition.samples == tier_samples(truth, tier), tier
        require_tiling(rendition)
        joined = pressed.joined_pcm(rendition)
        assert len(joined) == rendition.samples + padding_heard(rendition), tier
        if (rendition.rate_hz, rendition.bits) == (truth.rate_hz, truth.bits):
            assert packed_sha256(joined, rendition.bits) == truth.pcm_sha256, tier
        require_chunks_alone(pressed, rendition)
