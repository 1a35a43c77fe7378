"""How high sound rises between its samples.

Source: ITU-R BS.1770-5, annex 2: sound is interpolated to at least 176.4 kHz, here by a windowed
sinc, and the highest value is taken. What cannot exceed what was found before is not interpolated.
"""

import numpy as np
import numpy.typing as npt

_TAPS = 24
_BETA = 7.0
_ENOUGH_HZ = 176_400
_AT_ONCE = 32
BIN_SAMPLES = 256

Floats = npt.NDArray[np.float32]


class TruePeakMeter:
    """Takes sound in float32, a row for each channel.

    ``peak`` is the highest value so far, in the unit of the sound, ``at_samples`` the sample before
    it; None until there is more than silence.
    """

    def __init__(self, *, rate_hz: int, channels: int) -> None:
        factor = 1
        while rate_hz * factor < _ENOUGH_HZ:
            factor *= 2
        self._phases = _phases(factor)
        self._bound = float(np.abs(self._phases).sum(axis=0).max(initial=1.0))
        self._held = np.zeros((channels, _TAPS - 1), np.float32)
        self._before = -(_TAPS - 1)
        self.peak = 0.0
        self.at_samples: int | None = None

    def feed(self, sound: Floats) -> None:
        """Take the next samples."""
        held = np.concatenate([self._held, sound], axis=1)
        whole = (held.shape[1] - (_TAPS - 1)) // BIN_SAMPLES * BIN_SAMPLES
        if whole > 0:
            for row in held:
                self._look(row[: whole + _TAPS - 1])
            self._before += whole
            held = held[:, whole:].copy()
        self._held = held

    def finish(self) -> float:
        """Return the highest value of all."""
        self.feed(np.zeros((len(self._held), BIN_SAMPLES + _TAPS), np.float32))
        return self.peak

    def _look(self, row: Floats) -> None:
        stretches = np.lib.stride_tricks.sliding_window_view(row, BIN_SAMPLES + _TAPS - 1)
        stretches = stretches[::BIN_SAMPLES]
        heights = np.maximum(stretches.max(axis=1), -stretches.min(axis=1))
        # The likeliest first: what it finds spares most of the others.
        self._interpolate(stretches, np.array([heights.argmax()]))
        left = np.flatnonzero(heights * self._bound > self.peak)
        for start in range(0, len(left), _AT_ONCE):
            self._interpolate(stretches, left[start : start + _AT_ONCE])

    def _interpolate(self, stretches: Floats, places: npt.NDArray[np.intp]) -> None:
        windows = np.lib.stride_tricks.sliding_window_view(stretches[places], _TAPS, axis=1)
        between = np.abs(windows.reshape(-1, _TAPS) @ self._phases)
        found = int(between.argmax())
        highest = float(between.flat[found])
        if highest > self.peak:
            self.peak = highest
            stretch, sample = divmod(found // between.shape[1], BIN_SAMPLES)
            start = self._before + int(places[stretch]) * BIN_SAMPLES
            self.at_samples = max(0, start + sample + _TAPS // 2 - 1)


def to_db(value: float) -> float | None:
    """Return a share of full scale in dB; None for nothing."""
    return round(float(20 * np.log10(value)), 2) if value > 0 else None


def _phases(factor: int) -> npt.NDArray[np.float32]:
    """Return the taps of each phase in a column; the first one gives the samples themselves."""
    place = np.arange(_TAPS)[:, None] - (_TAPS // 2 - 1) - np.arange(factor)[None, :] / factor
    window = np.i0(_BETA * np.sqrt(np.maximum(0, 1 - (place / (_TAPS / 2)) ** 2))) / np.i0(_BETA)
    taps = np.sinc(place) * window
    return np.asarray(taps / taps.sum(axis=0), np.float32)
