"""Everything about a master that is measured sample by sample, in one pass, as it is decoded.

Sound is taken in blocks of a fixed length, so that nothing depends on how it came.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from catalogue.nouns import Master
from catalogue.quality import RECIPE, SPANS_TOLD, Places, QualityReport, Span
from pipeline.loudness import Loudness
from pipeline.pcm import FULL_SCALES, Rows
from pipeline.quality.spectrum import SpectrumMeter
from pipeline.quality.true_peak import BIN_SAMPLES, TruePeakMeter, to_db

_BLOCK_SAMPLES = 256 * BIN_SAMPLES
_SILENCE = 0.001
_CLIP_RUN = 3
_SILENCE_S, _DROPOUT_MIN_S, _DROPOUT_MAX_S = 1.0, 0.001, 1.0
# Sound on both sides of a drop-out is louder than this.
_LOUD = 0.01
_RUNS_KEPT = 10_000


@dataclass(slots=True)
class _Runs:
    """Stretches of one kind, of which one may still go on."""

    shortest: int
    channel: int | None = None
    found: list[Span] = field(default_factory=list)
    count: int = 0
    samples: int = 0
    longest: int = 0
    _start: int | None = None

    def feed(self, mask: npt.NDArray[np.bool_], at: int) -> None:
        """Take the next samples, which begin ``at``: whether each is of this kind."""
        if not mask.any():
            self._close(at)
            return
        edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
        for start, end in edges.reshape(-1, 2):
            if start or self._start is None:
                self._close(at)
                self._start = at + int(start)
            if end < len(mask):
                self._close(at + int(end))

    def finish(self, end: int) -> Places:
        """Return where all of them are."""
        self._close(end)
        return self.places()

    def places(self) -> Places:
        """Return where those are that have ended."""
        return Places(
            count=self.count,
            samples=self.samples,
            longest_samples=self.longest,
            first=tuple(self.found[:SPANS_TOLD]),
        )

    def _close(self, end: int) -> None:
        start, self._start = self._start, None
        if start is None or end - start < self.shortest:
            return
        self.count, self.samples = self.count + 1, self.samples + end - start
        self.longest = max(self.longest, end - start)
        if len(self.found) < _RUNS_KEPT:
            span = Span(start_samples=start, samples=end - start, channel=self.channel)
            self.found.append(span)


class Inspector:
    """Takes a master's PCM by channel. Memory grows by 700 bytes for each second of music."""

    def __init__(self, master: Master, *, bits: int) -> None:
        self._master, self._scale = master, FULL_SCALES[bits]
        rate_hz, channels = master.rate_hz, master.channels
        self._highest = (1 << 15) - 1 if bits == 16 else ((1 << 23) - 1) << 8
        self._true_peak = TruePeakMeter(rate_hz=rate_hz, channels=channels)
        self._spectrum = SpectrumMeter(rate_hz=rate_hz)
        self._held: list[Rows] = []
        self._held_samples = self._samples = 0
        self._peak = 0.0
        self._sums = np.zeros(channels)
        self._products = np.zeros((channels, channels))
        self._worst_correlation: float | None = None
        self._bits_used = 0
        self._equal = channels == 2
        self._clips = [_Runs(shortest=_CLIP_RUN, channel=each) for each in range(channels)]
        self._zeros = _Runs(shortest=max(1, round(_DROPOUT_MIN_S * rate_hz)))
        self._first: int | None = None
        self._last = -1
        self._lows: list[npt.NDArray[np.int16]] = []
        self._highs: list[npt.NDArray[np.int16]] = []

    def feed(self, rows: Rows) -> None:
        """Take the next samples."""
        self._held.append(rows)
        self._held_samples += rows.shape[1]
        if self._held_samples < _BLOCK_SAMPLES:
            return
        held = np.concatenate(self._held, axis=1)
        whole = self._held_samples - self._held_samples % _BLOCK_SAMPLES
        for start in range(0, whole, _BLOCK_SAMPLES):
            self._take(held[:, start : start + _BLOCK_SAMPLES])
        self._held, self._held_samples = [held[:, whole:].copy()], held.shape[1] - whole

    def waveform(self) -> npt.NDArray[np.int16]:
        """Return the lowest and highest value of every 256 samples: (channels, bins, 2)."""
        if not self._lows:
            return np.zeros((self._master.channels, 0, 2), np.int16)
        lows, highs = np.concatenate(self._lows, axis=1), np.concatenate(self._highs, axis=1)
        return np.stack([lows, highs], axis=2)

    def spectrogram_db(self) -> npt.NDArray[np.float64]:
        """Return how loud each part of the spectrum was when: (moments, parts)."""
        return self._spectrum.picture_db()

    def finish(self, loudness: Loudness) -> QualityReport:
        """Return all that was measured; nothing can be fed afterwards."""
        if self._held_samples:
            self._take(np.concatenate(self._held, axis=1))
            self._held, self._held_samples = [], 0
        master, samples = self._master, self._samples
        peak = max(self._true_peak.finish(), self._peak)
        last = samples if self._first is None else samples - 1 - self._last
        return QualityReport(
            recipe=RECIPE,
            rate_hz=master.rate_hz,
            channels=master.channels,
            bits=master.bits,
            lossy=master.lossy,
            declared_samples=master.declared_samples,
            samples=samples,
            audio_md5=master.audio_md5,
            sample_peak_dbfs=to_db(self._peak),
            true_peak_dbtp=to_db(peak),
            true_peak_at_samples=self._true_peak.at_samples,
            clips=_join([runs.finish(samples) for runs in self._clips]),
            dc_offset=tuple(
                round(float(each), 6) for each in self._sums / max(1, samples) / self._scale
            ),
            head_silence_samples=samples if self._first is None else self._first,
            tail_silence_samples=last,
            silences=self._silences(),
            dropouts=self._dropouts(),
            correlation=_correlate(self._products),
            correlation_min=self._worst_correlation,
            dual_mono=self._equal and self._first is not None,
            effective_bits=self._effective_bits(),
            evidence=self._spectrum.finish(),
            integrated_lufs=loudness.integrated_lufs,
            momentary_max_lufs=loudness.momentary_max_lufs,
            short_term_max_lufs=loudness.short_term_max_lufs,
            range_lu=loudness.range_lu,
        )

    def _take(self, rows: Rows) -> None:
        count, at = rows.shape[1], self._samples
        sound = rows.astype(np.float32)
        sound *= np.float32(1 / self._scale)
        lows, highs = _bins(rows)
        heights = np.maximum(highs.max(axis=0), -lows.min(axis=0)) / self._scale
        highest = float(heights.max())
        self._peak = max(self._peak, highest)
        self._note_sound(sound, heights, at)
        self._note_waveform(lows, highs)
        if highest >= self._highest / self._scale:
            for runs, row in zip(self._clips, rows, strict=True):
                runs.feed((row >= self._highest) | (row <= -self._highest), at)
        else:
            for runs in self._clips:
                runs.feed(np.zeros(count, np.bool_), at)
        self._zeros.feed(np.logical_not(rows.any(axis=0, keepdims=True))[0], at)
        if not self._master.lossy:
            self._bits_used |= int(np.bitwise_or.reduce(rows, axis=None))
        self._equal = self._equal and bool(np.array_equal(rows[0], rows[-1]))
        self._sums += rows.sum(axis=1, dtype=np.float64)
        products = np.asarray(sound @ sound.T, np.float64)
        self._products += products
        if products.diagonal().min() > count * _SILENCE**2:
            found = _correlate(products)
            if found is not None:
                worst = self._worst_correlation
                self._worst_correlation = found if worst is None else min(worst, found)
        self._true_peak.feed(sound)
        self._spectrum.feed(sound[0] if len(sound) == 1 else sound.mean(axis=0))
        self._samples += count

    def _note_sound(
        self, sound: npt.NDArray[np.float32], heights: npt.NDArray[np.float64], at: int
    ) -> None:
        """Note the first and the last sample that is no silence."""
        loud = np.flatnonzero(heights >= _SILENCE)
        if not len(loud):
            return
        first, last = int(loud[0]) * BIN_SAMPLES, int(loud[-1]) * BIN_SAMPLES
        if self._first is None:
            part = np.abs(sound[:, first : first + BIN_SAMPLES]).max(axis=0) >= _SILENCE
            self._first = at + first + int(part.argmax())
        part = np.abs(sound[:, last : last + BIN_SAMPLES]).max(axis=0) >= _SILENCE
        self._last = at + last + len(part) - 1 - int(part[::-1].argmax())

    def _note_waveform(self, lows: Rows, highs: Rows) -> None:
        shift = 0 if lows.dtype == np.int16 else 16
        self._lows.append((lows >> shift).astype(np.int16))
        self._highs.append((highs >> shift).astype(np.int16))

    def _effective_bits(self) -> int | None:
        bits, used = self._master.bits, self._bits_used
        if bits is None or self._master.lossy or not used:
            return None
        unused = (used & -used).bit_length() - 1
        return (16 if bits == 16 else 32) - unused

    def _heights(self) -> npt.NDArray[np.float64]:
        wave = np.abs(self.waveform().astype(np.int32))
        found: npt.NDArray[np.float64] = wave.max(axis=(0, 2)) / 2.0**15
        return found

    def _silences(self) -> Places:
        """Return the silences inside: of a second or more, to 256 samples."""
        if self._first is None:
            return Places()
        quiet: npt.NDArray[np.bool_] = np.less(self._heights(), _SILENCE)
        runs = _Runs(shortest=max(1, round(_SILENCE_S * self._master.rate_hz / BIN_SAMPLES)))
        first, last = self._first // BIN_SAMPLES, self._last // BIN_SAMPLES
        runs.feed(quiet[first : last + 1], first)
        found = runs.finish(last + 1)
        return Places(
            count=found.count,
            samples=found.samples * BIN_SAMPLES,
            longest_samples=found.longest_samples * BIN_SAMPLES,
            first=tuple(
                Span(
                    start_samples=span.start_samples * BIN_SAMPLES,
                    samples=span.samples * BIN_SAMPLES,
                )
                for span in found.first
            ),
        )

    def _dropouts(self) -> Places:
        """Return stretches of zeros that sound breaks off at, and begins again after."""
        self._zeros.finish(self._samples)
        heights, rate_hz = self._heights(), self._master.rate_hz
        runs = []
        for span in self._zeros.found:
            before, after = (
                (span.start_samples - 1) // BIN_SAMPLES,
                (span.start_samples + span.samples) // BIN_SAMPLES,
            )
            inside = span.start_samples > 0 and after < len(heights)
            short = span.samples <= _DROPOUT_MAX_S * rate_hz
            if inside and short and min(heights[before], heights[after]) >= _LOUD:
                runs.append(span)
        return Places(
            count=len(runs),
            samples=sum(span.samples for span in runs),
            longest_samples=max((span.samples for span in runs), default=0),
            first=tuple(runs[:SPANS_TOLD]),
        )


def _bins(rows: Rows) -> tuple[Rows, Rows]:
    """Return the lowest and the highest of every 256 samples, by channel."""
    starts = np.arange(0, rows.shape[1], BIN_SAMPLES)
    lows: Rows = np.minimum.reduceat(rows, starts, axis=1)
    highs: Rows = np.maximum.reduceat(rows, starts, axis=1)
    return lows, highs


def _correlate(products: npt.NDArray[np.float64]) -> float | None:
    if len(products) != 2 or products.diagonal().min() <= 0:
        return None
    return round(float(products[0, 1] / np.sqrt(products[0, 0] * products[1, 1])), 3)


def _join(places: list[Places]) -> Places:
    spans = sorted((span for each in places for span in each.first), key=lambda s: s.start_samples)
    return Places(
        count=sum(each.count for each in places),
        samples=sum(each.samples for each in places),
        longest_samples=max((each.longest_samples for each in places), default=0),
        first=tuple(spans[:SPANS_TOLD]),
    )
