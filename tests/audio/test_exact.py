"""Every tier of every fixture, to the sample: joined, alone, and against the master's PCM."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from catalogue.nouns import Codec, Rendition
from storage.keys import rendition_key
from tests.audio.pressings import LADDER, Pressed, padding_heard, pcm_of, press_file
from tests.audio_tools import Fact, decode, fact, facts, pcm_format
from tests.e2e.test_players import earned, grid_samples, tier_rate, tier_samples

FILES = [each.file for each in facts()]
FILLED = {
    each.file: [tier for tier in earned(each) if tier_samples(each, tier) > 0] for each in facts()
}
TIERS = [(file, tier) for file in FILES for tier in FILLED[file]]
LONG = [file for file in FILES if fact(file).samples > 2 * fact(file).rate_hz]
VORBIS_PACKET = 1024
SAME_FRAMES = (Codec.AAC, Codec.ALAC, Codec.FLAC)

Press = Callable[[str], Pressed]


@pytest.fixture(scope="module")
def press(tmp_path_factory: pytest.TempPathFactory) -> Press:
    """Presses a fixture once for the whole module."""
    done: dict[str, Pressed] = {}

    def once(file: str) -> Pressed:
        if file not in done:
            done[file] = press_file(fact(file).path, tmp_path_factory.mktemp("store"))
        return done[file]

    return once


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
    starts = [chunk.start_samples for chunk in rendition.chunks]
    ends = [chunk.start_samples + chunk.valid_samples for chunk in rendition.chunks]
    assert [0, *ends] == [*starts, rendition.samples]
    assert [chunk.index for chunk in rendition.chunks] == list(range(len(starts)))
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
        stream = decode(pressed.joined(rendition), pcm_format(rendition.bits))
        assert hashlib.sha256(stream).hexdigest() == fact(file).pcm_sha256


@pytest.mark.parametrize("file", FILES)
def test_joined_chunks_decode_as_the_uncut_encode(press: Press, file: str) -> None:
    """Of what the encoder itself wrote, ffmpeg plays AAC's priming, too, which nothing tells of;
    and it gets the length of a Vorbis stream wrong that is not longer than its first packets."""
    pressed = press(file)
    for tier, stream in pressed.uncut().items():
        if tier in pressed.tiers:
            rendition = pressed.tiers[tier]
            uncut = pcm_of(rendition, stream)[rendition.priming_samples :]
            joined = pressed.joined_pcm(rendition)
            if rendition.tier.codec is Codec.VORBIS and rendition.samples <= VORBIS_PACKET:
                uncut, joined = uncut[: len(joined)], joined[: len(uncut)]
            assert np.array_equal(uncut, joined), tier


@pytest.mark.parametrize(("file", "tier"), TIERS)
def test_every_chunk_decodes_alone_to_its_own_samples(press: Press, file: str, tier: str) -> None:
    """Bit for bit, AAC too: its encoder is told to leave out noise that depends on what was."""
    pressed = press(file)
    rendition = pressed.tiers[tier]
    whole = pressed.joined_pcm(rendition)
    for chunk in rendition.chunks:
        last = chunk is rendition.chunks[-1]
        end = chunk.start_samples + chunk.valid_samples + last * padding_heard(rendition)
        alone = pcm_of(rendition, pressed.alone(rendition, chunk))
        assert len(alone) == end - chunk.start_samples, chunk.index
        assert np.array_equal(alone, whole[chunk.start_samples : end]), chunk.index


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
                base = 48_000 if fact(file).rate_hz % 48_000 == 0 else 44_100
                wanted = chunk.index * grid_samples(base) * rendition.rate_hz / base
                assert abs(chunk.start_samples - wanted) <= VORBIS_PACKET


@pytest.mark.parametrize("tier", earned(fact("canon-1.flac")))
def test_a_gapless_pair_joins_without_a_sample_more_or_less(
    press: Press, tmp_path: Path, tier: str
) -> None:
    pair = [press(file) for file in ("canon-1.flac", "canon-2.flac")]
    parts = [each.joined_pcm(each.tiers[tier])[: each.tiers[tier].samples] for each in pair]
    joined = np.concatenate(parts)
    masters = [decode(each.path) for each in pair]
    recording = np.frombuffer(b"".join(masters), "<i2").reshape(-1, 2)
    if pair[0].tiers[tier].tier.codec.lossless:
        assert np.array_equal(joined, recording)
    elif tier != "ogg-24":
        assert len(joined) == len(recording) == 1_032_919
