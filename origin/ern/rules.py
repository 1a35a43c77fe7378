"""What a message means for the catalogue, and what is wrong with it.

A track goes by the deals of its own release where it has one with deals, else by those of the main
release. Deals that take back give nothing; where only such cover a track, it is taken down.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from catalogue.errors import (
    DealWithoutTerm,
    InvalidInput,
    MetadataInvalid,
    ReferenceDangling,
    ResourceHashDiffers,
    ResourceMissing,
    TrackWithoutDeal,
)
from catalogue.identifiers import WORLDWIDE, parse_isrc, parse_territory
from catalogue.licensing import Deal, resolve_deals
from catalogue.nouns import (
    AlbumDetails,
    AlbumSaid,
    CreditRole,
    Metadata,
    Right,
    TrackDetails,
    Window,
)
from origin.delivery_document import Findings, has_check_digit, show_artists
from origin.ern.message import ErnDeal, ErnFile, ErnMessage, ErnPlace, ErnRecording, ErnRelease
from workers.intake import Incoming, Item

NOWHERE = (Right(territory=WORLDWIDE, windows=()),)
"""What a track is licensed for that was taken back."""

FindFile = Callable[[ErnFile], Incoming]
"""Gives a file that a message names. Raises ResourceMissing and ResourceHashDiffers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """What is to be done: tracks brought or changed, and those of them that are taken down.

    ``faulty`` are the ISRCs of recordings that something is wrong with, each with its code.
    """

    items: tuple[Item, ...]
    taken_down: frozenset[str]
    findings: Findings
    faulty: tuple[tuple[str, str], ...]


def settle(message: ErnMessage, find: FindFile) -> Settled:
    """Return what a NewReleaseMessage means."""
    return _Settling(message, find).settle()


class _Settling:
    def __init__(self, message: ErnMessage, find: FindFile) -> None:
        self._message, self._find = message, find
        self._findings = Findings()
        self._faulty: list[tuple[str, str]] = []
        self._recordings = {each.reference: each for each in message.recordings}

    def settle(self) -> Settled:
        message, items, taken_down = self._message, [], set()
        main = message.main
        if main is None:
            self._findings.object_to("/ReleaseList", "it tells of no release.")
        self._check_references()
        self._check_icpn(main)
        places = self._places(main)
        if not places:
            self._findings.object_to("/ResourceList", "it tells of no sound recording.")
        for place in places:
            recording = self._recordings.get(place.recording)
            if recording is None:
                self._note(place.line, ReferenceDangling(f"No resource is {place.recording!r}."))
                continue
            item = self._settle_track(main, place, recording)
            if item is not None:
                items.append(item)
                if item.metadata.rights == NOWHERE and item.metadata.isrc is not None:
                    taken_down.add(item.metadata.isrc)
        return Settled(
            items=tuple(items),
            taken_down=frozenset(taken_down),
            findings=self._findings,
            faulty=tuple(self._faulty),
        )

    def _places(self, main: ErnRelease | None) -> Sequence[ErnPlace]:
        if main is None or not main.places:
            return [
                ErnPlace(recording=each.reference, disc=1, number=number, line=each.line)
                for number, each in enumerate(self._message.recordings, 1)
            ]
        return main.places

    def _settle_track(
        self, main: ErnRelease | None, place: ErnPlace, said: ErnRecording
    ) -> Item | None:
        before = len(self._findings.faults)
        isrc = said.isrc
        try:
            isrc = parse_isrc(said.isrc)
        except InvalidInput as fault:
            self._note(said.line, fault, isrc)
        if not said.title:
            self._note(said.line, MetadataInvalid("It has no title."), isrc)
        names = [each.name for each in said.credits if each.role is CreditRole.MAIN]
        if not names:
            self._note(said.line, MetadataInvalid("It has no main artist."), isrc)
        rights = self._rights(main, said, isrc)
        master = None
        if said.file is not None:
            try:
                master = self._find(said.file)
            except (ResourceMissing, ResourceHashDiffers) as fault:
                self._note(said.file.line, fault, isrc)
        if len(self._findings.faults) > before:
            return None
        metadata = Metadata(
            title=said.title,
            artist=show_artists(said.credits),
            isrc=isrc,
            rights=rights,
            album=None if main is None or not main.icpn else _album(main, place),
            details=TrackDetails(credits=said.credits, genres=said.genres, explicit=said.explicit),
        )
        return Item(metadata=metadata, master=master)

    def _rights(self, main: ErnRelease | None, said: ErnRecording, isrc: str) -> tuple[Right, ...]:
        deals = self._deals_of(main, said)
        usable: list[Deal | None] = []
        taken = False
        for deal in deals:
            if deal.takedown:
                taken = True
            elif not deal.uses:
                self._findings.warnings.append(
                    (f"/line/{deal.line}", "The deal allows no use that is known here.")
                )
            elif deal.starts_at is None:
                self._note(deal.line, DealWithoutTerm("Its ValidityPeriod has no start."), isrc)
                usable.append(None)
            else:
                usable.append(self._deal(deal, isrc))
        found = [deal for deal in usable if deal is not None]
        if found:
            return resolve_deals(found)
        if not usable and not taken:
            self._note(said.line, TrackWithoutDeal("No deal covers it."), isrc)
        return NOWHERE

    def _deals_of(self, main: ErnRelease | None, said: ErnRecording) -> list[ErnDeal]:
        own = {
            release.reference
            for release in self._message.releases
            if not release.is_main
            and (
                said.reference in [place.recording for place in release.places]
                or (release.isrc and release.isrc == said.isrc)
            )
        }
        deals = [deal for deal in self._message.deals if own & set(deal.releases)]
        if deals or main is None:
            return deals
        return [deal for deal in self._message.deals if main.reference in deal.releases]

    def _deal(self, said: ErnDeal, isrc: str) -> Deal | None:
        try:
            territories = frozenset(parse_territory(each) for each in said.territories)
            excluded = frozenset(parse_territory(each) for each in said.excluded)
        except InvalidInput as fault:
            self._note(said.line, fault, isrc)
            return None
        if said.starts_at and said.ends_at and said.ends_at <= said.starts_at:
            self._note(said.line, MetadataInvalid("The deal ends before it begins."), isrc)
            return None
        window = Window(starts_at=said.starts_at, ends_at=said.ends_at, uses=said.uses)
        if excluded:
            territories = frozenset({WORLDWIDE})
        return Deal(territories=territories, excluded=excluded, window=window)

    def _check_references(self) -> None:
        known = {release.reference for release in self._message.releases}
        for deal in self._message.deals:
            for reference in deal.releases:
                if reference not in known:
                    self._note(deal.line, ReferenceDangling(f"No release is {reference!r}."))

    def _check_icpn(self, main: ErnRelease | None) -> None:
        if main is None:
            return
        if not main.icpn:
            self._warn(main.line, "The release has no ICPN: its tracks stand alone.")
        elif not (main.icpn.isdigit() and 12 <= len(main.icpn) <= 14):
            self._note(main.line, MetadataInvalid(f"{main.icpn[:40]!r} is no ICPN."))
        elif not has_check_digit(main.icpn):
            self._warn(main.line, "The check digit of its ICPN is not right.")

    def _warn(self, line: int, said: str) -> None:
        self._findings.warnings.append((f"/line/{line}", said))

    def _note(self, line: int, fault: InvalidInput, isrc: str = "") -> None:
        self._findings.note(f"/line/{line}", fault)
        if isrc:
            self._faulty.append((isrc, fault.code))


def _album(main: ErnRelease, place: ErnPlace) -> AlbumSaid:
    return AlbumSaid(
        upc=main.icpn,
        title=main.title or "untitled",
        disc=place.disc,
        number=place.number,
        details=AlbumDetails(
            credits=main.credits,
            genres=main.genres,
            released_on=main.released_on,
            imprint=main.imprint,
        ),
    )
