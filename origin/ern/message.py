"""What an ERN message says, whatever its version calls it.

``line`` is the line of the message where something stands. References are the message's own.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from catalogue.nouns import Credit, Use


class ErnKind(StrEnum):
    """A message that releases, or one that takes everything back."""

    NEW_RELEASE = "NewReleaseMessage"
    PURGE_RELEASE = "PurgeReleaseMessage"


@dataclass(frozen=True, kw_only=True, slots=True)
class ErnFile:
    """A file of a resource: its path as the message has it, and what it hashes to, if that is said.

    ``algorithm`` is one of hashlib's, ``digest`` in lower-case hexadecimal.
    """

    path: str
    algorithm: str | None
    digest: str | None
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ErnRecording:
    """A sound recording; ``file`` is None where the message brings none."""

    reference: str
    isrc: str
    title: str
    credits: tuple[Credit, ...]
    genres: tuple[str, ...]
    explicit: bool | None
    file: ErnFile | None
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ErnPlace:
    """Where a recording stands on a release."""

    recording: str
    disc: int
    number: int
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ErnRelease:
    """A release: the main one, or that of one track."""

    reference: str
    icpn: str
    isrc: str
    title: str
    credits: tuple[Credit, ...]
    genres: tuple[str, ...]
    released_on: str | None
    imprint: str
    places: tuple[ErnPlace, ...]
    is_main: bool
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ErnDeal:
    """What may be done with releases: where, when, and which uses lathe has a name for.

    ``takedown`` is whether it takes back instead.
    """

    releases: tuple[str, ...]
    territories: tuple[str, ...]
    excluded: tuple[str, ...]
    starts_at: datetime | None
    ends_at: datetime | None
    uses: tuple[Use, ...]
    takedown: bool
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ErnMessage:
    """A message; a purge names releases by ``purged``, ICPN or ISRC each, and has nothing else."""

    version: str
    kind: ErnKind
    id: str
    thread: str
    sender: str
    created_at: datetime
    recordings: tuple[ErnRecording, ...] = ()
    releases: tuple[ErnRelease, ...] = ()
    deals: tuple[ErnDeal, ...] = ()
    purged: tuple[str, ...] = ()

    @property
    def main(self) -> ErnRelease | None:
        """The release that the message is about."""
        return next((each for each in self.releases if each.is_main), None)
