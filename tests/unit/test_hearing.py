"""What is heard in sound that is made here, so that the truth is known."""

import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import asdict

import librosa
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.hearing.key import NAMES, find_key
from pipeline.hearing.listener import VECTOR_SIZE, Heard, Listener
from pipeline.hearing.make_banks import compute_banks
from pipeline.hearing.scores import ramp
from pipeline.hearing.spectra import (
    BANDS,
    CHROMA_FRAME_SAMPLES,
    CHROMA_HOP_SAMPLES,
    FRAME_HZ,
    FRAME_SAMPLES,
    HOP_SAMPLES,
    RATE_HZ,
    Spectra,
    band_bank,
    pitch_bank,
)
from pipeline.hearing.tempo import find_beats, find_pulse, normalise_onsets
from pipeline.loudness import Loudness

Sound = npt.NDArray[np.float32]
SCORES = ("energy", "valence", "danceability", "acousticness")


def hear(sound: npt.NDArray[np.floating], piece: int = 1 << 16) -> Heard:
    """Return what is heard in mono sound at 22.05 kHz that comes in pieces of so many bytes."""
    data = sound.astype("<f4").tobytes()
    with tempfile.TemporaryFile() as spool:
        listener = Listener(spool)
        for start in range(0, len(data), piece):
            listener.feed(data[start : start + piece])
        return listener.finish()


def scores(heard: Heard) -> dict[str, float]:
    return {name: score.value for name, score in heard.scores.items()}


def spectra_of(sound: Sound) -> Iterator[Spectra]:
    with tempfile.TemporaryFile() as spool:
        spectra = Spectra(spool)
        spectra.feed(sound.astype("<f4").tobytes())
        spectra.finish()
        yield spectra


def clicks(bpm: float, seconds: float = 20) -> Sound:
    """Return short noises, one a beat."""
    sound = np.zeros(round(seconds * RATE_HZ), np.float32)
    burst = np.random.default_rng(1).normal(0, 0.3, 400) * np.exp(-np.arange(400) / 80)
    for beat in np.arange(0.1, seconds - 0.1, 60 / bpm):
        start = round(beat * RATE_HZ)
        sound[start : start + 400] += burst.astype(np.float32)
    return sound


def chord(*pitches: int, seconds: float = 4) -> Sound:
    """Return tones with three harmonics, by MIDI numbers."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    tones = [
        np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * harmonic * time) / harmonic**2
        for pitch in pitches
        for harmonic in (1, 2, 3)
    ]
    sound: Sound = (0.1 * np.sum(tones, axis=0)).astype(np.float32)
    return sound


def noise(seconds: float = 5, seed: int = 7) -> Sound:
    sound: Sound = (
        np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE_HZ)).astype(np.float32)
    )
    return sound


# --------------------------------------------------------------------------- spectra


def test_the_stored_banks_are_those_that_librosa_computes() -> None:
    computed = compute_banks()
    np.testing.assert_array_equal(band_bank(), computed["mel"])
    np.testing.assert_array_equal(pitch_bank(), computed["chroma"])


def test_bands_are_librosa_s_mel_spectrogram() -> None:
    sound = noise() + chord(60, 64, 67, seconds=5)
    expected = librosa.feature.melspectrogram(
        y=np.pad(sound, (0, 0)), sr=RATE_HZ, n_fft=FRAME_SAMPLES, hop_length=HOP_SAMPLES,
        n_mels=BANDS, fmin=40, fmax=10_000, pad_mode="constant",
    )  # fmt: skip
    for spectra in spectra_of(sound):
        found = np.concatenate(list(spectra.read(0, len(spectra.levels))))
        np.testing.assert_allclose(found, expected.T[: len(found)], rtol=2e-4, atol=1e-6)
        assert abs(len(found) - expected.shape[1]) <= 1


def test_chroma_is_librosa_s_stft_through_the_same_bank() -> None:
    sound = chord(57, 60, 64)
    spectrum = np.abs(
        librosa.stft(
            sound, n_fft=CHROMA_FRAME_SAMPLES, hop_length=CHROMA_HOP_SAMPLES, pad_mode="constant"
        )
    )
    frames = pitch_bank() @ spectrum
    expected = (frames / np.linalg.norm(frames, axis=0)).mean(axis=1)
    for spectra in spectra_of(sound):
        np.testing.assert_allclose(spectra.chroma, expected, atol=5e-3)


def test_where_the_pieces_are_cut_changes_nothing() -> None:
    sound = clicks(100, 6) + chord(60, 64, 67, seconds=6)
    assert asdict(hear(sound)) == asdict(hear(sound, piece=4099)) == asdict(hear(sound, piece=7))


# --------------------------------------------------------------------------- tempo


@pytest.mark.parametrize("bpm", [62.0, 80.5, 97.3, 120.0, 133.3, 150.0, 171.7])
def test_clicks_have_their_tempo_or_an_octave_of_it(bpm: float) -> None:
    tempo = hear(clicks(bpm)).pulse.tempo
    assert tempo is not None
    assert min(abs(tempo.bpm * octave / bpm - 1) for octave in (0.5, 1, 2)) < 0.004
    assert tempo.alternative_bpm in (pytest.approx(tempo.bpm / 2), pytest.approx(tempo.bpm * 2))
    assert tempo.confidence > 0.3


def test_a_long_recording_is_heard_in_stretches() -> None:
    short = normalise_onsets(np.tile(np.eye(1, 20)[0], 200), FRAME_HZ)
    long = np.tile(short, 20)
    assert len(long) > 1200 * FRAME_HZ
    first, second = find_pulse(short, FRAME_HZ).tempo, find_pulse(long, FRAME_HZ).tempo
    assert first is not None and second is not None
    assert second.bpm == pytest.approx(first.bpm, rel=0.003)


def test_beats_fall_on_the_clicks() -> None:
    heard = hear(clicks(120))
    beats = np.array(heard.beats_s)
    assert heard.pulse.tempo is not None
    assert len(beats) == pytest.approx(20 * heard.pulse.tempo.bpm / 60, abs=3)
    nearest = np.abs((beats - 0.1) / 0.5 - np.round((beats - 0.1) / 0.5)) * 0.5
    assert np.median(nearest) < 0.03
    assert list(beats) == sorted(beats)


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(RATE_HZ * 5, np.float32),
        chord(60, seconds=8),
        np.full(RATE_HZ * 5, 0.5, np.float32),
        clicks(120, 0.2),
    ],
    ids=["silence", "a tone", "direct current", "a fifth of a second"],
)
def test_what_has_no_pulse_has_no_tempo(sound: Sound) -> None:
    heard = hear(sound)
    assert (heard.pulse.tempo, heard.beats_s) == (None, ())


def test_an_empty_envelope_has_no_pulse_and_no_beats() -> None:
    nothing = np.zeros(0)
    assert find_pulse(normalise_onsets(nothing, FRAME_HZ), FRAME_HZ).tempo is None
    assert len(find_beats(nothing, 120, FRAME_HZ)) == 0


# --------------------------------------------------------------------------- key


@pytest.mark.parametrize("tonic", range(12))
@pytest.mark.parametrize("mode", ["major", "minor"])
def test_a_cadence_has_its_key(tonic: int, mode: str) -> None:
    third = 4 if mode == "major" else 3
    root = 48 + tonic
    tonic_chord = (root, root + third, root + 7)
    fourth = (root + 5, root + 5 + third, root + 12)
    fifth = (root + 7, root + 11, root + 14)
    chords = (tonic_chord, fourth, fifth, tonic_chord)
    key = hear(np.concatenate([chord(*notes, seconds=2) for notes in chords])).key
    assert key is not None
    assert (key.tonic, key.mode) == (NAMES[tonic], mode)
    assert (key.major_lead > 0) == (mode == "major")


@pytest.mark.parametrize("chroma", [np.zeros(12), np.ones(12)])
def test_an_even_chroma_has_no_key(chroma: npt.NDArray[np.float64]) -> None:
    assert find_key(chroma) is None


# --------------------------------------------------------------------------- scores


def test_a_ramp_is_straight_between_its_ends_either_way_up() -> None:
    assert [ramp(value, 2, 4) for value in (1, 2, 3, 4, 5)] == [0, 0, 0.5, 1, 1]
    assert [ramp(value, 4, 2) for value in (1, 2, 3, 4, 5)] == [1, 1, 0.5, 0, 0]


def test_scores_are_the_sum_of_their_parts_and_weights_add_up_to_one() -> None:
    heard = hear(clicks(128) + chord(57, 60, 64, seconds=20))
    assert set(heard.scores) == set(SCORES)
    for score in heard.scores.values():
        assert sum(part.weight for part in score.parts) == pytest.approx(1)
        assert all(0 <= part.value <= 1 for part in score.parts)
        assert 0 <= score.value <= 1


def test_order_is_as_people_would_put_it() -> None:
    loop, pad = hear(clicks(124)), hear(chord(57, 60, 64, seconds=20))
    roar = hear(noise(20) * (1 + clicks(140) * 5))
    assert scores(loop)["danceability"] > scores(pad)["danceability"]
    assert scores(roar)["energy"] > scores(pad)["energy"]
    assert scores(pad)["acousticness"] > scores(roar)["acousticness"]


@pytest.mark.parametrize("gain_db", [-12.0, -30.0, 6.0])
def test_level_changes_nothing(gain_db: float) -> None:
    sound = clicks(110) + chord(60, 64, 67, seconds=20) + 0.01 * noise(20)
    before, after = hear(sound), hear(sound * np.float32(10 ** (gain_db / 20)))
    for name in SCORES:
        assert after.scores[name].value == pytest.approx(before.scores[name].value, abs=0.003)
    assert before.key is not None and after.key is not None
    assert (after.key.tonic, after.key.mode) == (before.key.tonic, before.key.mode)
    assert (after.pulse.tempo is None) == (before.pulse.tempo is None)


NO_LOUDNESS = Loudness(
    integrated_lufs=None, momentary_max_lufs=None, short_term_max_lufs=None, range_lu=None
)


def require_honest(heard: Heard) -> None:
    features = heard.features(NO_LOUDNESS)
    assert len(features.vector) == VECTOR_SIZE
    numbers = [*features.vector, *features.beats_s, features.key_strength]
    numbers += [getattr(features, name) for name in SCORES]
    assert np.isfinite(numbers).all()
    assert all(0 <= getattr(features, name) <= 1 for name in SCORES)
    assert all(-4 <= number <= 4 for number in features.vector)
    assert (features.key is None) == (features.mode is None)
    assert (features.tempo_bpm is None) == (features.tempo_alternative_bpm is None)


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(0, np.float32),
        np.zeros(RATE_HZ, np.float32),
        np.ones(1, np.float32),
        np.full(RATE_HZ, 1.0, np.float32),
        noise(0.2),
        noise(30),
        np.sign(np.sin(np.arange(RATE_HZ * 6) * 0.2)).astype(np.float32),
        np.concatenate([np.zeros(RATE_HZ * 30), clicks(100, 3), np.zeros(RATE_HZ * 30)]),
        np.float32(1e-7) * noise(5),
    ],
    ids=["none", "silence", "a sample", "direct current", "short noise", "noise", "square",
         "little among silence", "below hearing"],
)  # fmt: skip
def test_extremes_are_finite_and_honest(sound: Sound) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        heard = hear(sound)
    require_honest(heard)


def test_silence_has_scores_of_zero() -> None:
    assert {score.value for score in hear(np.zeros(RATE_HZ * 3)).scores.values()} == {0.0}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 9000), st.floats(-1, 1, width=32), st.integers(0, 5)), max_size=8
    )
)
def test_any_sound_is_heard_without_a_fault(parts: list[tuple[int, float, int]]) -> None:
    dice = np.random.default_rng(3)
    made = [
        level * (np.ones(count) if kind == 0 else dice.normal(0, 1 / kind, count))
        for count, level, kind in parts
    ]
    require_honest(hear(np.concatenate([np.zeros(0), *made])))
