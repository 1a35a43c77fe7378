"""What was measured of a master, drawn: waveform and loudness as SVG, the spectrogram as PNG.

The waveform also in the form of audiowaveform, version 2, which players' pages read.
Source: BBC audiowaveform, doc/DataFormat.md.
"""

import io
import struct
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.quality.true_peak import BIN_SAMPLES

_WIDTH, _HEIGHT = 1200, 240
_QUIETEST_LUFS, _LOUDEST_LUFS = -60.0, 0.0
_FAINTEST_DB, _BRIGHTEST_DB = -110.0, -20.0
_TARGET_LUFS = -23.0
# Black, violet, orange, pale yellow: as loud as they are light.
_COLOURS = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]])


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawings:
    """What drawings are made of.

    ``waveform`` has the lowest and highest value of every ``bin_samples`` (channels, bins, 2) in 16
    bits, ``short_terms_lufs`` the loudness of the 3 s that end every 100 ms, ``spectrogram_db`` how
    loud each part of the spectrum was when (moments, parts).
    """

    rate_hz: int
    samples: int
    waveform: npt.NDArray[np.int16]
    short_terms_lufs: npt.NDArray[np.float64]
    spectrogram_db: npt.NDArray[np.float64]
    bin_samples: int = BIN_SAMPLES


def coarsen(drawn: Drawings, most_bins: int) -> Drawings:
    """Return drawings whose waveform has ``most_bins`` at most.

    Each is of twice as many samples, or of four times as many, and so on.
    """
    bins = drawn.waveform.shape[1]
    fold = 1
    while -(-bins // fold) > most_bins:
        fold *= 2
    if fold == 1:
        return drawn
    starts = np.arange(0, bins, fold)
    lows = np.minimum.reduceat(drawn.waveform[..., 0], starts, axis=1)
    highs = np.maximum.reduceat(drawn.waveform[..., 1], starts, axis=1)
    return replace(
        drawn, waveform=np.stack([lows, highs], axis=2), bin_samples=drawn.bin_samples * fold
    )


def waveform_dat(drawn: Drawings, *, bits: int = 16) -> bytes:
    """Return the waveform in audiowaveform's binary form, version 2, of 8 or 16 bits."""
    channels, bins, _ = drawn.waveform.shape
    short = int(bits == 8)
    head = struct.pack("<iIiiIi", 2, short, drawn.rate_hz, drawn.bin_samples, bins, channels)
    return head + _values(drawn, bits).astype("i1" if short else "<i2").tobytes()


def waveform_json(drawn: Drawings, *, bits: int = 16) -> dict[str, Any]:
    """Return the waveform as audiowaveform's JSON, version 2, of 8 or 16 bits."""
    channels, bins, _ = drawn.waveform.shape
    return {
        "version": 2,
        "channels": channels,
        "sample_rate": drawn.rate_hz,
        "samples_per_pixel": drawn.bin_samples,
        "bits": bits,
        "length": bins,
        "data": _values(drawn, bits).reshape(-1).tolist(),
    }


def _values(drawn: Drawings, bits: int) -> npt.NDArray[np.int16]:
    """Return what is drawn of each bin, channel by channel: (bins, channels, 2)."""
    values: npt.NDArray[np.int16] = drawn.waveform.transpose(1, 0, 2) >> (16 - bits)
    return values


def draw_waveform(drawn: Drawings) -> str:
    """Return the waveform as SVG, a row for each channel."""
    rows = []
    for channel, wave in enumerate(drawn.waveform):
        lows, highs = _columns(wave[:, 0], np.minimum), _columns(wave[:, 1], np.maximum)
        middle = _HEIGHT * (channel + 0.5)
        scale = _HEIGHT / 2 / 32768
        places = np.linspace(0, _WIDTH, num=len(highs), endpoint=False)
        above = [f"{x:.1f},{middle - y * scale:.1f}" for x, y in zip(places, highs, strict=True)]
        below = [f"{x:.1f},{middle - y * scale:.1f}" for x, y in zip(places, lows, strict=True)]
        rows.append(f'<polygon points="{" ".join([*above, *reversed(below)])}" fill="#57106e"/>')
    return _svg(_HEIGHT * max(1, len(rows)), rows)


def draw_loudness(drawn: Drawings) -> str:
    """Return the short-term loudness as SVG, from -60 to 0 LUFS, with a line at -23."""
    curve = np.clip(drawn.short_terms_lufs, _QUIETEST_LUFS, _LOUDEST_LUFS)
    places = np.linspace(0, _WIDTH, num=max(1, len(curve)))
    points = " ".join(f"{x:.1f},{_y(y):.1f}" for x, y in zip(places, curve, strict=False))
    line = f'<line x1="0" x2="{_WIDTH}" y1="{_y(_TARGET_LUFS):.1f}" y2="{_y(_TARGET_LUFS):.1f}"'
    return _svg(
        _HEIGHT,
        [
            f'{line} stroke="#999" stroke-dasharray="4"/>',
            f'<polyline points="{points}" fill="none" stroke="#bc3754"/>',
        ],
    )


def draw_spectrogram(drawn: Drawings) -> bytes:
    """Return the spectrogram as PNG: time to the right, frequency upwards."""
    # Who draws nothing never loads what draws.
    from PIL import Image

    level = np.clip(drawn.spectrogram_db, _FAINTEST_DB, _BRIGHTEST_DB)
    share = (level - _FAINTEST_DB) / (_BRIGHTEST_DB - _FAINTEST_DB) * (len(_COLOURS) - 1)
    low = np.minimum(share.astype(int), len(_COLOURS) - 2)
    rest = (share - low)[..., None]
    colours = _COLOURS[low] * (1 - rest) + _COLOURS[low + 1] * rest
    pixels = colours.astype(np.uint8).transpose(1, 0, 2)[::-1]
    if not pixels.shape[1]:
        pixels = np.zeros((pixels.shape[0], 1, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG")
    return file.getvalue()


def _y(lufs: float) -> float:
    return _HEIGHT * (_LOUDEST_LUFS - lufs) / (_LOUDEST_LUFS - _QUIETEST_LUFS)


def _columns(values: npt.NDArray[np.int16], fold: np.ufunc) -> npt.NDArray[np.int16]:
    """Return values folded into as many as a drawing is wide."""
    if len(values) <= _WIDTH:
        return values
    starts = np.arange(_WIDTH) * len(values) // _WIDTH
    folded: npt.NDArray[np.int16] = fold.reduceat(values, starts)
    return folded


def _svg(height: int, parts: list[str]) -> str:
    size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>\n'
