"""What happens to recordings on their way, and what is no recording of the catalogue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Damage:
    """A kind of damage: what ffmpeg makes of a file, and how much of it must be known again.

    ``source`` stands before the input, ``options`` after it.
    """

    recall: float
    options: Sequence[str] = ()
    source: Sequence[str] = ()
    suffix: str = "wav"


def _filter(text: str, recall: float = 1.0) -> Damage:
    return Damage(recall=recall, options=["-af", text])


def _part(start_s: float, length_s: float, recall: float = 1.0) -> Damage:
    return Damage(recall=recall, source=["-ss", str(start_s), "-t", str(length_s)])


def _packed(suffix: str, codec: str, bitrate: str) -> Damage:
    return Damage(recall=1.0, options=["-c:a", codec, "-b:a", bitrate], suffix=suffix)


def _noisy(db: float) -> Damage:
    """Return white noise that far below the loudness the pieces have."""
    level = 10 ** ((-22 - db) / 20)
    noise = f"anoisesrc=r=44100:a={level * 1.7:.5f}:c=white:s=7[n]"
    mix = "[0:a][n]amix=inputs=2:duration=first:normalize=0"
    return Damage(recall=1.0, options=["-filter_complex", f"{noise};{mix}"])


def _speed(ratio: float, recall: float) -> Damage:
    return _filter(f"asetrate={round(44_100 * ratio)},aresample=44100", recall)


DAMAGES: Mapping[str, Damage] = {
    "as it is": Damage(recall=1.0),
    "MP3 64": _packed("mp3", "libmp3lame", "64k"),
    "Opus 48": _packed("opus", "libopus", "48k"),
    "12 dB quieter": _filter("volume=-12dB"),
    "6 dB louder, clipped": _filter("volume=6dB"),
    "22.05 kHz": Damage(recall=1.0, options=["-ar", "22050"]),
    "mono": Damage(recall=1.0, options=["-ac", "1"]),
    "begun 62 ms late": _part(0.062, 999),
    "begun 5 s late": _part(5.03, 999),
    "begun 15 s late": _part(15.1, 999),
    "0.3 s of silence first": _filter("adelay=300:all=1"),
    "10 s of silence first": _filter("adelay=10000:all=1"),
    "the first 30 s": _part(0, 30),
    "the first 60 s": _part(0, 60),
    "faded in and out": _filter("afade=t=in:d=5,afade=t=out:st=65:d=5"),
    "noise 20 dB below": _noisy(20),
    "noise 10 dB below": _noisy(10),
    "compressed": _filter("acompressor=threshold=0.05:ratio=8:makeup=3"),
    "9 dB more bass": _filter("bass=g=9,volume=-6dB", 0.97),
    "any 30 s": _part(23.47, 30),
    "any 15 s": _part(31.19, 15, 0.95),
    "0.5 % faster": _speed(1.005, 1.0),
    "1 % slower": _speed(0.99, 0.97),
    "2 % faster": _speed(1.02, 0.95),
    "4 % faster": _speed(1.04, 0.90),
    "2 % faster, same pitch": _filter("atempo=1.02"),
    "10 s cut out": _filter("aselect='not(between(t,30,40))',asetpts=N/SR/TB"),
    "a semitone higher": _speed(2 ** (1 / 12), 0.70),
}
"""What a recording stays known through, with the share that must be recognised."""

SOUNDS: Mapping[str, Sequence[str]] = {
    "silence": ["-f", "lavfi", "-t", "60", "-i", "anullsrc=r=44100"],
    "a tone": ["-f", "lavfi", "-i", "sine=f=440:d=60"],
    "a sweep": ["-f", "lavfi", "-i", "aevalsrc=0.5*sin(2*PI*(20+150*t)*t):d=60"],
    "white noise": ["-f", "lavfi", "-i", "anoisesrc=d=60:c=white:a=0.3:s=1"],
    "pink noise": ["-f", "lavfi", "-i", "anoisesrc=d=60:c=pink:a=0.3:s=2"],
    "clicks": ["-f", "lavfi", "-i", "aevalsrc=lt(mod(t\\,0.5)\\,0.002):d=60"],
    "silence with a click": ["-f", "lavfi", "-i", "aevalsrc=between(t\\,20\\,20.01):d=60"],
}
"""Sounds that nothing can be known by."""
