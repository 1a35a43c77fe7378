"""Hearing published masters again, when what was heard of them is missing or of an old recipe."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from catalogue.nouns import Sha256
from catalogue.port import Recipes
from lathe.wiring import House, now
from pipeline.analysis import analyse
from pipeline.hearing import fingerprint, listener
from pipeline.master import probe_master
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


def _hear(house: House, sha256: Sha256) -> Reheard:
    try:
        with house.store.as_file(master_key(sha256)) as path:
            analysed = analyse(path, probe_master(path, sha256))
        house.prints.keep(
            sha256,
            features=analysed.features(),
            fingerprint=analysed.fingerprint,
            now=now(),
        )
    except Exception as fault:
        return Reheard(master_sha256=sha256, fault=fault)
    return Reheard(master_sha256=sha256)
