"""Recognising a file: it is decoded and heard once, and looked for in the catalogue."""

from pathlib import Path

from catalogue.nouns import Recognition
from catalogue.port import Prints
from pipeline.hearing.recognise import Ear, Recogniser
from pipeline.transcode import decode_sound


def recognise_file(path: Path, prints: Prints) -> Recognition | None:
    """Return the public master that a file is a recording of for certain; else None.

    Raises what ``decode_sound`` raises, and Unavailable when the catalogue is away.
    """
    ear = Ear()
    decode_sound(path, ear.feed)
    ear.finish()
    return Recogniser(prints).recognise(ear)
