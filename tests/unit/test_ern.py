"""Reading ERN messages of every version, and what their rules say."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from catalogue.errors import ErnUnreadable, ResourceMissing
from catalogue.nouns import CreditRole, Right, Sha256, Use, Window
from origin.ern.acknowledgement import NAMESPACE, acknowledge
from origin.ern.message import ErnFile, ErnKind, ErnMessage
from origin.ern.reader import MESSAGE_MAX_BYTES, read_message
from origin.ern.rules import NOWHERE, Settled, settle
from tests.ern import ICPN, VERSIONS, Message, Song, Terms
from workers.intake import Incoming

ONE = Song(isrc="ZZERN2600001", title="Für Elise & more", file="resources/1.flac")
TWO = Song(isrc="ZZERN2600002", title="Ode", file="resources/2.flac", featured="A Guest")
BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
EVERYWHERE = (Right(territory="Worldwide", windows=(Window(starts_at=BEGIN),)),)


def read(said: Message) -> ErnMessage:
    return read_message(said.xml())


def find(said: ErnFile) -> Incoming:
    if "missing" in said.path:
        raise ResourceMissing("It is not there.")
    return Incoming(filename=said.path, size_bytes=1, sha256=Sha256("0" * 64), adopt=lambda _: None)


def settled(**said: Any) -> Settled:
    return settle(read(Message(**{"songs": [ONE, TWO], **said})), find)


def codes(found: Settled) -> list[str]:
    return [fault.code for fault in found.findings.faults]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_says_the_same(version: str) -> None:
    hashed = replace(ONE, hash=("MD5", "AB" * 16), warning="Explicit")
    found = read(Message(version=version, songs=[hashed, TWO]))
    assert (found.version, found.kind, found.id) == (version, ErnKind.NEW_RELEASE, "MSG-1")
    assert found.sender == "A Label & Sons"
    assert found.created_at == datetime(2026, 11, 1, 12, tzinfo=UTC)
    one, two = found.recordings
    assert (one.reference, one.isrc, one.title) == ("A1", "ZZERN2600001", "Für Elise & more")
    assert (one.explicit, two.explicit) == (True, False)
    assert one.genres == ("Baroque",)
    assert [(each.name, each.role) for each in two.credits] == [
        ("The Players", CreditRole.MAIN),
        ("A Guest", CreditRole.FEATURED),
        ("J. S. Bach", CreditRole.COMPOSER),
    ]
    assert one.file is not None
    assert [part for part in one.file.path.split("/") if part] == ["resources", "1.flac"]
    assert (one.file.algorithm, one.file.digest) == ("md5", "ab" * 16)
    main = found.main
    assert main is not None
    assert (main.reference, main.icpn, main.title) == ("R0", ICPN, "Three Pieces")
    assert (main.released_on, main.imprint) == ("2026-11-20", "Test Records")
    assert [(each.recording, each.disc, each.number) for each in main.places] == [
        ("A1", 1, 1),
        ("A2", 1, 2),
    ]
    assert [each.reference for each in found.releases] == ["R0", "R1", "R2"]
    [deal] = found.deals
    assert (deal.releases, deal.territories, deal.starts_at) == (("R0",), ("Worldwide",), BEGIN)
    assert deal.uses == (Use.STREAM, Use.DOWNLOAD)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_means_the_same(version: str) -> None:
    found = settled(version=version)
    assert (codes(found), found.findings.warnings, found.taken_down) == ([], [], frozenset())
    one, two = found.items
    assert two.metadata.artist == "The Players feat. A Guest"
    assert one.metadata.rights == EVERYWHERE
    assert one.metadata.album is not None
    assert (one.metadata.album.upc, one.metadata.album.number) == (ICPN, 1)
    assert one.metadata.album.details.imprint == "Test Records"
    assert two.master is not None
    assert two.master.filename.endswith("2.flac")


@pytest.mark.parametrize("version", VERSIONS[1:])
@pytest.mark.parametrize("purged", [[ICPN], ["ZZERN2600001", "ZZERN2600002"]])
def test_a_purge_names_releases(version: str, purged: list[str]) -> None:
    found = read(Message(version=version, purged=purged))
    assert (found.kind, found.purged) == (ErnKind.PURGE_RELEASE, tuple(purged))


def test_deals_become_rights() -> None:
    found = settled(
        deals=[
            Terms(territories=["US", "CA"], uses=["Stream"]),
            Terms(territories=["DE"], start="2026-12-01T00:00:00+01:00", end="2026-12-31"),
        ]
    )
    rights = {right.territory: right.windows for right in found.items[0].metadata.rights}
    assert rights["US"] == (Window(starts_at=BEGIN, uses=(Use.STREAM,)),)
    assert rights["DE"] == (
        Window(
            starts_at=datetime(2026, 11, 30, 23, tzinfo=UTC),
            ends_at=datetime(2027, 1, 1, tzinfo=UTC),
        ),
    )
    assert set(rights) == {"US", "CA", "DE"}


def test_territories_are_left_out_of_the_world() -> None:
    rights = settled(deals=[Terms(excluded=["FR"])]).items[0].metadata.rights
    assert {right.territory: bool(right.windows) for right in rights} == {
        "FR": False,
        "Worldwide": True,
    }


def test_a_track_goes_by_deals_of_its_own_first() -> None:
    found = settled(deals=[Terms(), Terms(about=["R2"], territories=["US"])])
    one, two = (item.metadata.rights for item in found.items)
    assert one == EVERYWHERE
    assert [right.territory for right in two] == ["US"]


def test_a_track_may_be_taken_back_alone_or_with_all_others() -> None:
    alone = settled(version="382", deals=[Terms(), Terms(about=["R1"], takedown=True)])
    assert alone.taken_down == {ONE.isrc}
    assert [item.metadata.rights for item in alone.items] == [NOWHERE, EVERYWHERE]
    both = settled(version="382", deals=[Terms(takedown=True)])
    assert both.taken_down == {ONE.isrc, TWO.isrc}
    assert codes(both) == []


FAULTY: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no ISRC": ({"songs": [replace(ONE, isrc="ZZ")]}, ["isrc-invalid"]),
    "no title": ({"songs": [replace(ONE, title="")]}, ["metadata-invalid"]),
    "no main artist": ({"songs": [replace(ONE, artist="")]}, ["metadata-invalid"]),
    "a file that is not there": (
        {"songs": [replace(ONE, file="missing.flac"), TWO]},
        ["resource-missing"],
    ),
    "no deal": ({"deals": []}, ["track-without-deal"] * 2),
    "a deal of one track alone": (
        {"deals": [Terms(about=["R1"])]},
        ["track-without-deal"],
    ),
    "a deal without a term": (
        {"songs": [ONE], "deals": [Terms(start=None)]},
        ["deal-without-term"],
    ),
    "a deal of no use": (
        {"songs": [ONE], "deals": [Terms(uses=["Broadcast"])]},
        ["track-without-deal"],
    ),
    "a deal of no release": ({"deals": [Terms(), Terms(about=["R9"])]}, ["reference-dangling"]),
    "a deal nowhere": (
        {"songs": [ONE], "deals": [Terms(territories=["XX"])]},
        ["territory-unknown"],
    ),
    "a deal that ends first": (
        {"songs": [ONE], "deals": [Terms(end="2019-01-01")]},
        ["metadata-invalid"],
    ),
    "a place of no resource": ({"places": ["A1", "A7"]}, ["reference-dangling"]),
    "no recordings": ({"songs": []}, ["metadata-invalid"]),
    "a wrong ICPN": ({"icpn": "12"}, ["metadata-invalid"]),
    "several": (
        {"songs": [replace(ONE, isrc="ZZ", file="missing.flac")], "deals": [Terms(about=["R9"])]},
        ["reference-dangling", "isrc-invalid", "track-without-deal", "resource-missing"],
    ),
}


@pytest.mark.parametrize("name", FAULTY)
@pytest.mark.parametrize("version", ["382", "43"])
def test_what_is_wrong_is_told_all_at_once(name: str, version: str) -> None:
    said, expected = FAULTY[name]
    found = settled(version=version, **said)
    assert codes(found) == expected
    assert all(fault.pointer.startswith(("/line/", "/R")) for fault in found.findings.faults)


def test_a_wrong_check_digit_is_a_warning() -> None:
    found = settled(icpn="4006381333932")
    assert codes(found) == []
    assert ["check digit" in said for _, said in found.findings.warnings] == [True]


BILLION = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>
<ern:NewReleaseMessage xmlns:ern="http://ddex.net/xml/ern/43"><MessageHeader>
<MessageId>&b;</MessageId></MessageHeader></ern:NewReleaseMessage>"""
OUTSIDE = BILLION.replace(b'<!ENTITY a "ha">', b'<!ENTITY a SYSTEM "file:///etc/passwd">')
UNREADABLE: dict[str, bytes] = {
    "nothing": b"",
    "no XML": b"{}",
    "cut short": Message(songs=[ONE]).xml()[:-9],
    "another message": b'<x xmlns="http://ddex.net/xml/ern/43"/>',
    "another version": Message(version="37", songs=[ONE]).xml(),
    "no namespace": b"<NewReleaseMessage/>",
    "no header": b'<e:NewReleaseMessage xmlns:e="http://ddex.net/xml/ern/43"/>',
    "entities": BILLION,
    "entities from outside": OUTSIDE,
    "a name without end": Message(id="x" * 201, songs=[ONE]).xml(),
    "no moment": Message(songs=[ONE], created="yesterday").xml(),
    "deals of no moment": Message(songs=[ONE], deals=[Terms(start="soon")]).xml(),
    "too long": b" " * (MESSAGE_MAX_BYTES + 1),
    "nested without end": b"<a>" * 10_000,
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_message_is_refused(name: str) -> None:
    with pytest.raises(ErnUnreadable) as caught:
        read_message(UNREADABLE[name])
    assert "root:" not in caught.value.detail


WHOLE = Message(songs=[ONE, TWO]).xml()


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_a_damaged_message_is_read_or_refused(place: int, byte: int) -> None:
    damaged = WHOLE[:place] + bytes([byte]) + WHOLE[place + 1 :]
    try:
        message = read_message(damaged)
    except ErnUnreadable:
        return
    settle(message, find)


def told(data: bytes, path: str) -> Sequence[str | None]:
    root = etree.fromstring(data)
    assert root.tag == f"{{{NAMESPACE}}}FtpAcknowledgementMessage"
    return [element.text for element in root.findall(path)]


def test_a_message_is_acknowledged_in_ddex_s_own_shape() -> None:
    message = read(Message(songs=[ONE, TWO]))
    data = acknowledge(message, now=BEGIN, sender="lathe")
    assert told(data, "FileStatus") == ["FileOK"]
    assert told(data, "AcknowledgedFile/ReleaseId") == ["MSG-1"]
    assert told(data, "MessageHeader/MessageRecipient/PartyName/FullName") == ["A Label & Sons"]
    found = settled(songs=[replace(ONE, file="missing.flac"), TWO])
    data = acknowledge(
        message, now=BEGIN, sender="lathe", faults=found.findings.faults, faulty=found.faulty
    )
    assert told(data, "FileStatus") == ["ResourceMissing"]
    assert told(data, "AffectedResource/ISRC") == [ONE.isrc]
    assert told(data, "AffectedResource/FileStatus") == ["ResourceMissing"]
