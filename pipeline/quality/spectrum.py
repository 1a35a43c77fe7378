"""What the spectrum of a master tells of its past: where it ends, and how abruptly.

Encoders and resamplers leave a wall behind, above which there is nothing; instruments and rooms
fade. A wall near half of a common rate, in a file of a higher one, is evidence of upsampling; one
below 20.6 kHz of a lossy past. Neither proves anything: a synthesiser may end like that, too.
"""

import numpy as np
import numpy.typing as npt
from scipy import fft

from catalogue.quality import Evidence, Suspicion

_SIZE = 8192
_PER_SECOND = 4
_BAND_HZ = 100
_PARTS, _MOMENTS = 512, 2000
_QUIET = 0.001
# Bands beside an edge that are compared, and how far from it.
_NEAR, _FAR = 3, 9
_FAINTEST_DROP_DB, _FULL_DROP_DB = 12.0, 42.0
_LOWEST_EDGE_HZ, _LOSSY_UP_TO_HZ = 10_000, 20_600
_HALF_RATES_HZ = (22_050, 24_000, 44_100, 48_000)
_NEAR_HALF = 0.04

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


class SpectrumMeter:
    """Averages the spectra of four windows of 8,192 samples a second, silence left out."""

    def __init__(self, *, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._window = np.hanning(_SIZE).astype(np.float32)
        self._sum = np.zeros(_SIZE // 2 + 1)
        self._count = 0
        self._picture: list[Doubles] = []
        self._together, self._pending = 1, 0
        self._held = np.zeros(0, np.float32)
        self._skip = 0

    def feed(self, sound: Floats) -> None:
        """Take the next samples of one channel, full scale 1."""
        held = np.concatenate([self._held, sound])
        start, hop = self._skip, self._rate_hz // _PER_SECOND
        while start + _SIZE <= len(held):
            part = held[start : start + _SIZE]
            power = np.abs(fft.rfft(part * self._window, workers=1)) ** 2
            self._paint(power[1:].reshape(_PARTS, -1).mean(axis=1))
            if np.abs(part).max() > _QUIET:
                self._sum += power
                self._count += 1
            start += hop
        kept = min(start, len(held))
        self._held, self._skip = held[kept:].copy(), start - kept

    def picture_db(self) -> Doubles:
        """Return how loud each of 512 parts of the spectrum was, from 0 up: (moments, parts).

        Moments are 0.25 s, or so much longer that there are 2,000 at most.
        """
        if not self._picture:
            return np.zeros((0, _PARTS))
        power = np.stack(self._picture) / (self._window.sum() / 2) ** 2
        return np.asarray(10 * np.log10(np.maximum(power, 1e-18)))

    def _paint(self, power: Doubles) -> None:
        if self._pending:
            self._picture[-1] += (power - self._picture[-1]) / (self._pending + 1)
        else:
            self._picture.append(power.astype(np.float64))
        self._pending = (self._pending + 1) % self._together
        if len(self._picture) == _MOMENTS and not self._pending:
            pairs = np.stack(self._picture).reshape(-1, 2, _PARTS).mean(axis=1)
            self._picture = list(pairs)
            self._together *= 2

    def levels_db(self) -> Doubles:
        """Return the mean level of each 100 Hz, from 0 up."""
        if not self._count:
            return np.zeros(0)
        power = self._sum / self._count / (self._window.sum() / 2) ** 2
        bands = (np.arange(len(power)) * self._rate_hz / _SIZE // _BAND_HZ).astype(int)
        mean = np.bincount(bands, power) / np.maximum(1, np.bincount(bands))
        return np.asarray(10 * np.log10(np.maximum(mean, 1e-18)))

    def finish(self) -> tuple[Evidence, ...]:
        """Return what the spectrum may be evidence of."""
        found = find_edge(self.levels_db())
        if found is None:
            return ()
        edge_hz, drop_db = found
        score = (drop_db - _FAINTEST_DROP_DB) / (_FULL_DROP_DB - _FAINTEST_DROP_DB)
        score = round(min(1.0, max(0.0, score)), 2)
        of = self._suspect(edge_hz)
        if of is None or not score:
            return ()
        return (Evidence(of=of, score=score, edge_hz=edge_hz, drop_db=round(drop_db, 1)),)

    def _suspect(self, edge_hz: int) -> Suspicion | None:
        for half_hz in _HALF_RATES_HZ:
            below = half_hz * (1 - 2 * _NEAR_HALF) <= edge_hz <= half_hz * (1 + _NEAR_HALF)
            if below and self._rate_hz > 2 * half_hz * 1.2:
                return Suspicion.UPSAMPLED
        return Suspicion.LOSSY_PAST if edge_hz <= _LOSSY_UP_TO_HZ else None


def find_edge(levels_db: Doubles) -> tuple[int, float] | None:
    """Return where a spectrum ends like a wall, in Hz, and by how many dB; None where it fades."""
    best: tuple[int, float] | None = None
    for place in range(_LOWEST_EDGE_HZ // _BAND_HZ, len(levels_db) - _FAR):
        below = levels_db[place - _FAR : place - _NEAR].mean()
        above = levels_db[place + _NEAR : place + _FAR].mean()
        drop = float(below - above)
        stays = levels_db[place + _NEAR :].max() < below - drop / 2
        if stays and drop > _FAINTEST_DROP_DB and (best is None or drop > best[1]):
            best = place * _BAND_HZ, drop
    return best
