"""Hearing published masters again, when what was heard of them is missing or of an old recipe."""

import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from catalogue.nouns import Features, Fingerprint, Sha256
from catalogue.port import Recipes
from lathe.wiring import House, now
from pipeline.hearing import fingerprint, listener
from pipeline.hearing.fingerprint import Fingerprinter, build_fingerprint
from pipeline.hearing.listener import Listener
from pipeline.master import probe_master
from pipeline.press import build_meter
from pipeline.transcode import decode_master
from storage.keys import master_key

RECIPES = Recipes(features=listener.RECIPE, fingerprint=fingerprint.RECIPE)
_PAGE = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Reheard:
    """A master that was heard again, or the fault that kept it from being."""

    master_sha256: Sha256
    fault: Exception | None = None


def hear_again(house: House, *, stop: threading.Event) -> Iterator[Reheard]:
    """Hear every published master that was not heard by the present recipes.

    What is done is kept at once, so that a run that was stopped is gone on with by the next.
    """
    after = ""
    while page := house.prints.unheard(recipes=RECIPES, after=after, limit=_PAGE):
        for sha256 in page:
            if stop.is_set():
                return
            yield _hear(house, sha256)
        after = page[-1]


def hear(path: Path, sha256: Sha256) -> tuple[Features, Fingerprint]:
    """Decode a master, and return what is heard in it. Raises what ``decode_master`` raises."""
    master = probe_master(path, sha256)
    with tempfile.TemporaryFile() as spool:
        heard, printer, meter = Listener(spool), Fingerprinter(), build_meter(master)

        def listen(data: bytes) -> None:
            heard.feed(data)
            printer.feed(data)

        decode_master(path, master, listen=listen, meter=meter.feed)
        return heard.finish().features(meter.finish()), build_fingerprint(printer.finish())


def _hear(house: House, sha256: Sha256) -> Reheard:
    try:
        with house.store.as_file(master_key(sha256)) as path:
            features, printed = hear(path, sha256)
        house.prints.keep(sha256, features=features, fingerprint=printed, now=now())
    except Exception as fault:
        return Reheard(master_sha256=sha256, fault=fault)
    return Reheard(master_sha256=sha256)
