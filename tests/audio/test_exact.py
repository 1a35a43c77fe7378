"""Every tier of every fixture, to the sample: joined, alone, and against the master's PCM."""

import hashlib
import subprocess
from pathlib import Path

import numpy as np
import pytest

from catalogue.nouns import Codec, Rendition
from storage.keys import rendition_key
from tests.audio.pressings import LADDER, padding_heard, press_file
from tests.audio.tools import (
    VORBIS_PACKET,
    Press,
    packed_sha256,
    require_chunks_alone,
    require_joined_as_uncut,
    require_tiling,
    retimed,
    span,
    untrimmed_pcm,
)
from tests.audio_tools import Fact, decode, fact, facts
from tests.e2e.test_players import (
    aac_padding,
    base_rate,
    earned,
    grid_samples,
    tier_rate,
    tier_samples,
)

FILES = [each.file for each in facts()]
FILLED = {
    each.file: [tier for tier in earned(each) if tier_samples(each, tier) > 0] for each in facts()
}
TIERS = [(file, tier) for file in FILES for tier in FILLED[file]]
LONG = [file for file in FILES if fact(file).samples > 2 * fact(file).rate_hz]
SAME_FRAMES = (Codec.AAC, Codec.ALAC, Codec.FLAC)
AAC_TIERS = [(file, tier) for file, tier in TIERS if tier.startswith("aac")]
LOSSLESS = [file for file in FILES if fact(file).bits is not None]
STUDIO = [file for file in LOSSLESS if (fact(file).bits, fact(file).rate_hz) == (24, 48_000)]
CANON = ("canon-1.flac", "canon-2.flac")
CANON_SAMPLES = 1_032_919
LONE_IMPULSES = [0, 44_101, 88_211, 220_529, 661_543, 929_928]


def lossless_truth(truth: Fact, rendition: Rendition) -> bool:
    """Whether the rendition holds the master's own samples."""
    own = (truth.rate_hz, truth.bits)
    return truth.bits is not None and (rendition.rate_hz, rendition.bits) == own


@pytest.mark.parametrize("file", FILES)
def test_a_master_fills_the_tiers_it_earns(press: Press, file: str) -> None:
    pressed = press(file)
    assert list(pressed.tiers) == FILLED[file]
    refused = {each.tier for each in pressed.pressing.refused}
    assert {*pressed.tiers, *refused} == {tier.name for tier in LADDER}


@pytest.mark.parametrize("file", FILES)
def test_the_decoded_master_is_the_one_that_was_made(press: Press, file: str) -> None:
    truth, decoded = fact(file), press(file).pressing.decoded
    assert decoded.samples == truth.samples
    if truth.pcm_sha256 is not None:
        assert decoded.pcm_sha256 == truth.pcm_sha256


@pytest.mark.parametrize(("file", "tier"), TIERS)
def test_chunks_tile_the_track_on_the_grid(press: Press, file: str, tier: str) -> None:
    rendition = press(file).tiers[tier]
    assert rendition.samples == tier_samples(fact(file), tier)
    assert rendition.rate_hz == tier_rate(fact(file), tier)
    require_tiling(rendition)
    starts = [chunk.start_samples for chunk in rendition.chunks]
    if rendition.tier.codec in SAME_FRAMES:
        assert starts == list(range(0, rendition.samples, grid_samples(rendition.rate_hz)))


@pytest.mark.parametrize(("file", "tier"), TIERS)
def test_every_object_is_what_is_declared_and_there_is_no_other(
    press: Press, file: str, tier: str
) -> None:
    pressed = press(file)
    rendition = pressed.tiers[tier]
    for name, stored in rendition.objects().items():
        data = pressed.read(rendition, stored)
        assert (name, stored.size_bytes) == (stored.name, len(data))
        assert stored.sha256 == hashlib.sha256(data).hexdigest()
    keys = {rendition_key(rendition.id, name) for name in rendition.objects()}
    assert set(pressed.store.list(f"renditions/{rendition.id}/")) == keys


@pytest.mark.parametrize(("file", "tier"), TIERS)
def test_joined_chunks_decode_to_just_the_track(press: Press, file: str, tier: str) -> None:
    pressed = press(file)
    rendition = pressed.tiers[tier]
    pcm = pressed.joined_pcm(rendition)
    assert len(pcm) == rendition.samples + padding_heard(rendition)
    if lossless_truth(fact(file), rendition):
        assert packed_sha256(pcm, rendition.bits) == fact(file).pcm_sha256


@pytest.mark.parametrize("file", FILES)
def test_joined_chunks_decode_as_the_uncut_encode(press: Press, file: str) -> None:
    pressed = press(file)
    require_joined_as_uncut(pressed, pressed.uncut())


@pytest.mark.parametrize(("file", "tier"), TIERS)
def test_every_chunk_decodes_alone_to_its_own_samples(press: Press, file: str, tier: str) -> None:
    """Bit for bit, AAC too: its encoder is told to leave out noise that depends on what was."""
    pressed = press(file)
    require_chunks_alone(pressed, pressed.tiers[tier])


@pytest.mark.parametrize(("file", "tier"), TIERS)
def test_only_aac_has_priming_and_padding_and_frames_of_its_own(
    press: Press, file: str, tier: str
) -> None:
    rendition = press(file).tiers[tier]
    prerolls = {chunk.preroll_samples for chunk in rendition.chunks[1:]}
    if rendition.tier.codec is Codec.AAC:
        padding = aac_padding(rendition.samples)
        assert (rendition.priming_samples, rendition.padding_samples) == (1024, padding)
        assert (rendition.frame_samples, prerolls <= {1024}) == (1024, True)
    else:
        frame = None if rendition.tier.codec is Codec.VORBIS else 4096
        assert (rendition.priming_samples, rendition.frame_samples) == (0, frame)
        assert prerolls <= {0}
        assert frame is None or rendition.padding_samples == 0


@pytest.mark.parametrize(("file", "tier"), AAC_TIERS)
def test_priming_preroll_and_padding_are_all_there_is_besides_the_track(
    press: Press, file: str, tier: str
) -> None:
    """As a decoder finds that heeds no hint in the file, and a player that trims by itself."""
    pressed = press(file)
    rendition = pressed.tiers[tier]
    whole = pressed.joined_pcm(rendition)
    raw = untrimmed_pcm(rendition, pressed.joined(rendition))
    priming, padding = rendition.priming_samples, rendition.padding_samples
    assert len(raw) == priming + rendition.samples + padding
    assert np.array_equal(raw[priming:], whole)
    for chunk in rendition.chunks[1:]:
        alone = untrimmed_pcm(rendition, pressed.alone(rendition, chunk))
        assert np.array_equal(alone[chunk.preroll_samples :], whole[span(rendition, chunk)])


@pytest.mark.parametrize("file", LOSSLESS)
def test_lossless_tiers_of_one_depth_hold_the_same_samples(press: Press, file: str) -> None:
    pressed = press(file)
    for alac, flac in (("alac", "flac"), ("alac-hires", "flac-hires")):
        if alac in pressed.tiers:
            one, other = (pressed.joined_pcm(pressed.tiers[tier]) for tier in (alac, flac))
            assert np.array_equal(one, other), alac


@pytest.mark.parametrize("file", STUDIO)
def test_sixteen_bits_are_the_master_s_own_but_for_rounding_and_dither(
    press: Press, file: str
) -> None:
    """Half a step of rounding, and triangular dither of at most one step."""
    pressed = press(file)
    own = np.frombuffer(decode(fact(file).path, "s32le"), "<i4").reshape(-1, fact(file).channels)
    off = pressed.joined_pcm(pressed.tiers["alac"]).astype("<f8") - own / 65_536
    assert 0.5 < np.abs(off).max() <= 1.5
    assert abs(off.mean()) < 0.01


@pytest.mark.parametrize("tier", earned(fact("signal-impulses.flac")))
def test_every_sound_is_where_the_master_has_it(press: Press, tier: str) -> None:
    """Nothing is early or late; only what 24 kbit/s leave of an impulse is blurred a little."""
    pressed = press("signal-impulses.flac")
    rendition = pressed.tiers[tier]
    heard = np.abs(pressed.joined_pcm(rendition)[: rendition.samples].astype("f8")).max(axis=1)
    blur = 2 if tier == "ogg-24" else 0
    scale = rendition.rate_hz / 44_100
    for impulse in LONE_IMPULSES:
        place = round(impulse * scale)
        first = max(0, place - 100)
        loudest = first + int(heard[first : place + 100].argmax())
        assert abs(loudest - place) <= blur, impulse


@pytest.mark.parametrize("file", LONG)
def test_tiers_with_fixed_frames_change_at_the_same_instants(press: Press, file: str) -> None:
    instants = {
        tuple(
            chunk.start_samples * fact(file).rate_hz // rendition.rate_hz
            for chunk in rendition.chunks
        )
        for rendition in press(file).pressing.renditions
        if rendition.tier.codec in SAME_FRAMES
    }
    assert len(instants) == 1


@pytest.mark.parametrize("file", LONG)
def test_vorbis_changes_within_a_packet_of_the_grid(press: Press, file: str) -> None:
    for rendition in press(file).pressing.renditions:
        if rendition.tier.codec is Codec.VORBIS:
            for chunk in rendition.chunks:
                base = base_rate(fact(file).rate_hz)
                wanted = chunk.index * grid_samples(base) * rendition.rate_hz / base
                assert abs(chunk.start_samples - wanted) <= VORBIS_PACKET


@pytest.mark.parametrize("scale", [44_100, 90_000, 1000, 600])
def test_an_mp4_may_count_time_in_any_unit(tmp_path: Path, scale: int) -> None:
    """Many writers count in milliseconds, or in QuickTime's 600ths, and round every instant."""
    path, source = tmp_path / "retimed.m4a", tmp_path / "source.m4a"
    command = ["ffmpeg", "-v", "error", "-i", str(fact("ode.wav").path), "-t", "2"]
    encode = [*command, "-c:a", "alac", "-use_editlist", "0", str(source)]
    subprocess.run(encode, check=True, timeout=60)
    path.write_bytes(retimed(source.read_bytes(), scale=scale))
    pcm_sha256 = hashlib.sha256(decode(source)).hexdigest()
    assert hashlib.sha256(decode(path)).hexdigest() == pcm_sha256
    pressed = press_file(path, tmp_path / "store")
    assert pressed.pressing.decoded.pcm_sha256 == pcm_sha256
    for tier in ("alac", "flac"):
        assert packed_sha256(pressed.joined_pcm(pressed.tiers[tier]), 16) == pcm_sha256
    lossy = [each for each in pressed.pressing.renditions if not each.tier.codec.lossless]
    assert {each.samples for each in lossy} == {88_200, 32_000}


@pytest.mark.parametrize("tier", earned(fact(CANON[0])))
def test_a_gapless_pair_joins_without_a_sample_more_or_less(press: Press, tier: str) -> None:
    """At a rate outside the family each part is rounded by itself: half a sample at each end."""
    pair = [press(file) for file in CANON]
    parts = [each.joined_pcm(each.tiers[tier])[: each.tiers[tier].samples] for each in pair]
    joined = np.concatenate(parts)
    if pair[0].tiers[tier].tier.codec.lossless:
        masters = b"".join(decode(fact(file).path) for file in CANON)
        assert np.array_equal(joined, np.frombuffer(masters, "<i2").reshape(-1, 2))
    rate_hz = pair[0].tiers[tier].rate_hz
    beside = abs(len(joined) - CANON_SAMPLES * rate_hz / 44_100)
    assert beside == 0 if rate_hz == 44_100 else beside <= 1
