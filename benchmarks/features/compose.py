"""Composes short pieces of many genres, each with a tempo and a key that are known.

A piece is decided by its number alone: drums, bass, chords and a melody over a progression, played
a little unevenly, written as a Standard MIDI File (RP-001) and rendered by fluidsynth.
"""

import math
import random
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pipeline.hearing.key import NAMES

SOUNDFONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
PULSES = 480
_DRUMS = 9
_LENGTH_S = 34.0
_MAJOR, _MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
_KICK, _SNARE, _RIM, _CLOSED, _OPEN, _RIDE, _SHAKER, _CRASH = 36, 38, 37, 42, 46, 51, 70, 49


@dataclass(frozen=True, kw_only=True, slots=True)
class Genre:
    """What a genre may do: tempi, beats in a bar, instruments (General MIDI), and a drum pattern.

    ``drums`` has a string of sixteenths (or twelfths of a swung bar) for each drum it uses.
    """

    name: str
    bpm: tuple[int, int]
    beats: int
    steps: int
    swing: float
    bass: int | None
    chords: tuple[int, ...]
    lead: tuple[int, ...]
    drums: tuple[tuple[int, str], ...]
    comping: str
    unevenness_ms: float


_ROCK = ((_KICK, "x.......x.x....."), (_SNARE, "....x.......x..."), (_CLOSED, "x.x.x.x.x.x.x.x."))
_HOUSE = ((_KICK, "x...x...x...x..."), (_SNARE, "....x.......x..."), (_OPEN, "..x...x...x...x."),
          (_CLOSED, "xxxxxxxxxxxxxxxx"))  # fmt: skip
_HIP_HOP = (
    (_KICK, "x..x......x....."),
    (_SNARE, "....x.......x..."),
    (_CLOSED, "x.x.x.x.x.xxx.x."),
)
_BREAKS = ((_KICK, "x.........x....."), (_SNARE, "....x..x.x..x..."), (_CLOSED, "x.x.x.x.x.x.x.x."))
_WALTZ = ((_KICK, "x..........."), (_RIM, "....x...x..."), (_RIDE, "x...x...x..."))
_SWING = ((_RIDE, "x...x.x.x...x.x."), (_CLOSED, "....x.......x..."), (_KICK, "x..............."))
_LATIN = ((_KICK, "x..x..x.x..x..x."), (_RIM, "x..x..x...x.x..."), (_SHAKER, "xxxxxxxxxxxxxxxx"))
_REGGAE = ((_KICK, "........x......."), (_RIM, "........x......."), (_CLOSED, "x.x.x.x.x.x.x.x."))

GENRES = (
    Genre(name="rock", bpm=(96, 160), beats=4, steps=16, swing=0, bass=33, chords=(29, 27),
          lead=(30, 29), drums=_ROCK, comping="x.x.x.x.x.x.x.x.", unevenness_ms=6),
    Genre(name="house", bpm=(118, 130), beats=4, steps=16, swing=0, bass=38, chords=(90, 81),
          lead=(80, 81), drums=_HOUSE, comping="..x...x...x...x.", unevenness_ms=0),
    Genre(name="hip hop", bpm=(78, 102), beats=4, steps=16, swing=0.1, bass=38, chords=(4, 5),
          lead=(11, 73), drums=_HIP_HOP, comping="x.......x.......", unevenness_ms=4),
    Genre(name="drum and bass", bpm=(164, 178), beats=4, steps=16, swing=0, bass=38,
          chords=(89, 95), lead=(80,), drums=_BREAKS, comping="x...............", unevenness_ms=0),
    Genre(name="waltz", bpm=(84, 180), beats=3, steps=12, swing=0, bass=32, chords=(21, 0),
          lead=(40, 73), drums=_WALTZ, comping="....x...x...", unevenness_ms=8),
    Genre(name="swing", bpm=(110, 200), beats=4, steps=16, swing=0.33, bass=32, chords=(0, 26),
          lead=(56, 66), drums=_SWING, comping="x.....x.......x.", unevenness_ms=6),
    Genre(name="bossa", bpm=(110, 150), beats=4, steps=16, swing=0, bass=32, chords=(24,),
          lead=(73, 71), drums=_LATIN, comping="x..x..x...x.x...", unevenness_ms=6),
    Genre(name="reggae", bpm=(66, 90), beats=4, steps=16, swing=0.1, bass=33, chords=(27, 16),
          lead=(57, 18), drums=_REGGAE, comping="....x.......x...", unevenness_ms=5),
    Genre(name="piano ballad", bpm=(60, 92), beats=4, steps=16, swing=0, bass=None, chords=(0,),
          lead=(0,), drums=(), comping="x.x.x.x.x.x.x.x.", unevenness_ms=12),
    Genre(name="folk guitar", bpm=(80, 132), beats=4, steps=16, swing=0, bass=None, chords=(25, 24),
          lead=(22, 73), drums=(), comping="x.x.x.x.x.x.x.x.", unevenness_ms=10),
    Genre(name="chamber", bpm=(72, 126), beats=4, steps=16, swing=0, bass=42, chords=(48, 44),
          lead=(40, 68), drums=(), comping="x...x...x...x...", unevenness_ms=15),
    Genre(name="metal", bpm=(110, 190), beats=4, steps=16, swing=0, bass=34, chords=(30,),
          lead=(30,), drums=((_KICK, "x.xxx.xxx.xxx.xx"), (_SNARE, "....x.......x..."),
          (_CRASH, "x..............."), (_RIDE, "x.x.x.x.x.x.x.x.")), comping="x.xxx.xxx.xxx.xx",
          unevenness_ms=4),
)  # fmt: skip

_RHYTHMS = ((0, 1, 2, 3), (0, 1.5, 2, 3), (0, 0.5, 1, 2, 3), (0, 2, 2.5, 3))
_PROGRESSIONS = {
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 4, 0), (0, 3, 0, 4), (0, 1, 4, 0)),
    "minor": ((0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 4), (0, 3, 6, 0), (0, 5, 3, 4)),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A piece: what was meant, and the MIDI file that says so."""

    number: int
    genre: str
    bpm: float
    tonic: str
    mode: str
    midi: bytes


@dataclass(frozen=True, slots=True)
class _Note:
    channel: int
    pitch: int
    start: float
    length: float
    velocity: int


def compose(number: int, *, length_s: float = _LENGTH_S, take: int = 0) -> Piece:
    """Return the piece of that number, or another take of it: as written, played otherwise."""
    dice = random.Random(f"piece {number}")
    genre = GENRES[number % len(GENRES)]
    bpm = round(dice.uniform(*genre.bpm), 1)
    tonic = dice.randrange(12)
    mode = dice.choice(("major", "minor"))
    bars = max(4, round(length_s * bpm / 60 / genre.beats))
    player = _Player(genre, bpm, tonic, mode, dice)
    for bar in range(bars):
        player.play_bar(bar, last=bar == bars - 1)
    if take:
        again = random.Random(f"piece {number}, take {take}")
        bpm = round(bpm * again.uniform(0.93, 1.07), 1)
        player.notes = _replay(player.notes, again)
    return Piece(
        number=number,
        genre=genre.name,
        bpm=bpm,
        tonic=NAMES[tonic],
        mode=mode,
        midi=_write_midi(player.notes, player.programs, bpm),
    )


def render(piece: Piece, folder: Path, soundfont: Path = SOUNDFONT) -> Path:
    """Render a piece as a 44.1 kHz WAV, and return its path."""
    midi, wav = folder / f"{piece.number}.mid", folder / f"{piece.number}.wav"
    midi.write_bytes(piece.midi)
    command = ["fluidsynth", "-ni", "-q", "-g", "0.6", "-r", "44100", "-F", str(wav)]
    subprocess.run([*command, str(soundfont), str(midi)], check=True, capture_output=True)
    return wav


def _replay(notes: list[_Note], dice: random.Random) -> list[_Note]:
    """Return notes as musicians play them another time.

    Their tempo breathes, they strike otherwise, and leave out or displace what they like.
    """
    depth, period, phase = (
        dice.uniform(0.1, 0.3),
        dice.uniform(16, 40),
        dice.uniform(0, 2 * math.pi),
    )
    played = []
    for note in notes:
        if dice.random() < 0.1:
            continue
        breath = depth * math.sin(2 * math.pi * note.start / period + phase)
        pitch = note.pitch
        if note.channel != _DRUMS and dice.random() < 0.1:
            pitch += dice.choice((-12, 12))
        played.append(
            _Note(
                note.channel,
                pitch,
                max(0.0, note.start + breath + dice.gauss(0, 0.05)),
                note.length * dice.uniform(0.7, 1.1),
                min(127, max(1, round(note.velocity * dice.uniform(0.75, 1.2)))),
            )
        )
    return played


class _Player:
    def __init__(
        self, genre: Genre, bpm: float, tonic: int, mode: str, dice: random.Random
    ) -> None:
        self._genre, self._dice, self._tonic = genre, dice, tonic
        self._scale = _MAJOR if mode == "major" else _MINOR
        self._mode = mode
        self._progression = dice.choice(_PROGRESSIONS[mode])
        self._jitter = genre.unevenness_ms / 1000 * bpm / 60
        self.programs = {0: dice.choice(genre.chords), 1: dice.choice(genre.lead)}
        if genre.bass is not None:
            self.programs[2] = genre.bass
        self._melody = [dice.choice((0, 0, 1, 2, 2, 3, 4, 4, 5)) for _ in range(16)]
        self._rhythm = dice.choice(
            ((0, 1, 2, 3), (0, 1.5, 2, 3), (0, 0.5, 1, 2, 3), (0, 2, 2.5, 3))
        )
        self.notes: list[_Note] = []

    def play_bar(self, bar: int, *, last: bool) -> None:
        degree = 0 if last else self._progression[bar % len(self._progression)]
        start = bar * self._genre.beats
        self._drum(start)
        self._comp(start, degree)
        self._lead(start, degree, bar)
        if self._genre.bass is not None:
            self._bass(start, degree)

    def _drum(self, start: float) -> None:
        for drum, pattern in self._genre.drums:
            for step, mark in enumerate(pattern):
                if mark == "x":
                    strong = 100 if step % 4 == 0 else 78
                    self._add(_DRUMS, drum, start + self._at(step), 0.1, strong)

    def _comp(self, start: float, degree: int) -> None:
        steps = [step for step, mark in enumerate(self._genre.comping) if mark == "x"]
        chord = self._chord(degree)
        broken = not self._genre.drums and self._genre.bass is None
        for place, step in enumerate(steps):
            follows = steps[place + 1] if place + 1 < len(steps) else len(self._genre.comping)
            length = (follows - step) * self._genre.beats / self._genre.steps * 0.9
            pitches = [chord[place % len(chord)]] if broken else chord
            for pitch in pitches:
                self._add(0, 48 + pitch, start + self._at(step), length, 70 + 14 * (step % 8 == 0))
        if broken:
            self._add(0, 36 + chord[0], start, self._genre.beats * 0.9, 80)

    def _lead(self, start: float, degree: int, bar: int) -> None:
        chord = self._chord(degree)
        for place, beat in enumerate(self._rhythm):
            if beat >= self._genre.beats:
                continue
            wish = self._melody[(bar * 4 + place) % 16]
            strong = beat in (0, 2)
            pitch = chord[wish % 3] if strong else self._pitch(wish + degree)
            self._add(1, 60 + pitch, start + beat, 0.45, 84 + self._dice.randrange(10))

    def _bass(self, start: float, degree: int) -> None:
        root = self._pitch(degree)
        fifth = self._pitch(degree + 4)
        for beat in range(self._genre.beats):
            pitch = fifth if beat == 2 and self._genre.beats == 4 else root
            self._add(2, 36 + pitch % 12, start + beat, 0.8, 92)

    def _chord(self, degree: int) -> list[int]:
        third = self._pitch(degree + 2)
        if self._mode == "minor" and degree == 4:
            # The dominant of a minor key borrows the leading note.
            third += 1
        return [self._pitch(degree), third, self._pitch(degree + 4)]

    def _pitch(self, degree: int) -> int:
        octave, place = divmod(degree, 7)
        return self._tonic + 12 * octave + self._scale[place]

    def _at(self, step: int) -> float:
        late = self._genre.swing * 0.25 if step % 4 == 2 else 0.0
        return step * self._genre.beats / self._genre.steps + late

    def _add(self, channel: int, pitch: int, beat: float, length: float, velocity: int) -> None:
        uneven = self._dice.gauss(0, self._jitter) if self._jitter else 0.0
        note = _Note(channel, pitch, max(0.0, beat + uneven), length, min(127, velocity))
        self.notes.append(note)


def _write_midi(notes: list[_Note], programs: dict[int, int], bpm: float) -> bytes:
    events: list[tuple[int, bytes]] = [
        (0, b"\xff\x51\x03" + round(60_000_000 / bpm).to_bytes(3, "big"))
    ]
    events += [(0, bytes([0xC0 | channel, program])) for channel, program in programs.items()]
    for note in notes:
        begin, end = round(note.start * PULSES), round((note.start + note.length) * PULSES)
        events.append((begin, bytes([0x90 | note.channel, note.pitch, note.velocity])))
        events.append((max(end, begin + 1), bytes([0x80 | note.channel, note.pitch, 0])))
    track, now = bytearray(), 0
    for at, event in sorted(events, key=lambda each: each[0]):
        track += _variable(at - now) + event
        now = at
    track += _variable(PULSES) + b"\xff\x2f\x00"
    head = struct.pack(">4sIHHH", b"MThd", 6, 0, 1, PULSES)
    return head + struct.pack(">4sI", b"MTrk", len(track)) + bytes(track)


def _variable(value: int) -> bytes:
    parts = [value & 0x7F]
    while value := value >> 7:
        parts.append(0x80 | (value & 0x7F))
    return bytes(reversed(parts))
