"""From the spectra of a whole master to its features.

Silence at either end is left out, and so are frames 45 dB below the loud ones; the rest is divided
by its own mean, so that a master's level changes nothing.
"""

from dataclasses import dataclass
from functools import cache
from typing import IO

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from catalogue.nouns import Features
from pipeline.hearing.key import NAMES, Key, find_key
from pipeline.hearing.scores import Score, Terms, complete, score
from pipeline.hearing.spectra import (
    BANDS,
    FRAME_HZ,
    GATE_DB,
    HOP_SAMPLES,
    RATE_HZ,
    Spectra,
    band_centres_hz,
)
from pipeline.hearing.tempo import Pulse, find_beats, find_pulse, normalise_onsets
from pipeline.loudness import Loudness

RECIPE = "features-1"
VECTOR_SIZE = 50

_SILENCE_POWER = 1e-9
_COMPRESSION = 1000.0
_HIGH_HZ, _TREBLE_HZ = 3000.0, 4000.0
_GROUPS = 10
_FARTHEST = 4.0
_SHORTEST_WINDOW_S, _LONGEST_WINDOW_S = 0.31, 9.3
_WINDOWS = 12
_NO_FLUCTUATION = 1.5

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """All that was heard in a master, with what it was concluded from.

    ``beats_s`` are the beats' times in seconds; ``vector`` has 50 numbers of about one size.
    """

    pulse: Pulse
    beats_s: tuple[float, ...]
    key: Key | None
    terms: Terms
    scores: dict[str, Score]
    vector: tuple[float, ...]

    def features(self, loudness: Loudness) -> Features:
        """Return it as the catalogue keeps it, with how loud the master is."""
        tempo, key = self.pulse.tempo, self.key
        scores = {name: round(score.value, 4) for name, score in self.scores.items()}
        return Features(
            recipe=RECIPE,
            tempo_bpm=round(tempo.bpm, 2) if tempo else None,
            tempo_confidence=round(tempo.confidence, 4) if tempo else 0.0,
            tempo_alternative_bpm=round(tempo.alternative_bpm, 2) if tempo else None,
            key=key.tonic if key else None,
            mode=key.mode if key else None,
            key_strength=round(key.strength, 4) if key else 0.0,
            beats_s=self.beats_s,
            vector=self.vector,
            loudness_lufs=loudness.integrated_lufs,
            loudness_range_lu=loudness.range_lu,
            **scores,
        )


class Listener:
    """Takes a master's PCM (float32, mono, 22.05 kHz) as it is decoded, and says what it heard.

    ``spool`` is an empty file: what is heard is kept there until the end is known.
    """

    def __init__(self, spool: IO[bytes]) -> None:
        _leave_cores_to_encoders()
        self._spectra = Spectra(spool)

    def feed(self, data: bytes) -> None:
        """Take the next bytes of PCM, cut anywhere."""
        self._spectra.feed(data)

    def finish(self) -> Heard:
        """Return what was heard; nothing can be fed afterwards."""
        self._spectra.finish()
        return _conclude(self._spectra)


@cache
def _leave_cores_to_encoders() -> None:
    """Let matrices be multiplied on one thread: the others would spin for what is worth nothing."""
    threadpool_limits(1, "blas")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bands:
    """What one pass over the active bands gives."""

    flux: Doubles
    terms: Terms
    mean: Doubles
    spread: Doubles
    rise: Doubles


def _conclude(spectra: Spectra) -> Heard:
    levels = spectra.levels.astype(np.float64)
    active = _find_active(levels)
    if not active.any():
        nothing = Pulse(clarity=0.0, tempo=None)
        return _describe(nothing, None, None, (), None)
    first, last = int(active.argmax()), len(active) - int(active[::-1].argmax())
    bands = _pass_bands(spectra, levels, active, first, last)
    onsets = normalise_onsets(bands.flux, FRAME_HZ)
    pulse = find_pulse(onsets, FRAME_HZ)
    key = find_key(spectra.chroma)
    terms = complete(bands.terms, pulse, key)
    beats: tuple[float, ...] = ()
    if pulse.tempo is not None:
        frames = find_beats(onsets, pulse.tempo.bpm, FRAME_HZ) + first
        beats = tuple(round(float(time_s), 4) for time_s in frames * HOP_SAMPLES / RATE_HZ)
    return _describe(pulse, key, terms, beats, bands)


def _find_active(levels: Doubles) -> npt.NDArray[np.bool_]:
    if not len(levels) or float(levels.max()) < _SILENCE_POWER:
        return np.zeros(len(levels), np.bool_)
    sounding = levels[levels > _SILENCE_POWER]
    loud = float(np.percentile(sounding, 95))
    return levels > loud * 10 ** (-GATE_DB / 10)


def _pass_bands(
    spectra: Spectra, levels: Doubles, active: npt.NDArray[np.bool_], first: int, last: int
) -> _Bands:
    """Read the bands once, divided by their mean over the active frames."""
    mean_power = float(levels[active].mean()) / BANDS
    centres_hz = band_centres_hz().astype(np.float64)
    high = centres_hz > _HIGH_HZ
    flux = np.zeros(last - first)
    high_flux = np.zeros(last - first)
    centroid = flatness = 0.0
    power, total, squares, rise = (np.zeros(BANDS) for _ in range(4))
    before: npt.NDArray[np.float32] | None = None
    at = first
    for block in spectra.read(first, last):
        scaled = block / np.float32(mean_power)
        loud = np.log1p(np.float32(_COMPRESSION) * scaled)
        earlier = np.concatenate([loud[:1] if before is None else before, loud[:-1]])
        risen = np.maximum(loud - earlier, 0)
        before = loud[-1:]
        here = slice(at - first, at - first + len(block))
        flux[here] = risen.mean(axis=1)
        high_flux[here] = risen[:, high].mean(axis=1)
        chosen = active[at : at + len(block)]
        heard = scaled[chosen]
        if len(heard):
            sums = heard.sum(axis=1) + 1e-12
            centroid += float(np.log2(heard @ centres_hz / sums).sum())
            logs = np.log(heard + 1e-7)
            flatness += float((logs.mean(axis=1) - np.log(sums / BANDS)).sum())
            power += heard.sum(axis=0)
            total += loud[chosen].sum(axis=0)
            squares += (loud[chosen] ** 2).sum(axis=0)
            rise += risen[chosen].sum(axis=0)
        at += len(block)
    count = int(active.sum())
    level_db = 10 * np.log10(levels[active])
    treble = float(power[centres_hz > _TREBLE_HZ].sum() / power.sum())
    mean = total / count
    return _Bands(
        flux=flux,
        terms=Terms(
            flux=float(flux[active[first:last]].mean()),
            high_flux=float(high_flux[active[first:last]].mean()),
            fullness_db=float(level_db.mean() - np.percentile(level_db, 95)),
            centroid_octaves=centroid / count,
            flatness=flatness / count,
            treble_db=10 * float(np.log10(treble + 1e-12)),
            fluctuation=_find_fluctuation(np.sqrt(levels[first:last])),
        ),
        mean=mean,
        spread=np.sqrt(np.maximum(squares / count - mean**2, 0)),
        rise=rise / count,
    )


def _find_fluctuation(amplitude: Doubles) -> float:
    """Return the exponent of detrended fluctuation analysis (S. Streich, P. Herrera, 2005).

    White noise gives 0.5, a slow drift 1.5; music that is beaten evenly stays low.
    """
    walk = np.cumsum(amplitude - amplitude.mean())
    longest = min(_LONGEST_WINDOW_S * FRAME_HZ, len(walk) / 4)
    shortest = _SHORTEST_WINDOW_S * FRAME_HZ
    if longest < 2 * shortest:
        return _NO_FLUCTUATION
    sizes = np.unique(np.geomspace(shortest, longest, _WINDOWS).astype(int))
    spreads = []
    for size in sizes:
        rows = walk[: len(walk) // size * size].reshape(-1, size)
        time = np.arange(size) - (size - 1) / 2
        slope = (rows @ time) / (time @ time)
        rest = rows - rows.mean(axis=1, keepdims=True) - slope[:, np.newaxis] * time
        spreads.append(np.sqrt((rest**2).mean()))
    heights = np.log(np.array(spreads) + 1e-12)
    return float(np.polyfit(np.log(sizes), heights, 1)[0])


def _describe(
    pulse: Pulse,
    key: Key | None,
    terms: Terms | None,
    beats_s: tuple[float, ...],
    bands: _Bands | None,
) -> Heard:
    scores = score(terms)
    terms = terms or Terms()
    return Heard(
        pulse=pulse,
        beats_s=beats_s,
        key=key,
        terms=terms,
        scores=scores,
        vector=_build_vector(pulse, key, terms, scores, bands),
    )


def _build_vector(
    pulse: Pulse,
    key: Key | None,
    terms: Terms,
    scores: dict[str, Score],
    bands: _Bands | None,
) -> tuple[float, ...]:
    """Return 50 numbers: scores, tempo, key, terms, and the shape of the bands in ten groups."""
    named = [scores[name].value for name in ("energy", "valence", "danceability", "acousticness")]
    tempo = [float(np.log2(pulse.tempo.bpm / 115)) / 2 if pulse.tempo else 0.0]
    harmony = [0.0, 0.0, 0.0, 0.0]
    if key is not None:
        # Keys a fifth apart are neighbours.
        angle = 2 * np.pi * (NAMES.index(key.tonic) * 7 % 12) / 12
        harmony = [
            key.strength * float(np.cos(angle)),
            key.strength * float(np.sin(angle)),
            float(np.clip(key.major_lead, -1, 1)),
            key.strength,
        ]
    measured = [
        terms.flux * 3,
        terms.high_flux * 3,
        terms.fullness_db / 12,
        (terms.centroid_octaves - 9) / 2 if bands else 0.0,
        terms.flatness / 4,
        (terms.treble_db + 22) / 20 if bands else 0.0,
        terms.clarity,
        terms.fluctuation - 1,
        float(pulse.tempo is not None),
        pulse.tempo.confidence if pulse.tempo else 0.0,
        terms.major_lead,
    ]
    shape = [0.0] * (3 * _GROUPS)
    if bands is not None:
        groups = [
            values.reshape(_GROUPS, -1).mean(axis=1)
            for values in (bands.mean, bands.spread, bands.rise)
        ]
        level, spread, rise = groups
        shape = [*((level - level.mean()) / 2), *(spread - 1), *(rise * 5)]
    whole = (*named, *tempo, *harmony, *measured, *shape)
    return tuple(round(float(np.clip(number, -_FARTHEST, _FARTHEST)), 5) for number in whole)
