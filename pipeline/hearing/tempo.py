"""Tempo and beats from an onset envelope.

The envelope's autocorrelation is read at the beat period and at its simple multiples, weighted by
the envelope's own spectrum and by how usual a tempo is. Beats are the path of onsets closest to one
period apart (D. Ellis, "Beat Tracking by Dynamic Programming", 2007). Clarity is the height of the
autocorrelation at the beat (O. Lartillot et al., "Multi-feature modeling of pulse clarity", 2008).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

LOWEST_BPM, HIGHEST_BPM = 30.0, 300.0
STEP = 1.0025
USUAL_BPM, USUAL_OCTAVES = 120.0, 0.9
CLARITY_MIN = 0.1
"""Below it there is no pulse to speak of."""

_MULTIPLES = (0.5, 1.0, 2.0, 4.0, 8.0)
_OWN_POWER, _SPECTRUM_POWER = 0.5, 0.4
_LONGEST_S = 16.0
_STRETCH_S = 600.0
_MEAN_S, _LEVEL_S = 1.0, 6.0
_TIGHTNESS = 100.0

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tempo:
    """A tempo in beats per minute, how sure it is (0 to 1), and the likelier of half and double."""

    bpm: float
    confidence: float
    alternative_bpm: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulse:
    """What is known of a track's pulse: its clarity (0 to 1), and its tempo if it has one."""

    clarity: float
    tempo: Tempo | None


def normalise_onsets(flux: Doubles, frame_hz: float) -> Doubles:
    """Return the onset envelope: what rises above the last second's mean, at an even level."""
    if not len(flux):
        return flux
    above = flux - _running_mean(flux, _MEAN_S * frame_hz)
    level = np.sqrt(np.maximum(_running_mean(above**2, _LEVEL_S * frame_hz), 0))
    floor = 0.05 * float(level.max())
    return above / np.maximum(level, floor) if floor > 0 else np.zeros_like(above)


def find_pulse(onsets: Doubles, frame_hz: float) -> Pulse:
    """Return the pulse of an onset envelope of ``frame_hz`` frames a second."""
    longest = int(_LONGEST_S * frame_hz) + 2
    if len(onsets) < 2 * frame_hz or not onsets.any():
        return Pulse(clarity=0.0, tempo=None)
    stretch = min(len(onsets), round(_STRETCH_S * frame_hz))
    size = fft.next_fast_len(2 * stretch, real=True)
    spectrum = np.zeros(size // 2 + 1)
    for start in range(0, len(onsets), stretch):
        spectrum += np.abs(fft.rfft(onsets[start : start + stretch], size)) ** 2
    correlation = fft.irfft(spectrum, size)[:longest]
    # A lag is measured on what remains of a stretch beside itself.
    overlap = np.maximum(stretch - np.arange(len(correlation)), 1) / stretch
    correlation = correlation / (correlation[0] * np.maximum(overlap, 0.1))
    grid = _grid()
    score = _score(grid, correlation, spectrum, size, frame_hz)
    best = int(score.argmax())
    bpm = _refine(grid, score, best)
    clarity = float(np.clip(_at(correlation, np.array([60 / bpm * frame_hz]))[0], 0, 1))
    if clarity < CLARITY_MIN:
        return Pulse(clarity=clarity, tempo=None)
    options = [bpm / 2, bpm * 2]
    heights = [float(np.interp(option, grid, score, left=0, right=0)) for option in options]
    alternative = options[int(np.argmax(heights))]
    rivals = score[np.abs(np.log2(grid / bpm)) > 0.04]
    lead = 1 - float(rivals.max()) / float(score[best]) if len(rivals) else 1.0
    confidence = float(np.clip(clarity * (0.5 + lead), 0, 1))
    return Pulse(
        clarity=clarity,
        tempo=Tempo(bpm=bpm, confidence=confidence, alternative_bpm=alternative),
    )


def find_beats(onsets: Doubles, bpm: float, frame_hz: float) -> npt.NDArray[np.int64]:
    """Return the frames of the beats at about ``bpm``: Ellis's dynamic programme.

    A beat looks back half to two periods, so that half a period is computed at once.
    """
    period = 60 / bpm * frame_hz
    back = np.arange(-round(2 * period), -max(1, round(period / 2)) + 1)
    cost = -_TIGHTNESS * np.log(-back / period) ** 2
    block = max(1, -int(back[-1]))
    lead = -int(back[0])
    total = np.concatenate([np.full(lead, -np.inf), np.zeros(len(onsets))])
    came_from = np.full(len(onsets), -1)
    for start in range(0, len(onsets), block):
        stop = min(start + block, len(onsets))
        rows = np.arange(start, stop)[:, np.newaxis] + back + lead
        paths = total[rows] + cost
        chosen = paths.argmax(axis=1)
        gain = paths[np.arange(stop - start), chosen]
        begins = ~(gain > 0)
        total[lead + start : lead + stop] = onsets[start:stop] + np.where(begins, 0, gain)
        came_from[start:stop] = np.where(begins, -1, np.arange(start, stop) + back[chosen])
    scores = total[lead:]
    tail = max(1, round(period))
    here = len(scores) - tail + int(scores[-tail:].argmax()) if len(scores) >= tail else -1
    found = []
    while here >= 0:
        found.append(here)
        here = int(came_from[here])
    return np.array(found[::-1], np.int64)


def _grid() -> Doubles:
    steps = int(np.log(HIGHEST_BPM / LOWEST_BPM) / np.log(STEP)) + 1
    grid: Doubles = LOWEST_BPM * STEP ** np.arange(steps, dtype=np.float64)
    return grid


def _score(
    grid: Doubles, correlation: Doubles, spectrum: Doubles, size: int, frame_hz: float
) -> Doubles:
    lags = 60 / grid * frame_hz
    height = np.zeros(len(grid))
    weight = np.zeros(len(grid))
    for multiple in _MULTIPLES:
        reachable = lags * multiple < len(correlation) - 1
        height += np.where(reachable, np.maximum(_at(correlation, lags * multiple), 0), 0)
        weight += reachable
    height /= np.maximum(weight, 1)
    strength = np.sqrt(_at(spectrum, grid / 60 / frame_hz * size))
    strength /= max(float(strength.max()), 1e-12)
    usual = np.exp(-0.5 * (np.log2(grid / USUAL_BPM) / USUAL_OCTAVES) ** 2)
    # Else two thirds of a waltz's tempo would live on the bars that it shares with it.
    own = np.maximum(_at(correlation, lags), 0)
    score: Doubles = height * own**_OWN_POWER * strength**_SPECTRUM_POWER * usual
    return score


def _at(values: Doubles, places: Doubles) -> Doubles:
    found: Doubles = np.interp(places, np.arange(len(values)), values)
    return found


def _refine(grid: Doubles, score: Doubles, best: int) -> float:
    """Return where a parabola through the best point and its neighbours is highest."""
    if not 0 < best < len(grid) - 1:
        return float(grid[best])
    left, middle, right = score[best - 1 : best + 2]
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return float(grid[best] * STEP**shift)


def _running_mean(values: Doubles, frames: float) -> Doubles:
    half = max(1, round(frames / 2))
    sums = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, len(values))
    mean: Doubles = (sums[high] - sums[low]) / (high - low)
    return mean
