"""The minimum requirements of EBU Tech 3341 and 3342: signals made as they say, and measured.

    python -m tests.ebu        prints the table of docs/quality.md

Cases 7 and 8 of 3341, and 5 and 6 of 3342, are recordings, not signals. Signals that are to be told
by their true peak alone begin and end softly, for what begins at once rises higher.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import click
import numpy as np
import numpy.typing as npt

from pipeline.loudness import Loudness, LoudnessMeter
from pipeline.quality.true_peak import TruePeakMeter, to_db

RATE_HZ = 48_000
Sound = npt.NDArray[np.float64]
Tones = Sequence[tuple[float | None, float]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One requirement: of what, what is to be measured, how exactly, and how to measure it.

    A case of several signals gives a value for each.
    """

    name: str
    of: str
    expected: Sequence[float]
    below: float
    above: float
    measure: Callable[[], Sequence[float | None]]


def tones(*parts: tuple[float | None, float], rate_hz: int = RATE_HZ) -> Sound:
    """Return 1 kHz at levels in dBFS (None: silence), each for some seconds."""
    levels = np.concatenate(
        [
            np.full(round(length_s * rate_hz), 0.0 if level is None else 10 ** (level / 20))
            for level, length_s in parts
        ]
    )
    return np.asarray(levels * np.sin(2 * np.pi * 1000 * np.arange(len(levels)) / rate_hz))


def measure_loudness(*channels: Sound, weights: Sequence[float] | None = None) -> Loudness:
    """Return how loud sound is."""
    meter = LoudnessMeter(rate_hz=RATE_HZ, channels=len(channels), full_scale=1.0, weights=weights)
    sound = np.stack(channels).astype(np.float32)
    for start in range(0, sound.shape[1], RATE_HZ):
        meter.feed(sound[:, start : start + RATE_HZ])
    return meter.finish()


def measure_peak(sound: Sound) -> float | None:
    """Return the true peak of sound, in dBTP."""
    meter = TruePeakMeter(rate_hz=RATE_HZ, channels=1)
    meter.feed(sound[None].astype(np.float32))
    return to_db(meter.finish())


def cases() -> Iterator[Case]:
    """Give every case that is made of signals."""
    yield from _integrated()
    yield from _short_term()
    yield from _momentary()
    yield from _true_peaks()
    yield from _ranges()


def _stereo(parts: Tones) -> Loudness:
    sound = tones(*parts)
    return measure_loudness(sound, sound)


def _tell(parts: Tones, name: str) -> Sequence[float | None]:
    return [getattr(_stereo(parts), name)]


def _case(
    name: str, of: str, expected: Sequence[float], measure: Callable[[], Sequence[float | None]]
) -> Case:
    return Case(name=name, of=of, expected=expected, below=0.1, above=0.1, measure=measure)


def _integrated() -> Iterator[Case]:
    signals: dict[str, Tones] = {
        "1": [(-23, 20)],
        "2": [(-33, 20)],
        "3": [(-36, 10), (-23, 60), (-36, 10)],
        "4": [(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)],
        "5": [(-26, 20), (-20, 20.1), (-26, 20)],
    }
    for number, parts in signals.items():
        expected = -33.0 if number == "2" else -23.0
        yield _case(
            f"3341-{number}",
            "integrated, LUFS",
            [expected],
            partial(_tell, parts, "integrated_lufs"),
        )

    def surround() -> list[float | None]:
        front, centre, rear = tones((-28, 20)), tones((-24, 20)), tones((-30, 20))
        heard = measure_loudness(
            front, front, centre, rear, rear, weights=[1, 1, 1, 10**0.15, 10**0.15]
        )
        return [heard.integrated_lufs]

    yield _case("3341-6", "integrated of 5 channels, LUFS", [-23.0], surround)


def _short_term() -> Iterator[Case]:
    steady: Tones = [(-20, 1.34), (-30, 1.66)] * 5
    yield _case(
        "3341-9", "short-term, LUFS", [-23.0], lambda: [_stereo(steady).short_term_max_lufs]
    )
    wherever: list[Tones] = [[(None, n * 0.15), (-23, 3), (None, 1)] for n in range(20)]
    yield _case(
        "3341-10",
        "highest short-term of 20 files, LUFS",
        [-23.0] * 20,
        lambda: [_stereo(parts).short_term_max_lufs for parts in wherever],
    )
    rising: Tones = [
        part
        for n in range(20)
        for part in [(None, n * 0.15), (-38.0 + n, 3.0), (None, 3 - n * 0.15)]
    ]
    yield _case(
        "3341-11",
        "highest short-term so far, 20 times, LUFS",
        [-38.0 + n for n in range(20)],
        lambda: [_stereo(rising[: 3 * n + 3]).short_term_max_lufs for n in range(20)],
    )


def _momentary() -> Iterator[Case]:
    steady: Tones = [(-20, 0.18), (-30, 0.22)] * 25
    yield _case("3341-12", "momentary, LUFS", [-23.0], lambda: [_stereo(steady).momentary_max_lufs])
    wherever: list[Tones] = [[(None, n * 0.02), (-23, 0.4), (None, 1)] for n in range(20)]
    yield _case(
        "3341-13",
        "highest momentary of 20 files, LUFS",
        [-23.0] * 20,
        lambda: [_stereo(parts).momentary_max_lufs for parts in wherever],
    )
    rising: Tones = [
        part
        for n in range(20)
        for part in [(None, n * 0.02), (-38.0 + n, 0.4), (None, 0.4 - n * 0.02)]
    ]
    yield _case(
        "3341-14",
        "highest momentary so far, 20 times, LUFS",
        [-38.0 + n for n in range(20)],
        lambda: [_stereo(rising[: 3 * n + 3]).momentary_max_lufs for n in range(20)],
    )


def _true_peaks() -> Iterator[Case]:
    signals = {
        "15": (4, 0.50, 0.0, -6.0),
        "16": (4, 0.50, 45.0, -6.0),
        "17": (6, 0.50, 60.0, -6.0),
        "18": (8, 0.50, 67.5, -6.0),
        "19": (4, 1.41, 45.0, 3.0),
    }
    for number, (part, level, phase, expected) in signals.items():
        turns = np.arange(RATE_HZ) / part
        sound = _faded(level * np.sin(2 * np.pi * turns + np.radians(phase)))
        yield _peak_case(number, expected, sound)
    for offset in range(4):
        yield _peak_case(f"{20 + offset}", 0.0, _pulse(offset))


def _peak_case(number: str, expected: float, sound: Sound) -> Case:
    return Case(
        name=f"3341-{number}",
        of="true peak, dBTP",
        expected=[expected],
        below=0.4,
        above=0.2,
        measure=lambda: [measure_peak(sound)],
    )


def _faded(sound: Sound) -> Sound:
    ramp = np.minimum(1, np.arange(len(sound)) / 480)
    return np.asarray(sound * ramp * ramp[::-1])


def _pulse(offset: int) -> Sound:
    """Return a tone with one period twice as high, made at four times the rate, and decimated."""
    count, length = 4, RATE_HZ * 4
    period = 6 * count
    sound = 0.5 * np.sin(2 * np.pi * np.arange(length) / period)
    begin = length // 2 // period * period
    sound[begin : begin + period] *= 2
    spectrum = np.fft.rfft(_faded(sound))
    spectrum[len(spectrum) // count :] = 0
    limited = np.fft.irfft(spectrum, length)
    return np.asarray((limited / np.abs(limited).max())[offset::count])


def _ranges() -> Iterator[Case]:
    signals: dict[str, tuple[Tones, float]] = {
        "1": ([(-20, 20), (-30, 20)], 10),
        "2": ([(-20, 20), (-15, 20)], 5),
        "3": ([(-40, 20), (-20, 20)], 20),
        "4": ([(-50, 20), (-35, 20), (-20, 20), (-35, 20), (-50, 20)], 15),
    }
    for number, (parts, expected) in signals.items():
        yield Case(
            name=f"3342-{number}",
            of="range, LU",
            expected=[expected],
            below=1.0,
            above=1.0,
            measure=partial(_tell, parts, "range_lu"),
        )


def render(case: Case, found: Sequence[float | None]) -> str:
    """Return the row of a case in the table of the documentation."""
    pairs = list(zip(case.expected, found, strict=True))
    errors = [value - expected for expected, value in pairs if value is not None]
    worst = max(errors, key=abs)
    asked = f"{case.expected[0]:g}"
    if case.expected[-1] != case.expected[0]:
        asked += f" to {case.expected[-1]:g}"
    bounds = f"+{case.above:g} / -{case.below:g}"
    return f"| {case.name} | {case.of} | {asked} | {bounds} | {worst:+.2f} |"


def main() -> None:
    """Print the table."""
    click.echo("| Case | Measured | Asked | Allowed | Off by |")
    click.echo("| --- | --- | --- | --- | --- |")
    for case in cases():
        click.echo(render(case, case.measure()))


if __name__ == "__main__":
    main()
