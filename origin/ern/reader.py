"""Reading ERN messages: XML in, ``ErnMessage`` out.

Nothing is fetched, no entity is resolved, and what declares a document type is refused. Elements
are known by their local names, of which versions have different ones for the same thing.
Sources: DDEX Electronic Release Notification 3.8.2, 4.1, 4.2 and 4.3.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from lxml import etree

from catalogue.errors import ErnUnreadable
from catalogue.nouns import Credit, CreditRole, Use
from origin.ern.message import (
    ErnDeal,
    ErnFile,
    ErnKind,
    ErnMessage,
    ErnPlace,
    ErnRecording,
    ErnRelease,
)

MESSAGE_MAX_BYTES = 16 << 20
VERSIONS = ("382", "41", "411", "42", "43", "432")

_ID_MAX = 200
_NAMESPACE = re.compile(r"http://ddex\.net/xml/ern/([0-9]+)")
_ROLES: Mapping[str, CreditRole] = {
    "MainArtist": CreditRole.MAIN,
    "Artist": CreditRole.MAIN,
    "FeaturedArtist": CreditRole.FEATURED,
    "Composer": CreditRole.COMPOSER,
    "ComposerLyricist": CreditRole.COMPOSER,
    "Lyricist": CreditRole.LYRICIST,
    "Arranger": CreditRole.ARRANGER,
    "Producer": CreditRole.PRODUCER,
    "StudioProducer": CreditRole.PRODUCER,
    "Remixer": CreditRole.REMIXER,
    "Conductor": CreditRole.CONDUCTOR,
    "StudioConductor": CreditRole.CONDUCTOR,
    "AssociatedPerformer": CreditRole.PERFORMER,
    "Soloist": CreditRole.PERFORMER,
    "Engineer": CreditRole.ENGINEER,
    "StudioPersonnel": CreditRole.ENGINEER,
}
_USES: Mapping[str, Use] = {
    "Stream": Use.STREAM,
    "OnDemandStream": Use.STREAM,
    "NonInteractiveStream": Use.STREAM,
    "ConditionalDownload": Use.DOWNLOAD,
    "TetheredDownload": Use.DOWNLOAD,
}
_ALGORITHMS = {"MD5": "md5", "SHA1": "sha1", "SHA256": "sha256", "SHA512": "sha512"}
_EXPLICIT = {"Explicit": True, "ExplicitContentEdited": False, "NotExplicit": False}

Element = Any


def read_message(data: bytes) -> ErnMessage:
    """Return what a message says. Raises ErnUnreadable."""
    if len(data) > MESSAGE_MAX_BYTES:
        raise ErnUnreadable("It is too long.", max_bytes=MESSAGE_MAX_BYTES)
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as fault:
        raise ErnUnreadable(f"It is no XML: {str(fault)[:200]}.") from fault
    if root.getroottree().docinfo.doctype:
        raise ErnUnreadable("It declares a document type.")
    name = etree.QName(root)
    found = _NAMESPACE.fullmatch(name.namespace or "")
    if found is None or found[1] not in VERSIONS or name.localname not in list(ErnKind):
        raise ErnUnreadable(f"It is {root.tag[:100]!r}.", root=root.tag[:100])
    return _Reader(root, found[1]).read(ErnKind(name.localname))


class _Reader:
    def __init__(self, root: Element, version: str) -> None:
        self._root, self._version = root, version
        self._parties = {
            _text(party, "PartyReference"): _text(party, "PartyName/FullName")
            for party in _all(root, "PartyList/Party")
        }

    def read(self, kind: ErnKind) -> ErnMessage:
        root = self._root
        header = _one(root, "MessageHeader")
        if len(_text(header, "MessageId")) > _ID_MAX:
            raise ErnUnreadable("Its MessageId is too long.", max_characters=_ID_MAX)
        sender = _text(header, "MessageSender/PartyName/FullName", "MessageSender/PartyId")
        said: dict[str, Any] = {
            "version": self._version,
            "kind": kind,
            "id": _required(header, "MessageId"),
            "thread": _text(header, "MessageThreadId"),
            "sender": sender,
            "created_at": _instant(_required(header, "MessageCreatedDateTime"), header),
        }
        if kind is ErnKind.PURGE_RELEASE:
            purged = _all(root, "PurgedRelease/ReleaseId/ICPN", "PurgedRelease/ReleaseId/ISRC")
            return ErnMessage(**said, purged=tuple(_words(each) for each in purged))
        releases = [
            self._release(each, place)
            for place, each in enumerate(
                _all(root, "ReleaseList/Release", "ReleaseList/TrackRelease")
            )
        ]
        return ErnMessage(
            **said,
            recordings=tuple(
                self._recording(each) for each in _all(root, "ResourceList/SoundRecording")
            ),
            releases=tuple(releases),
            deals=tuple(self._deals()),
        )

    def _recording(self, element: Element) -> ErnRecording:
        details = _one(element, "SoundRecordingDetailsByTerritory")
        edition = _one(element, "SoundRecordingEdition")
        isrc = _text(element, "SoundRecordingId/ISRC", "ResourceId/ISRC") or _text(
            edition, "ResourceId/ISRC"
        )
        title = _text(
            element, "DisplayTitleText", "DisplayTitle/TitleText", "ReferenceTitle/TitleText"
        )
        warned = _text(element, "ParentalWarningType") or _text(details, "ParentalWarningType")
        return ErnRecording(
            reference=_required(element, "ResourceReference"),
            isrc=isrc,
            title=title,
            credits=self._credits(element, details),
            genres=_genres(element, details),
            explicit=_EXPLICIT.get(warned),
            file=_file(element, details, edition),
            line=element.sourceline,
        )

    def _release(self, element: Element, place: int) -> ErnRelease:
        details = _one(element, "ReleaseDetailsByTerritory")
        is_track = etree.QName(element).localname == "TrackRelease"
        kind = _text(element, "ReleaseType")
        is_main = element.get("IsMainRelease") == "true" or (
            place == 0 and not is_track and kind != "TrackRelease"
        )
        label = _text(element, "ReleaseLabelReference")
        return ErnRelease(
            reference=_required(element, "ReleaseReference"),
            icpn=_text(element, "ReleaseId/ICPN"),
            isrc=_text(element, "ReleaseId/ISRC"),
            title=_text(
                element, "DisplayTitleText", "DisplayTitle/TitleText", "ReferenceTitle/TitleText"
            ),
            credits=self._credits(element, details),
            genres=_genres(element, details),
            released_on=_date_of(
                _text(element, "OriginalReleaseDate", "ReleaseDate", "GlobalOriginalReleaseDate")
                or _text(details, "OriginalReleaseDate", "ReleaseDate")
                or _text(element, "GlobalReleaseDate")
            ),
            imprint=_text(details, "LabelName") or self._parties.get(label, ""),
            places=tuple(self._places(element, details)),
            is_main=is_main,
            line=element.sourceline,
        )

    def _places(self, element: Element, details: Element) -> Iterator[ErnPlace]:
        """Give where recordings stand; groups inside the first one are discs."""
        groups = _all(element, "ResourceGroup") or _all(details, "ResourceGroup")
        found = False
        for group in groups:
            discs = _all(group, "ResourceGroup")
            for disc, inner in enumerate(discs or [group], 1):
                said = _text(inner, "SequenceNumber") if discs else ""
                items = _all(inner, "ResourceGroupContentItem")
                for number, item in enumerate(items, 1):
                    reference = _text(item, "ReleaseResourceReference")
                    if _text(item, "ResourceType") in ("", "SoundRecording"):
                        found = True
                        yield ErnPlace(
                            recording=reference,
                            disc=_number(said, disc),
                            number=_number(_text(item, "SequenceNumber"), number),
                            line=item.sourceline,
                        )
        if not found:
            names = "ReleaseResourceReferenceList/ReleaseResourceReference"
            listed = _all(element, names, "ReleaseResourceReference")
            for number, each in enumerate(listed, 1):
                yield ErnPlace(recording=_words(each), disc=1, number=number, line=each.sourceline)

    def _credits(self, element: Element, details: Element) -> tuple[Credit, ...]:
        found = []
        for place in (element, details):
            for artist in _all(place, "DisplayArtist"):
                role = _text(artist, "ArtistRole", "DisplayArtistRole")
                found.append((self._name(artist, "ArtistPartyReference"), role or "MainArtist"))
            for other in _all(place, "ResourceContributor", "Contributor"):
                role = _text(other, "ResourceContributorRole", "Role")
                found.append((self._name(other, "ContributorPartyReference"), role))
        known = [Credit(name=name, role=_ROLES[role]) for name, role in found if role in _ROLES]
        return tuple(dict.fromkeys(each for each in known if each.name))

    def _name(self, element: Element, reference: str) -> str:
        said = _text(element, "PartyName/FullName")
        return said or self._parties.get(_text(element, reference), "")

    def _deals(self) -> Iterator[ErnDeal]:
        for group in _all(self._root, "DealList/ReleaseDeal"):
            references = tuple(_words(each) for each in _all(group, "DealReleaseReference"))
            for deal in _all(group, "Deal"):
                terms = _one(deal, "DealTerms")
                period = _one(terms, "ValidityPeriod")
                uses = [_words(each) for each in _all(terms, "Usage/UseType", "UseType")]
                yield ErnDeal(
                    releases=references,
                    territories=tuple(_words(each) for each in _all(terms, "TerritoryCode")),
                    excluded=tuple(_words(each) for each in _all(terms, "ExcludedTerritoryCode")),
                    starts_at=_begin(period),
                    ends_at=_end(period),
                    uses=tuple(use for use in Use if use in {_USES.get(each) for each in uses}),
                    takedown=_text(terms, "TakeDown") == "true",
                    line=deal.sourceline,
                )


def _file(element: Element, details: Element, edition: Element) -> ErnFile | None:
    """Return the first file of a recording, whichever version says where it is."""
    for place in (details, edition, element):
        technical = _one(place, "TechnicalSoundRecordingDetails")
        if technical is None:
            technical = _one(place, "TechnicalDetails")
        found = _one(technical, "File")
        if found is None:
            found = _one(_one(technical, "DeliveryFile"), "File")
        if found is not None:
            folder, name = _text(found, "FilePath"), _text(found, "FileName")
            path = _text(found, "URI") or "/".join(part for part in (folder, name) if part)
            hashed = _one(found, "HashSum")
            algorithm = _text(hashed, "HashSumAlgorithmType", "Algorithm")
            return ErnFile(
                path=path,
                algorithm=_ALGORITHMS.get(algorithm.upper().replace("-", "")),
                digest=_text(hashed, "HashSum", "HashSumValue").lower() or None,
                line=found.sourceline,
            )
    return None


def _genres(element: Element, details: Element) -> tuple[str, ...]:
    found = [*_all(element, "Genre/GenreText"), *_all(details, "Genre/GenreText")]
    return tuple(dict.fromkeys(filter(None, map(_words, found))))


def _begin(period: Element) -> datetime | None:
    said = _text(period, "StartDateTime", "StartDate")
    return _instant(said, period) if said else None


def _end(period: Element) -> datetime | None:
    said = _text(period, "EndDateTime", "EndDate")
    if not said:
        return None
    whole_day = timedelta() if "T" in said else timedelta(days=1)
    return _instant(said, period) + whole_day


def _instant(said: str, element: Element) -> datetime:
    """Return a moment; a date is its midnight, and what has no zone is in UTC."""
    try:
        if "T" not in said:
            return datetime.combine(date.fromisoformat(said), time(), UTC)
        moment = datetime.fromisoformat(said)
    except ValueError as fault:
        raise ErnUnreadable(f"{said[:40]!r} is no moment.", line=element.sourceline) from fault
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _date_of(said: str) -> str | None:
    try:
        return date.fromisoformat(said[:10]).isoformat() if said else None
    except ValueError:
        return None


def _number(said: str, otherwise: int) -> int:
    return int(said) if said.isascii() and said.isdigit() and 0 < int(said) < 10_000 else otherwise


def _all(element: Element, *paths: str) -> list[Element]:
    """Return the elements at paths of local names, in the order of the document."""
    if element is None:
        return []
    found: list[Element] = []
    for path in paths:
        steps = "/".join(f"*[local-name()='{step}']" for step in path.split("/"))
        found += element.xpath(steps)
    places = {id(each): each for each in found}
    return sorted(places.values(), key=lambda each: each.sourceline) if len(paths) > 1 else found


def _one(element: Element, path: str) -> Element:
    found: Sequence[Element] = _all(element, path)
    return found[0] if found else None


def _words(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())[:500]


def _text(element: Element, *paths: str) -> str:
    """Return the words of the first of several elements that has any."""
    for path in paths:
        for each in _all(element, path):
            if words := _words(each):
                return words
    return ""


def _required(element: Element, path: str) -> str:
    said = _text(element, path)
    if not said:
        line = None if element is None else element.sourceline
        raise ErnUnreadable(f"{path} is missing.", line=line)
    return said
