"""Sleeves: what goes with a master beside its sound: pictures, a preview, drawings.

Like a rendition, a sleeve is objects that never change, under an id that derives from the master
and from how they are made, and is served under signed URLs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Protocol

from catalogue.nouns import RenditionId, Sha256, StoredObject

_MARK = "sleeve-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """The front cover in one size, in pixels; ``name`` is that of its object."""

    name: str
    width: int
    height: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """A stretch of the master, to be heard by anybody who may hear it at all: where it is in it."""

    name: str
    start_s: float
    length_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Sleeve:
    """All that goes with a master. ``pictures`` are from the smallest on; there may be none."""

    id: RenditionId
    master_sha256: Sha256
    pictures: tuple[Picture, ...]
    preview: Preview | None
    stored: tuple[StoredObject, ...]

    def objects(self) -> Mapping[str, StoredObject]:
        """Return every object of the sleeve by name."""
        return {each.name: each for each in self.stored}


def sleeve_id(master_sha256: Sha256, recipe: str) -> RenditionId:
    """Return the id of the sleeve that ``recipe`` makes for a master."""
    digest = sha256(f"{master_sha256} {recipe}".encode()).hexdigest()
    return RenditionId(f"{_MARK}{digest[:32]}")


def is_sleeve(rendition_id: RenditionId) -> bool:
    """Return whether an id is that of a sleeve, and not of a rendition."""
    return rendition_id.startswith(_MARK)


class Sleeves(Protocol):
    """Sleeves, one for each master. Methods raise Unavailable when the database is away."""

    def put(self, sleeve: Sleeve, *, now: datetime) -> None:
        """Keep the sleeve of a master, instead of one that there was before."""

    def of_master(self, sha256: Sha256) -> Sleeve | None:
        """Return the sleeve of a master."""

    def find(self, sleeve_id: RenditionId) -> Sleeve | None:
        """Return the sleeve of an id."""
