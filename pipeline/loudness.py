"""How loud a master is: EBU R 128 by ITU-R BS.1770-5, EBU Tech 3341 and 3342, as it is decoded.

Momentary loudness is measured every 10 ms, finer than the 100 ms that gating asks for, so that the
loudest 400 ms are found wherever they begin.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

_STEPS_HZ = 100
_MOMENTARY_STEPS, _SHORT_TERM_STEPS, _HOP_STEPS = 40, 300, 10
_ABSOLUTE_GATE_LUFS = -70.0
_RELATIVE_GATE_LU, _RANGE_GATE_LU = -10.0, -20.0
_RANGE_PERCENTILES = (10, 95)
# What BS.1770 gives as coefficients at 48 kHz, as frequency, gain and quality of two filters.
_SHELF_HZ, _SHELF_DB, _SHELF_Q = 1681.974450955533, 3.999843853973347, 0.7071752369554196
_PASS_HZ, _PASS_Q = 38.13547087602444, 0.5003270373238773
_OFFSET_LU = -0.691
_RESPONSE_S = 0.17

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Loudness:
    """How loud a master is; None where there is too little, or nothing above the gates.

    ``integrated_lufs`` over all of it, the loudest 400 ms and 3 s, and ``range_lu`` between soft
    and loud passages.
    """

    integrated_lufs: float | None
    momentary_max_lufs: float | None
    short_term_max_lufs: float | None
    range_lu: float | None


class LoudnessMeter:
    """Takes sound as it is decoded; full scale is ``full_scale``.

    ``weights`` are those of BS.1770 for each channel, 1 unless they are given. Memory grows by 160
    bytes for each second of music.
    """

    def __init__(
        self,
        *,
        rate_hz: int,
        channels: int,
        full_scale: float,
        weights: Sequence[float] | None = None,
    ) -> None:
        self._step_samples = rate_hz // _STEPS_HZ
        self._scale = np.asarray(weights or [1.0] * channels) / full_scale**2
        self._weighting = _Weighting(rate_hz, channels)
        self._weighted = np.zeros((channels, 0), np.float32)
        self._steps = np.zeros(0)
        self._momentary_max = self._short_term_max = 0.0
        self._blocks: list[Doubles] = []
        self._short_terms: list[Doubles] = []
        self._counted = 0

    def feed(self, sound: Floats) -> None:
        """Take the next samples, a row for each channel."""
        self._take_weighted(self._weighting.feed(sound))

    def short_terms_lufs(self) -> Doubles:
        """Return the loudness of the 3 s that end every 100 ms, from the third second on."""
        found = np.concatenate(self._short_terms) if self._short_terms else np.zeros(0)
        return _to_lufs(found)

    def _take_weighted(self, sound: Floats) -> None:
        sound = np.concatenate([self._weighted, sound], axis=1)
        whole = sound.shape[1] - sound.shape[1] % self._step_samples
        self._weighted = sound[:, whole:].copy()
        if whole:
            steps = sound[:, :whole].reshape(len(sound), -1, self._step_samples)
            power = np.einsum("cij,cij->ci", steps, steps, dtype=np.float64)
            self._take(self._scale @ power / self._step_samples)

    def finish(self) -> Loudness:
        """Return how loud it was; what is left of the last 10 ms is not counted.

        Nothing can be fed afterwards.
        """
        self._take_weighted(self._weighting.finish())
        blocks = np.concatenate(self._blocks) if self._blocks else np.zeros(0)
        short_terms = np.concatenate(self._short_terms) if self._short_terms else np.zeros(0)
        return Loudness(
            integrated_lufs=_gated(blocks),
            momentary_max_lufs=_or_nothing(self._momentary_max),
            short_term_max_lufs=_or_nothing(self._short_term_max),
            range_lu=_range(short_terms),
        )

    def _take(self, fresh: Doubles) -> None:
        """Take the mean squares of the next steps of 10 ms, channels together."""
        held = np.concatenate([self._steps, fresh])
        first = self._counted - len(self._steps)
        momentary = _means(held, _MOMENTARY_STEPS, len(fresh))
        short_term = _means(held, _SHORT_TERM_STEPS, len(fresh))
        self._momentary_max = max(self._momentary_max, momentary.max(initial=0.0))
        self._short_term_max = max(self._short_term_max, short_term.max(initial=0.0))
        ends = first + len(held) - np.arange(len(momentary))[::-1]
        self._blocks.append(momentary[(ends - _MOMENTARY_STEPS) % _HOP_STEPS == 0])
        ends = first + len(held) - np.arange(len(short_term))[::-1]
        self._short_terms.append(short_term[(ends - _SHORT_TERM_STEPS) % _HOP_STEPS == 0])
        self._counted += len(fresh)
        self._steps = held[-(_SHORT_TERM_STEPS - 1) :]


def _means(steps: Doubles, width: int, fresh: int) -> Doubles:
    """Return the means of ``width`` steps that end with one of the last ``fresh``."""
    steps = steps[max(0, len(steps) - fresh - width + 1) :]
    if len(steps) < width:
        return np.zeros(0)
    windows = np.lib.stride_tricks.sliding_window_view(steps, width)
    means: Doubles = windows.mean(axis=1)
    return means


def _gated(blocks: Doubles) -> float | None:
    loud = blocks[_to_lufs(blocks) > _ABSOLUTE_GATE_LUFS]
    if len(loud):
        gate = float(_to_lufs(loud.mean())) + _RELATIVE_GATE_LU
        loud = loud[_to_lufs(loud) > gate]
    return round(float(_to_lufs(loud.mean())), 2) if len(loud) else None


def _range(short_terms: Doubles) -> float | None:
    loud = short_terms[_to_lufs(short_terms) > _ABSOLUTE_GATE_LUFS]
    if not len(loud):
        return None
    gate = float(_to_lufs(loud.mean())) + _RANGE_GATE_LU
    low, high = np.percentile(_to_lufs(loud[_to_lufs(loud) > gate]), _RANGE_PERCENTILES)
    return round(float(high - low), 2)


def _or_nothing(mean_square: float) -> float | None:
    lufs = float(_to_lufs(np.float64(mean_square)))
    return round(lufs, 2) if lufs > _ABSOLUTE_GATE_LUFS else None


def _to_lufs(mean_square: Doubles | np.float64) -> Doubles:
    return np.asarray(_OFFSET_LU + 10 * np.log10(np.maximum(mean_square, 1e-30)))


class _Weighting:
    """The K-weighting of BS.1770 at any rate, by overlapping Fourier transforms (overlap-save).

    Its response to a click is over, to the last bit, long before the part that overlaps ends.
    """

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._overlap = round(_RESPONSE_S * rate_hz)
        self._size = 1 << (4 * self._overlap - 1).bit_length()
        self._response = _respond(rate_hz, self._size)
        self._held = np.zeros((channels, self._overlap), np.float32)

    def feed(self, sound: Floats) -> Floats:
        """Return as much of the weighted sound as can be told by now, a row for each channel."""
        held = np.concatenate([self._held, sound], axis=1)
        parts = [np.zeros((len(held), 0), np.float32)]
        start = 0
        while held.shape[1] - start >= self._size:
            parts.append(self._weigh(held[:, start : start + self._size]))
            start += self._size - self._overlap
        self._held = held[:, start:].copy()
        return np.concatenate(parts, axis=1)

    def finish(self) -> Floats:
        """Return the rest."""
        left = self._held.shape[1]
        padded = np.zeros((len(self._held), self._size), np.float32)
        padded[:, :left] = self._held
        return self._weigh(padded)[:, : left - self._overlap]

    def _weigh(self, sound: Floats) -> Floats:
        spectrum = fft.rfft(sound, workers=1)
        spectrum *= self._response
        weighted: Floats = fft.irfft(spectrum, self._size, workers=1)[:, self._overlap :]
        return weighted


def _respond(rate_hz: int, size: int) -> npt.NDArray[np.complex64]:
    """Return the response of the two filters at the frequencies of a transform."""
    delay = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    turn = np.tan(np.pi * _SHELF_HZ / rate_hz)
    high = 10 ** (_SHELF_DB / 20)
    band = high**0.4996667741545416
    above = high + turn**2 + 2 * (turn**2 - high) * delay + (high + turn**2) * delay**2
    above += band * turn / _SHELF_Q * (1 - delay**2)
    shelf = above / _poles(turn, _SHELF_Q, delay)
    turn = np.tan(np.pi * _PASS_HZ / rate_hz)
    scale = 1 + turn / _PASS_Q + turn**2
    high_pass = scale * (1 - delay) ** 2 / _poles(turn, _PASS_Q, delay)
    return np.asarray(shelf * high_pass, np.complex64)


def _poles(
    turn: float, quality: float, delay: npt.NDArray[np.complex128]
) -> npt.NDArray[np.complex128]:
    """Return the denominator of a second-order section by the bilinear transform."""
    damped = turn / quality
    return (1 + damped + turn**2) + 2 * (turn**2 - 1) * delay + (1 - damped + turn**2) * delay**2
