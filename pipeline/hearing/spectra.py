"""Two short-time spectra of a master at 22.05 kHz mono, computed as its samples come.

The finer one in time is summed into 40 mel bands and kept, frame by frame, in a file; the
finer one in frequency becomes one chroma. Memory does not grow with the master's length but for
a few numbers per frame.
"""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import IO

import numpy as np
import numpy.typing as npt
from scipy import fft

RATE_HZ = 22_050
HOP_SAMPLES = 512
FRAME_SAMPLES = 2048
BANDS = 40
LOWEST_HZ, HIGHEST_HZ = 40.0, 10_000.0
CHROMA_FRAME_SAMPLES = 4096
CHROMA_HOP_SAMPLES = 2048
CHROMA_LOWEST_HZ, CHROMA_HIGHEST_HZ = 60.0, 2100.0
FRAME_HZ = RATE_HZ / HOP_SAMPLES

GATE_DB = 45.0
"""Frames this far below the 95th percentile of levels are not active."""

_LOWEST_DB, _BINS_PER_DB, _LEVEL_BINS = -160.0, 4, 960
_BATCH_FRAMES = 256
_READ_FRAMES = 4096
_TINY = 1e-12

Floats = npt.NDArray[np.float32]


@cache
def band_bank() -> Floats:
    """Return the mel bank: 40 × 1025, area-normalised triangles (librosa.filters.mel, Slaney)."""
    return _read_banks()[0]


@cache
def band_centres_hz() -> Floats:
    """Return the frequency at which each band is highest, in Hz."""
    bins_hz = np.fft.rfftfreq(FRAME_SAMPLES, 1 / RATE_HZ)
    bank = band_bank()
    centres: Floats = ((bank @ bins_hz) / bank.sum(axis=1)).astype(np.float32)
    return centres


@cache
def pitch_bank() -> Floats:
    """Return the chroma bank: 12 × 2049, from C, 60 to 2100 Hz (librosa.filters.chroma)."""
    return _read_banks()[1]


def _read_banks() -> tuple[Floats, Floats]:
    with files(__package__).joinpath("banks.npz").open("rb") as file, np.load(file) as found:
        return found["mel"], found["chroma"]


class Spectra:
    """Takes PCM (float32, little-endian, mono, 22.05 kHz) and keeps what is heard in it.

    ``spool`` is an empty file to keep the bands in.
    """

    def __init__(self, spool: IO[bytes]) -> None:
        self._bands = _Frames(FRAME_SAMPLES, HOP_SAMPLES)
        self._pitches = _Frames(CHROMA_FRAME_SAMPLES, CHROMA_HOP_SAMPLES)
        self._spool = spool
        self._rest = b""
        self._levels: list[Floats] = []
        # By level, since which levels are active is known only at the end.
        self._chroma = np.zeros((_LEVEL_BINS, 12))
        self._chroma_frames = np.zeros(_LEVEL_BINS, np.int64)
        self.samples = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of PCM, cut anywhere."""
        data = self._rest + data
        whole = len(data) - len(data) % 4
        self._rest = data[whole:]
        samples = np.frombuffer(data, "<f4", whole // 4)
        self.samples += len(samples)
        for frames in self._bands.feed(samples):
            self._keep_bands(frames)
        for frames in self._pitches.feed(samples):
            self._keep_pitches(frames)

    def finish(self) -> None:
        """Take the end: the last samples are followed by silence up to a whole frame."""
        for frames in self._bands.finish():
            self._keep_bands(frames)
        for frames in self._pitches.finish():
            self._keep_pitches(frames)

    @property
    def levels(self) -> Floats:
        """Return the power of each frame, all bands together."""
        return np.concatenate(self._levels) if self._levels else np.zeros(0, np.float32)

    @property
    def chroma(self) -> npt.NDArray[np.float64]:
        """Return the mean of the active frames' chroma, each of length 1; zeros in silence."""
        if not self._chroma_frames.any():
            return np.zeros(12)
        reached = np.cumsum(self._chroma_frames) / self._chroma_frames.sum()
        loud = int(np.searchsorted(reached, 0.95))
        active = slice(max(0, loud - round(GATE_DB * _BINS_PER_DB)), None)
        mean: npt.NDArray[np.float64] = (
            self._chroma[active].sum(axis=0) / self._chroma_frames[active].sum()
        )
        return mean

    def read(self, start: int, stop: int) -> Iterator[Floats]:
        """Yield the band powers of frames ``start`` to ``stop``, in blocks of frames × 40."""
        size_bytes = BANDS * 4
        self._spool.seek(start * size_bytes)
        for begin in range(start, stop, _READ_FRAMES):
            count = min(_READ_FRAMES, stop - begin)
            data = self._spool.read(count * size_bytes)
            yield np.frombuffer(data, np.float32).reshape(count, BANDS)

    def _keep_bands(self, frames: Floats) -> None:
        spectrum = fft.rfft(frames * _window(FRAME_SAMPLES), workers=1)
        power = spectrum.real**2 + spectrum.imag**2
        bands = power @ band_bank().T
        self._levels.append(bands.sum(axis=1))
        self._spool.write(np.ascontiguousarray(bands, np.float32).tobytes())

    def _keep_pitches(self, frames: Floats) -> None:
        spectrum = np.abs(fft.rfft(frames * _window(CHROMA_FRAME_SAMPLES), workers=1))
        chroma = spectrum @ pitch_bank().T
        length = np.sqrt((chroma**2).sum(axis=1))
        sounds = length > _TINY
        unit = chroma[sounds] / length[sounds, np.newaxis]
        steps = (20 * np.log10(length[sounds]) - _LOWEST_DB) * _BINS_PER_DB
        bins = np.clip(steps.astype(int), 0, _LEVEL_BINS - 1)
        np.add.at(self._chroma, bins, unit)
        np.add.at(self._chroma_frames, bins, 1)


class _Frames:
    """Cuts a stream into overlapping frames, always as many at a time.

    Sums of another number of frames would be rounded otherwise.
    """

    def __init__(self, frame_samples: int, hop_samples: int) -> None:
        self._frame, self._hop = frame_samples, hop_samples
        # The first frame is centred on the first sample.
        self._held = [np.zeros(frame_samples // 2, np.float32)]
        self._held_samples = frame_samples // 2
        self._wanted = frame_samples + hop_samples * (_BATCH_FRAMES - 1)

    def feed(self, samples: Floats) -> Iterator[Floats]:
        self._held.append(samples)
        self._held_samples += len(samples)
        if self._held_samples >= self._wanted:
            held = np.concatenate(self._held)
            while len(held) >= self._wanted:
                yield self._cut(held, _BATCH_FRAMES)
                held = held[_BATCH_FRAMES * self._hop :]
            self._held, self._held_samples = [held.copy()], len(held)

    def finish(self) -> Iterator[Floats]:
        held = np.concatenate([*self._held, np.zeros(self._frame // 2, np.float32)])
        count = 1 + (len(held) - self._frame) // self._hop if len(held) >= self._frame else 0
        for start in range(0, count, _BATCH_FRAMES):
            batch = min(_BATCH_FRAMES, count - start)
            yield self._cut(held[start * self._hop :], batch)

    def _cut(self, held: Floats, count: int) -> Floats:
        views = np.lib.stride_tricks.sliding_window_view(held, self._frame)
        return views[: count * self._hop : self._hop]


@cache
def _window(size: int) -> Floats:
    """Return a periodic Hann window."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
