"""Making the sleeve of a master: pictures, preview and drawings, as objects in a store."""

import hashlib
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from catalogue.nouns import Master, RenditionId, Sha256, StoredObject
from catalogue.sleeves import Picture, Preview, Sleeve, sleeve_id
from pipeline import ffmpeg
from pipeline.pictures import resize
from pipeline.preview import choose_passage, cut_preview
from pipeline.quality import drawings as drawing
from pipeline.quality.drawings import Drawings
from pipeline.tags import read_picture
from storage.keys import rendition_key
from storage.port import ObjectStore

WAVEFORM_BINS = 4096
"""How many parts a player's waveform has at most, however long the master is."""

_RECIPE = "sleeve-1"
_PREVIEW = "preview.m4a"
# The bytes are theirs as well.
_MAKERS = ("pillow", "numpy", "pydub")


def name_sleeve(master: Master) -> RenditionId:
    """Return the id that the sleeve of a master will have."""
    made_by = [f"{name} {version(name)}" for name in _MAKERS]
    return sleeve_id(master.sha256, " ".join([_RECIPE, ffmpeg.build_identity(), *made_by]))


def make_sleeve(
    path: Path,
    master: Master,
    drawn: Drawings,
    store: ObjectStore,
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> Sleeve:
    """Make and store all that goes with the master at ``path``, of which ``drawn`` was measured.

    Raises what decoding and encoding raise, and Unavailable when the store is away.
    """
    own, stored = name_sleeve(master), []

    def put(name: str, data: bytes) -> None:
        store.put(rendition_key(own, name), data)
        digest = Sha256(hashlib.sha256(data).hexdigest())
        stored.append(StoredObject(name=name, size_bytes=len(data), sha256=digest))

    pictures = []
    for small in resize(read_picture(path) or b""):
        name = f"cover-{small.size_px}.jpg"
        put(name, small.data)
        pictures.append(Picture(name=name, width=small.width, height=small.height))
    preview, passage = None, choose_passage(drawn)
    if passage is not None:
        put(_PREVIEW, cut_preview(path, master, passage, should_stop=should_stop))
        preview = Preview(name=_PREVIEW, start_s=passage.start_s, length_s=passage.length_s)
    for name, data in _draw(drawn).items():
        put(name, data)
    return Sleeve(
        id=own,
        master_sha256=master.sha256,
        pictures=tuple(pictures),
        preview=preview,
        stored=tuple(stored),
    )


def _draw(drawn: Drawings) -> dict[str, bytes]:
    coarse = drawing.coarsen(drawn, WAVEFORM_BINS)
    text = json.dumps(drawing.waveform_json(coarse, bits=8), separators=(",", ":"))
    return {
        "waveform.dat": drawing.waveform_dat(coarse, bits=8),
        "waveform.json": text.encode(),
        "waveform.svg": drawing.draw_waveform(drawn).encode(),
        "loudness.svg": drawing.draw_loudness(drawn).encode(),
        "spectrogram.png": drawing.draw_spectrogram(drawn),
    }
